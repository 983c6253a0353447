/**
 * The text of a regexp: or pcre: table, to rules in a PatternEngine. Source: regexp_table(5), pcre_table(5). A rule
 * that cannot be used is left out with a warning in Postfix's words; a table always comes of it.
 */

import { logicalLines } from "../logical-lines.ts";
import { faultText, type PatternFault } from "./pattern-faults.ts";
import { OPTION, type Pattern, PatternEngine } from "./pattern-engine.ts";
import { readValue, type Value } from "./pattern-value.ts";
import type { ValueRead } from "./text.ts";

export type PatternType = "regexp" | "pcre";

/** By number of the engine's rule; null for if. */
export interface PatternRule {
  readonly line: number;
  readonly value: Value | null;
}

export interface PatternRules {
  readonly engine: PatternEngine;
  readonly rules: readonly PatternRule[];
  readonly warnings: readonly string[];
}

const PCRE_FLAGS: Readonly<Record<string, number>> = {
  i: OPTION.caseless,
  m: OPTION.multiline,
  s: OPTION.dotAll,
  x: OPTION.extended,
  A: OPTION.anchored,
  E: OPTION.dollarEndOnly,
  U: OPTION.ungreedy,
  X: 0,
};

const REGEXP_FLAGS: Readonly<Record<string, number>> = {
  i: OPTION.caseless,
  m: OPTION.multiline,
  x: OPTION.basic,
};

const DEFAULTS = { pcre: OPTION.caseless | OPTION.dotAll, regexp: OPTION.caseless | OPTION.posix };

const SPACE = " \t\n\v\f\r";
const SHOWN = 30;

const isAlphanumeric = (text: string): boolean => /^[0-9A-Za-z]/.test(text);

/** The table's file as it is in messages, and how values are read. */
export interface RuleSource {
  readonly type: PatternType;
  readonly path: string;
  readonly valueFrom?: ((value: string) => ValueRead) | undefined;
}

class RuleReader implements PatternRules {
  readonly engine = new PatternEngine();
  readonly rules: PatternRule[] = [];
  readonly warnings: string[] = [];
  readonly #source: RuleSource;
  readonly #open: { readonly rule: number; readonly line: number }[] = [];
  #line = 0;
  #rest = "";

  constructor(source: RuleSource) {
    this.#source = source;
  }

  /** One logical line without white space at its end. */
  read(text: string, line: number): void {
    this.#line = line;
    this.#rest = text;
    if (!isAlphanumeric(text)) this.#match();
    else if (/^if(?![0-9A-Za-z])/i.test(text)) this.#if();
    else if (/^endif(?![0-9A-Za-z])/i.test(text)) this.#endIf();
    else this.#warn("ignoring unrecognized request");
  }

  end(): void {
    const { type, path } = this.#source;
    for (const { line } of this.#open.reverse()) {
      this.warnings.push(`${type} map ${path}, line ${line}: IF has no matching ENDIF`);
    }
    this.engine.finish();
  }

  #place(): string {
    return `${this.#source.type} map ${this.#source.path}, line ${this.#line}`;
  }

  #warn(text: string): void {
    this.warnings.push(`${this.#place()}: ${text}`);
  }

  #skipSpace(): void {
    let at = 0;
    while (at < this.#rest.length && SPACE.includes(this.#rest[at]!)) at++;
    this.#rest = this.#rest.slice(at);
  }

  /** The pattern and its flags at the start of what is left. */
  #pattern(): Pattern | null {
    const text = this.#rest;
    const pcre = this.#source.type === "pcre";
    let match = true;
    let at = 0;
    for (; at < text.length && (text[at] === "!" || SPACE.includes(text[at]!)); at++) {
      match = match !== (text[at] === "!");
    }
    if (at === text.length) {
      this.#warn("no regexp: skipping this rule");
      return null;
    }
    const delimiter = text[at]!;
    const start = ++at;
    while (at < text.length && text[at] !== delimiter) at += text[at] === "\\" ? 2 : 1;
    if (at >= text.length) {
      this.#warn(`no closing regexp delimiter "${delimiter}": ${pcre ? "ignoring" : "skipping"} this rule`);
      return null;
    }
    const pattern = text.slice(start, at++);
    const flags = pcre ? PCRE_FLAGS : REGEXP_FLAGS;
    let options = DEFAULTS[this.#source.type];
    for (; at < text.length && !SPACE.includes(text[at]!) && (pcre || text[at] !== "!"); at++) {
      const flag = text[at]!;
      const bit = Object.hasOwn(flags, flag) ? flags[flag] : undefined;
      if (bit === undefined) {
        this.#warn(`unknown regexp option "${flag}": skipping this rule`);
        return null;
      }
      if (bit === 0) this.#warn(`ignoring obsolete regexp option "${flag}"`);
      options ^= bit;
    }
    this.#rest = text.slice(at);
    return { text: pattern, options, match };
  }

  #fault(fault: PatternFault): void {
    this.#warn(faultText(this.#source.type, fault));
  }

  #value(): Value | null {
    let text = this.#rest;
    if (this.#source.valueFrom !== undefined) {
      const read = this.#source.valueFrom(text);
      if ("fault" in read) {
        this.#warn(`${read.fault}: skipping this rule`);
        return null;
      }
      text = read.value;
    }
    const value = readValue(this.#source.type, text, this.#place(), (words) => this.warnings.push(words));
    if (value === null) this.#warn("bad replacement syntax: skipping this rule");
    return value;
  }

  #match(): void {
    const first = this.#pattern();
    if (first === null) return;
    const hasSecond = this.#rest.startsWith("!");
    const second = hasSecond ? this.#pattern() : null;
    if (hasSecond && second === null) return;
    this.#skipSpace();
    if (this.#rest === "") this.#warn("no replacement text: using empty string");
    const value = this.#value();
    if (value === null) return;
    if (value.highest > 0 && !first.match) {
      return this.#warn("$number found in negative match replacement text: skipping this rule");
    }
    const groups = this.engine.parse(first);
    if (typeof groups !== "number") return this.#fault(groups);
    if (value.highest > groups) {
      return this.#warn(`out of range replacement index "${value.highest}": skipping this rule`);
    }
    if (second !== null) {
      const parsed = this.engine.parse(second);
      if (typeof parsed !== "number") return this.#fault(parsed);
    }
    const captures = value.highest > 0 ? OPTION.captures : 0;
    const number = this.engine.add({ ...first, options: first.options | captures });
    if (typeof number !== "number") return this.#fault(number);
    const other = second === null ? -1 : this.engine.add(second);
    if (typeof other !== "number") return this.#fault(other);
    this.engine.rule("match", number, first.match, other, second?.match);
    this.rules.push({ line: this.#line, value });
  }

  #if(): void {
    this.#rest = this.#rest.slice(2);
    this.#skipSpace();
    const pattern = this.#pattern();
    if (pattern === null) return;
    this.#skipSpace();
    if (this.#rest !== "") {
      this.#warn(`ignoring extra text after IF statement: "${this.#rest}"`);
      this.#warn("do not prepend whitespace to statements between IF and ENDIF");
    }
    const number = this.engine.add(pattern);
    if (typeof number !== "number") return this.#fault(number);
    this.#open.push({ rule: this.engine.rule("if", number, pattern.match), line: this.#line });
    this.rules.push({ line: this.#line, value: null });
  }

  #endIf(): void {
    this.#rest = this.#rest.slice(5);
    const open = this.#open.at(-1);
    if (open === undefined) return this.#warn("ignoring ENDIF without matching IF");
    this.#skipSpace();
    if (this.#rest !== "") this.#warn("ignoring extra text after ENDIF");
    this.#open.pop();
    this.engine.endIf(open.rule);
  }
}

export function readRules(text: string, source: RuleSource): PatternRules {
  const reader = new RuleReader(source);
  for (const line of logicalLines(text)) {
    if (SPACE.includes(line.text[0]!)) {
      const shown = line.text.slice(0, SHOWN) + (line.text.length > SHOWN ? "..." : "");
      reader.warnings.push(`${source.path}: logical line must not start with whitespace: "${shown}"`);
      continue;
    }
    const nul = line.text.indexOf("\0");
    let end = nul < 0 ? line.text.length : nul;
    while (end > 0 && SPACE.includes(line.text[end - 1]!)) end--;
    if (end === 0) continue;
    reader.read(line.text.slice(0, end), line.first);
  }
  reader.end();
  return reader;
}
