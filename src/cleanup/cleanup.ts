/**
 * cleanup(8): completes a message, holds it against header_checks and the like, and puts it in the queue. Streams: what
 * is held in memory is one header, or one block where content is checked, plus what the store holds by its own limit.
 *   open --data()*--> finish() --> queued | discarded | refused (too many hops, no recipients, content)
 *        \--abort()--> gone
 * Throws ResourceError when the store cannot take the message; nothing is queued then.
 */

import type { ContentSource } from "../agent.ts";
import type { Config } from "../config/config.ts";
import { type ClientOrigin, type Envelope, plainRecipient, type Recipient } from "../envelope.ts";
import { assert } from "../errors.ts";
import { latin1Encode } from "../latin1.ts";
import type { Log, Logger } from "../log.ts";
import type { Committed, Incoming, QueueStore } from "../queue/store.ts";
import { REPLY, type Reply, reply } from "../reply.ts";
import type { Clock, Millis } from "../runtime.ts";
import { rewriteAddress } from "../trivial-rewrite/rewrite.ts";
import { Actions } from "./actions.ts";
import { CheckedContent, type ContentRules } from "./checked.ts";
import { HeaderStage } from "./header-stage.ts";
import { HeaderBlock, type HeaderOptions, HeaderWishes, SeenHeaders } from "./headers.ts";
import { MIME_ERRORS, type MimeError } from "./mime-part.ts";
import { missingHeaders } from "./missing-headers.ts";
import type { RewriteScope, Rewriting } from "./rewriting.ts";
import { contentRules, type OpenTable } from "./rules.ts";
import { UnicodeHeaders, type UnicodeRule, withUnicode } from "./unicode.ts";

export interface CleanupServices {
  readonly config: Config;
  readonly store: QueueStore;
  readonly log: Log;
  readonly clock: Clock;
  /** Without it no parameter may name a table of content checks. */
  readonly openTable?: OpenTable;
  /** Without it addresses stay as they come. */
  readonly rewriting?: Rewriting;
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
  /** No table changes addresses, and no copies are made (receive_override_options = no_address_mappings). */
  readonly unmapped?: boolean;
  /** A notice of this system: no copies are made. */
  readonly internal?: boolean;
  /** For log lines of content checks: who handed it in (absent: a program of this host), and the last recipient. */
  readonly client?: ClientOrigin;
  readonly recipient?: string;
  /** SMTPUTF8 of the message: asked for, or where something is not ASCII (smtputf8_autodetect_classes). */
  readonly smtputf8?: UnicodeRule;
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
  readonly wishes: HeaderWishes;
  /** Null: nobody looks at the content. */
  readonly rules: ContentRules | null;

  constructor(services: CleanupServices) {
    const { config } = services;
    this.services = services;
    this.logger = services.log.service("cleanup");
    this.headers = { sizeLimit: config.header_size_limit };
    this.wishes = new HeaderWishes(config.message_drop_headers);
    this.rules = contentRules(config, this.wishes.names, (name, place) => {
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
  #unicode: UnicodeHeaders | null = null;
  #origin: Origin | null = null;
  #inBody = false;
  #bytes = 0;
  #wait: Promise<void> | null = null;
  /** Null: headers are not rewritten, or have been. */
  #stage: HeaderStage | null = null;
  #rewritten: Promise<void> | null = null;
  #refused: Reply | null = null;
  #idLogged = false;
  #tooBig = false;
  /** What of the content is handed out when the message is refused. */
  readonly #returned: Uint8Array[] = [];

  constructor(cleanup: Cleanup, incoming: Incoming) {
    this.#cleanup = cleanup;
    this.#incoming = incoming;
    this.#seen = new SeenHeaders(cleanup.wishes);
    this.#block = new HeaderBlock(cleanup.headers, {
      keep: (piece) => this.#keep(piece),
      headersDone: () => this.#headersDone(),
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
    const { rules, services: { rewriting, config } } = this.#cleanup;
    if (origin.smtputf8 !== undefined) this.#unicode = new UnicodeHeaders(config);
    const context = rewriting?.context(origin.complete) ?? null;
    if (rewriting !== undefined && context !== null) {
      const scope = this.#scope(origin);
      this.#stage = new HeaderStage((bytes, start, end) => rewriting.header(bytes, start, end, context, scope));
    }
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
    this.#unicode?.push(piece);
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
    const checking = checked === null ? null : checked.end();
    if (checking !== null) await checking;
    if (checked === null && !this.#inBody) this.#block.end();
    if (this.#rewritten !== null) await this.#rewritten;
    const actions = checked?.actions ?? null;
    const settled = await this.#changed(envelope, actions, wishes);
    const changed = withUnicode(settled, this.#origin?.smtputf8, this.#unicode?.found() ?? false);
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
    if (this.#stage !== null) this.#stage.keep(piece);
    else this.#store(piece);
  }

  #store(piece: Uint8Array): void {
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
      headersDone: () => this.#headersDone(),
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

  #scope({ unmapped, internal }: Origin): RewriteScope {
    const mapped = unmapped !== true;
    const warn = (text: string): void => void this.#cleanup.logger.warn(`${this.id}: ${text}`);
    return { mapped, copies: mapped && internal !== true, warn };
  }

  /** Rewrites the headers, then adds what is missing; the sender waits where a table takes time. */
  #headersDone(): void {
    const stage = this.#stage;
    if (stage === null) return this.#complete(this.#origin?.sender ?? "");
    const headers = stage.finish();
    const { rewriting } = this.#cleanup.services;
    if (headers instanceof Promise || !rewriting!.idle) {
      this.#rewritten = this.#headersRewritten(stage, headers);
      this.#wait = this.#rewritten;
      return;
    }
    this.#stage = null;
    for (const piece of headers) this.#store(piece);
    this.#complete(this.#origin?.sender ?? "");
  }

  async #headersRewritten(
    stage: HeaderStage,
    headers: readonly Uint8Array[] | Promise<readonly Uint8Array[] | Reply>,
  ): Promise<void> {
    const result = await headers;
    const origin = this.#origin as Origin;
    const mapped = await this.#cleanup.services.rewriting!.senderOf(origin.sender, this.#scope(origin));
    this.#stage = null;
    this.#wait = null;
    if (typeof mapped !== "string") this.#refused = mapped;
    if ("code" in result) this.#refused = result;
    else for (const piece of result) this.#store(piece);
    this.#complete(typeof mapped === "string" ? mapped : origin.sender);
    for (const piece of stage.behind) this.#store(piece);
    await (this.#wait as Promise<void> | null ?? Promise.resolve());
  }

  /** The envelope as tables and content checks want it. */
  async #changed(envelope: Envelope, actions: Actions | null, wishes: Wishes): Promise<Envelope> {
    const { config } = this.#cleanup.services;
    const is8bit = this.#seen.is8bit && config.detect_8bit_encoding_header;
    const encoding = is8bit ? "8bit" as const : envelope.encoding;
    const copies = copyRecipients(wishes.copies, actions?.copies ?? [], config);
    const { sender, recipients, expanded } = await this.#mapped(
      copies.length === 0 ? envelope : { ...envelope, recipients: [...envelope.recipients, ...copies] },
    );
    const redirect = actions?.redirect ?? wishes.redirect;
    const filter = actions?.filter ?? envelope.filter;
    if (!is8bit && sender === envelope.sender && recipients === envelope.recipients && redirect === null) {
      return filter === envelope.filter ? envelope : { ...envelope, filter: filter as string };
    }
    return {
      ...envelope,
      sender,
      encoding,
      recipients: redirected(recipients, redirect, config),
      ...expanded === undefined ? {} : { expanded },
      ...filter === undefined ? {} : { filter },
    };
  }

  async #mapped(envelope: Envelope): Promise<Pick<Envelope, "sender" | "recipients" | "expanded">> {
    const { rewriting } = this.#cleanup.services;
    if (rewriting === undefined || this.#refused !== null) return envelope;
    const sender = rewriting.nullSender(envelope.sender);
    if (rewriting.idle) return { sender, recipients: rewriting.distinct(envelope.recipients) };
    const done = await rewriting.envelope({ ...envelope, sender }, this.#scope(this.#origin as Origin));
    if ("envelope" in done) return done.envelope;
    this.#refused = done.refused;
    return envelope;
  }

  #refusal(envelope: Envelope): Reply | null {
    const { hopcount_limit: hops } = this.#cleanup.services.config;
    const ofChecks = this.#checked?.actions.refused ?? null;
    if (ofChecks !== null && ofChecks.code < 500) return ofChecks;
    if (this.#refused !== null) return this.#refused;
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

  /** Logs the message id and adds the headers that are missing. */
  #complete(sender: string): void {
    const origin = this.#origin;
    const seen = this.#seen;
    const { clock, config } = this.#cleanup.services;
    const complete = origin !== null && (origin.complete || config.always_add_missing_headers ||
      config.remote_header_rewrite_domain !== "");
    const facts = { id: this.id, sender, arrived: origin?.arrived ?? 0, fullName: origin?.fullName ?? "" };
    const added = complete ? missingHeaders(seen, facts, config, clock) : { text: "", messageId: null };
    if (!this.#idLogged) {
      this.#cleanup.logger.info(`${this.id}: message-id=${added.messageId ?? seen.messageId ?? "<>"}`);
    }
    if (added.text !== "") this.#store(latin1Encode(added.text));
  }
}

/** Whom BCC adds. Of a content check's copies nobody is told, of an access table's the sender is. */
function copyRecipients(access: readonly string[], checks: readonly string[], config: Config): readonly Recipient[] {
  const copies = new Map<string, Recipient>();
  for (const address of access.map((one) => rewriteAddress(one, config))) copies.set(address, plainRecipient(address));
  for (const address of checks.map((one) => rewriteAddress(one, config))) {
    if (!copies.has(address)) copies.set(address, { ...plainRecipient(address), notify: ["never"] });
  }
  return [...copies.values()];
}

/** REDIRECT sends everything to one address. */
function redirected(recipients: readonly Recipient[], redirect: string | null, config: Config): readonly Recipient[] {
  const [first] = recipients;
  if (redirect === null || first === undefined) return recipients;
  const original = first.original === "" ? first.address : first.original;
  return [{ ...first, address: rewriteAddress(redirect, config), original }];
}
