/**
 * What a session needs from the service that runs it: smtpd.ts for the network, commands/sendmail for -bs.
 */

import type { Origin } from "../cleanup/cleanup.ts";
import type { Config } from "../config/config.ts";
import type { Envelope } from "../envelope.ts";
import type { Logger } from "../log.ts";
import type { Reply } from "../reply.ts";
import type { Clock } from "../runtime.ts";
import type { BareNewline } from "./dialogue.ts";
import type { SessionFacts, Verdict } from "./restrictions.ts";
import type { Stage } from "./stages.ts";
import type { SyntaxOptions } from "./transaction.ts";

/** Where a message goes: CleanupMessage, or a maildrop file. */
export interface MessageSink {
  readonly id: string;
  readonly size: number;
  begin(origin: Origin, trace: string): void;
  data(piece: Uint8Array): Promise<void> | null;
  /** Durable when it resolves. Rejects with ResourceError; nothing is queued then. */
  finish(envelope: Envelope): Promise<{ readonly queuedAs: string } | { readonly refused: Reply }>;
  abort(): Promise<void>;
}

export interface SessionHost {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly syntax: SyntaxOptions;
  /** Lines of the EHLO reply after the host name. */
  readonly keywords: readonly string[];
  /** In upper case. */
  readonly noop: ReadonlySet<string>;
  readonly forbidden: ReadonlySet<string>;
  openMessage(): MessageSink;
  judge(stage: Stage, facts: SessionFacts): Verdict | Promise<Verdict>;
  peerName(address: string): string | Promise<string>;
  /** smtpd_forbid_bare_newline for that client: "no" for smtpd_forbid_bare_newline_exclusions. */
  bareNewline(name: string, address: string): BareNewline | Promise<BareNewline>;
  rewrite(address: string): string;
  /** Missing headers are added for that client. */
  completesFor(address: string): boolean;
  refuseConnection(): Reply | null;
  diskFull(size: number): boolean;
  /** The session with that slot is over. */
  gone(slot: number): void;
}
