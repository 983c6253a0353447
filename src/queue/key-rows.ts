/**
 * A map from keys to values, both Latin-1 text, for millions of them: what a Map of strings holds as objects is here
 * bytes in an arena and numbers in typed arrays, found by a table of hashes (open addressing, linear probing). Each key
 * has a row, a small number that it keeps until it is deleted; owners keep more about it under that number.
 * Strings are made when they are asked for. Never throws.
 */

import { latin1Decode, latin1EncodeInto } from "../latin1.ts";
import { Arena, type ArenaOwner } from "./arena.ts";
import { NumberRows } from "./number-rows.ts";

/** Bytes [start, end) of a buffer that holds more. */
export interface Part {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

export function startsWith({ bytes, start, end }: Part, prefix: string): boolean {
  if (end - start < prefix.length) return false;
  for (let at = 0; at < prefix.length; at++) if (bytes[start + at] !== prefix.charCodeAt(at)) return false;
  return true;
}

const HASH = 0;
const CHUNK = 1;
const KEY_AT = 2;
/** And one; 0: the row is free. */
const KEY_LENGTH = 3;
/** The value stands behind the key. */
const VALUE_LENGTH = 4;
const COLUMNS = 5;
const SMALLEST_TABLE = 1024;
const KEY_ROOM = 256;

/** FNV-1a, with its high bits mixed into the low ones. */
function hashOf(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0x811c9dc5;
  for (let at = start; at < end; at++) hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  return Math.imul(hash ^ hash >>> 15, 0x2c1b3c6d) >>> 0;
}

export class KeyRows implements ArenaOwner {
  readonly #arena = new Arena(this);
  readonly #numbers = new NumberRows(COLUMNS);
  /** Row + 1; 0: empty. Its size is a power of two. */
  #table = new Uint32Array(SMALLEST_TABLE);
  #limit = 0;
  readonly #free: number[] = [];
  #size = 0;
  readonly #encoded = new Uint8Array(KEY_ROOM);
  /** What was sought last, and its row. */
  #key: Uint8Array = this.#encoded;
  #keyStart = 0;
  #keyLength = 0;
  #hash = 0;
  #found = -1;
  /** Its text: who asks again, with nothing changed since, gets the same row. */
  #asked: string | null = null;
  #adopted: Uint8Array | null = null;
  #adoptedChunk = 0;

  get size(): number {
    return this.#size;
  }

  /** Rows are numbered below this; some of them are free. */
  get limit(): number {
    return this.#limit;
  }

  /** What it takes of memory. */
  get bytes(): number {
    return this.#arena.bytes + this.#numbers.bytes + this.#table.length * 4;
  }

  /** So many more keys are to come. */
  expect(count: number): void {
    let length = this.#table.length;
    while (length < (this.#size + count) * 2) length *= 2;
    if (length > this.#table.length) this.#resize(length);
  }

  /** The key's row; -1: there is none. */
  find(key: string): number {
    if (key === this.#asked) return this.#found;
    const { length } = key;
    const bytes = length > KEY_ROOM ? new Uint8Array(length) : this.#encoded;
    for (let at = 0; at < length; at++) bytes[at] = key.charCodeAt(at);
    this.#asked = key;
    return this.#seek(bytes, 0, length);
  }

  findPart({ bytes, start, end }: Part): number {
    this.#asked = null;
    return this.#seek(bytes, start, end);
  }

  isFree(row: number): boolean {
    return this.#numbers.get(row, KEY_LENGTH) === 0;
  }

  key(row: number): string {
    const { bytes, start, end } = this.keyPart(row);
    return latin1Decode(bytes, start, end);
  }

  value(row: number): string {
    const { bytes, start, end } = this.valuePart(row);
    return latin1Decode(bytes, start, end);
  }

  /** Good until the next change. */
  keyPart(row: number): Part {
    const numbers = this.#numbers;
    const start = numbers.get(row, KEY_AT);
    return { bytes: this.#bytesOf(row), start, end: start + this.keyLength(row) };
  }

  valuePart(row: number): Part {
    const start = this.#valueAt(row);
    return { bytes: this.#bytesOf(row), start, end: start + this.valueLength(row) };
  }

  keyLength(row: number): number {
    return this.#numbers.get(row, KEY_LENGTH) - 1;
  }

  valueLength(row: number): number {
    return this.#numbers.get(row, VALUE_LENGTH);
  }

  /** Writes key and value there, next to each other. */
  bytesInto(row: number, into: Uint8Array, at: number): void {
    const numbers = this.#numbers;
    const start = numbers.get(row, KEY_AT);
    into.set(this.#bytesOf(row).subarray(start, start + this.#lengthOf(row)), at);
  }

  /** Gives the value to the key that was sought last, with nothing changed since; its row. */
  put(value: string): number {
    const row = this.#put(value.length);
    latin1EncodeInto(value, this.#bytesOf(row), this.#valueAt(row));
    return row;
  }

  /** Gives the key that was sought last, with nothing changed since, its value with another text before `from`. */
  putBefore(text: string, from: number): number {
    const former = this.valuePart(this.#found);
    const row = this.#put(text.length + former.end - former.start - from);
    const bytes = this.#bytesOf(row);
    const at = this.#valueAt(row);
    latin1EncodeInto(text, bytes, at);
    const rest = former.bytes.subarray(former.start + from, former.end);
    if (bytes !== former.bytes || at + text.length !== former.start + from) bytes.set(rest, at + text.length);
    return row;
  }

  putPart(value: Part): number {
    const { bytes, start, end } = value;
    const together = bytes === this.#adopted && this.#key === bytes && start === this.#keyStart + this.#keyLength;
    if (together) return this.#putAdopted(value);
    const row = this.#put(end - start);
    if (end > start) this.#bytesOf(row).set(bytes.subarray(start, end), this.#valueAt(row));
    return row;
  }

  /**
   * From now on keys and values that are put and stand in these bytes next to each other stay there. Nobody changes
   * them any more.
   */
  adopt(bytes: Uint8Array): void {
    this.#adopted = bytes;
    this.#adoptedChunk = this.#arena.adopt(bytes);
  }

  delete(row: number): void {
    const numbers = this.#numbers;
    this.#asked = null;
    this.#unlink(row);
    const length = this.#lengthOf(row);
    numbers.set(row, KEY_LENGTH, 0);
    this.#size--;
    if (this.#size === 0) return this.clear();
    this.#free.push(row);
    this.#arena.drop(numbers.get(row, CHUNK), length);
  }

  /** What a long queue took is given back. */
  clear(): void {
    this.#asked = null;
    this.#arena.clear();
    this.#adopted = null;
    this.#numbers.clear();
    this.#table = new Uint32Array(SMALLEST_TABLE);
    this.#limit = this.#size = this.#free.length = 0;
  }

  move(row: number, chunk: number): void {
    const numbers = this.#numbers;
    if (this.isFree(row) || numbers.get(row, CHUNK) !== chunk) return;
    const from = this.#bytesOf(row);
    const start = numbers.get(row, KEY_AT);
    this.#settle(row, this.keyLength(row), this.valueLength(row));
    this.#bytesOf(row).set(from.subarray(start, start + this.#lengthOf(row)), numbers.get(row, KEY_AT));
  }

  #valueAt(row: number): number {
    return this.#numbers.get(row, KEY_AT) + this.keyLength(row);
  }

  #bytesOf(row: number): Uint8Array {
    return this.#arena.bytesOf(this.#numbers.get(row, CHUNK));
  }

  #lengthOf(row: number): number {
    return this.keyLength(row) + this.valueLength(row);
  }

  #seek(bytes: Uint8Array, start: number, end: number): number {
    const hash = hashOf(bytes, start, end);
    this.#key = bytes;
    this.#keyStart = start;
    this.#keyLength = end - start;
    this.#hash = hash;
    const mask = this.#table.length - 1;
    for (let place = hash & mask;; place = place + 1 & mask) {
      const row = this.#table[place]! - 1;
      if (row < 0 || this.#numbers.get(row, HASH) === hash && this.#isKey(row, bytes, start, end)) {
        this.#found = row;
        return row;
      }
    }
  }

  #isKey(row: number, bytes: Uint8Array, start: number, end: number): boolean {
    const numbers = this.#numbers;
    if (this.keyLength(row) !== end - start) return false;
    const own = this.#bytesOf(row);
    const at = numbers.get(row, KEY_AT);
    for (let index = 0; index < end - start; index++) {
      if (own[at + index] !== bytes[start + index]) return false;
    }
    return true;
  }

  /** The row of the key that was sought, with room for the value; the key is written. */
  #put(valueLength: number): number {
    const numbers = this.#numbers;
    const length = this.#keyLength;
    const fits = this.#found >= 0 && numbers.get(this.#found, VALUE_LENGTH) === valueLength;
    if (fits) return this.#found;
    const row = this.#emptyRow();
    this.#settle(row, length, valueLength);
    const to = this.#bytesOf(row);
    const at = numbers.get(row, KEY_AT);
    for (let index = 0; index < length; index++) to[at + index] = this.#key[this.#keyStart + index]!;
    return row;
  }

  #putAdopted({ start, end }: Part): number {
    const numbers = this.#numbers;
    const row = this.#emptyRow();
    numbers.set(row, CHUNK, this.#adoptedChunk);
    numbers.set(row, KEY_AT, this.#keyStart);
    numbers.set(row, KEY_LENGTH, this.#keyLength + 1);
    numbers.set(row, VALUE_LENGTH, end - start);
    this.#arena.take(row, this.#adoptedChunk, this.#keyLength + end - start);
    return row;
  }

  /** The row of the key that was sought, or a new one; what it had of the arena is given back. */
  #emptyRow(): number {
    const numbers = this.#numbers;
    const found = this.#found;
    this.#asked = null;
    if (found >= 0) {
      const length = this.#lengthOf(found);
      numbers.set(found, KEY_LENGTH, 0);
      this.#arena.drop(numbers.get(found, CHUNK), length);
      return found;
    }
    if ((this.#size + 1) * 2 > this.#table.length) this.#resize(this.#table.length * 2);
    const row = this.#free.pop() ?? this.#limit++;
    numbers.makeRoom(row);
    numbers.set(row, HASH, this.#hash);
    this.#size++;
    this.#link(row);
    return row;
  }

  /** Room in the arena, key and value next to each other. */
  #settle(row: number, keyLength: number, valueLength: number): void {
    const numbers = this.#numbers;
    this.#arena.add(row, keyLength + valueLength);
    numbers.set(row, CHUNK, this.#arena.chunk);
    numbers.set(row, KEY_AT, this.#arena.at);
    numbers.set(row, KEY_LENGTH, keyLength + 1);
    numbers.set(row, VALUE_LENGTH, valueLength);
  }

  #link(row: number): void {
    const mask = this.#table.length - 1;
    let place = this.#numbers.get(row, HASH) & mask;
    while (this.#table[place] !== 0) place = place + 1 & mask;
    this.#table[place] = row + 1;
  }

  /** Those behind it that its place kept from theirs move up. */
  #unlink(row: number): void {
    const table = this.#table;
    const mask = table.length - 1;
    let hole = this.#numbers.get(row, HASH) & mask;
    while (table[hole] !== row + 1) hole = hole + 1 & mask;
    for (let place = hole + 1 & mask; table[place] !== 0; place = place + 1 & mask) {
      const home = this.#numbers.get(table[place]! - 1, HASH) & mask;
      if ((place - home & mask) < (place - hole & mask)) continue;
      table[hole] = table[place]!;
      hole = place;
    }
    table[hole] = 0;
  }

  #resize(length: number): void {
    this.#table = new Uint32Array(length);
    if (this.#size === 0) return;
    for (let row = 0; row < this.#limit; row++) if (!this.isFree(row)) this.#link(row);
  }
}
