/**
 * What a session needs from the service that runs it: smtpd.ts for the network, commands/sendmail for -bs.
 */

import type { Origin } from "../cleanup/cleanup.ts";
import type { Config } from "../config/config.ts";
import type { Envelope } from "../envelope.ts";
import type { Logger } from "../log.ts";
import type { Reply } from "../reply.ts";
import type { Clock } from "../runtime.ts";
import type { ClientEvents } from "./client-limits.ts";
import type { BareNewline } from "./dialogue.ts";
import type { FilterFacts } from "./filter.ts";
import type { PeerName } from "./peer.ts";
import type { SessionFacts, Verdict } from "./facts.ts";
import type { MessageActions, PolicyMemory } from "./judging.ts";
import type { Stage } from "./stages.ts";
import type { Resolves, SyntaxOptions } from "./transaction.ts";

/** Where a message goes: CleanupMessage, or a maildrop file. */
export interface MessageSink {
  readonly id: string;
  readonly size: number;
  begin(origin: Origin, trace: string): void;
  data(piece: Uint8Array): Promise<void> | null;
  /**
   * Durable when it resolves. Rejects with ResourceError; nothing is queued then. "answered": the reply of whoever has
   * taken the message over, or has not.
   */
  finish(
    envelope: Envelope,
    actions: MessageActions,
  ): Promise<{ readonly queuedAs: string } | { readonly refused: Reply } | { readonly answered: Reply }>;
  abort(): Promise<void>;
  /** Where a filter stands before the queue: it has a word in each command. null: taken. */
  readonly filter?: {
    /** RCPT as the client sent it. */
    recipient(line: string): Promise<Reply | null>;
    startData(): Promise<Reply | null>;
  };
}

/** What holds for one client by its name or address. */
export interface ClientRules {
  /** smtpd_forbid_bare_newline: "no" for smtpd_forbid_bare_newline_exclusions. */
  readonly bareNewline: BareNewline;
  /** smtpd_authorized_xclient_hosts */
  readonly xclient: boolean;
  /** smtpd_authorized_xforward_hosts */
  readonly xforward: boolean;
  /** The limits of client-limits.ts hold (smtpd_client_event_limit_exceptions). */
  readonly limited: boolean;
  /** smtpd_discard_ehlo_keyword_address_maps, else smtpd_discard_ehlo_keywords; in upper case. */
  readonly discarded?: ReadonlySet<string>;
}

export interface SessionHost {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly syntax: SyntaxOptions;
  /** IPv6 is among inet_protocols. */
  readonly ipv6: boolean;
  /** Lines of the EHLO reply after the host name, for a client with these rules. */
  keywords(rules: ClientRules): readonly string[];
  /** In upper case. */
  readonly noop: ReadonlySet<string>;
  /** smtpd_forbidden_commands: the session ends. */
  forbids(command: string): boolean | Promise<boolean>;
  readonly events: ClientEvents;
  openMessage(facts: FilterFacts): MessageSink;
  judge(stage: Stage, facts: SessionFacts, memory: PolicyMemory): Verdict | Promise<Verdict>;
  peerName(address: string): PeerName | Promise<PeerName>;
  clientRules(name: string, address: string): ClientRules | Promise<ClientRules>;
  rewrite(address: string): string;
  /** Without it every address is one. */
  readonly resolves?: Resolves;
  /** Missing headers are added for that client. */
  completesFor(address: string): boolean;
  refuseConnection(): Reply | null;
  diskFull(size: number): boolean;
  /** What commands that need the queue wait for while it is being opened; null: for nothing. */
  readonly opening?: () => Promise<void> | null;
  /** Delivery of all mail for a site (ETRN); without it there is no queue to deliver from. */
  readonly flushSite?: (site: string) => Promise<"started" | "denied" | "failed">;
  /** The session with that slot is over. */
  gone(slot: number): void;
}
