/**
 * What policy sees of a session, and what it may answer. Plain data; no I/O.
 */

import type { NameStatus, PeerName } from "./peer.ts";
import type { Reply } from "../reply.ts";

export interface ClientFacts {
  /** "unknown" unless verified. */
  readonly name: string;
  readonly nameStatus: NameStatus;
  /** What the address points to; "unknown" when it is not known. */
  readonly reverseName: string;
  readonly reverseStatus: PeerName["reverseStatus"];
  readonly address: string;
  readonly port: number;
  readonly localAddress: string;
  readonly localPort: number;
  readonly protocol: "SMTP" | "ESMTP";
  /** The command, as log lines and policy services name it. */
  readonly where: string;
}

export interface SessionFacts {
  readonly client: ClientFacts;
  /** "" before HELO. */
  readonly helo: string;
  /** null before MAIL. */
  readonly sender: string | null;
  /** At RCPT its own; at DATA and later the only one, null when there are more. */
  readonly recipient: string | null;
  /** Recipients taken so far. */
  readonly recipients: number;
  /** "" as long as there is none. */
  readonly queueId: string;
  /** SIZE= of MAIL, at the end of data the bytes that came. */
  readonly size: number;
  /** The same for all commands of one message. */
  readonly instance: string;
  /** The argument of ETRN, else null. */
  readonly etrn: string | null;
  /** The client sent commands ahead of the replies without permission. */
  readonly pipelined: boolean;
}

export type Verdict = "dunno" | "permit" | Reply;

export const isReply = (verdict: Verdict): verdict is Reply => typeof verdict === "object";

/** "name[address]" */
export const clientOf = ({ client }: SessionFacts): string => `${client.name}[${client.address}]`;

/** " from=<> to=<> proto= helo=<>", as far as it is known. */
export function circumstances({ sender, recipient, helo, client }: SessionFacts): string {
  const from = sender === null ? "" : ` from=<${sender}>`;
  const to = recipient === null ? "" : ` to=<${recipient}>`;
  return `${from}${to} proto=${client.protocol}${helo === "" ? "" : ` helo=<${helo}>`}`;
}

/** What is refused, as replies name it. */
export type Subject =
  | "Client host"
  | "Unverified Client host"
  | "Helo command"
  | "Sender address"
  | "Recipient address"
  | "Etrn command"
  | "Data command"
  | "End-of-data";

/** Calls `next` now, or when the value is there: what is in memory stays synchronous. */
export function after<T, U>(value: T | Promise<T>, next: (value: T) => U | Promise<U>): U | Promise<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
