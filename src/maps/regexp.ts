/**
 * regexp: and pcre: tables: rules in the order of the file, of which the first whose pattern matches gives the value.
 * Source: regexp_table(5), pcre_table(5), header_checks(5). Matching is done in WebAssembly (pattern-engine.ts), never
 * by the runtime's own regular expressions. Where the matching of a pattern takes too many steps there is a warning and
 * its rule has no effect for that key.
 */

import { latin1Decode } from "../latin1.ts";
import type { Lookup } from "../lookup.ts";
import { found, NONE } from "../lookup.ts";
import type { Files } from "../runtime.ts";
import { fileTable, type TableContent } from "./file-table.ts";
import { filesValue } from "./files-value.ts";
import { isUtf8 } from "./fold.ts";
import { inlineRules } from "./inline-rules.ts";
import type { LookupTable, TableContext, TableType } from "./map.ts";
import { limitText } from "./pattern-faults.ts";
import { type PatternRules, type PatternType, readRules } from "./pattern-rules.ts";
import type { Value } from "./pattern-value.ts";

/** A header or line that a rule matched. */
export interface PatternMatch {
  /** Where it starts in the block. */
  readonly offset: number;
  /** Its bytes in the block, with inner line ends but without the last one. */
  readonly length: number;
  /** The rule's value with $1 and so on in place. */
  readonly value: string;
}

export interface PatternTable extends LookupTable {
  /** False while its file cannot be read. */
  readonly ready: boolean;
  /** As access tables ask: a key that is not UTF-8 is not found, with a warning. */
  get(key: string): Lookup;
  /** As header_checks and body_checks ask, with whatever bytes. */
  find(key: string): Lookup;
  /**
   * The headers of a raw block (lines end in CRLF or LF) that match, in order. The key of a header is its lines joined
   * by one newline each. Ends at the block's end or at an empty line; a line that is no header is a key like a header.
   */
  scanHeaders(block: Uint8Array): readonly PatternMatch[];
  /** The lines that match, each a key without its line end; lines longer than the limit are keys piece by piece. */
  scanLines(block: Uint8Array, limit?: number): readonly PatternMatch[];
}

export function isPatternTable(table: LookupTable): table is PatternTable {
  return "scanHeaders" in table;
}

/** line_length_limit */
const LINE_LIMIT = 2048;

const cut = (key: string): string => {
  const nul = key.indexOf("\0");
  return nul < 0 ? key : key.slice(0, nul);
};

const CHARACTERS = new RegExp(
  "[ -~]|[\\xc2-\\xdf][\\x80-\\xbf]|[\\xe0-\\xef][\\x80-\\xbf]{2}|[\\xf0-\\xf4][\\x80-\\xbf]{3}|([^])",
  "g",
);

/** As messages show text: a question mark for what is no printable character. */
const printable = (text: string): string =>
  text.replace(CHARACTERS, (all, strange) => strange === undefined ? all : "?");

/** One reading of a table's text. */
export class PatternContent implements TableContent {
  readonly warnings: readonly string[];
  readonly #read: PatternRules;
  readonly #answers: readonly (Lookup | null)[];
  readonly #place: (line: number) => string;
  readonly #context: Pick<TableContext, "name" | "options" | "warn">;

  constructor(text: string, type: PatternType, path: string, context: TableContext) {
    const files = context.options.files === true ? context.runtime.files : null;
    const valueFrom = files === null ? undefined : (value: string) => filesValue(files as Files, value);
    this.#read = readRules(text, { type, path, valueFrom });
    this.warnings = this.#read.warnings;
    this.#context = context;
    this.#place = (line) => `${type} map ${path}, line ${line}`;
    // A value without $ is one answer for all keys.
    this.#answers = this.#read.rules.map(({ value }) =>
      value === null || value.highest > 0 ? null : found(value.texts[0] as string)
    );
  }

  get(key: string): Lookup {
    const { name, options, warn } = this.#context;
    if (options.utf8 === false) return this.find(key);
    if (!isUtf8(key)) {
      warn(`${name}: non-UTF-8 key "${printable(key)}": malformed UTF-8 or invalid codepoint`);
      return NONE;
    }
    const answer = this.find(key);
    if (answer.kind !== "found" || isUtf8(answer.value)) return answer;
    const shown = printable(answer.value);
    warn(`${name}: key "${printable(key)}": non-UTF-8 value "${shown}": malformed UTF-8 or invalid codepoint`);
    return { kind: "unsure", why: `table ${name}: query error` };
  }

  find(key: string): Lookup {
    const text = cut(key);
    const { engine } = this.#read;
    const number = engine.find(text);
    this.#warnOfLimits();
    if (number < 0) return NONE;
    return this.#answers[number] ?? found(this.#filled(this.#read.rules[number]!.value!, number, text));
  }

  scanHeaders(block: Uint8Array): readonly PatternMatch[] {
    return this.#matches(block, this.#read.engine.scanHeaders(block));
  }

  scanLines(block: Uint8Array, limit: number): readonly PatternMatch[] {
    return this.#matches(block, this.#read.engine.scanLines(block, limit));
  }

  #matches(block: Uint8Array, places: readonly number[]): readonly PatternMatch[] {
    this.#warnOfLimits();
    const matches: PatternMatch[] = [];
    for (let at = 0; at < places.length; at += 3) {
      const [offset, length, rule] = [places[at]!, places[at + 1]!, places[at + 2]!];
      const known = this.#answers[rule];
      const answer = known ?? this.find(latin1Decode(block, offset, offset + length).replaceAll("\r\n", "\n"));
      if (answer.kind === "found") matches.push({ offset, length, value: answer.value });
    }
    return matches;
  }

  #filled(value: Value, rule: number, key: string): string {
    const places = this.#read.engine.captures(rule);
    let text = value.texts[0]!;
    value.groups.forEach((group, index) => {
      if (places !== null && places[2 * group]! >= 0) text += key.slice(places[2 * group]!, places[2 * group + 1]!);
      text += value.texts[index + 1]!;
    });
    return text;
  }

  #warnOfLimits(): void {
    for (const { rule, outcome } of this.#read.engine.limits()) {
      this.#context.warn(`${this.#place(this.#read.rules[rule]!.line)}: ${limitText(outcome)}`);
    }
  }
}

/** The table over a content that may be replaced. */
function tableOver(context: TableContext, current: () => PatternContent | null, get: (key: string) => Lookup) {
  const table: PatternTable = {
    name: context.name,
    pattern: true,
    get ready() {
      return current() !== null;
    },
    get,
    // A content that is not there yet answers "unsure" by get().
    find: (key) => current()?.find(key) ?? get(key),
    scanHeaders: (block) => current()?.scanHeaders(block) ?? [],
    scanLines: (block, limit = LINE_LIMIT) => current()?.scanLines(block, limit) ?? [],
  };
  return table;
}

export const patternTable: TableType = (path, context) => {
  const type = context.type as PatternType;
  if (!path.startsWith("{")) {
    const read = (bytes: Uint8Array): PatternContent => new PatternContent(latin1Decode(bytes), type, path, context);
    const table = fileTable(context, path, true, read);
    return tableOver(context, () => table.current(), (key) => table.get(key));
  }
  const inline = inlineRules(path);
  if ("fault" in inline) return context.fault(`${type} map: ${inline.fault}`);
  const content = new PatternContent(inline.text, type, path, context);
  content.warnings.forEach(context.warn);
  return tableOver(context, () => content, (key) => content.get(key));
};
