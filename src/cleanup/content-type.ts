/**
 * Content-Type and Content-Transfer-Encoding as far as the structure of a message needs them (RFC 2045 §5, §6), read
 * the way Postfix reads them: comments are passed over, every boundary= counts, whatever its quotes.
 * Time is linear in the header. Never fails: what cannot be read is "other".
 */

export type ContentKind = "text" | "message" | "multipart" | "other";

export interface Entity {
  readonly kind: ContentKind;
  /** "plain", "rfc822", "global", "partial", "external-body", "digest"; "" for all others. */
  readonly subtype: string;
}

export interface ContentType extends Entity {
  /** Of a multipart, in their order. */
  readonly boundaries: readonly string[];
}

export type Encoding = "7bit" | "8bit" | "binary" | "base64" | "quoted-printable";

interface Token {
  /** "word", "quoted", or the special character itself. */
  readonly kind: string;
  readonly text: string;
}

/** Text that no other header speaks of. */
export const PLAIN: Entity = { kind: "text", subtype: "plain" };
export const OTHER: Entity = { kind: "other", subtype: "" };
const TEXT = "text";
const TSPECIALS = '()<>@,;:\\"/[]?=';
const SPECIALS = '()<>@,;:\\".[]';
const SUBTYPES = new Set(["plain", "rfc822", "global", "partial", "external-body", "digest"]);
const ENCODINGS: ReadonlySet<string> = new Set(["7bit", "8bit", "binary", "base64", "quoted-printable"]);

const isSpace = (code: number): boolean => code === 32 || code === 9 || code === 13 || code === 10;
const isControl = (code: number): boolean => code < 32 || code === 127;

/** Items of a header value up to a terminator; `at` moves on. */
class Items {
  readonly #text: string;
  readonly #specials: string;
  readonly #terminator: string;
  #at: number;

  constructor(text: string, at: number, specials: string, terminator: string) {
    this.#text = text;
    this.#at = at;
    this.#specials = specials;
    this.#terminator = terminator;
  }

  /** At most `count` tokens, the rest up to the terminator is passed over; null at the end. */
  next(count: number): Token[] | null {
    const tokens: Token[] = [];
    const text = this.#text;
    let ended = true;
    while (this.#at < text.length) {
      const char = text[this.#at] as string;
      if (char === this.#terminator) {
        this.#at++;
        ended = false;
        break;
      }
      const token = this.#token(char);
      if (token !== null && tokens.length < count) tokens.push(token);
    }
    return tokens.length === 0 && ended ? null : tokens;
  }

  #token(char: string): Token | null {
    const code = char.charCodeAt(0);
    this.#at++;
    if (isSpace(code)) return null;
    if (char === "(") return this.#comment();
    if (char === '"') return { kind: "quoted", text: this.#quoted() };
    if (this.#specials.includes(char) || isControl(code)) return { kind: char, text: char };
    const start = this.#at - 1;
    const text = this.#text;
    while (this.#at < text.length) {
      const next = text.charCodeAt(this.#at);
      if (isSpace(next) || isControl(next) || this.#specials.includes(text[this.#at] as string)) break;
      this.#at++;
    }
    return { kind: "word", text: text.slice(start, this.#at) };
  }

  /** Comments nest. */
  #comment(): null {
    for (let depth = 1; this.#at < this.#text.length && depth > 0;) {
      const char = this.#text[this.#at++];
      if (char === "(") depth++;
      else if (char === ")") depth--;
      else if (char === "\\") this.#at++;
    }
    return null;
  }

  #quoted(): string {
    let value = "";
    while (this.#at < this.#text.length) {
      let char = this.#text[this.#at++] as string;
      if (char === '"') break;
      if (char === "\n") {
        value = value.replace(/[ \t\r\n]+$/, "");
        continue;
      }
      if (char === "\\") {
        if (this.#at >= this.#text.length) break;
        char = this.#text[this.#at++] as string;
      }
      value += char;
    }
    return value;
  }
}

/**
 * What a Content-Type is when its first word tells all that matters: "text/" something, or something that is none of
 * text, message and multipart; null when all of it must be read. [start, end) is what follows the colon.
 */
export function plainType(bytes: Uint8Array, start: number, end: number): Entity | null {
  let at = start;
  while (at < end && (bytes[at] === 32 || bytes[at] === 9)) at++;
  const first = at < end ? (bytes[at] as number) | 32 : 0;
  if (first < 97 || first > 122) return null;
  if (first !== 109 && first !== 116) return OTHER;
  for (let index = 0; index < 4; index++) {
    if (((bytes[at + index] as number) | 32) !== TEXT.charCodeAt(index)) return null;
  }
  return at + 4 < end && bytes[at + 4] === 47 ? PLAIN : null;
}

/** `text` is what follows the colon, line ends as "\n". */
export function contentType(text: string): ContentType {
  const items = new Items(text, 0, TSPECIALS, ";");
  const first = items.next(3) ?? [];
  const kind = first[0]?.kind === "word" ? first[0].text.toLowerCase() : "";
  if (kind !== "text" && kind !== "message" && kind !== "multipart") {
    return { kind: "other", subtype: "", boundaries: [] };
  }
  const named = first[1]?.kind === "/" && first[2]?.kind === "word" ? first[2].text.toLowerCase() : "";
  const boundaries: string[] = [];
  if (kind === "multipart") {
    for (let item = items.next(3); item !== null; item = items.next(3)) {
      const [name, equals, value] = item;
      if (value === undefined || name?.kind !== "word" || name.text.toLowerCase() !== "boundary") continue;
      if (equals?.kind === "=") boundaries.push(value.text);
    }
  }
  return { kind, subtype: SUBTYPES.has(named) ? named : "", boundaries };
}

/** Null when it is none of RFC 2045's. */
export function transferEncoding(text: string): Encoding | null {
  const token = new Items(text, 0, SPECIALS, "").next(1)?.[0];
  const name = token?.kind === "word" ? token.text.toLowerCase() : "";
  return ENCODINGS.has(name) ? name as Encoding : null;
}

/** 7bit, 8bit or binary: what the encoded content is. */
export function domainOf(encoding: Encoding): Encoding {
  return encoding === "base64" || encoding === "quoted-printable" ? "7bit" : encoding;
}

/** 8-bit content of message/* but message/rfc822 may be encoded as a whole (RFC 6532 §3.7, RFC 6533). */
export function isOpaque({ kind, subtype }: Entity, encoding: Encoding): boolean {
  return kind === "message" && subtype !== "rfc822" && domainOf(encoding) !== "7bit";
}

/** Whether content that holds other content says of itself what only a leaf may say (RFC 2045 §6.4, RFC 2046 §5.2). */
export function isWrongDomain({ kind, subtype }: Entity, encoding: Encoding): boolean {
  const domain = domainOf(encoding);
  return kind === "message" && (subtype === "partial" || subtype === "external-body")
    ? domain !== "7bit"
    : (kind === "multipart" || kind === "message" && subtype === "rfc822") && domain !== encoding;
}
