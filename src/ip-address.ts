/**
 * IP addresses as bytes: 4 for IPv4, 16 for IPv6; an IPv4 address inside IPv6 (::ffff:1.2.3.4) is IPv4, as in Postfix.
 * Text that is no address gives null; nothing is thrown. Reading is strict: no short, octal or hexadecimal IPv4 forms.
 */

import ipaddr from "ipaddr.js";

export function addressBytes(text: string): Uint8Array | null {
  const v4 = ipv4Bytes(text);
  if (v4 !== null) return v4;
  const groups = withoutDots(text);
  if (!groups.includes(":") || !ipaddr.IPv6.isValid(groups) || groups.includes("%")) return null;
  const bytes = Uint8Array.from(ipaddr.IPv6.parse(groups).toByteArray());
  return isMapped(bytes) ? bytes.slice(12) : bytes;
}

/** "::1.2.3.4" as "::102:304": ipaddr.js would take it for ::ffff:1.2.3.4, another address. */
function withoutDots(text: string): string {
  const found = /^(.*:)([0-9.]+)$/.exec(text);
  const bytes = found === null ? null : ipv4Bytes(found[2] as string);
  if (found === null || bytes === null) return text;
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  return `${found[1]}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

/** True for ::ffff:0:0/96. */
export function isMapped(bytes: Uint8Array): boolean {
  if (bytes.length !== 16 || bytes[10] !== 0xff || bytes[11] !== 0xff) return false;
  for (let index = 0; index < 10; index++) if (bytes[index] !== 0) return false;
  return true;
}

function ipv4Bytes(text: string): Uint8Array | null {
  const match = /^([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})\.([0-9]{1,3})$/.exec(text);
  if (match === null) return null;
  const bytes = new Uint8Array(4);
  for (let index = 0; index < 4; index++) {
    const part = match[index + 1]!;
    if (Number(part) > 255 || (part.length > 1 && part[0] === "0")) return null;
    bytes[index] = Number(part);
  }
  return bytes;
}

/** RFC 5952 text. */
export function addressText(bytes: Uint8Array): string {
  return bytes.length === 4 ? bytes.join(".") : ipaddr.fromByteArray([...bytes]).toString();
}

/** What Postfix takes for an IPv4 address: leading zeros pass, and 0 comes first in 0.0.0.0 alone. */
export function validIpv4(text: string): boolean {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^[0-9]{1,9}$/.test(part) && Number(part) <= 255)) return false;
  return Number(parts[0]) > 0 || parts.every((part) => Number(part) === 0);
}

/** What Postfix takes for an IPv6 address: three fields are enough, "::" may stand once. */
export function validIpv6(text: string): boolean {
  const fields = text.split(":");
  const dotted = text.includes(".");
  if (fields.length < 3 || fields.length > (dotted ? 7 : 8)) return false;
  if (dotted && !validIpv4(fields.pop() as string)) return false;
  if (!fields.every((field) => /^[0-9A-Fa-f]{0,4}$/.test(field))) return false;
  return !/^:[^:]|[^:]:$|::.*::|:::/.test(text);
}

/** The address of a mail address literal without its brackets ("IPv6:" before IPv6); null: it is none. */
export function literalAddress(text: string): string | null {
  if (!/^ipv6:/i.test(text)) return validIpv4(text) ? text : null;
  const bare = text.slice("ipv6:".length);
  return validIpv6(bare) ? bare : null;
}
