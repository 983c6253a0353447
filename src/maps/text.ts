/**
 * The text form of hash:, btree:, lmdb:, cdb: and texthash: tables: `key value` lines (postmap(1)), or `name: value`
 * for alias files (postalias(1)). White space inside double quotes belongs to the key, quotes included; of several
 * lines for a key the first counts. A line that is not of this form is left out with a warning. A function of the
 * bytes: reloading is reading again.
 */

import { latin1Decode } from "../latin1.ts";
import { logicalLines } from "../logical-lines.ts";
import { aliasLine } from "./alias-text.ts";
import { foldAscii, foldUtf8, isUtf8 } from "./fold.ts";

export interface TextRead {
  readonly entries: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

/** What is done about a second line for a key. */
export type Duplicates = "warn" | "ignore" | "replace";

export type ValueRead = { readonly value: string } | { readonly fault: string };

export interface TextOptions {
  readonly format?: "keys" | "aliases";
  /** False: keys keep capital letters. */
  readonly fold?: boolean;
  /** False: all bytes will do, and ASCII letters alone are folded. */
  readonly utf8?: boolean;
  readonly duplicates?: Duplicates;
  /** The warning about a second entry; without it, file, line and the key as it is written. */
  readonly duplicateOf?: (folded: string) => string;
  /** What follows "expected format: key whitespace value". */
  readonly ending?: string;
  /** What is kept in place of the value (files named by it, in base64). */
  readonly valueFrom?: (value: string) => ValueRead;
  /** Entries that are there already. */
  readonly entries?: ReadonlyMap<string, string>;
}

const UNBALANCED = /^(?:"(?:[^"\\]|\\[^])*"|\\[^]|[^ \t\n\v\f\r"\\])*"(?:[^"\\]|\\[^])*\\?$/;
const KEY = /^(?:"(?:[^"\\]|\\[^])*"|\\[^]|[^ \t\n\v\f\r"\\])+\\?|^\\/;
const SPACES = /^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g;
const SHOWN = 30;

export const IGNORED = " -- ignoring this line";

interface Line {
  readonly key: string;
  readonly value: string;
}

class Reader {
  readonly entries: Map<string, string>;
  readonly warnings: string[] = [];
  readonly #file: string;
  readonly #options: TextOptions;

  constructor(file: string, options: TextOptions) {
    this.#file = file;
    this.#options = options;
    this.entries = new Map(options.entries);
  }

  line(text: string, number: number): void {
    const place = `${this.#file}, line ${number}`;
    if (/^[ \t\n\v\f\r]/.test(text)) {
      const shown = text.slice(0, SHOWN) + (text.length > SHOWN ? "..." : "");
      this.warnings.push(`${this.#file}: logical line must not start with whitespace: "${shown}"`);
      return;
    }
    const { utf8 = true, format = "keys" } = this.#options;
    if (utf8 && !isUtf8(text)) {
      this.warnings.push(`${place}: non-UTF-8 input "${text}"${IGNORED}`);
      return;
    }
    const line = format === "aliases" ? this.#alias(text, place) : this.#keyed(text, place);
    if (line !== null) this.#add(line, place);
  }

  #alias(text: string, place: string): Line | null {
    const read = aliasLine(text);
    if (read === null) return null;
    if ("key" in read) return read;
    this.warnings.push(`${place}: ${read.fault}`);
    return null;
  }

  #keyed(text: string, place: string): Line | null {
    if (text.includes('"') && UNBALANCED.test(text)) {
      this.warnings.push(`${place}: unbalanced '"' in '${text}'${IGNORED}`);
      return null;
    }
    const key = KEY.exec(text)?.[0] ?? "";
    const value = text.slice(key.length).replace(SPACES, "");
    if (key === "" || value === "") {
      this.warnings.push(`${place}: expected format: key whitespace value${this.#options.ending ?? IGNORED}`);
      return null;
    }
    if (key.endsWith(":")) {
      this.warnings.push(`${place}: record is in "key: value" format; is this an alias file?`);
    }
    const read = this.#options.valueFrom?.(value) ?? { value };
    if ("value" in read) return { key, value: read.value };
    this.warnings.push(`${place}: ${read.fault}: skipping this entry`);
    return null;
  }

  #add({ key, value }: Line, place: string): void {
    const { fold = true, utf8 = true, duplicates = "warn", duplicateOf } = this.#options;
    const folded = !fold ? key : utf8 ? foldUtf8(key) as string : foldAscii(key);
    if (duplicates === "replace" || !this.entries.has(folded)) this.entries.set(folded, value);
    else if (duplicates === "warn") {
      this.warnings.push(duplicateOf?.(folded) ?? `${place}: duplicate entry: "${key}"`);
    }
  }
}

export function textEntries(bytes: Uint8Array, file: string, options: TextOptions = {}): TextRead {
  const reader = new Reader(file, options);
  for (const { text, first } of logicalLines(latin1Decode(bytes))) reader.line(text, first);
  return reader;
}
