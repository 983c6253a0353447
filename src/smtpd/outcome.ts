/**
 * What a command comes to: a reply, whether Postfix counts it as an error of the client, and what is read next.
 */

import type { BareNewline } from "./dialogue.ts";
import type { Reply } from "../reply.ts";

export interface Outcome {
  readonly reply: Reply;
  readonly error: boolean;
  /** A message is in the queue. */
  readonly queued?: true;
  readonly next?: "data" | "chunk";
  readonly chunk?: number;
  readonly chunkIs?: "first" | "next" | "last" | "only";
}

export const good = (reply: Reply): Outcome => ({ reply, error: false });
export const bad = (reply: Reply): Outcome => ({ reply, error: true });

/** Who is connected, as far as it is known by now. */
export interface ClientState {
  name: string;
  readonly address: string;
  readonly port: number;
  helo: string;
  protocol: "SMTP" | "ESMTP";
  /** smtpd_forbid_bare_newline as it holds for this client. */
  bareNewline: BareNewline;
  /** The last command, for log lines: "CONNECT" at first. */
  where: string;
}

export function namaddr(client: ClientState): string {
  return `${client.name}[${client.address}]`;
}
