/**
 * What Postfix takes for a host name or a host address (smtpd(8): HELO names, DNS block lists, access tables). Pure.
 */

import { validIpv4, validIpv6 } from "../ip-address.ts";

/** Letters, digits, hyphens and underscores in labels of 1 to 63; not a number alone; 255 in all. */
export function validHostname(name: string): boolean {
  if (name === "" || name.length > 255 || /^[0-9.]+$/.test(name)) return false;
  return name.split(".").every((label) => /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label));
}

/** A plain IPv4 or IPv6 address. */
export function validHostAddress(text: string): boolean {
  return text.includes(":") ? validIpv6(text) : validIpv4(text);
}

/** "name." -> "name", but "name.." stays. */
export function withoutFinalDot(name: string): string {
  return name.length > 1 && name.endsWith(".") && !name.endsWith("..") ? name.slice(0, -1) : name;
}
