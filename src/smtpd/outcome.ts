/**
 * What a command comes to: a reply, whether Postfix counts it as an error of the client, and what is read next.
 */

import type { ClientRules } from "./host.ts";
import type { NameStatus, PeerName } from "./peer.ts";
import type { Reply } from "../reply.ts";

export interface Outcome {
  readonly reply: Reply;
  readonly error: boolean;
  /** Counted as a command, neither as good nor as bad (XCLIENT). */
  readonly uncounted?: true;
  /** A message is in the queue. */
  readonly queued?: true;
  readonly next?: "data" | "chunk";
  readonly chunk?: number;
  readonly chunkIs?: "first" | "next" | "last" | "only";
}

export const good = (reply: Reply): Outcome => ({ reply, error: false });
export const bad = (reply: Reply): Outcome => ({ reply, error: true });

/** Who is connected, as far as it is known by now, or as XCLIENT says. */
export interface ClientState {
  name: string;
  nameStatus: NameStatus;
  reverseName: string;
  reverseStatus: PeerName["reverseStatus"];
  address: string;
  port: number;
  localAddress: string;
  localPort: number;
  /** SASL login, which only XCLIENT can tell; "" for none. */
  login: string;
  helo: string;
  protocol: "SMTP" | "ESMTP";
  rules: ClientRules;
  /** The last command, for log lines: "CONNECT" at first. */
  where: string;
}

export function namaddr(client: ClientState): string {
  return `${client.name}[${client.address}]`;
}
