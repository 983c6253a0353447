/**
 * Message headers as bytes (RFC 5322 §2.2). Content has CRLF line ends. No I/O, no copies but of what is asked for.
 */

import { latin1Decode } from "./latin1.ts";
import type { Clock, Millis } from "./runtime.ts";

const CR = 13;
const LF = 10;

/** Length of the header name before ":" at `start`, 0 when the line is no header (RFC 5322 §3.6.8). */
export function headerNameLength(bytes: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end) {
    const byte = bytes[at] as number;
    if (byte === 58) break;
    if (byte <= 32 || byte >= 127) break;
    at++;
  }
  const length = at - start;
  if (length === 0) return 0;
  // Postfix takes white space between the name and the colon.
  while (at < end && (bytes[at] === 32 || bytes[at] === 9)) at++;
  return bytes[at] === 58 ? length : 0;
}

/** Header names that somebody asks for, told from bytes without making text of all the others. */
export class HeaderNames {
  /** By length and first letter. */
  readonly #slots = new Map<number, string[]>();

  /** `names` in lower case. */
  constructor(names: Iterable<string>) {
    for (const name of new Set(names)) {
      const slot = slotOf(name.length, name.charCodeAt(0));
      const known = this.#slots.get(slot);
      if (known === undefined) this.#slots.set(slot, [name]);
      else known.push(name);
    }
  }

  /** The name of that length at `start`, in lower case; "" when nobody asks for it. */
  at(bytes: Uint8Array, start: number, length: number): string {
    const known = this.#slots.get(slotOf(length, bytes[start] as number));
    if (known === undefined) return "";
    for (const name of known) if (isName(name, bytes, start)) return name;
    return "";
  }
}

/** Small and large letters have one slot. */
const slotOf = (length: number, first: number): number => (length << 5) | (first & 31);

function isName(name: string, bytes: Uint8Array, start: number): boolean {
  for (let at = 0; at < name.length; at++) {
    const byte = bytes[start + at] as number;
    if ((byte >= 65 && byte <= 90 ? byte + 32 : byte) !== name.charCodeAt(at)) return false;
  }
  return true;
}

/** The value of a logical header: after the colon, trimmed, continuation lines unfolded. */
export function headerValue(bytes: Uint8Array, start: number, end: number): string {
  let at = start;
  while (at < end && bytes[at] !== 58) at++;
  return latin1Decode(bytes, at + 1, end).replace(/\r\n(?=[ \t])/g, "").trim();
}

export function has8bit(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if ((bytes[at] as number) >= 128) return true;
  return false;
}

/** Index just after the LF of the line that starts at `start`; -1 when the line does not end here. */
export function lineEnd(bytes: Uint8Array, start: number): number {
  return bytes.indexOf(LF, start) + 1 || -1;
}

/** True when the line [start, end) is empty but for its CRLF. */
export function isEmptyLine(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start === 2 && bytes[start] === CR && bytes[start + 1] === LF;
}

const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/** A header as tables see it: lines joined by "\n", without the last line end. */
export function headerText(block: Uint8Array, start: number, end: number): string {
  return latin1Decode(block, start, end).replaceAll("\r\n", "\n");
}

const two = (number: number): string => String(number).padStart(2, "0");

/** RFC 5322 §3.3 date as Postfix writes it: "Sun, 22 Nov 2026 17:00:00 +0100 (CET)". */
export function mailDate(at: number, zoneMinutes: number, zoneName: string): string {
  const local = new Date(at + zoneMinutes * 60_000);
  const zone = Math.abs(zoneMinutes);
  const offset = `${zoneMinutes < 0 ? "-" : "+"}${two(Math.floor(zone / 60))}${two(zone % 60)}`;
  const day = String(local.getUTCDate()).padStart(2, " ");
  const date = `${DAYS[local.getUTCDay()]}, ${day} ${MONTHS[local.getUTCMonth()]} ${local.getUTCFullYear()}`;
  return `${date} ${two(local.getUTCHours())}:${two(local.getUTCMinutes())}:${
    two(local.getUTCSeconds())
  } ${offset} (${zoneName})`;
}

/** Whole Received lines of mail that begins here; `from`: ", from userid 1000". */
export function localReceived(
  { myhostname, mail_name }: { readonly myhostname: string; readonly mail_name: string },
  clock: Pick<Clock, "zoneMinutes" | "zoneName">,
  { id, at, from = "" }: { readonly id: string; readonly at: Millis; readonly from?: string },
): string {
  const date = mailDate(at, clock.zoneMinutes(at), clock.zoneName(at));
  return `Received: by ${myhostname} (${mail_name}${from})\r\n\tid ${id}; ${date}\r\n`;
}

/** ctime(3) form used by mailbox From lines and mailq: "Sun Nov 22 17:00:00 2026". */
export function ctime(at: number, zoneMinutes: number): string {
  const local = new Date(at + zoneMinutes * 60_000);
  return `${DAYS[local.getUTCDay()]} ${MONTHS[local.getUTCMonth()]} ${String(local.getUTCDate()).padStart(2, " ")} ` +
    `${two(local.getUTCHours())}:${two(local.getUTCMinutes())}:${two(local.getUTCSeconds())} ${local.getUTCFullYear()}`;
}
