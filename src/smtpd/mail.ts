/**
 * The mail transaction of a session: MAIL, RCPT, DATA or BDAT, end of data.
 *   none --MAIL--> mail --RCPT accepted--> recipients --DATA, BDAT--> content --dot, LAST--> none
 * BDAT (RFC 3030) has a state of its own: after an error further chunks are read and dropped until LAST or RSET.
 * A message is in the queue only when finish() has resolved; everything before that is dropped by forget().
 */

import type { ClientOrigin, Envelope } from "../envelope.ts";
import { messageOf, systemCode } from "../errors.ts";
import type { Logger } from "../log.ts";
import { REPLY, type Reply, replyLine } from "../reply.ts";
import type { ClientLimits } from "./client-limits.ts";
import { syntaxFor } from "./clients.ts";
import type { DataFacts } from "./dialogue.ts";
import type { Word } from "./engine/commands.ts";
import type { MessageSink, SessionHost } from "./host.ts";
import { bad, type ClientState, good, namaddr, type Outcome, printable, refused } from "./outcome.ts";
import { after, circumstances, type ClientFacts, type SessionFacts, type Verdict } from "./facts.ts";
import { PolicyMemory } from "./judging.ts";
import { filtered } from "./filter.ts";
import { FILTERED, OpenMail, unicodeOf } from "./open-mail.ts";
import { receivedHeader } from "./received.ts";
import { xforwardValues } from "../xforward.ts";
import { clientText, type Forwarded, messageOrigin, NOT_FORWARDED } from "./xclient.ts";
import { isRefusal, isUndeclared, type MailCommand, parseBdat, parseMail, parseRcpt } from "./transaction.ts";
import type { RcptCommand } from "./transaction.ts";

/** Tells the messages of this process apart, for policy services. */
let instances = 0;

export class Mail {
  readonly #host: SessionHost;
  readonly #client: ClientState;
  readonly #logger: Logger;
  readonly #limits: ClientLimits;
  #transaction: OpenMail | null = null;
  #tooBig = false;
  #receiving = false;
  /** "failed": chunks are dropped. */
  #bdat: "none" | "active" | "failed" = "none";
  #chunk = { bytes: 0, last: false };
  #chunkRefused: Reply | null = null;
  /** What XFORWARD said for the next message. */
  forwarded: Forwarded = NOT_FORWARDED;
  /** Content bytes of this message so far. */
  #received = 0;
  /** Commands came ahead of the replies without permission. */
  pipelined = false;
  #instance = "";
  /** The command as it came. */
  line = "";
  readonly policy: PolicyMemory;

  constructor(host: SessionHost, client: ClientState, logger: Logger, limits: ClientLimits) {
    this.#limits = limits;
    this.#host = host;
    this.#client = client;
    this.#logger = logger;
    this.policy = new PolicyMemory(logger);
  }

  /** What policy may know now. */
  facts(): SessionFacts {
    return this.#factsFor(this.#client, null, this.#transaction?.command.size ?? 0);
  }

  #factsFor(client: ClientFacts, recipient: string | null, size: number): SessionFacts {
    const transaction = this.#transaction;
    return {
      client,
      helo: this.#client.helo,
      sender: transaction?.command.sender ?? null,
      recipient,
      recipients: transaction?.accepted.length ?? 0,
      queueId: transaction?.message?.filter === undefined ? transaction?.message?.id ?? "" : "",
      size,
      instance: this.#instance,
      etrn: null,
      pipelined: this.pipelined,
    };
  }

  /** Of DATA and later: the recipient where there is but one. */
  #factsOfMessage(where: string, size?: number): SessionFacts {
    const transaction = this.#transaction;
    const only = transaction?.accepted.length === 1 ? transaction.accepted[0] as string : null;
    return this.#factsFor({ ...this.#client, where }, only, size ?? transaction?.command.size ?? 0);
  }

  where(): string {
    return this.#receiving ? `${this.#client.where} (${this.#received} bytes)` : this.#client.where;
  }

  mail(words: readonly Word[]): Outcome | Promise<Outcome> {
    if (this.#host.config.smtpd_helo_required && this.#client.helo === "") return bad(REPLY.sendHelloFirst);
    if (this.#transaction !== null) return bad(REPLY.nestedMail);
    if (this.#bdat !== "none") return bad(REPLY.notAfterBdat("MAIL"));
    const parsed = parseMail(words, syntaxFor(this.#host, this.#client.rules), this.#host.resolves);
    return after(
      parsed,
      (command) =>
        isRefusal(command)
          ? refused(command, this.#client, this.#logger, this.#host.syntax, words[2])
          : this.#mailFrom(command),
    );
  }

  #mailFrom(command: MailCommand): Outcome | Promise<Outcome> {
    const { config: { message_size_limit: limit }, clock, syntax } = this.#host;
    const tooMuch = this.#limits.message();
    if (tooMuch !== null) return bad(tooMuch);
    const facts = { ...this.facts(), sender: command.sender, size: command.size };
    if (limit > 0 && command.size > limit) return this.rejected(REPLY.tooBig, facts);
    if (this.#host.diskFull(command.size)) return this.rejected(REPLY.noSpace, facts);
    if (isUndeclared(command.sender, syntax, command.smtputf8)) return bad(REPLY.mustDeclareUtf8);
    const judged = this.judged(this.#host.judge("sender", facts, this.policy), facts, () => {
      const arrived = clock.now();
      this.#instance = `${this.#client.port.toString(16)}.${arrived.toString(16)}.${(instances++).toString(16)}`;
      this.#tooBig = false;
      this.#transaction = new OpenMail(command, arrived, this.line);
      return good(REPLY.senderOk);
    });
    return after(judged, (outcome) => {
      // What tables wanted for a message that will not come.
      if (outcome.error) this.policy.forget();
      return outcome;
    });
  }

  rcpt(words: readonly Word[]): Outcome | Promise<Outcome> {
    const transaction = this.#transaction;
    if (transaction === null) return bad(REPLY.needMail);
    if (this.#bdat !== "none") return bad(REPLY.notAfterBdat("RCPT"));
    const syntax = syntaxFor(this.#host, this.#client.rules);
    const parsed = parseRcpt(words, syntax, transaction.command.smtputf8, this.#host.resolves);
    return after(
      parsed,
      (command) =>
        isRefusal(command)
          ? refused(command, this.#client, this.#logger, this.#host.syntax, words[2])
          : this.#rcptTo(transaction, command),
    );
  }

  #rcptTo(transaction: OpenMail, command: RcptCommand): Outcome | Promise<Outcome> {
    const { config } = this.#host;
    const tooMany = this.#limits.recipient();
    if (tooMany !== null) return bad(tooMany);
    if (config.smtpd_recipient_limit > 0 && transaction.recipients.length >= config.smtpd_recipient_limit) {
      const over = transaction.overshoot++ >= config.smtpd_recipient_overshoot_limit;
      return over ? bad(REPLY.tooManyRecipients) : good(REPLY.tooManyRecipients);
    }
    const facts = this.#factsFor(this.#client, command.recipient, transaction.command.size);
    const { line } = this;
    return this.judged(this.#host.judge("recipient", facts, this.policy), facts, () => {
      transaction.message ??= this.#openMessage(transaction);
      const refused = transaction.message.filter?.recipient(line) ?? null;
      return after(refused, (reply: Reply | null) => {
        if (reply !== null) return bad(reply);
        transaction.add(command, this.#host.rewrite(command.recipient));
        return good(REPLY.recipientOk);
      });
    });
  }

  startData(words: readonly Word[]): Outcome | Promise<Outcome> {
    if (this.#bdat !== "none") return bad(REPLY.dataAfterBdat);
    const missing = this.#missing();
    if (missing !== null) return bad(missing);
    if (words.length !== 1) return bad(REPLY.syntax("DATA"));
    const facts = this.#factsOfMessage("DATA");
    return this.judged(
      this.#host.judge("data", facts, this.policy),
      facts,
      () => this.#begun({ ...good(REPLY.startData), next: "data" as const }),
    );
  }

  /** The chunk is read in any case: the reply comes when it is over (endOfData). */
  chunk(words: readonly Word[]): Outcome | Promise<Outcome> {
    const parsed = parseBdat(words);
    if (parsed === null) {
      const text = printable(this.line, this.#host.syntax);
      const id = this.#message?.id ?? "NOQUEUE";
      this.#logger.warn(`${id}: malformed BDAT command syntax from ${namaddr(this.#client)}: ${text}`);
      return bad({ ...REPLY.badChunkSize, close: true });
    }
    const first = this.#bdat === "none";
    this.#chunk = parsed;
    const { bytes, last } = parsed;
    const chunkIs = last ? (first ? "only" : "last") : first ? "first" : "next";
    const reading: Outcome = { ...good(REPLY.ok), next: "chunk", chunk: bytes, chunkIs };
    if (first && this.#missing() === null) {
      const facts = this.#factsOfMessage("BDAT");
      const judged = this.judged(this.#host.judge("data", facts, this.policy), facts, () => {
        return after(this.#begun(reading), (outcome) => {
          if (outcome === reading) this.#bdat = "active";
          return outcome;
        });
      });
      return judged instanceof Promise
        ? judged.then((value) => this.#afterReading(value, reading))
        : this.#afterReading(judged, reading);
    }
    return reading;
  }

  /** A chunk that is refused is read all the same; its reply comes when it is over. */
  #afterReading(outcome: Outcome, reading: Outcome): Outcome {
    this.#chunkRefused = outcome === reading ? null : outcome.reply;
    return reading;
  }

  data(piece: Uint8Array): Promise<void> | null {
    const message = this.#message;
    if (message === null || this.#tooBig || this.#bdat === "failed" || !this.#receiving) return null;
    const limit = this.#host.config.message_size_limit;
    this.#received += piece.length;
    if (limit > 0 && this.#received > limit) {
      this.#logger.warn(`${message.id}: queue file size limit exceeded`);
      this.#tooBig = true;
      return null;
    }
    return message.data(piece);
  }

  async end(facts: DataFacts, chunked: boolean): Promise<Outcome> {
    if (!chunked) return await this.#endOfMessage(facts);
    const { bytes, last } = this.#chunk;
    const earlier = this.#bdat === "failed";
    if (this.#bdat === "none") {
      const reply = this.#chunkRefused ?? this.#missing() ?? REPLY.serviceUnavailable;
      this.#chunkRefused = null;
      this.#chunkFailed(last);
      return bad(reply);
    }
    if (earlier) {
      this.#chunkFailed(last);
      return bad(REPLY.chunkDiscarded(bytes));
    }
    if (this.#tooBig) {
      this.#chunkFailed(last);
      return bad(REPLY.chunkTooBig);
    }
    if (!last) return good(REPLY.chunkOk(bytes));
    const outcome = await this.#endOfMessage(facts);
    this.forget();
    return outcome;
  }

  /** MAIL was taken and the transaction is not over. */
  get open(): boolean {
    return this.#transaction !== null;
  }

  /** Ends the transaction; a message that is not in the queue is dropped. */
  forget(): void {
    const message = this.#message;
    this.#transaction = null;
    this.policy.forget();
    this.#instance = "";
    this.forwarded = NOT_FORWARDED;
    this.#receiving = false;
    this.#bdat = "none";
    message?.abort().catch((caught: unknown) => this.#logger.warn(`${message.id}: ${messageOf(caught)}`));
  }

  /** Goes on with `passed` unless the verdict is a reply. */
  judged(
    verdict: Verdict | Promise<Verdict>,
    facts: SessionFacts,
    passed: () => Outcome | Promise<Outcome>,
  ): Outcome | Promise<Outcome> {
    if (verdict instanceof Promise) return verdict.then((value) => this.judged(value, facts, passed));
    return typeof verdict === "object" ? this.rejected(verdict, facts) : passed();
  }

  get #message(): MessageSink | null {
    return this.#transaction?.message ?? null;
  }

  /** Why content cannot come now; null when it can. */
  #missing(): Reply | null {
    if (this.#transaction === null) return REPLY.needRecipient;
    return this.#transaction.accepted.length === 0 ? REPLY.noValidRecipients : null;
  }

  #chunkFailed(last: boolean): void {
    this.forget();
    this.#bdat = last ? "none" : "failed";
  }

  #openMessage(transaction: OpenMail): MessageSink {
    const client = this.#origin();
    const told = (id: string): void => this.#logger.info(`${id}: ${clientText(this.#client, this.forwarded)}`);
    const message = this.#host.openMessage({
      mail: transaction.line,
      values: xforwardValues(client, ""),
      opened: () => told(FILTERED),
    });
    if (message.filter === undefined) told(message.id);
    return message;
  }

  #origin(): ClientOrigin {
    return messageOrigin(this.forwarded, this.#client, this.#completes());
  }

  /** Content may come, unless the filter does not want it. */
  #begun(outcome: Outcome): Outcome | Promise<Outcome> {
    return after(this.#message?.filter?.startData() ?? null, (refused: Reply | null) => {
      if (refused !== null) return bad(refused);
      this.#begin();
      return outcome;
    });
  }

  #begin(): void {
    const transaction = this.#transaction as OpenMail;
    const message = transaction.message as MessageSink;
    this.#receiving = true;
    this.#received = 0;
    message.begin(
      {
        sender: this.#host.rewrite(transaction.command.sender),
        arrived: transaction.arrived,
        complete: this.#completes(),
        checked: !this.#host.config.receive_override_options.includes("no_header_body_checks"),
        unmapped: this.#host.config.receive_override_options.includes("no_address_mappings"),
        ...unicodeOf(transaction.command, this.#host.config),
        client: this.#client,
        recipient: transaction.recipients.at(-1)?.address ?? "",
      },
      this.policy.actions.prepended.map((line) => `${line}\r\n`).join("") + this.#trace(transaction, message),
    );
  }

  /** Behind a filter the message has no id, and that of who forwards it stands for itself. */
  #trace(transaction: OpenMail, { filter, id }: MessageSink): string {
    if (filter !== undefined && this.forwarded !== NOT_FORWARDED) return "";
    return receivedHeader(this.#host, this.#client, transaction, filter === undefined ? id : "");
  }

  /** XFORWARD may say whether the message is of this site. */
  #completes(): boolean {
    const { source } = this.forwarded;
    return source === "" ? this.#host.completesFor(this.#client.address) : source === "LOCAL";
  }

  /** A refusal by policy, as log and client see it. */
  rejected(refused: Reply, facts: SessionFacts): Outcome {
    // HANGUP: no reply, and its own line in the log.
    if (refused.lines.length === 0) return bad(refused);
    const what = `reject: ${facts.client.where} from ${namaddr(this.#client)}: ${replyLine(refused)}`;
    this.#logger.info(`${this.#message?.id ?? FILTERED}: ${what};${circumstances(facts)}`);
    return bad(refused);
  }

  async #endOfMessage(facts: DataFacts): Promise<Outcome> {
    const transaction = this.#transaction;
    const message = this.#message;
    this.#receiving = false;
    if (transaction === null || message === null) return bad(REPLY.serviceUnavailable);
    const { config } = this.#host;
    if (facts.bareNewline && this.#client.rules.bareNewline === "reject") {
      return bad(REPLY.bareNewline(config.smtpd_forbid_bare_newline_reject_code, config.myhostname));
    }
    if (this.#tooBig) return bad(REPLY.messageTooBig);
    const policyFacts = this.#factsOfMessage("END-OF-MESSAGE", this.#received);
    const verdict = await this.#host.judge("end-of-data", policyFacts, this.policy);
    if (typeof verdict === "object") return this.rejected(verdict, policyFacts);
    try {
      return await this.#queue(transaction, message);
    } catch (caught) {
      const code = systemCode(caught);
      this.#logger.warn(`${message.id}: ${messageOf(caught)}`);
      return bad(code === "ENOSPC" || code === "EDQUOT" ? REPLY.noSpace : REPLY.queueWriteError);
    }
  }

  async #queue(transaction: OpenMail, message: MessageSink): Promise<Outcome> {
    const { command: { encoding, ret, envid, sender: given }, recipients, arrived } = transaction;
    const client = this.#origin();
    const sender = this.#host.rewrite(given);
    const { actions } = this.policy;
    const filter = actions.filter ?? this.#host.config.content_filter;
    const asked = filter === "" ? {} : { filter };
    const envelope: Envelope = { sender, recipients, arrived, client, encoding, ret, envid, ...asked };
    const result = await message.finish(envelope, actions);
    transaction.message = null;
    if ("refused" in result) return bad(result.refused);
    if ("answered" in result) {
      const facts = { ...this.facts(), recipient: this.#transaction?.accepted[0] ?? null };
      return filtered(result.answered, facts, this.#logger);
    }
    const chunked = this.#client.where === "BDAT";
    const reply = chunked ? REPLY.chunksQueued(this.#received, result.queuedAs) : REPLY.queued(result.queuedAs);
    return { ...good(reply), queued: true };
  }
}
