/**
 * Texts of commits that are not in the index yet: the last one of each key. Where only the first lines of a text are
 * changed they alone are kept, as long as the rest is in the index.
 */

import { lineOf, type LinesOperation, type Operation, textOfLines, withLines } from "../engine.ts";
import type { Part } from "../key-rows.ts";
import { lineEnd, type Slots } from "./slots.ts";

export class UnwrittenTexts {
  readonly #slots: Slots;
  readonly #texts = new Map<string, string>();
  readonly #lines = new Map<string, LinesOperation>();

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  text(key: string): string | null {
    const unwritten = this.#texts.get(key);
    if (unwritten !== undefined) return unwritten;
    const text = this.#slots.text(key);
    const lines = this.#lines.get(key);
    return text === null || lines === undefined ? text : withLines(text, lines);
  }

  /** Bytes are good until the next change. */
  firstLine(key: string): string | Part | null {
    const lines = this.#lines.get(key);
    if (lines !== undefined) return lineOf(textOfLines(lines.lines));
    const unwritten = this.#texts.get(key);
    if (unwritten !== undefined) return lineOf(unwritten);
    const part = this.#slots.textPart(key);
    return part === null ? null : { ...part, end: lineEnd(part.bytes, part.start, part.end) };
  }

  /**
   * The operations as they are to be written: lines of a text that is not in the index itself are the whole text, and
   * those that others follow which are on their way have these behind them.
   */
  add(operations: readonly Operation[]): readonly Operation[] {
    let whole = operations;
    for (const [at, operation] of operations.entries()) {
      const { key } = operation;
      if (operation.kind === "lines") {
        const text = this.#texts.get(key);
        if (text === undefined) {
          const lines = over(operation, this.#lines.get(key));
          if (lines !== operation) whole = whole.with(at, lines);
          this.#lines.set(key, lines);
          continue;
        }
        const value = withLines(text, operation);
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
      if (operation.kind === "lines") {
        if (this.#lines.get(key) === operation) this.#lines.delete(key);
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

/** A first line, and the lines of a former operation from which the second is. */
interface Joined extends LinesOperation {
  readonly former: LinesOperation;
}

/**
 * Lines in the place of others: what these had beyond them stays. It is taken from the operation that had it first: a
 * storage that takes nothing for hours must not make a chain of all that came meanwhile.
 */
function over(operation: LinesOperation, last: LinesOperation | undefined): LinesOperation {
  if (last === undefined || last.count <= operation.count) return operation;
  const former = "former" in last ? (last as Joined).former : last;
  const lines = (): string => withLines(textOfLines(former.lines), operation);
  const joined: Joined = { ...operation, count: former.count, lines, former };
  return joined;
}
