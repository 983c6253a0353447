/**
 * IP addresses as text: which family, and the name under which the reverse zone keeps them. Pure; null for what is no
 * address.
 */

import ipaddr from "ipaddr.js";

/** Four decimal parts, or IPv6 without a zone; nothing else passes (no octal, no "127.1"). */
export function addressFamily(text: string): 4 | 6 | null {
  if (text.includes(":")) return ipaddr.IPv6.isValid(text) && !text.includes("%") ? 6 : null;
  return ipaddr.IPv4.isValidFourPartDecimal(text) ? 4 : null;
}

/** RFC 1035 §3.5 and RFC 3596 §2.5. */
export function reverseName(address: string): string | null {
  const family = addressFamily(address);
  if (family === null) return null;
  if (family === 4) return `${address.split(".").reverse().join(".")}.in-addr.arpa`;
  const nibbles = ipaddr.IPv6.parse(address).toByteArray().map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${[...nibbles].reverse().join(".")}.ip6.arpa`;
}

/** One text form for each address, so that addresses compare as text. */
export function plainAddress(address: string): string {
  if (!address.includes(":") || !ipaddr.IPv6.isValid(address)) return address;
  return ipaddr.IPv6.parse(address).toString();
}
