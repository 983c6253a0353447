/**
 * The spool's index: where the living value of each key is. Text values are in it, bulk values are read from their
 * segment, large ones from their file. It also counts what lives in each segment.
 */

import { SortedKeys } from "../sorted-keys.ts";
import type { Operation } from "../engine.ts";
import type { Segment } from "./segment.ts";

export class Slot {
  readonly segment: Segment;
  /** Where its record starts in the segment. */
  readonly offset: number;
  /** Bulk: where the value starts in the record. */
  readonly start: number;
  readonly length: number;
  readonly text: string | null;
  /** Name in large/. */
  readonly file: string | null;

  constructor(
    segment: Segment,
    offset: number,
    start: number,
    length: number,
    text: string | null,
    file: string | null,
  ) {
    this.segment = segment;
    this.offset = offset;
    this.start = start;
    this.length = length;
    this.text = text;
    this.file = file;
  }

  /** Bytes of its segment that it takes. */
  get bytes(): number {
    return this.file === null ? this.length + 32 : 64;
  }
}

export class Slots {
  readonly map = new Map<string, Slot>();
  readonly sorted = new SortedKeys();
  /** Large files that nothing names any more. */
  #dropped: string[] = [];

  put(key: string, slot: Slot): void {
    const former = this.map.get(key);
    if (former === undefined) this.sorted.changed();
    else this.#leave(former, slot.file);
    slot.segment.live++;
    slot.segment.liveBytes += slot.bytes;
    this.map.set(key, slot);
  }

  delete(key: string): void {
    const slot = this.map.get(key);
    if (slot === undefined) return;
    this.map.delete(key);
    this.#leave(slot, null);
  }

  /** Takes over what a record did that starts at `offset` and whose bulk values start at `bulk` in it. */
  apply(operations: readonly Operation[], segment: Segment, offset: number, bulk: number): void {
    for (const operation of operations) {
      if (operation.kind === "delete") {
        this.delete(operation.key);
        continue;
      }
      const value = operation.value;
      if (typeof value === "string") {
        this.put(operation.key, new Slot(segment, offset, 0, value.length, value, null));
      } else if ("file" in value) {
        this.put(operation.key, new Slot(segment, offset, 0, value.size, null, value.file));
      } else {
        let length = 0;
        for (const piece of value) length += piece.length;
        this.put(operation.key, new Slot(segment, offset, bulk, length, null, null));
        bulk += length;
      }
    }
  }

  takeDropped(): readonly string[] {
    if (this.#dropped.length === 0) return this.#dropped;
    const dropped = this.#dropped;
    this.#dropped = [];
    return dropped;
  }

  #leave(slot: Slot, sameFile: string | null): void {
    slot.segment.live--;
    slot.segment.liveBytes -= slot.bytes;
    if (slot.file !== null && slot.file !== sameFile) this.#dropped.push(slot.file);
  }
}
