/**
 * Deferred messages by due time: a binary heap whose items know their place, so that any of them can leave in
 * O(log n). Items that are due at the same time come in no particular order.
 */

import type { Millis } from "../runtime.ts";

export interface DueItem {
  due: Millis;
  /** Place in the heap; -1: not in it. Only DueHeap changes it. */
  heapIndex: number;
}

export class DueHeap<T extends DueItem> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  first(): T | null {
    return this.#items[0] ?? null;
  }

  has(item: T): boolean {
    return item.heapIndex >= 0;
  }

  add(item: T): void {
    item.heapIndex = this.#items.length;
    this.#items.push(item);
    this.#up(item);
  }

  remove(item: T): void {
    const index = item.heapIndex;
    if (index < 0) return;
    item.heapIndex = -1;
    const last = this.#items.pop()!;
    if (last === item) return;
    this.#items[index] = last;
    last.heapIndex = index;
    this.#up(last);
    this.#down(last);
  }

  /** Up to `limit` items that are due, earliest first; they stay. */
  due(now: Millis, limit: number): T[] {
    const found: T[] = [];
    for (let item = this.first(); item !== null && item.due <= now && found.length < limit; item = this.first()) {
      this.remove(item);
      found.push(item);
    }
    for (const item of found) this.add(item);
    return found;
  }

  /** All of them, earliest first. */
  sorted(): T[] {
    return this.#items.toSorted((a, b) => a.due - b.due);
  }

  #up(item: T): void {
    const items = this.#items;
    let index = item.heapIndex;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = items[parent]!;
      if (above.due <= item.due) break;
      items[index] = above;
      above.heapIndex = index;
      index = parent;
    }
    items[index] = item;
    item.heapIndex = index;
  }

  #down(item: T): void {
    const items = this.#items;
    let index = item.heapIndex;
    for (;;) {
      let child = index * 2 + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && items[child + 1]!.due < items[child]!.due) child++;
      const below = items[child]!;
      if (below.due >= item.due) break;
      items[index] = below;
      below.heapIndex = index;
      index = child;
    }
    items[index] = item;
    item.heapIndex = index;
  }
}
