/**
 * smtpd_proxy_filter (SMTPD_PROXY_README): the message goes to a filter that speaks SMTP instead of into the queue, and
 * the client hears what the filter says. The filter is called at the first recipient that policy takes; with
 * `speed_adjust` only when all of the message is there, which waits in memory.
 *   none --recipient--> open (EHLO, XFORWARD, MAIL) --RCPT, DATA, content--> dot --reply--> over
 *   a filter that refuses the opening is called again for the next recipient; one that breaks later is not
 */

import type { Config } from "../config/config.ts";
import { ContentEncoder } from "../dot-stuffing.ts";
import { latin1Encode } from "../latin1.ts";
import type { Logger } from "../log.ts";
import { REPLY, type Reply, replyText } from "../reply.ts";
import { allAttributes, announcedNames, type XforwardValues } from "../xforward.ts";
import { circumstances, type SessionFacts } from "./facts.ts";
import { FilterConnection, type FilterOptions, type FilterReply, replyOf } from "./filter-connection.ts";
import type { MessageSink } from "./host.ts";
import { bad, good, type Outcome } from "./outcome.ts";

/** What a session tells about a message for the filter. */
export interface FilterFacts {
  /** MAIL as the client sent it. */
  readonly mail: string;
  readonly values: XforwardValues;
  /** The filter has taken the sender. */
  readonly opened: () => void;
}

export interface FilterSettings extends FilterOptions {
  readonly config: Pick<Config, "smtpd_proxy_ehlo">;
  /** smtpd_proxy_options = speed_adjust */
  readonly late: boolean;
}

export class FilteredMessage implements MessageSink {
  readonly id = "NOQUEUE";
  readonly filter: NonNullable<MessageSink["filter"]>;
  readonly #settings: FilterSettings;
  readonly #facts: FilterFacts;
  #connection: FilterConnection | null = null;
  #size = 0;
  /** RCPT commands and content that wait for the end (speed_adjust). */
  readonly #recipients: string[] = [];
  readonly #pieces: Uint8Array[] = [];
  #inContent = false;
  readonly #encoder = new ContentEncoder(0);

  constructor(settings: FilterSettings, facts: FilterFacts) {
    this.#settings = settings;
    this.#facts = facts;
    if (settings.late) facts.opened();
    this.filter = {
      recipient: (line) => this.#recipient(line),
      startData: () => settings.late ? Promise.resolve(null) : this.#startData(),
    };
  }

  get size(): number {
    return this.#size;
  }

  begin(_origin: unknown, trace: string): void {
    void this.data(latin1Encode(trace));
  }

  data(piece: Uint8Array): Promise<void> | null {
    this.#size += piece.length;
    if (this.#settings.late) {
      this.#pieces.push(piece);
      return null;
    }
    return this.#send(piece);
  }

  async finish(): Promise<{ readonly answered: Reply }> {
    const refused = this.#settings.late ? await this.#replay() : null;
    if (refused !== null) return { answered: refused };
    if (this.#inContent) void this.#connection?.write(this.#encoder.finish());
    const reply = await this.#connection?.ask("") ?? null;
    this.#inContent = false;
    await this.abort();
    return { answered: replyOf(reply) };
  }

  /** Ends the connection; a message without its dot is none. */
  abort(): Promise<void> {
    if (this.#inContent) this.#connection?.destroy();
    else this.#connection?.quit();
    return Promise.resolve();
  }

  async #recipient(line: string): Promise<Reply | null> {
    if (this.#settings.late) {
      this.#recipients.push(line);
      return null;
    }
    if (this.#connection === null) {
      const refused = await this.#open();
      if (refused !== null) return refused;
      this.#facts.opened();
    }
    return await this.#ask(line);
  }

  async #startData(): Promise<Reply | null> {
    const refused = await this.#ask("DATA", "3");
    this.#inContent = refused === null;
    return refused;
  }

  /** speed_adjust: all that the client said, in one go. */
  async #replay(): Promise<Reply | null> {
    let refused = await this.#open();
    for (const line of this.#recipients) refused ??= await this.#ask(line);
    refused ??= await this.#startData();
    for (const piece of refused === null ? this.#pieces : []) await this.#send(piece);
    if (refused !== null) await this.abort();
    return refused;
  }

  /** EHLO, XFORWARD and MAIL; null when the filter took all of them. */
  async #open(): Promise<Reply | null> {
    const connection = await FilterConnection.to(this.#settings);
    if (connection === null) return REPLY.queueWriteError;
    this.#connection = connection;
    const refused = await this.#greet() ?? await this.#ask(this.#facts.mail);
    if (refused === null) return null;
    connection.quit();
    this.#connection = null;
    return refused;
  }

  /** What the filter says before it knows the sender is not for the client. */
  async #greet(): Promise<Reply | null> {
    if (await this.#ask("") !== null) return REPLY.queueWriteError;
    const hello = `EHLO ${this.#settings.config.smtpd_proxy_ehlo}`;
    const reply = await this.#connection!.ask(hello);
    if (this.#refusal(hello, reply, "2") !== null) return REPLY.queueWriteError;
    const line = reply!.slice(1).find((one) => /^\d{3}[- ]XFORWARD(?: |$)/i.test(one));
    if (line === undefined) return null;
    for (
      const command of allAttributes(this.#facts.values, announcedNames(line.slice(4).trim().split(/\s+/).slice(1)))
    ) {
      if (await this.#ask(command) !== null) return REPLY.queueWriteError;
    }
    return null;
  }

  async #ask(command: string, wanted = "2"): Promise<Reply | null> {
    return this.#refusal(command, await this.#connection!.ask(command), wanted);
  }

  #refusal(command: string, reply: FilterReply | null, wanted: string): Reply | null {
    if (reply?.[0]?.startsWith(wanted) === true) return null;
    const { logger, name } = this.#settings;
    const said = command === "" ? "connection request" : command;
    if (reply !== null) logger.warn(`proxy ${name} rejected "${said}": "${reply.join("??")}"`);
    return replyOf(reply);
  }

  #send(piece: Uint8Array): Promise<void> | null {
    if (!this.#inContent) return null;
    const bytes = this.#encoder.encode(piece);
    return bytes.length === 0 ? null : this.#connection?.write(bytes) ?? null;
  }
}

/** What the filter says of the whole message. */
export function filtered(answer: Reply, facts: SessionFacts, logger: Logger): Outcome {
  const taken = answer.code >= 200 && answer.code < 300;
  const text = replyText(answer).trimEnd().replace(/[^\x20-\x7e]/g, "?");
  logger.info(`proxy-${taken ? "accept" : "reject"}: END-OF-MESSAGE: ${text};${circumstances(facts)}`);
  return taken ? { ...good(answer), queued: true } : bad(answer);
}
