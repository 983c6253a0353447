/**
 * What a command comes to: a reply, whether Postfix counts it as an error of the client, and what is read next.
 */

import type { Logger } from "../log.ts";
import type { ClientRules } from "./host.ts";
import type { NameStatus, PeerName } from "./peer.ts";
import type { Reply } from "../reply.ts";
import type { Refusal, SyntaxOptions } from "./transaction.ts";

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

/** For log lines: no control characters, and 8-bit ones with smtputf8_enable alone. */
export function printable(text: string, { utf8 }: Pick<SyntaxOptions, "utf8">): string {
  return text.replace(utf8 === "no" ? /[^\x20-\x7e]/g : /[^\x20-\x7e\x80-\xff]/g, "?");
}

const ESCAPES: Readonly<Record<string, string>> = {
  "\\": "\\\\",
  "\x07": "\\a",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
  "\v": "\\v",
};

/** For log lines of what is no SMTP: nothing is lost. */
export function escaped(text: string): string {
  const octal = (char: string): string => `\\${char.charCodeAt(0).toString(8).padStart(3, "0")}`;
  return text.replace(/[^\x20-\x5b\x5d-\x7e]/g, (char) => ESCAPES[char] ?? octal(char));
}

/** A command that was refused for its syntax; `word` is its address. */
export function refused(
  { refused: reply, illegalAddress }: Refusal,
  client: ClientState,
  logger: Logger,
  syntax: SyntaxOptions,
  word: { readonly text: string } | undefined,
): Outcome {
  const where = `from ${namaddr(client)} in ${client.where} command`;
  if (illegalAddress) logger.warn(`Illegal address syntax ${where}: ${printable(word?.text ?? "", syntax)}`);
  return bad(reply);
}
