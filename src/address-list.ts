/**
 * Lists of addresses as header fields and command lines have them (RFC 5322 §3.4), read the tolerant way of Postfix's
 * tok822_parse(3): phrases before <…> and comments are passed over, groups are opened, words that stand side by side
 * are addresses of their own, what does not end ends with the text. Pure; never fails; an empty text is one empty
 * address.
 */

import { quoteLocal, unquoteLocal } from "./address.ts";

interface Token {
  readonly kind: "word" | "quoted" | "literal" | "special";
  readonly text: string;
}

const SPACE = new Set(" \t\r\n");
const SPECIALS = new Set("<>,;:@.");
const CLOSING: Readonly<Record<string, string>> = { '"': '"', "[": "]", "(": ")" };

/** Index after the closing character; the end of the text when it does not come. */
function closedAt(text: string, at: number): number {
  const open = text[at] as string;
  const close = CLOSING[open] as string;
  let depth = 1;
  for (let index = at + 1; index < text.length; index++) {
    const char = text[index];
    if (char === "\\") index++;
    else if (char === close) {
      if (--depth === 0) return index + 1;
    } else if (char === open && open === "(") depth++;
  }
  return text.length;
}

function quoted(text: string): string {
  return text.length > 1 && text.endsWith('"') ? text : `${text}"`;
}

function wordEnd(text: string, at: number): number {
  let end = at;
  while (end < text.length) {
    const char = text[end] as string;
    if (SPACE.has(char) || SPECIALS.has(char) || char === '"' || char === "(" || char === "[") break;
    end += char === "\\" ? 2 : 1;
  }
  return Math.min(end, text.length);
}

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  for (let at = 0; at < text.length;) {
    const char = text[at] as string;
    if (SPACE.has(char)) at++;
    else if (char === "(") at = closedAt(text, at);
    else if (char === '"' || char === "[") {
      const end = closedAt(text, at);
      const part = text.slice(at, end);
      tokens.push(char === '"' ? { kind: "quoted", text: quoted(part) } : { kind: "literal", text: part });
      at = end;
    } else if (SPECIALS.has(char)) {
      tokens.push({ kind: "special", text: char });
      at++;
    } else {
      const end = Math.max(at + 1, wordEnd(text, at));
      tokens.push({ kind: "word", text: text.slice(at, end).replace(/\\(.)/gs, "$1") });
      at = end;
    }
  }
  return tokens;
}

/** Tokens of one address, in internal form; a source route (RFC 5321 appendix C) is left out. */
function addressOf(tokens: readonly Token[]): string {
  const colon = tokens[0]?.text === "@" ? tokens.findIndex((token) => token.text === ":") : -1;
  const rest = tokens.slice(colon + 1);
  const at = rest.findLastIndex((token) => token.kind === "special" && token.text === "@");
  const plain = (list: readonly Token[]): string =>
    list.map((token) => token.kind === "quoted" ? unquoteLocal(token.text) : token.text).join("");
  if (at < 0) return plain(rest) === "" ? "" : internal(plain(rest));
  return `${internal(plain(rest.slice(0, at)))}@${plain(rest.slice(at + 1))}`;
}

/** Dots at odd places and bare "@" stay as they are; the address is judged where it is resolved. */
function internal(local: string): string {
  return local === "" || !/[\s()<>[\]:;\\,"]/.test(local) ? local : quoteLocal(local);
}

const isWord = (token: Token | undefined): boolean => token !== undefined && token.kind !== "special";

/** Words that stand side by side begin a new address each. */
function addressesOf(tokens: readonly Token[]): string[] {
  const found: string[] = [];
  let start = 0;
  for (let at = 1; at <= tokens.length; at++) {
    if (at < tokens.length && !(isWord(tokens[at]) && isWord(tokens[at - 1]))) continue;
    found.push(addressOf(tokens.slice(start, at)));
    start = at;
  }
  return found;
}

/** The addresses of a text, in their order. */
export function addressList(text: string): string[] {
  const tokens = tokensOf(text);
  const found: string[] = [];
  let held: Token[] = [];
  let bracketed = false;
  for (const token of tokens) {
    const special = token.kind === "special" ? token.text : "";
    if (bracketed && special !== ">") held.push(token);
    else if (bracketed) {
      found.push(addressOf(held));
      held = [];
      bracketed = false;
    } else if (special === "," || special === ";" || special === ">") {
      if (held.length > 0) found.push(...addressesOf(held));
      held = [];
    } else if (special === "<" || special === ":") {
      // What stood before was a phrase, or the name of a group.
      held = [];
      bracketed = special === "<";
    } else held.push(token);
  }
  if (bracketed) found.push(addressOf(held));
  else if (held.length > 0) found.push(...addressesOf(held));
  return tokens.length === 0 ? [""] : found;
}
