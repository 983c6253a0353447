/**
 * Bytes of many small items outside of the heap, where they cost neither objects nor garbage collection.
 *   a chunk: current (items are added) -> full, or adopted as it is -> dead for the most part (its owner moves what
 *   lives) -> gone
 * About a third of the bytes is dead at most. Never throws.
 */

const CHUNK = 128 * 1024;
/** Dead bytes that do not matter. */
const SPARE = 4 * CHUNK;

/** Who owns the items, each of which has a row. */
export interface ArenaOwner {
  /** The row's item moves from that chunk, if it is there, by add(). */
  move(row: number, chunk: number): void;
}

interface Chunk {
  readonly bytes: Uint8Array;
  used: number;
  live: number;
  /** Of all items that were ever put here. */
  readonly rows: number[];
}

export class Arena {
  readonly #owner: ArenaOwner;
  /** null: gone; its number is given again. */
  readonly #chunks: (Chunk | null)[] = [];
  readonly #free: number[] = [];
  #current = -1;
  /** The one adopted last: more of its items may be told. */
  #adopted = -1;
  #bytes = 0;
  #liveBytes = 0;
  /** Where the search for dead chunks goes on. */
  #hand = 0;
  /** Of the item that was added last. */
  chunk = 0;
  at = 0;

  constructor(owner: ArenaOwner) {
    this.#owner = owner;
  }

  /** What it takes of memory. */
  get bytes(): number {
    return this.#bytes;
  }

  bytesOf(chunk: number): Uint8Array {
    return this.#chunks[chunk]!.bytes;
  }

  /** Room for so many bytes: in bytesOf(chunk) from `at` on. */
  add(row: number, length: number): void {
    let chunk = this.#chunks[this.#current] ?? null;
    if (chunk === null || chunk.used + length > chunk.bytes.length) {
      const full = this.#current;
      this.#current = this.#newChunk(new Uint8Array(Math.max(CHUNK, length)), 0);
      if (chunk?.live === 0) this.#remove(full);
      chunk = this.#chunks[this.#current]!;
    }
    this.chunk = this.#current;
    this.at = chunk.used;
    chunk.used += length;
    this.take(row, this.chunk, length);
  }

  /** Takes bytes over in which items are already; its number. Each item is to be told by take(). */
  adopt(bytes: Uint8Array): number {
    const former = this.#adopted;
    this.#adopted = this.#newChunk(bytes, bytes.length);
    if (this.#chunks[former]?.live === 0) this.#remove(former);
    return this.#adopted;
  }

  take(row: number, number: number, length: number): void {
    const chunk = this.#chunks[number]!;
    chunk.rows.push(row);
    chunk.live += length;
    this.#liveBytes += length;
  }

  /** The item is no longer needed. */
  drop(number: number, length: number): void {
    const chunk = this.#chunks[number]!;
    chunk.live -= length;
    this.#liveBytes -= length;
    if (chunk.live === 0 && !this.#isOpen(number)) this.#remove(number);
    const dead = this.#bytes - this.#liveBytes;
    if (dead > SPARE && dead > this.#bytes / 3) this.#tidy();
  }

  clear(): void {
    this.#chunks.length = this.#free.length = 0;
    this.#current = this.#adopted = -1;
    this.#bytes = this.#liveBytes = this.#hand = 0;
  }

  #isOpen(number: number): boolean {
    return number === this.#current || number === this.#adopted;
  }

  #newChunk(bytes: Uint8Array, used: number): number {
    const number = this.#free.pop() ?? this.#chunks.length;
    this.#chunks[number] = { bytes, used, live: 0, rows: [] };
    this.#bytes += bytes.length;
    return number;
  }

  #remove(number: number): void {
    this.#bytes -= this.#chunks[number]!.bytes.length;
    this.#chunks[number] = null;
    this.#free.push(number);
  }

  /** Has what lives in the next chunk that is dead for a quarter moved: a bounded step. */
  #tidy(): void {
    for (let looked = 0; looked < this.#chunks.length; looked++) {
      const number = this.#hand = (this.#hand + 1) % this.#chunks.length;
      const chunk = this.#chunks[number]!;
      if (chunk === null || this.#isOpen(number) || (chunk.used - chunk.live) * 4 < chunk.used) continue;
      const { live } = chunk;
      for (const row of chunk.rows) this.#owner.move(row, number);
      this.#liveBytes -= live;
      return this.#remove(number);
    }
  }
}
