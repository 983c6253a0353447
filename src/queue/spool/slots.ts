/**
 * The spool's index: where the living value of each key is. Text values are in it, bulk values are read from their
 * segment, large ones from their file. It also counts what lives in each segment. Kept as numbers and bytes
 * (key-rows.ts); a Slot is made when somebody asks for it.
 */

import { assert } from "../../errors.ts";
import { latin1Decode } from "../../latin1.ts";
import type { TextVisitor } from "../engine.ts";
import type { FramedLines, FramedOperation } from "./framing.ts";
import { KeyRows, type Part } from "../key-rows.ts";
import { NumberRows } from "../number-rows.ts";
import { SortedKeys } from "../sorted-keys.ts";
import { type Segment, SEGMENT_LIMIT } from "./segment.ts";

export type SlotKind = "text" | "bulk" | "file";

/** Where a value is. */
export interface SlotPlace {
  readonly segment: Segment;
  /** Where its record starts in the segment, below 2^32. */
  readonly offset: number;
  /** Bulk: where the value starts in the record, below 2^32. */
  readonly start: number;
  readonly length: number;
}

/** A value as it was when it was asked for. */
export interface Slot extends SlotPlace {
  readonly kind: SlotKind;
  /** Name in large/. */
  readonly file: string | null;
  /** Bytes of its segment that it takes. */
  readonly bytes: number;
}

/** Rows as they leave the index and come back: ROW_NUMBERS numbers each, and their keys and texts in a row. */
export interface RowImage {
  readonly rows: number;
  readonly numbers: Uint32Array;
  readonly text: Uint8Array;
}

/** Of a row: key length, text length, kind, segment number (low, high), offset, start, length (low, high). */
export const ROW_NUMBERS = 9;

const NOTHING: Part = { bytes: new Uint8Array(0), start: 0, end: 0 };

const KINDS: readonly SlotKind[] = ["text", "bulk", "file"];
const TEXT = KINDS.indexOf("text");
const FILE = KINDS.indexOf("file");

/** Columns. */
const KIND = 0;
const SEGMENT = 1;
const OFFSET = 2;
const START = 3;
const LENGTH_LOW = 4;
const LENGTH_HIGH = 5;
const COLUMNS = 6;
const LINE_END = 10;
const TWO_32 = 2 ** 32;

function takenBytes(kind: number, length: number): number {
  return kind === FILE ? 64 : length + 32;
}

/** Behind the first line of bytes [start, end). */
export function lineEnd(bytes: Uint8Array, start: number, end: number): number {
  const found = bytes.indexOf(LINE_END, start);
  return found < 0 || found >= end ? end : found + 1;
}

export class Slots {
  readonly sorted = new SortedKeys();
  readonly #keys = new KeyRows();
  readonly #numbers = new NumberRows(COLUMNS);
  /** Segments by the number that rows have for them. */
  readonly #segments: (Segment | null)[] = [];
  /** Large files that nothing names any more. */
  #dropped: string[] = [];

  get size(): number {
    return this.#keys.size;
  }

  /** What it takes of memory. */
  get bytes(): number {
    return this.#keys.bytes + this.#numbers.bytes;
  }

  get(key: string): Slot | null {
    const row = this.#keys.find(key);
    return row < 0 ? null : this.slotAt(row);
  }

  /** The key's text as bytes, good until the next change; null: it has none. */
  textPart(key: string): Part | null {
    const row = this.#keys.find(key);
    return row >= 0 && this.#isText(row) ? this.#keys.valuePart(row) : null;
  }

  /** The key's value, if it is text. */
  text(key: string): string | null {
    const row = this.#keys.find(key);
    return row < 0 ? null : this.textAt(row);
  }

  /** The key's value is still the one that the slot tells of. */
  holds(key: string, { segment, offset, start }: SlotPlace): boolean {
    const row = this.#keys.find(key);
    if (row < 0) return false;
    const numbers = this.#numbers;
    return numbers.get(row, OFFSET) === offset && numbers.get(row, START) === start &&
      this.#segmentOf(row) === segment;
  }

  /**
   * Rows are numbered below this; some of them are free. A key keeps its row, so that who goes through the rows meets
   * all that lives and does not change meanwhile.
   */
  get rows(): number {
    return this.#keys.limit;
  }

  /** null: the row is free. */
  keyAt(row: number): string | null {
    return this.#keys.isFree(row) ? null : this.#keys.key(row);
  }

  slotAt(row: number): Slot | null {
    if (this.#keys.isFree(row)) return null;
    const numbers = this.#numbers;
    const kind = numbers.get(row, KIND);
    const length = this.#lengthOf(row);
    return {
      kind: KINDS[kind]!,
      segment: this.#segmentOf(row),
      offset: numbers.get(row, OFFSET),
      start: numbers.get(row, START),
      length,
      file: kind === FILE ? this.#keys.value(row) : null,
      bytes: takenBytes(kind, length),
    };
  }

  textAt(row: number): string | null {
    return this.#isText(row) ? this.#keys.value(row) : null;
  }

  *keys(): Iterable<string> {
    for (let row = 0; row < this.rows; row++) {
      if (!this.#keys.isFree(row)) yield this.#keys.key(row);
    }
  }

  /** -1: there is none. */
  rowOf(key: string): number {
    return this.#keys.find(key);
  }

  /** The values that are text, as bytes that are good until `visit` returns; in no order. */
  eachText(visit: TextVisitor): void {
    for (let row = 0; row < this.rows; row++) {
      if (this.#isText(row)) visit(this.#keys.keyPart(row), this.#keys.valuePart(row), row);
    }
  }

  /** `text`: of a text value; of a file its name. */
  put(key: string, kind: SlotKind, place: SlotPlace, text = ""): void {
    this.#leave(this.#keys.find(key), kind === "file" ? text : null);
    this.#enter(this.#keys.put(text), KINDS.indexOf(kind), place);
  }

  putPart(key: Part, kind: SlotKind, place: SlotPlace, text: Part = NOTHING): void {
    const row = this.#keys.findPart(key);
    const file = kind === "file" && row >= 0 ? latin1Decode(text.bytes, text.start, text.end) : null;
    this.#leave(row, file);
    this.#enter(this.#keys.putPart(text), KINDS.indexOf(kind), place);
  }

  /** Writes the row's numbers there; the bytes of key and text. 0: the row is free. */
  rowInto(row: number, into: Uint32Array, at: number): number {
    if (this.#keys.isFree(row)) return 0;
    const numbers = this.#numbers;
    const { number } = this.#segmentOf(row);
    const key = this.#keys.keyLength(row);
    const text = this.#keys.valueLength(row);
    into[at] = key;
    into[at + 1] = text;
    into[at + 2] = numbers.get(row, KIND);
    into[at + 3] = number % TWO_32;
    into[at + 4] = Math.floor(number / TWO_32);
    for (let column = OFFSET; column < COLUMNS; column++) into[at + 3 + column] = numbers.get(row, column);
    return key + text;
  }

  /** Writes the row's key and text there. */
  rowBytesInto(row: number, into: Uint8Array, at: number): void {
    this.#keys.bytesInto(row, into, at);
  }

  /** Takes rows over, whose bytes stay where they are. False: they cannot be understood. */
  adopt({ rows, numbers, text }: RowImage, segmentNumbered: (number: number) => Segment): boolean {
    const key = { bytes: text, start: 0, end: 0 };
    const value = { bytes: text, start: 0, end: 0 };
    let segment: Segment | null = null;
    const place = { segment: null as unknown as Segment, offset: 0, start: 0, length: 0 };
    this.#keys.adopt(text);
    for (let at = 0; at < rows * ROW_NUMBERS; at += ROW_NUMBERS) {
      key.start = value.end;
      key.end = value.start = key.start + numbers[at]!;
      value.end = value.start + numbers[at + 1]!;
      const kind = KINDS[numbers[at + 2]!];
      const number = numbers[at + 3]! + numbers[at + 4]! * TWO_32;
      if (value.end > text.length || kind === undefined || number >= SEGMENT_LIMIT) return false;
      if (segment?.number !== number) place.segment = segment = segmentNumbered(number);
      place.offset = numbers[at + 5]!;
      place.start = numbers[at + 6]!;
      place.length = numbers[at + 7]! + numbers[at + 8]! * TWO_32;
      this.putPart(key, kind, place, value);
    }
    return value.end === text.length;
  }

  expect(count: number): void {
    this.#keys.expect(count);
  }

  delete(key: string): void {
    this.#delete(this.#keys.find(key));
  }

  deletePart(key: Part): void {
    this.#delete(this.#keys.findPart(key));
  }

  clear(): void {
    for (const segment of this.#segments) if (segment !== null) segment.live = segment.liveBytes = 0;
    this.#keys.clear();
    this.sorted.changed();
    this.#dropped = [];
  }

  /** Takes over what a record did that starts at `offset` and whose bulk values start at `bulk` in it. */
  apply(operations: readonly FramedOperation[], segment: Segment, offset: number, bulk: number): void {
    for (const operation of operations) {
      const { key } = operation;
      if (operation.kind === "delete") {
        this.delete(key);
        continue;
      }
      if (operation.kind === "lines") {
        this.#putLines(key, operation, segment, offset);
        continue;
      }
      const value = operation.value;
      if (typeof value === "string") {
        this.put(key, "text", { segment, offset, start: 0, length: value.length }, value);
      } else if ("file" in value) {
        this.put(key, "file", { segment, offset, start: 0, length: value.size }, value.file);
      } else {
        let length = 0;
        for (const piece of value) length += piece.length;
        this.put(key, "bulk", { segment, offset, start: bulk, length });
        bulk += length;
      }
    }
  }

  /** The rest is as long as it was when the lines were framed, wherever it stands by now. */
  #putLines(key: string, { lines, rest }: FramedLines, segment: Segment, offset: number): void {
    const row = this.#keys.find(key);
    assert(row >= 0, "lines are changed of a text");
    const length = this.#keys.valueLength(row);
    this.#leave(row, null);
    this.#keys.putBefore(lines, length - (rest.end - rest.start));
    this.#enter(row, TEXT, { segment, offset, start: 0, length: this.#keys.valueLength(row) });
  }

  takeDropped(): readonly string[] {
    if (this.#dropped.length === 0) return this.#dropped;
    const dropped = this.#dropped;
    this.#dropped = [];
    return dropped;
  }

  /** The segment is gone. */
  forget(segment: Segment): void {
    const number = this.#segments.indexOf(segment);
    if (number >= 0) this.#segments[number] = null;
  }

  #isText(row: number): boolean {
    return !this.#keys.isFree(row) && this.#numbers.get(row, KIND) === TEXT;
  }

  #segmentOf(row: number): Segment {
    return this.#segments[this.#numbers.get(row, SEGMENT)] as Segment;
  }

  #lengthOf(row: number): number {
    return this.#numbers.get(row, LENGTH_LOW) + this.#numbers.get(row, LENGTH_HIGH) * TWO_32;
  }

  #enter(row: number, kind: number, { segment, offset, start, length }: SlotPlace): void {
    const numbers = this.#numbers;
    numbers.makeRoom(row);
    numbers.set(row, KIND, kind);
    numbers.set(row, SEGMENT, this.#numberOf(segment));
    numbers.set(row, OFFSET, offset);
    numbers.set(row, START, start);
    numbers.set(row, LENGTH_LOW, length % TWO_32);
    numbers.set(row, LENGTH_HIGH, Math.floor(length / TWO_32));
    segment.live++;
    segment.liveBytes += takenBytes(kind, length);
  }

  /** There are few, and the newest is asked for most. */
  #numberOf(segment: Segment): number {
    const known = this.#segments.lastIndexOf(segment);
    if (known >= 0) return known;
    const free = this.#segments.indexOf(null);
    if (free < 0) return this.#segments.push(segment) - 1;
    this.#segments[free] = segment;
    return free;
  }

  #delete(row: number): void {
    if (row < 0) return;
    this.#leave(row, null);
    this.#keys.delete(row);
  }

  /** The row's value is another now, or none; a large file stays that the new value names too. */
  #leave(row: number, sameFile: string | null): void {
    if (row < 0) return this.sorted.changed();
    const segment = this.#segmentOf(row);
    const kind = this.#numbers.get(row, KIND);
    segment.live--;
    segment.liveBytes -= takenBytes(kind, this.#lengthOf(row));
    if (kind !== FILE) return;
    const file = this.#keys.value(row);
    if (file !== sameFile) this.#dropped.push(file);
  }
}
