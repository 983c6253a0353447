/**
 * cleanup(8): completes a message, holds it against header_checks and the like, and puts it in the queue. Streams: what
 * is held in memory is one header, or one block where content is checked, plus what the store holds by its own limit.
 *   open --data()*--> finish() --> queued | discarded | refused (too many hops, no recipients, content)
 *        \--abort()--> gone
 * Throws ResourceError when the store cannot take the message; nothing is queued then.
 */

import { quoteLocal, splitAddress } from "../address.ts";
import type { ContentSource } from "../agent.ts";
import type { Config } from "../config/config.ts";
import { type ClientOrigin, type Envelope, plainRecipient, type Recipient } from "../envelope.ts";
import { assert } from "../errors.ts";
import { mailDate } from "../header.ts";
import { latin1Encode } from "../latin1.ts";
import type { Log, Logger } from "../log.ts";
import type { Committed, Incoming, QueueStore } from "../queue/store.ts";
import { REPLY, type Reply, reply } from "../reply.ts";
import type { Clock, Millis } from "../runtime.ts";
import { rewriteAddress } from "../trivial-rewrite/rewrite.ts";
import { Actions } from "./actions.ts";
import { CheckedContent, type ContentRules } from "./checked.ts";
import { HeaderBlock, type HeaderOptions, SeenHeaders } from "./headers.ts";
import { MIME_ERRORS, type MimeError } from "./mime-part.ts";
import { contentRules, type OpenTable } from "./rules.ts";

export interface CleanupServices {
  readonly config: Config;
  readonly store: QueueStore;
  readonly log: Log;
  readonly clock: Clock;
  /** Without it no parameter may name a table of content checks. */
  readonly openTable?: OpenTable;
}

export interface Origin {
  readonly sender: string;
  readonly arrived: Millis;
  /** Adds missing Message-Id, Date, From (local_header_rewrite_clients, always_add_missing_headers, sendmail). */
  readonly complete: boolean;
  /** sendmail -F */
  readonly fullName?: string;
  /** Content checks apply (receive_override_options, internal_mail_filter_classes). */
  readonly checked: boolean;
  /** For log lines of content checks: who handed it in (absent: a program of this host), and the last recipient. */
  readonly client?: ClientOrigin;
  readonly recipient?: string;
  /** A refused message goes back to its sender: it is read to its end, and its content is handed out. */
  readonly returned?: boolean;
}

/** The content of a refused message as far as a notice may hold it. */
export interface Returned {
  readonly content: ContentSource;
  readonly size: number;
}

/** What the receiving side wants done with a message (access tables of smtpd). */
export interface Wishes {
  readonly held: boolean;
  readonly discarded: boolean;
  readonly redirect: string | null;
  readonly copies: readonly string[];
}

const NO_WISHES: Wishes = { held: false, discarded: false, redirect: null, copies: [] };

export type CleanupResult =
  | { readonly kind: "queued"; readonly committed: Committed }
  /** DISCARD: the sender is told that it was taken. */
  | { readonly kind: "discarded" }
  | { readonly kind: "refused"; readonly reply: Reply; readonly returned: Returned };

export class Cleanup {
  readonly services: CleanupServices;
  readonly logger: Logger;
  readonly headers: HeaderOptions;
  readonly drop: ReadonlySet<string>;
  /** Null: nobody looks at the content. */
  readonly rules: ContentRules | null;

  constructor(services: CleanupServices) {
    const { config } = services;
    this.services = services;
    this.logger = services.log.service("cleanup");
    this.headers = { sizeLimit: config.header_size_limit };
    this.drop = new Set(config.message_drop_headers.map((name) => name.toLowerCase()));
    this.rules = contentRules(config, (name, place) => {
      assert(services.openTable !== undefined, "tables of content checks can be opened");
      return services.openTable(name, place);
    });
  }

  /** Begins a message: it has its queue id from now on. */
  open(): CleanupMessage {
    return new CleanupMessage(this, this.services.store.begin());
  }
}

export class CleanupMessage {
  readonly #cleanup: Cleanup;
  readonly #incoming: Incoming;
  readonly #seen: SeenHeaders;
  readonly #block: HeaderBlock;
  #checked: CheckedContent | null = null;
  #origin: Origin | null = null;
  #inBody = false;
  #bytes = 0;
  #wait: Promise<void> | null = null;
  #idLogged = false;
  #tooBig = false;
  /** What of the content is handed out when the message is refused. */
  readonly #returned: Uint8Array[] = [];

  constructor(cleanup: Cleanup, incoming: Incoming) {
    this.#cleanup = cleanup;
    this.#incoming = incoming;
    this.#seen = new SeenHeaders(cleanup.drop);
    this.#block = new HeaderBlock(cleanup.headers, {
      keep: (piece) => this.#keep(piece),
      headersDone: () => this.#complete(),
    }, this.#seen);
  }

  get id(): string {
    return this.#incoming.id;
  }

  /** Content bytes so far, headers of ours included. */
  get size(): number {
    return this.#bytes;
  }

  /** The first lines of the message: trace headers, whole lines with CRLF. Once, before data(). */
  begin(origin: Origin, trace: string): void {
    this.#origin = origin;
    const { rules } = this.#cleanup;
    if (origin.checked && rules !== null) this.#checked = this.#checkedContent(rules, origin);
    if (trace === "") return;
    if (this.#checked !== null) return this.#checked.trace(latin1Encode(trace));
    if (/^Received:/m.test(trace)) this.#seen.received++;
    this.#keep(latin1Encode(trace));
  }

  /** Content with CRLF line ends, by reference. A promise: wait before going on. */
  data(piece: Uint8Array): Promise<void> | null {
    if (piece.length === 0) return null;
    this.#wait = null;
    if (this.#checked !== null) {
      const looking = this.#checked.push(piece);
      return looking === null ? this.#wait : looking.then(() => this.#wait ?? undefined);
    }
    if (this.#inBody) this.#keep(piece);
    else this.#inBody = this.#block.push(piece);
    return this.#wait;
  }

  /**
   * Puts the message in the queue; durable when it resolves. size= of the log is the content with CRLF line ends, as in
   * Postfix, whose records cost two bytes a line (three from 128 bytes on, which is left out here).
   */
  async finish(envelope: Envelope, wishes: Wishes = NO_WISHES): Promise<CleanupResult> {
    const checked = this.#checked;
    if (checked !== null) await checked.end();
    else if (!this.#inBody) this.#block.end();
    const actions = checked?.actions ?? null;
    const { config } = this.#cleanup.services;
    const wished = wishes.redirect !== null || wishes.copies.length > 0
      ? { ...envelope, recipients: redirected(envelope.recipients, wishes, config) }
      : envelope;
    const changed = this.#changed(wished, actions);
    const refused = this.#refusal(changed);
    if (refused !== null || actions?.discarded || wishes.discarded) {
      await this.abort();
      return refused === null ? { kind: "discarded" } : { kind: "refused", reply: refused, returned: this.#content() };
    }
    const committed = await this.#incoming.commit(changed, wishes.held || (actions?.held ?? false));
    return { kind: "queued", committed };
  }

  abort(): Promise<void> {
    return this.#incoming.abort();
  }

  #keep(piece: Uint8Array): void {
    const { returned } = this.#origin ?? {};
    if (returned) this.#keepForReturn(piece);
    this.#bytes += piece.length;
    if (this.#tooBig) return;
    const wait = this.#incoming.append(piece);
    if (wait !== null) this.#wait = wait;
  }

  #checkedContent(rules: ContentRules, origin: Origin): CheckedContent {
    const { client, recipient, sender, returned = false } = origin;
    const actions = new Actions(this.#cleanup.logger, {
      id: this.id,
      origin: client === undefined ? "local" : `${client.name}[${client.address}]`,
      sender,
      recipient: recipient ?? null,
      protocol: client?.protocol ?? "",
      helo: client?.helo ?? "",
    });
    const { clock } = this.#cleanup.services;
    return new CheckedContent(rules, {
      keep: (piece) => this.#keep(piece),
      headersDone: () => this.#complete(),
      headerSeen: (name, value) => this.#headerSeen(name, value),
    }, { actions, seen: this.#seen, clock, id: this.id, kept: returned });
  }

  /** Where content is checked the log has the id, and the reader the end, where Postfix has them. */
  #headerSeen(name: string, value: string): void {
    if (name === "received") {
      if (this.#seen.received === this.#cleanup.services.config.hopcount_limit) this.#tooManyHops();
      return;
    }
    this.#idLogged ||= name === "message-id";
    this.#cleanup.logger.info(`${this.id}: ${name}=${value}`);
  }

  #tooManyHops(): void {
    this.#cleanup.logger.warn(`${this.id}: message rejected: hopcount exceeded`);
    this.#checked?.refuse(REPLY.tooManyHops);
  }

  /** The envelope as the content checks want it. */
  #changed(envelope: Envelope, actions: Actions | null): Envelope {
    const { config } = this.#cleanup.services;
    const is8bit = this.#seen.is8bit && config.detect_8bit_encoding_header;
    const encoding = is8bit ? "8bit" as const : envelope.encoding;
    if (actions === null) return is8bit ? { ...envelope, encoding } : envelope;
    const filter = actions.filter ?? envelope.filter;
    return {
      ...envelope,
      encoding,
      recipients: redirected(envelope.recipients, actions, config),
      ...filter === undefined ? {} : { filter },
    };
  }

  #refusal(envelope: Envelope): Reply | null {
    const { hopcount_limit: hops } = this.#cleanup.services.config;
    const ofChecks = this.#checked?.actions.refused ?? null;
    if (ofChecks !== null && ofChecks.code < 500) return ofChecks;
    if (this.#checked?.actions.discarded) return null;
    if (this.#tooBig) return REPLY.messageTooBig;
    if (this.#seen.received >= hops) {
      if (this.#checked === null) this.#tooManyHops();
      return REPLY.tooManyHops;
    }
    if (ofChecks !== null) return ofChecks;
    const errors = this.#checked?.mimeErrors;
    const worst = (Object.keys(MIME_ERRORS) as MimeError[]).find((error) => errors?.has(error));
    if (worst !== undefined) return reply(550, "5.6.0", MIME_ERRORS[worst]);
    return envelope.recipients.length === 0 ? REPLY.noValidRecipients : null;
  }

  /** bounce_size_limit of a message that may go back; message_size_limit, which smtpd has looked after for its mail. */
  #keepForReturn(piece: Uint8Array): void {
    const { bounce_size_limit: most, message_size_limit: limit } = this.#cleanup.services.config;
    if (this.#bytes <= most) this.#returned.push(piece);
    if (this.#tooBig || limit === 0 || this.#bytes + piece.length <= limit) return;
    this.#tooBig = true;
    this.#cleanup.logger.warn(`${this.id}: queue file size limit exceeded`);
  }

  #content(): Returned {
    const pieces = this.#returned;
    return {
      size: this.#bytes,
      content: {
        pieces: () => pieces,
        async *read() {
          yield* pieces;
        },
      },
    };
  }

  /** Logs the message id and adds the headers that are missing (RFC 6409 §8). */
  #complete(): void {
    const origin = this.#origin;
    const seen = this.#seen;
    const { clock, config } = this.#cleanup.services;
    const resent = [...seen.names].some((name) => name.startsWith("resent-")) ? "Resent-" : "";
    const missing = (name: string): boolean => !seen.names.has(`${resent}${name}`.toLowerCase());
    let added = "";
    let messageId = seen.messageId;
    if (origin !== null && (origin.complete || config.always_add_missing_headers)) {
      const zone = clock.zoneMinutes(origin.arrived);
      if (missing("Message-Id")) {
        const id = `<${stampOf(origin.arrived, zone)}.${this.id}@${config.myhostname}>`;
        added += `${resent}Message-Id: ${id}\r\n`;
        if (resent === "") messageId = id;
      }
      if (missing("Date")) {
        added += `${resent}Date: ${mailDate(origin.arrived, zone, clock.zoneName(origin.arrived))}\r\n`;
      }
      if (missing("From")) added += `${resent}From: ${fromText(origin)}\r\n`;
      const visible = ["to", "cc", "resent-to", "resent-cc"].some((name) => seen.names.has(name));
      if (!visible && config.undisclosed_recipients_header !== "") {
        added += `${config.undisclosed_recipients_header}\r\n`;
      }
    }
    if (!this.#idLogged) this.#cleanup.logger.info(`${this.id}: message-id=${messageId ?? "<>"}`);
    if (added !== "") this.#keep(latin1Encode(added));
  }
}

/** REDIRECT sends everything to one address, BCC adds some. */
function redirected(
  recipients: readonly Recipient[],
  actions: Pick<Wishes, "redirect" | "copies">,
  config: Config,
): readonly Recipient[] {
  const copies = new Set(actions.copies.map((address) => rewriteAddress(address, config)));
  const all = [...recipients];
  for (const address of copies) all.push({ ...plainRecipient(address), notify: ["never"] });
  const [first] = all;
  if (actions.redirect === null || first === undefined) return all;
  const original = first.original === "" ? first.address : first.original;
  return [{ ...first, address: rewriteAddress(actions.redirect, config), original }];
}

/** "20261122170000" in local time. */
function stampOf(at: Millis, zoneMinutes: number): string {
  return new Date(at + zoneMinutes * 60_000).toISOString().replace(/\D/g, "").slice(0, 14);
}

/** header_from_format = standard: `Full Name <address>`; RFC 5322 §3.2.3 tells when the name needs quotes. */
function fromText(origin: Origin): string {
  const sender = origin.sender === "" ? "MAILER-DAEMON" : origin.sender;
  const { local, domain } = splitAddress(sender);
  const address = domain === "" ? quoteLocal(local) : sender;
  if (origin.fullName === undefined || origin.fullName === "") return address;
  const plain = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~ \x80-\xff-]+$/.test(origin.fullName);
  const name = plain ? origin.fullName : `"${origin.fullName.replace(/["\\]/g, "\\$&")}"`;
  return `${name} <${address}>`;
}
