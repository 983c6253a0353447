/**
 * Which messages are SMTPUTF8 (RFC 6531), and which of them cannot do without: those with an address or a header that
 * is not ASCII.
 */

import type { Config } from "../config/config.ts";
import type { Envelope } from "../envelope.ts";
import { isAscii } from "../maps/fold.ts";

/** The client asked for it, or it is so where something is found (smtputf8_autodetect_classes). */
export type UnicodeRule = "requested" | "found";

/** For an Origin: nothing where nobody looks. */
export function autodetected(config: Config, mailClass: string): { readonly smtputf8?: UnicodeRule } {
  const { smtputf8_enable: on, smtputf8_autodetect_classes: classes } = config;
  return on && (classes.includes(mailClass) || classes.includes("all")) ? { smtputf8: "found" } : {};
}

export function withUnicode(envelope: Envelope, rule: UnicodeRule | undefined, inHeaders: boolean): Envelope {
  if (rule === undefined) return envelope;
  const { sender, recipients } = envelope;
  const needed = inHeaders || !isAscii(sender) || recipients.some(({ address }) => !isAscii(address));
  if (needed) return { ...envelope, smtputf8: "needed" };
  return rule === "found" ? envelope : { ...envelope, smtputf8: "requested" };
}
