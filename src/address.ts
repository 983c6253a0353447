/**
 * Mail addresses as values (RFC 5321 §4.1.2, RFC 5322 §3.4). An address is kept as Latin-1 text "local@domain" with the
 * local part quoted only where it must be; the null sender is "". No I/O; a text that is no address gives null.
 */

import { asciiDomain } from "./idna.ts";
import { literalAddress } from "./ip-address.ts";
import { latin1Of, unicodeOf } from "./latin1.ts";

/** Characters of an atom (RFC 5322 §3.2.3) and everything above ASCII, as Postfix takes them. */
const SPECIAL = new Set('()<>[]:;@\\,." \t');
// deno-lint-ignore no-control-regex
const PLAIN_LOCAL = /^[^\x00-\x20\x7f()<>[\]:;@\\,."]+(\.[^\x00-\x20\x7f()<>[\]:;@\\,."]+)*$/;
/** The usual address, taken whole without the parser below. */
const SIMPLE = /^<([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[A-Za-z0-9_.-]*[A-Za-z0-9])>$/;

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

export interface ParsedAddress {
  /** "local@domain", local, or "". */
  readonly address: string;
  /** A source route stood before it ("@a,@b:"). */
  readonly routed: boolean;
}

interface Token {
  readonly kind: "atom" | "quoted" | "literal" | "special" | "comment";
  readonly text: string;
}

/** Index after a quoted run that starts at `at`; null when it does not end. Comments nest (RFC 5322 §3.2.2). */
function quotedEnd(text: string, at: number, open: string, close: string): number | null {
  let depth = 1;
  for (let i = at + 1; i < text.length; i++) {
    const char = text[i];
    if (char === "\\") i++;
    else if (char === close) {
      if (--depth === 0) return i + 1;
    } else if (char === open && open === "(") depth++;
  }
  return null;
}

function nextToken(text: string, at: number): { token: Token; end: number } | null {
  const char = text[at] as string;
  const close = char === '"' ? '"' : char === "[" ? "]" : char === "(" ? ")" : "";
  if (close !== "") {
    const end = quotedEnd(text, at, char, close);
    if (end === null) return null;
    const kind = char === '"' ? "quoted" : char === "[" ? "literal" : "comment";
    return { token: { kind, text: text.slice(at, end) }, end };
  }
  if (SPECIAL.has(char) && char !== "\\") return { token: { kind: "special", text: char }, end: at + 1 };
  let end = at;
  let atom = "";
  while (end < text.length && (text[end] === "\\" || !SPECIAL.has(text[end] as string))) {
    if (text[end] === "\\") end++;
    atom += text[end] ?? "";
    end++;
  }
  return { token: { kind: "atom", text: atom }, end };
}

function tokens(text: string): Token[] | null {
  const list: Token[] = [];
  for (let at = 0; at < text.length;) {
    if (text[at] === " " || text[at] === "\t") {
      at++;
      continue;
    }
    const next = nextToken(text, at);
    if (next === null) return null;
    if (next.token.kind !== "comment") list.push(next.token);
    at = next.end;
  }
  return list;
}

/** Joins "local", "@", "domain" tokens; null when two words stand side by side or a word is missing. */
function joined(list: readonly Token[]): string | null {
  const lastAt = list.findLastIndex((token) => token.text === "@" && token.kind === "special");
  const localTokens = lastAt < 0 ? list : list.slice(0, lastAt);
  const domainTokens = lastAt < 0 ? [] : list.slice(lastAt + 1);
  if (adjacentWords(list)) return null;
  const plain = localTokens.map((token) => token.kind === "quoted" ? unquoteLocal(token.text) : token.text).join("");
  const local = quoteLocal(plain);
  if (lastAt < 0) return plain === "" ? "" : local;
  const domain = domainTokens.map((token) => token.text).join("");
  if (plain === "" || !validDomain(domain)) return null;
  return `${local}@${domain}`;
}

function adjacentWords(list: readonly Token[]): boolean {
  for (let at = 1; at < list.length; at++) {
    if (list[at - 1]?.kind !== "special" && list[at]?.kind !== "special") return true;
  }
  return list.some((token) => token.kind === "special" && !"@.:".includes(token.text));
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

/** Takes "@a,@b:" off the front of a list of tokens (RFC 5321 appendix C). */
function withoutRoute(list: readonly Token[]): { rest: readonly Token[]; routed: boolean } {
  if (list[0]?.text !== "@") return { rest: list, routed: false };
  const colon = list.findIndex((token) => token.kind === "special" && token.text === ":");
  return colon < 0 ? { rest: list, routed: false } : { rest: list.slice(colon + 1), routed: true };
}

/**
 * The address of MAIL FROM or RCPT TO as the client sent it. Without `strict` (strict_rfc821_envelopes) the angle
 * brackets may be missing, and phrases and comments around them are passed over. `unicode`: the domain may be an
 * internationalised one (RFC 6531 §3.3). null: no address.
 */
export function parseEnvelopeAddress(text: string, strict: boolean, unicode = false): ParsedAddress | null {
  const simple = SIMPLE.exec(text);
  if (simple !== null && !(simple[1] as string).includes("..")) {
    const address = simple[1] as string;
    if (validDomain(address.slice(address.lastIndexOf("@") + 1))) return { address, routed: false };
  }
  if (strict && !text.startsWith("<")) return null;
  const list = tokens(text);
  if (list === null) return null;
  const open = list.findLastIndex((token) => token.kind === "special" && token.text === "<");
  const closing = list.findIndex((token) => token.kind === "special" && token.text === ">");
  const close = closing < 0 ? list.length : closing;
  if (open > close || (open >= 0 && closing < 0)) return null;
  if (strict && (open !== 0 || close !== list.length - 1)) return null;
  const inner = list.slice(open + 1, close);
  const { rest, routed } = withoutRoute(inner);
  if (strict && rest[0]?.text === "@") return null;
  const address = joined(rest);
  if (address === null || !goodCharacters(address, unicode)) return null;
  return { address, routed };
}

function goodCharacters(address: string, unicode: boolean): boolean {
  if (!/[\x80-\xff]/.test(address)) return true;
  if (latin1Of(unicodeOf(address)) !== address) return false;
  const { domain } = splitAddress(address);
  return !/[\x80-\xff]/.test(domain) || (unicode && asciiDomain(domain) !== null);
}

/** xtext (RFC 3461 §4): null when it is malformed. */
export function decodeXtext(text: string): string | null {
  if (/\+(?![0-9A-F]{2})/.test(text) || /[^\x21-\x7e]/.test(text)) return null;
  return text.replace(/\+([0-9A-F]{2})/g, (_whole, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}

/** utf-8-addr-xtext (RFC 6533 §3): "\\x{E9}" for what is no plain character. */
export function encodeUxtext(text: string): string {
  return [...unicodeOf(text)].map((char) =>
    /[\x21-\x7e]/.test(char) && !/[+=\\]/.test(char) ? char : `\\x{${char.codePointAt(0)!.toString(16).toUpperCase()}}`
  ).join("");
}

/** Null when it is malformed. UTF-8 may stand as it is (utf-8-addr-unitext). */
export function decodeUxtext(text: string): string | null {
  if (/\\(?!x\{[0-9A-Fa-f]{2,6}\})/.test(text) || /[\x00-\x20\x7f]/.test(text)) return null;
  try {
    return text.replace(
      /\\x\{([0-9A-Fa-f]+)\}/g,
      (_whole, hex: string) => latin1Of(String.fromCodePoint(parseInt(hex, 16))),
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
