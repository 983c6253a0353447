/**
 * Texts of commits that are not in the index yet: the last one of each key. Where only the first line of a text is
 * changed that alone is kept, as long as the rest is in the index.
 */

import { lineOf, type Operation, withLine } from "../engine.ts";
import type { Part } from "../key-rows.ts";
import { lineEnd, type Slots } from "./slots.ts";

export class UnwrittenTexts {
  readonly #slots: Slots;
  readonly #texts = new Map<string, string>();
  readonly #lines = new Map<string, string>();

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  text(key: string): string | null {
    const unwritten = this.#texts.get(key);
    if (unwritten !== undefined) return unwritten;
    const text = this.#slots.text(key);
    const line = this.#lines.get(key);
    return text === null || line === undefined ? text : withLine(text, line);
  }

  /** Bytes are good until the next change. */
  firstLine(key: string): string | Part | null {
    const line = this.#lines.get(key);
    if (line !== undefined) return line;
    const unwritten = this.#texts.get(key);
    if (unwritten !== undefined) return lineOf(unwritten);
    const part = this.#slots.textPart(key);
    return part === null ? null : { ...part, end: lineEnd(part.bytes, part.start, part.end) };
  }

  /** The operations as they are to be written: a line of a text that is not in the index itself is the whole text. */
  add(operations: readonly Operation[]): readonly Operation[] {
    let whole = operations;
    for (const [at, operation] of operations.entries()) {
      const { key } = operation;
      if (operation.kind === "line") {
        const text = this.#texts.get(key);
        if (text === undefined) {
          this.#lines.set(key, operation.line);
          continue;
        }
        const value = withLine(text, operation.line);
        whole = whole.with(at, { kind: "put", key, value });
        this.#texts.set(key, value);
      } else if (operation.kind === "put" && typeof operation.value === "string") {
        this.#lines.delete(key);
        this.#texts.set(key, operation.value);
      }
    }
    return whole;
  }

  /** They are in the index. */
  settle(operations: readonly Operation[]): void {
    for (const operation of operations) {
      const { key } = operation;
      if (operation.kind === "line") {
        if (this.#lines.get(key) === operation.line) this.#lines.delete(key);
      } else if (operation.kind === "put" && this.#texts.get(key) === operation.value) {
        this.#texts.delete(key);
      }
    }
  }

  /** Others have not happened: these alone are left, in their order. */
  reset(left: readonly (readonly Operation[])[]): void {
    this.#texts.clear();
    this.#lines.clear();
    for (const operations of left) this.add(operations);
  }
}
