/**
 * Deferred messages by due time: a binary heap of their rows (small numbers) in which any of them can leave in
 * O(log n). Kept in typed arrays: a message that waits costs no object. Rows that are due at the same time come in no
 * particular order. Never throws.
 */

import type { Millis } from "../runtime.ts";

const FIRST_ROOM = 1024;
/** Due times within this of the first are sorted as one number with their row. */
const SORTED_RANGE: Millis = 2 ** 31;
const SORTED_ROWS = 2 ** 22;

export class DueRows {
  #size = 0;
  /** By row. */
  #due = new Float64Array(FIRST_ROOM);
  /** And one; 0: not in the heap. */
  #place = new Uint32Array(FIRST_ROOM);
  /** Rows. */
  #heap = new Uint32Array(FIRST_ROOM);

  get size(): number {
    return this.#size;
  }

  has(row: number): boolean {
    return row >= 0 && row < this.#place.length && this.#place[row] !== 0;
  }

  dueOf(row: number): Millis {
    return this.#due[row]!;
  }

  /** When the first one is due; null when there is none. */
  firstDue(): Millis | null {
    return this.#size === 0 ? null : this.#due[this.#heap[0]!]!;
  }

  /** Or another time for one that is here. */
  add(row: number, due: Millis): void {
    if (row >= this.#due.length) this.#grow(row + 1);
    this.#due[row] = due;
    if (this.#place[row] === 0) this.#set(this.#size++, row);
    this.#up(this.#placeOf(row));
    this.#down(this.#placeOf(row));
  }

  remove(row: number): boolean {
    if (!this.has(row)) return false;
    const place = this.#placeOf(row);
    const last = this.#heap[--this.#size]!;
    this.#place[row] = 0;
    if (last === row) return true;
    this.#set(place, last);
    this.#up(place);
    this.#down(this.#placeOf(last));
    return true;
  }

  /** Whoever is due later is due then: the order stays. */
  allBy(due: Millis): void {
    for (let place = 0; place < this.#size; place++) {
      const row = this.#heap[place]!;
      if (this.#due[row]! > due) this.#due[row] = due;
    }
  }

  /** Up to `limit` rows that are due, earliest first; they stay. */
  due(now: Millis, limit: number): number[] {
    const found: number[] = [];
    for (let due = this.firstDue(); due !== null && due <= now && found.length < limit; due = this.firstDue()) {
      const row = this.#heap[0]!;
      found.push(row);
      if (found.length === limit) break;
      this.remove(row);
    }
    for (const row of found) this.add(row, this.#due[row]!);
    return found;
  }

  /** All rows as they are now, earliest first. */
  sorted(): Uint32Array {
    const rows = this.#heap.slice(0, this.#size);
    const first = this.firstDue() ?? 0;
    const numbers = new Float64Array(rows.length);
    for (const [index, row] of rows.entries()) {
      const after = this.#due[row]! - first;
      if (after >= SORTED_RANGE || row >= SORTED_ROWS) return rows.sort((a, b) => this.#due[a]! - this.#due[b]!);
      numbers[index] = Math.floor(after) * SORTED_ROWS + row;
    }
    // Without a function to compare this is native, and short enough for a server that has other things to do.
    numbers.sort();
    for (const [index, number] of numbers.entries()) rows[index] = number % SORTED_ROWS;
    return rows;
  }

  #grow(least: number): void {
    const room = Math.max(least, this.#due.length * 2);
    const [due, place, heap] = [this.#due, this.#place, this.#heap];
    this.#due = new Float64Array(room);
    this.#place = new Uint32Array(room);
    this.#heap = new Uint32Array(room);
    this.#due.set(due);
    this.#place.set(place);
    this.#heap.set(heap);
  }

  #placeOf(row: number): number {
    return this.#place[row]! - 1;
  }

  #dueAt(place: number): Millis {
    return this.#due[this.#heap[place]!]!;
  }

  #set(place: number, row: number): void {
    this.#heap[place] = row;
    this.#place[row] = place + 1;
  }

  #up(place: number): void {
    const row = this.#heap[place]!;
    const due = this.#due[row]!;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (this.#dueAt(parent) <= due) break;
      this.#set(place, this.#heap[parent]!);
      place = parent;
    }
    this.#set(place, row);
  }

  #down(place: number): void {
    const row = this.#heap[place]!;
    const due = this.#due[row]!;
    for (;;) {
      let child = place * 2 + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#dueAt(child + 1) < this.#dueAt(child)) child++;
      if (this.#dueAt(child) >= due) break;
      this.#set(place, this.#heap[child]!);
      place = child;
    }
    this.#set(place, row);
  }
}
