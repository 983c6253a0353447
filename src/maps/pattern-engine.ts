/**
 * One table's patterns in WebAssembly (wasm/regex): patterns and rules go in, then keys; numbers of rules come out.
 * Nothing is taken in after finish(). Matching never throws; it takes time linear in the key, but for patterns with
 * look-around or back-references, whose matching ends at a step limit (see limits()).
 */

import type { PatternFault } from "./pattern-faults.ts";
import { instanceOf } from "./wasm.ts";

interface Module {
  input(size: number): number;
  memoryUsed(): number;
  limitStates(bytes: number): void;
  parse(length: number, options: number): number;
  parseOffset(): number;
  parsedGroups(): number;
  commit(): number;
  addRule(kind: number, first: number, firstMatch: number, second: number, secondMatch: number): number;
  endIf(rule: number): void;
  finish(): void;
  find(length: number): number;
  captures(rule: number): number;
  scanHeaders(length: number): number;
  scanLines(length: number, limit: number): number;
  resultsAt(): number;
  limitCount(): number;
  limitRule(index: number): number;
  limitOutcome(index: number): number;
}

/** Of wasm/regex/parse-input.ts. */
export const OPTION = {
  caseless: 1,
  multiline: 2,
  dotAll: 4,
  extended: 8,
  ungreedy: 32,
  dollarEndOnly: 256,
  anchored: 512,
  posix: 1024,
  basic: 2048,
  captures: 4096,
} as const;

export interface Pattern {
  readonly text: string;
  readonly options: number;
  /** False: the rule asks that it does not match. */
  readonly match: boolean;
}

export interface Limit {
  readonly rule: number;
  readonly outcome: number;
}

export class PatternEngine {
  readonly #module = instanceOf<Module>("regex");
  #bytes = new Uint8Array();
  #input = 0;
  #room = 0;

  /** Parses without taking in: the number of groups, or what is wrong. */
  parse({ text, options }: Pattern): number | PatternFault {
    const code = this.#module.parse(this.#write(text), options);
    return code === 0 ? this.#module.parsedGroups() : { code, offset: this.#module.parseOffset() };
  }

  /** Takes in a pattern: its number, or what is wrong. */
  add(pattern: Pattern): number | PatternFault {
    const parsed = this.parse(pattern);
    if (typeof parsed !== "number") return parsed;
    const number = this.#module.commit();
    return number >= 0 ? number : { code: -number, offset: 0 };
  }

  /** Adds a rule over patterns taken in before: its number, counted from 0. */
  rule(kind: "match" | "if", first: number, firstMatch: boolean, second = -1, secondMatch = false): number {
    return this.#module.addRule(kind === "if" ? 1 : 0, first, Number(firstMatch), second, Number(secondMatch));
  }

  /** What was added since the rule `if` at that number belongs to it. */
  endIf(rule: number): void {
    this.#module.endIf(rule);
  }

  finish(): void {
    this.#module.finish();
    this.#bytes = new Uint8Array();
    this.#room = 0;
  }

  /** The first rule that takes effect for the key, or -1. */
  find(key: string): number {
    return this.#module.find(this.#write(key));
  }

  /** Offset, length and rule of each header of the block that matches. */
  scanHeaders(block: Uint8Array): readonly number[] {
    return this.#results(this.#module.scanHeaders(this.#copy(block)));
  }

  scanLines(block: Uint8Array, limit: number): readonly number[] {
    return this.#results(this.#module.scanLines(this.#copy(block), limit));
  }

  /** Start and end of each group of the rule's pattern in the key that find() was asked for last; -1: unset. */
  captures(rule: number): Int32Array | null {
    const at = this.#module.captures(rule);
    return at === 0 ? null : new Int32Array(this.#module.memory.buffer, at);
  }

  /** Matches that were given up in the last find(). */
  limits(): readonly Limit[] {
    const count = this.#module.limitCount();
    if (count === 0) return [];
    return Array.from({ length: count / 2 }, (_, index) => ({
      rule: this.#module.limitRule(2 * index),
      outcome: this.#module.limitOutcome(2 * index),
    }));
  }

  /** How many bytes the states of automata may take before they are forgotten and made again; 256 KiB at least. */
  limitStates(bytes: number): void {
    this.#module.limitStates(bytes);
  }

  /** Bytes of memory in use. */
  memory(): number {
    return this.#module.memoryUsed();
  }

  #results(count: number): readonly number[] {
    if (count === 0) return [];
    return [...new Int32Array(this.#module.memory.buffer, this.#module.resultsAt(), 3 * count)];
  }

  #copy(block: Uint8Array): number {
    this.#reserve(block.length);
    this.#bytes.set(block, this.#input);
    return block.length;
  }

  #write(text: string): number {
    const { length } = text;
    this.#reserve(length);
    const bytes = this.#bytes;
    for (let index = 0, at = this.#input; index < length; index++, at++) bytes[at] = text.charCodeAt(index);
    return length;
  }

  #reserve(length: number): void {
    if (length > this.#room || this.#bytes.buffer !== this.#module.memory.buffer) {
      this.#room = Math.max(length, 4096);
      this.#input = this.#module.input(this.#room);
      this.#bytes = new Uint8Array(this.#module.memory.buffer);
    }
  }
}
