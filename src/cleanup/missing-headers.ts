/**
 * Headers that a message of this site must have and lacks (RFC 6409 §8): Message-Id, Date, From, and a line for
 * recipients where none is named. Pure; cannot fail.
 */

import { quoteLocal, splitAddress } from "../address.ts";
import type { Config } from "../config/config.ts";
import { mailDate } from "../header.ts";
import type { Clock, Millis } from "../runtime.ts";
import type { SeenHeaders } from "./headers.ts";

export interface MessageFacts {
  readonly id: string;
  readonly sender: string;
  readonly arrived: Millis;
  /** sendmail -F; "" when not known. */
  readonly fullName: string;
}

/** `messageId`: the one that was added. */
export function missingHeaders(
  seen: Pick<SeenHeaders, "names">,
  { id, sender, arrived, fullName }: MessageFacts,
  config: Pick<Config, "myhostname" | "undisclosed_recipients_header">,
  clock: Pick<Clock, "zoneMinutes" | "zoneName">,
): { readonly text: string; readonly messageId: string | null } {
  let resent = "";
  for (const name of seen.names) if (name.startsWith("resent-")) resent = "Resent-";
  const missing = (name: string): boolean => !seen.names.has(`${resent}${name}`.toLowerCase());
  const zone = clock.zoneMinutes(arrived);
  let text = "";
  let messageId: string | null = null;
  if (missing("Message-Id")) {
    const added = `<${stampOf(arrived, zone)}.${id}@${config.myhostname}>`;
    text += `${resent}Message-Id: ${added}\r\n`;
    if (resent === "") messageId = added;
  }
  if (missing("Date")) text += `${resent}Date: ${mailDate(arrived, zone, clock.zoneName(arrived))}\r\n`;
  if (missing("From")) text += `${resent}From: ${fromText(sender, fullName)}\r\n`;
  const visible = ["to", "cc", "resent-to", "resent-cc"].some((name) => seen.names.has(name));
  if (!visible && config.undisclosed_recipients_header !== "") text += `${config.undisclosed_recipients_header}\r\n`;
  return { text, messageId };
}

/** "20261122170000" in local time. */
function stampOf(at: Millis, zoneMinutes: number): string {
  return new Date(at + zoneMinutes * 60_000).toISOString().replace(/\D/g, "").slice(0, 14);
}

/** header_from_format = standard: `Full Name <address>`; RFC 5322 §3.2.3 tells when the name needs quotes. */
function fromText(from: string, fullName: string): string {
  const sender = from === "" ? "MAILER-DAEMON" : from;
  const { local, domain } = splitAddress(sender);
  const address = domain === "" ? quoteLocal(local) : sender;
  if (fullName === "") return address;
  const plain = /^[A-Za-z0-9!#$%&'*+/=?^_`{|}~ \x80-\xff-]+$/.test(fullName);
  const name = plain ? fullName : `"${fullName.replace(/["\\]/g, "\\$&")}"`;
  return `${name} <${address}>`;
}
