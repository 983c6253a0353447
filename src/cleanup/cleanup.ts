/**
 * cleanup(8): completes a message and puts it in the queue. Streams: what is held in memory is one header, plus what
 * the store holds by its own limit.
 *   open --data()*--> finish() --> queued | refused (too many hops, no recipients)
 *        \--abort()--> gone
 * Throws ResourceError when the store cannot take the message; nothing is queued then.
 */

import type { Config } from "../config/config.ts";
import type { Envelope } from "../envelope.ts";
import { quoteLocal, splitAddress } from "../address.ts";
import { mailDate } from "../header.ts";
import { latin1Encode } from "../latin1.ts";
import type { Log, Logger } from "../log.ts";
import type { Committed, Incoming, QueueStore } from "../queue/store.ts";
import { REPLY, type Reply } from "../reply.ts";
import type { Clock, Millis } from "../runtime.ts";
import { HeaderBlock, type HeaderOptions } from "./headers.ts";

export interface CleanupServices {
  readonly config: Config;
  readonly store: QueueStore;
  readonly log: Log;
  readonly clock: Clock;
}

export interface Origin {
  readonly sender: string;
  readonly arrived: Millis;
  /** Adds missing Message-Id, Date, From (local_header_rewrite_clients, always_add_missing_headers, sendmail). */
  readonly complete: boolean;
  /** sendmail -F */
  readonly fullName?: string;
}

export type CleanupResult =
  | { readonly kind: "queued"; readonly committed: Committed }
  | { readonly kind: "refused"; readonly reply: Reply };

export class Cleanup {
  readonly services: CleanupServices;
  readonly logger: Logger;
  readonly headers: HeaderOptions;

  constructor(services: CleanupServices) {
    this.services = services;
    this.logger = services.log.service("cleanup");
    this.headers = {
      sizeLimit: services.config.header_size_limit,
      drop: new Set(services.config.message_drop_headers.map((name) => name.toLowerCase())),
    };
  }

  /** Begins a message: it has its queue id from now on. */
  open(): CleanupMessage {
    return new CleanupMessage(this, this.services.store.begin());
  }
}

export class CleanupMessage {
  readonly #cleanup: Cleanup;
  readonly #incoming: Incoming;
  readonly #block: HeaderBlock;
  #origin: Origin | null = null;
  #inBody = false;
  #bytes = 0;
  #wait: Promise<void> | null = null;

  constructor(cleanup: Cleanup, incoming: Incoming) {
    this.#cleanup = cleanup;
    this.#incoming = incoming;
    this.#block = new HeaderBlock(cleanup.headers, {
      keep: (piece) => this.#keep(piece),
      headersDone: () => this.#complete(),
    });
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
    if (trace === "") return;
    if (trace.startsWith("Received:")) this.#block.received++;
    this.#keep(latin1Encode(trace));
  }

  /** Content with CRLF line ends, by reference. A promise: storage is behind, wait before going on. */
  data(piece: Uint8Array): Promise<void> | null {
    if (piece.length === 0) return null;
    this.#wait = null;
    if (this.#inBody) this.#keep(piece);
    else this.#inBody = this.#block.push(piece);
    return this.#wait;
  }

  /**
   * Puts the message in the queue; durable when it resolves. size= of the log is the content with CRLF line ends, as in
   * Postfix, whose records cost two bytes a line (three from 128 bytes on, which is left out here).
   */
  async finish(envelope: Envelope, hold = false): Promise<CleanupResult> {
    if (!this.#inBody) this.#block.end();
    const { config } = this.#cleanup.services;
    const refused = this.#block.received >= config.hopcount_limit
      ? REPLY.tooManyHops
      : envelope.recipients.length === 0
      ? REPLY.noValidRecipients
      : null;
    if (refused !== null) {
      await this.abort();
      return { kind: "refused", reply: refused };
    }
    const committed = await this.#incoming.commit(envelope, hold);
    return { kind: "queued", committed };
  }

  abort(): Promise<void> {
    return this.#incoming.abort();
  }

  #keep(piece: Uint8Array): void {
    this.#bytes += piece.length;
    const wait = this.#incoming.append(piece);
    if (wait !== null) this.#wait = wait;
  }

  /** Logs the message id and adds the headers that are missing (RFC 6409 §8). */
  #complete(): void {
    const origin = this.#origin;
    const block = this.#block;
    const { clock, config } = this.#cleanup.services;
    const resent = [...block.seen].some((name) => name.startsWith("resent-")) ? "Resent-" : "";
    const missing = (name: string): boolean => !block.seen.has(`${resent}${name}`.toLowerCase());
    let added = "";
    let messageId = block.messageId;
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
      const visible = ["to", "cc", "resent-to", "resent-cc"].some((name) => block.seen.has(name));
      if (!visible && config.undisclosed_recipients_header !== "") {
        added += `${config.undisclosed_recipients_header}\r\n`;
      }
    }
    this.#cleanup.logger.info(`${this.id}: message-id=${messageId ?? "<>"}`);
    if (added !== "") this.#keep(latin1Encode(added));
  }
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
