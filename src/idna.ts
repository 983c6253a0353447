/**
 * Internationalised domain names (RFC 5890, UTS #46): the form that name servers know. Text is Latin-1 that holds UTF-8
 * bytes; names without such bytes are what they are.
 */

import { unicodeOf } from "./latin1.ts";

/** "münchen.example" -> "xn--mnchen-3ya.example"; null: no such name can be. */
export function asciiDomain(domain: string): string | null {
  if (!/[\x80-\xff]/.test(domain)) return domain;
  const unicode = unicodeOf(domain);
  if (unicode.includes("\ufffd") || /[\x00-\x20"#%/:<>?@[\\\]^`{|}\x7f]/.test(unicode)) return null;
  // RFC 5891 §4.2.3.1, which UTS #46 leaves to its users.
  if (unicode.split(".").some((label) => label.startsWith("-") || label.endsWith("-"))) return null;
  try {
    const { hostname } = new URL(`http://${unicode}/`);
    return hostname.split(".").every((label) => label.length <= 63) ? hostname : null;
  } catch {
    return null;
  }
}
