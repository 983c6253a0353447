/**
 * Pages of keys in order over a Map that is not ordered: the sorted list of a prefix is made at the first page and
 * used for the next ones until a key appears (`changed`). Keys that went away since are passed over by the caller.
 */

export class SortedKeys {
  #prefix: string | null = null;
  #keys: string[] = [];
  /** Where the last page ended. */
  #last = { key: "", index: 0 };

  /** A key was added. */
  changed(): void {
    this.#prefix = null;
  }

  /** The index in list() of the first key after `after`. */
  startOf(all: Iterable<string>, prefix: string, after: string | null): number {
    if (this.#prefix !== prefix) {
      this.#keys = [];
      for (const key of all) {
        if (key.startsWith(prefix)) this.#keys.push(key);
      }
      this.#keys.sort();
      this.#prefix = prefix;
      this.#last = { key: "", index: 0 };
    }
    if (after === null) return 0;
    if (this.#last.key === after) return this.#last.index;
    let low = 0;
    let high = this.#keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#keys[middle]! <= after) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  list(): readonly string[] {
    return this.#keys;
  }

  pageEndedAt(key: string, index: number): void {
    this.#last = { key, index };
  }
}
