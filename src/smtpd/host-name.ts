/**
 * What Postfix takes for a host name or a host address (smtpd(8): HELO names, DNS block lists, access tables). Pure.
 */

import { addressBytes } from "../ip-address.ts";

/** Letters, digits, hyphens and underscores in labels of 1 to 63; not a number alone; 255 in all. */
export function validHostname(name: string): boolean {
  if (name === "" || name.length > 255 || /^[0-9.]+$/.test(name)) return false;
  return name.split(".").every((label) => /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label));
}

/** A plain IPv4 or IPv6 address. */
export function validHostAddress(text: string): boolean {
  return text.includes(":") ? addressBytes(text) !== null : validIpv4(text);
}

export function validIpv4(text: string): boolean {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^[0-9]{1,9}$/.test(part) && Number(part) <= 255)) return false;
  return Number(parts[0]) > 0 || parts.every((part) => Number(part) === 0);
}

/** The address of a mail address literal without its brackets ("IPv6:" before IPv6); null: it is none. */
export function literalAddress(text: string): string | null {
  if (!/^ipv6:/i.test(text)) return validIpv4(text) ? text : null;
  const bare = text.slice("ipv6:".length);
  return bare.includes(":") && addressBytes(bare) !== null ? bare : null;
}

/** "name." -> "name", but "name.." stays. */
export function withoutFinalDot(name: string): string {
  return name.length > 1 && name.endsWith(".") && !name.endsWith("..") ? name.slice(0, -1) : name;
}
