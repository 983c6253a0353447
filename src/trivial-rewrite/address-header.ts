/**
 * Headers that hold addresses, written again with their addresses changed as Postfix does it: an address to a line,
 * lines joined as long as they stay short, phrases and comments kept (RFC 5322 §3.4, §3.6). Never fails.
 */

import { HeaderNames } from "../header.ts";
import { isWholeAddress } from "./rewrite.ts";
import { external, parse, scan } from "./tokens.ts";

/** What an address of the header is, by the header's name in lower case. */
export const ADDRESS_HEADERS: ReadonlyMap<string, "sender" | "recipient"> = new Map([
  ...["disposition-notification-to", "errors-to", "from", "mail-followup-to", "reply-to", "resent-from"]
    .concat("resent-sender", "return-path", "return-receipt-to", "sender").map((name) => [name, "sender"] as const),
  ...["apparently-to", "bcc", "cc", "resent-bcc", "resent-cc", "resent-reply-to", "resent-to", "to"]
    .map((name) => [name, "recipient"] as const),
]);

export const ADDRESS_NAMES: HeaderNames = new HeaderNames(ADDRESS_HEADERS.keys());

const LINE_LENGTH = 70;
/** `phrase <address>` or `address`, with nothing in it that needs the parser. */
const PLAIN = /^(?:[^<>@,;:"()[\]\\]*<([^<>\s]+)>|[ \t\r\n]*([^<>\s]+))[ \t\r\n]*$/;

/** Whether all addresses have their domain, and plain ones at that: then no domain is to be added. */
export function isComplete(value: string): boolean {
  if (value.length > 1000) return false;
  return value.split(",").every((part) => {
    const match = PLAIN.exec(part);
    return match !== null && isWholeAddress((match[1] ?? match[2]) as string);
  });
}

/** Gives the address that takes the place of one; both in external form. */
export type Replacement = (address: string) => string | Promise<string>;

/** The value behind "Name:" with its addresses replaced, lines joined by CRLF and a tab; null: nothing changes. */
export async function replaceAddresses(
  name: string,
  value: string,
  tokenLimit: number,
  replacement: Replacement,
): Promise<string | null> {
  const list = parse(value, tokenLimit);
  let changed = false;
  for (const one of list) {
    if (one.type !== "address") continue;
    const before = external(one.tokens, { glued: one.glued });
    const given = replacement(before);
    const after = typeof given === "string" ? given : await given;
    one.tokens = scan(after);
    one.glued = false;
    changed ||= after !== before;
  }
  return changed ? folded(`${name}: ${external(list, { lines: true })}`) : null;
}

function folded(text: string): string {
  const [first = "", ...rest] = text.split("\n");
  const lines = [first];
  for (const line of rest) {
    const joined = `${lines.at(-1)} ${line}`;
    if (joined.length < LINE_LENGTH) lines[lines.length - 1] = joined;
    else lines.push(line);
  }
  return lines.map((line, at) => at === 0 || /^[ \t]/.test(line) ? line : `\t${line}`).join("\r\n");
}
