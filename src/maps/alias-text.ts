/**
 * One line of an alias file, `name: value, value` (aliases(5)), read as RFC 822 tokens: white space and quotes that
 * mean nothing go, the key loses its quotes, the value keeps those it needs. What is no such line gives a fault.
 */

export type AliasLine = { readonly key: string; readonly value: string } | { readonly fault: string };

/** `kind`: a character that stands for itself, or what sort of word it is. */
interface Token {
  readonly kind: string;
  readonly text: string;
}

const OPERATORS = '|%!()<>@,;:\\".[]';
const SPACE = " \t\r\n";

class Scanner {
  readonly tokens: Token[] = [];
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
    while (this.#at < text.length) this.#token(text[this.#at] as string);
  }

  #token(character: string): void {
    if (SPACE.includes(character)) this.#at++;
    else if (character === "(") this.tokens.push({ kind: "comment", text: this.#comment() });
    else if (character === "[") this.tokens.push({ kind: "literal", text: this.#enclosed("]") });
    else if (character === '"') this.tokens.push({ kind: "quoted", text: this.#enclosed('"') });
    else if (character !== "\\" && OPERATORS.includes(character)) {
      this.#at++;
      this.tokens.push({ kind: character, text: character });
    } else {
      const text = this.#collect((one) => !SPACE.includes(one) && !OPERATORS.includes(one));
      this.tokens.push({ kind: needsQuotes(text) ? "quoted" : "word", text });
    }
  }

  /** A backslash takes the next character as it is. */
  #collect(wanted: (character: string) => boolean): string {
    let collected = "";
    for (; this.#at < this.#text.length; this.#at++) {
      let character = this.#text[this.#at] as string;
      if (character === "\\") {
        if (++this.#at >= this.#text.length) break;
        character = this.#text[this.#at] as string;
      } else if (!wanted(character)) break;
      collected += SPACE.includes(character) ? " " : character;
    }
    return collected;
  }

  #enclosed(end: string): string {
    this.#at++;
    const text = this.#collect((character) => character !== end);
    this.#at++;
    return text;
  }

  /** Comments nest and are kept as they are. */
  #comment(): string {
    const start = this.#at;
    let depth = 0;
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at++];
      if (character === "(") depth++;
      else if (character === ")" && --depth === 0) break;
      else if (character === "\\" && this.#at < this.#text.length) this.#at++;
    }
    return this.#text.slice(start, this.#at);
  }
}

function needsQuotes(text: string): boolean {
  for (const character of text) {
    if (character === " " || character < " " || character === "\x7f" || OPERATORS.includes(character)) return true;
  }
  return false;
}

const isWord = ({ kind }: Token): boolean => kind.length > 1;

function joined(tokens: readonly Token[], textOf: (token: Token) => string): string {
  return tokens.map((token, index) => {
    const next = tokens[index + 1];
    const space = next !== undefined && (token.kind === "," || next.kind === "<" || isWord(token) && isWord(next));
    return textOf(token) + (space ? " " : "");
  }).join("");
}

const escaped = (text: string, set: RegExp): string => text.replace(set, "\\$&");

function inside({ kind, text }: Token): string {
  return kind === "literal" ? `[${text}]` : text;
}

function outside(token: Token): string {
  if (token.kind === "quoted") return `"${escaped(token.text, /["\\\r\n]/g)}"`;
  if (token.kind === "literal") return `[${escaped(token.text, /[\\\r\n]/g)}]`;
  return token.text;
}

/** Null: the line has no token. */
export function aliasLine(text: string): AliasLine | null {
  const { tokens } = new Scanner(text);
  if (tokens.length === 0) return null;
  const colon = tokens.findIndex(({ kind }) => kind === ":");
  const key = tokens.slice(0, Math.max(0, colon));
  if (key.length === 0 || colon + 1 >= tokens.length || key.some(({ kind }) => kind === ",")) {
    return { fault: "need name:value pair" };
  }
  if (key.some(({ kind }) => kind === "@" || kind === "%")) return { fault: "name must be local" };
  return { key: joined(key, inside), value: joined(tokens.slice(colon + 1), outside) };
}
