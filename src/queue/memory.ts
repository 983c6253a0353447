/**
 * The queue in memory, for tests and for embedders who can lose it: nothing survives the process.
 * It never fails, but on a closed engine.
 */

import { assert, ResourceError } from "../errors.ts";
import { latin1Encode } from "../latin1.ts";
import type { Item, LargeFile, Operation, QueueEngine, TextVisitor, Value } from "./engine.ts";
import { lineOf, sizeOf, withLines } from "./engine.ts";
import { KeyRows, type Part } from "./key-rows.ts";
import { SortedKeys } from "./sorted-keys.ts";

const DONE: Promise<void> = Promise.resolve();

export function joinRange(pieces: readonly Uint8Array[], offset: number, length: number): Uint8Array {
  let size = 0;
  for (const piece of pieces) size += piece.length;
  const joined = new Uint8Array(Math.max(0, Math.min(length, size - offset)));
  let at = -offset;
  for (const piece of pieces) {
    const from = Math.max(0, -at);
    const to = Math.min(piece.length, joined.length - at);
    if (from < to) joined.set(piece.subarray(from, to), at + from);
    at += piece.length;
  }
  return joined;
}

function partOf(text: string): Part {
  return { bytes: latin1Encode(text), start: 0, end: text.length };
}

export class MemoryEngine implements QueueEngine {
  readonly kind = "memory";
  readonly epoch: number;
  readonly #values = new Map<string, Exclude<Value, LargeFile>>();
  /** Of all keys. */
  readonly #rows = new KeyRows();
  readonly #sorted = new SortedKeys();
  /** What setAside() took. */
  readonly corrupt = new Map<string, Uint8Array>();
  #open = true;

  constructor(epoch: number) {
    this.epoch = epoch;
  }

  load(): Promise<void> {
    return DONE;
  }

  commit(operations: readonly Operation[]): Promise<void> {
    if (!this.#open) return Promise.reject(new ResourceError("EBADF", "the queue is closed"));
    for (const operation of operations) {
      if (operation.kind === "delete") {
        this.#values.delete(operation.key);
        const row = this.#rows.find(operation.key);
        if (row >= 0) this.#rows.delete(row);
      } else if (operation.kind === "lines") {
        const text = this.text(operation.key);
        assert(text !== null, "lines are changed of a text");
        this.#values.set(operation.key, withLines(text, operation));
      } else {
        const value = operation.value;
        assert(typeof value === "string" || !("file" in value), "the memory engine makes no large files");
        if (!this.#values.has(operation.key)) this.#sorted.changed();
        this.#values.set(operation.key, value);
        this.#rows.find(operation.key);
        this.#rows.put("");
      }
    }
    return DONE;
  }

  scan(prefix: string, after: string | null, limit: number): Promise<readonly Item[]> {
    const start = this.#sorted.startOf(this.#values.keys(), prefix, after);
    const keys = this.#sorted.list();
    const items: Item[] = [];
    let index = start;
    for (; index < keys.length && items.length < limit; index++) {
      const key = keys[index]!;
      const value = this.#values.get(key);
      if (value !== undefined) items.push({ key, size: sizeOf(value), text: typeof value === "string" ? value : null });
    }
    if (items.length > 0) this.#sorted.pageEndedAt(items.at(-1)!.key, index);
    return Promise.resolve(items);
  }

  text(key: string): string | null {
    const value = this.#values.get(key);
    return typeof value === "string" ? value : null;
  }

  firstLine(key: string): string | null {
    const text = this.text(key);
    return text === null ? null : lineOf(text);
  }

  eachText(visit: TextVisitor): void {
    for (const [key, value] of this.#values) {
      if (typeof value === "string") visit(partOf(key), partOf(value), this.rowOf(key));
    }
  }

  rowOf(key: string): number {
    return this.#rows.find(key);
  }

  keyAt(row: number): string | null {
    return row >= this.#rows.limit || this.#rows.isFree(row) ? null : this.#rows.key(row);
  }

  readRange(key: string, offset: number, length: number): Promise<Uint8Array> {
    const value = this.#values.get(key);
    if (value === undefined) return Promise.reject(new ResourceError("ENOENT", `${key} is not in the queue`, true));
    const pieces = typeof value === "string" ? [latin1Encode(value)] : value;
    return Promise.resolve(joinRange(pieces, offset, length));
  }

  sync(): Promise<void> {
    return DONE;
  }

  setAside(name: string, bytes: Uint8Array): Promise<void> {
    this.corrupt.set(name, bytes);
    return DONE;
  }

  close(): Promise<void> {
    this.#open = false;
    return DONE;
  }
}
