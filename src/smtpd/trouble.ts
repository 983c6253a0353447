/**
 * Which class of notify_classes a reply belongs to, as Postfix's smtpd blames it. Told by the reply's words, which are
 * those of reply.ts: whoever refuses something need not think of the postmaster. Pure.
 */

import type { Trouble } from "../bounce/postmaster.ts";

/** What a session can be blamed for. */
export const SESSION_TROUBLES: readonly Trouble[] = ["bounce", "data", "policy", "protocol", "resource", "software"];

/** "content": the reply to the end of a message. */
export type Place = "command" | "content";

/** The first that fits. Codes may be softened (soft_bounce). */
const COMMAND: readonly (readonly [RegExp, Trouble | null])[] = [
  [/^\d{3} \d\.3\.5 /, "software"],
  [/^451 4\.3\.0 Error: internal error/, "software"],
  [/^451 4\.3\.0 <.*>: Temporary lookup failure$/, "data"],
  [/^452 4\.3\.1 /, "resource"],
  [/^451 4\.3\.0 Error: queue file write error$/, "resource"],
  // Unknown users; an address that could not be verified is a matter of policy.
  [/^\d{3} \d\.1\.[016] <.*>: (?:Recipient|Sender) address rejected: (?!un(?:verified|deliverable) address)/, "bounce"],
  [/^\d{3} \d\.\d+\.\d+ <.*>: /, "policy"],
  [/^\d{3} \d\.3\.4 /, "policy"],
  [/^\d{3} \d\.5\.1 (?:VRFY command is disabled|Error: send HELO\/EHLO first)$/, "policy"],
  [/^\d{3} \d\.7\.0 Error: (?:insufficient authorization|access denied for )/, "policy"],
  [/^4\d\d 4\.7\.[01] (?:\S+ )?Error: (?:too much mail|too many connections|too many recipients)/, "policy"],
  [/^4\d\d 4\.5\.3 Error: too many recipients$/, null],
  [/^\d{3} \d\.5\.1 Error: no valid recipients$/, null],
  [/^421 4\.(?:3|4)\.2 /, null],
  [/^459 /, null],
  [/^[45]/, "protocol"],
];

const CONTENT: readonly (readonly [RegExp, Trouble | null])[] = [
  [/^\d{3} \d\.3\.4 Error: message file too big$/, "bounce"],
  [/^\d{3} \d\.4\.0 Error: too many hops$/, "bounce"],
  ...COMMAND.slice(0, -1),
  [/^\d{3} \d\.5\.[012] \S*\s?Error: /, "protocol"],
  [/^[45]/, "policy"],
];

/** Null: nobody is to blame. `text`: the whole reply. */
export function troubleOf(text: string, place: Place): Trouble | null {
  const first = text.charCodeAt(0) - 48;
  if (first !== 4 && first !== 5) return null;
  const line = text.replace(/\r?\n[^]*$/, "");
  return (place === "content" ? CONTENT : COMMAND).find(([pattern]) => pattern.test(line))?.[1] ?? null;
}
