/**
 * Addresses as tokens, read the tolerant way of Postfix's tok822_parse(3): nothing is thrown away, so that a header can
 * be written again with only its addresses changed (RFC 5322 §3.4; "%", "!" and "|" are operators of their own).
 * External form has quotes where RFC 5322 wants them, internal form has none. Pure; never fails.
 */

export interface Token {
  /** "atom", "quoted", "literal", "comment", "group" (":" behind a group's name), "address", or the operator itself. */
  type: string;
  /** Without its quotes or brackets; a comment with its parentheses. */
  text: string;
  /** Of an address. */
  tokens: Token[];
  /** Words of the address, or this and the next one, go without space between them. */
  glued: boolean;
}

export function token(type: string, text = ""): Token {
  return { type, text, tokens: [], glued: false };
}

const OPERATORS = '|%!()<>@,;:\\".[]';
const SPACE = " \t\r\n";
/** A plain word: nothing of OPERATORS, no space. */
const WORD = /[^|%!()<>@,;:\\".[\] \t\r\n]+/y;
// deno-lint-ignore no-control-regex
const NEEDS_QUOTES = /[\x00-\x1f\x7f |%!()<>@,;:\\".[\]]/;

const isWord = ({ type }: Token): boolean => type === "atom" || type === "quoted" || type === "literal";

interface Collected {
  readonly text: string;
  readonly end: number;
}

/** Up to a character of `stop`; a backslash takes the next one as it is; white space becomes a space. */
function collect(source: string, start: number, stop: string): Collected {
  let text = "";
  let at = start;
  for (; at < source.length; at++) {
    let char = source[at] as string;
    if (char === "\\") {
      char = source[++at] ?? "";
      if (char === "") break;
    } else if (stop.includes(char)) break;
    text += SPACE.includes(char) ? " " : char;
  }
  return { text, end: Math.min(at, source.length) };
}

function commentEnd(source: string, start: number): number {
  let depth = 1;
  for (let at = start; at < source.length; at++) {
    const char = source[at];
    if (char === "\\") at++;
    else if (char === "(") depth++;
    else if (char === ")" && --depth === 0) return at + 1;
  }
  return source.length;
}

function atomAt(source: string, start: number): Collected {
  WORD.lastIndex = start;
  const word = WORD.exec(source)?.[0] ?? "";
  const end = start + word.length;
  return source[end] === "\\" ? collect(source, start, OPERATORS.replace("\\", "") + SPACE) : { text: word, end };
}

/** `limit`: most tokens that are read; the rest of the text is lost. */
export function scan(source: string, limit: number = Number.POSITIVE_INFINITY): Token[] {
  const found: Token[] = [];
  for (let at = 0; at < source.length && found.length < limit;) {
    const char = source[at] as string;
    if (SPACE.includes(char)) at++;
    else if (char === "(") {
      const end = commentEnd(source, at + 1);
      found.push(token("comment", source.slice(at, end)));
      at = end;
    } else if (char === "[" || char === '"') {
      const { text, end } = collect(source, at + 1, char === "[" ? "]" : '"');
      found.push(token(char === "[" ? "literal" : "quoted", text));
      at = end + 1;
    } else if (char !== "\\" && OPERATORS.includes(char)) {
      found.push(token(char));
      at++;
    } else {
      const { text, end } = atomAt(source, at);
      found.push(token(NEEDS_QUOTES.test(text) ? "quoted" : "atom", text));
      at = end;
    }
  }
  return found;
}

/** The list under construction: seen from right to left, what lies right of `right` is done. */
class Grouping {
  readonly list: Token[];
  right: number;
  at: number;

  constructor(list: Token[]) {
    this.list = list;
    this.right = list.length;
    this.at = list.length - 1;
  }

  /** What is between `at` and `right` is one address; where wanted, a comma parts it from what is left of it. */
  group(comma: boolean): void {
    const length = this.right - this.at - 1;
    if (length <= 0) return;
    const inner = this.list.splice(this.at + 1, length);
    const address: Token = { type: "address", text: "", tokens: inner, glued: true };
    this.list.splice(this.at + 1, 0, ...comma ? [token(",")] : [], address);
  }

  /** A comment goes behind the address that it stands in. */
  setAside(): void {
    const [comment] = this.list.splice(this.at, 1) as [Token];
    this.right--;
    this.list.splice(this.right, 0, comment);
    this.at--;
  }

  /** Leftwards to one of these. */
  skipTo(types: readonly string[]): void {
    while (this.at >= 0 && !types.includes(this.list[this.at]!.type)) this.at--;
  }
}

/** A list of addresses as a header has it: "address" tokens, and all the others. */
export function parse(source: string, limit?: number): Token[] {
  const work = new Grouping(scan(source, limit));
  let word = true;
  let group = false;
  while (work.at >= 0) {
    const here = work.list[work.at] as Token;
    if (here.type === "comment") {
      work.setAside();
      continue;
    }
    if (here.type === ":" && group) {
      here.type = "group";
      work.group(false);
      work.skipTo([","]);
      work.right = work.at;
      continue;
    }
    if (here.type === ">") {
      angle(work);
      word = true;
      continue;
    }
    if (here.type === ";") {
      work.group(true);
      work.right = work.at;
      word = true;
      group = true;
    } else if (isWord(here)) {
      if (!word) {
        work.group(true);
        work.right = work.at + 1;
      }
      word = false;
    } else {
      if (here.type === ",") {
        work.group(false);
        work.right = work.at;
      }
      word = true;
    }
    work.at--;
  }
  work.group(false);
  return work.list;
}

/** From ">" to "<", and over the phrase before it. */
function angle(work: Grouping): void {
  work.group(true);
  work.right = work.at;
  while (work.at >= 0 && work.list[work.at]!.type !== "<") {
    if (work.list[work.at]!.type === "comment") work.setAside();
    else work.at--;
  }
  work.group(false);
  work.skipTo([">", ";", ",", ":"]);
  work.right = work.at;
}

function spaceBetween(one: Token, next: Token | undefined, glued: boolean): boolean {
  if (next === undefined || glued || (one.glued && one.type !== "address")) return false;
  if (one.type === "," || one.type === "group" || next.type === "<") return true;
  const plain = ({ type }: Token): boolean => type.length > 1 && type !== "group";
  return plain(one) && plain(next);
}

/** Joins tokens; `lines`: each comma ends a line. */
function join(list: readonly Token[], glued: boolean, lines: boolean, write: (token: Token) => string): string {
  let text = "";
  for (const [at, one] of list.entries()) {
    text += one.type === "group" ? ":" : one.type.length === 1 ? one.type : write(one);
    if (one.type === "," && lines) text += "\n";
    else if (spaceBetween(one, list[at + 1], glued)) text += " ";
  }
  return text;
}

/** Without quotes. */
export function internal(list: readonly Token[], glued = false): string {
  return join(list, glued, false, (one) => {
    if (one.type === "address") return internal(one.tokens, one.glued);
    return one.type === "literal" ? `[${one.text}]` : one.text;
  });
}

/** With quotes where they are needed; with `lines` each comma ends a line. */
export function external(list: readonly Token[], options: { glued?: boolean; lines?: boolean } = {}): string {
  const { glued = false, lines = false } = options;
  return join(list, glued, lines, (one) => {
    switch (one.type) {
      case "address":
        return quoted(internal(one.tokens, one.glued));
      case "quoted":
        return `"${one.text.replace(/["\\\r\n]/g, "\\$&")}"`;
      case "literal":
        return `[${one.text.replace(/[\\\r\n]/g, "\\$&")}]`;
      default:
        return one.text;
    }
  });
}

/** Where the local part begins: behind a source route. */
function localStart(address: string): number {
  return address.startsWith("@") ? address.indexOf(":") + 1 : 0;
}

// deno-lint-ignore no-control-regex
const DOT_STRING = /^[^\x00-\x20\x7f()<>@,;:\\"[\].]+(?:\.[^\x00-\x20\x7f()<>@,;:\\"[\].]+)*$/;

/** Internal to external form (Postfix's quote_822_local). */
export function quoted(address: string): string {
  const start = localStart(address);
  const at = address.lastIndexOf("@");
  const end = at < start ? address.length : at;
  const local = address.slice(start, end);
  if (DOT_STRING.test(local)) return address;
  return `${address.slice(0, start)}"${local.replace(/["\\\r]/g, "\\$&")}"${address.slice(end)}`;
}

/** External to internal form: quotes go, but behind the last "@" outside of quotes. */
export function unquoted(address: string): string {
  if (!/["\\]/.test(address)) return address;
  const start = localStart(address);
  let text = address.slice(0, start);
  let within = false;
  let bare = { length: -1, from: 0 };
  for (let at = start; at < address.length; at++) {
    const char = address[at] as string;
    if (char === '"') {
      within = !within;
      continue;
    }
    if (char === "@" && !within) bare = { length: text.length, from: at };
    if (char === "\\") {
      if (at + 1 === address.length) continue;
      at++;
    }
    text += address[at];
  }
  return bare.length < 0 ? text : text.slice(0, bare.length) + address.slice(bare.from);
}
