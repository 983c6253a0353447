/**
 * Mail addresses as values (RFC 5321 §4.1.2, RFC 5322 §3.4). An address is kept as Latin-1 text "local@domain" with the
 * local part quoted only where it must be; the null sender is "". No I/O; a text that is no address gives null.
 */

import { literalAddress } from "./ip-address.ts";
import { latin1Of, unicodeOf } from "./latin1.ts";

// deno-lint-ignore no-control-regex
const PLAIN_LOCAL = /^[^\x00-\x20\x7f()<>[\]:;@\\,."]+(\.[^\x00-\x20\x7f()<>[\]:;@\\,."]+)*$/;
/** The local part as it goes on the wire: quoted where it is no dot-atom. */
export function quoteLocal(local: string): string {
  if (PLAIN_LOCAL.test(local)) return local;
  return `"${local.replace(/["\\]/g, "\\$&")}"`;
}

/** The local part without its quotes. */
export function unquoteLocal(local: string): string {
  if (!local.startsWith('"')) return local;
  return local.slice(1, -1).replace(/\\(.)/gs, "$1");
}

export interface AddressParts {
  readonly local: string;
  /** "" when there is no "@". */
  readonly domain: string;
}

/** Splits at the last "@" outside quotes. */
export function splitAddress(address: string): AddressParts {
  const at = address.lastIndexOf("@");
  if (at < 0 || (address.endsWith('"') && address.startsWith('"'))) return { local: address, domain: "" };
  return { local: address.slice(0, at), domain: address.slice(at + 1) };
}

/** Local parts that have no extension, whatever the delimiter. */
const WHOLE_NAMES = new Set(["mailer-daemon", "postmaster", "double-bounce"]);

/**
 * "user+ext" -> "user" and "ext" at the first of recipient_delimiter's characters; null where there is no
 * extension.
 */
export function splitExtension(
  local: string,
  delimiters: string,
): { readonly user: string; readonly extension: string } | null {
  if (delimiters === "" || WHOLE_NAMES.has(local.toLowerCase())) return null;
  for (let at = 1; at < local.length; at++) {
    if (!delimiters.includes(local[at] as string)) continue;
    return { user: local.slice(0, at), extension: local.slice(at + 1) };
  }
  return null;
}

const LABEL = /^[A-Za-z0-9_\x80-\xff]([A-Za-z0-9_\x80-\xff-]*[A-Za-z0-9_\x80-\xff])?$/;

/** A host name as Postfix's valid_hostname(3) takes it, or an address literal. */
export function validDomain(domain: string): boolean {
  if (domain.startsWith("[")) {
    return domain.endsWith("]") && literalAddress(domain.slice(1, -1)) !== null;
  }
  const name = domain.endsWith(".") ? domain.slice(0, -1) : domain;
  if (name.length === 0 || name.length > 255 || /^[0-9.]+$/.test(name)) return false;
  return name.split(".").every((label) => label.length <= 63 && LABEL.test(label));
}

/** xtext (RFC 3461 §4), as freely as Postfix reads it: null where no two digits follow a "+". */
export function decodeXtext(text: string): string | null {
  if (/\+(?![0-9A-Fa-f]{2})/.test(text)) return null;
  return text.replace(/\+([0-9A-Fa-f]{2})/g, (_whole, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}

/** utf-8-addr-xtext (RFC 6533 §3): "\\x{E9}" for what is no plain character. */
export function encodeUxtext(text: string): string {
  return [...unicodeOf(text)].map((char) =>
    /[\x21-\x7e]/.test(char) && !/[+=\\]/.test(char) ? char : `\\x{${char.codePointAt(0)!.toString(16).toUpperCase()}}`
  ).join("");
}

/** As freely as Postfix reads it: null where "\\x{" begins no character. What else there is stands for itself. */
export function decodeUxtext(text: string): string | null {
  if (/\\x\{(?![0-9A-Fa-f]*\})/.test(text)) return null;
  try {
    return text.replace(
      /\\x\{([0-9A-Fa-f]*)\}/g,
      (_whole, hex: string) => latin1Of(String.fromCodePoint(parseInt(`0${hex}`, 16))),
    );
  } catch {
    return null;
  }
}

export function encodeXtext(text: string): string {
  return text.replace(
    /[^\x21-\x7e]|[+=]/g,
    (char) => `+${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}
