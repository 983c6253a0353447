/**
 * Linear memory of one table: a bump allocator, blocks of powers of two with free lists, and growing vectors of i32.
 * Nothing here uses the AssemblyScript runtime's heap. Memory is freed by dropping the instance.
 * Failing: `overLimit` is true once a table's own structures pass LIMIT; callers answer with a code and add no more.
 */

const LIMIT: i32 = 512 << 20;

let top: i32 = (i32(__heap_base) + 15) & ~15;

// One free list for each power of two.
const freeLists: usize = memory.data(32 * 4);

export function used(): i32 {
  return top;
}

export function overLimit(): bool {
  return top > LIMIT;
}

/** Fresh bytes, zero. */
export function alloc(size: i32): i32 {
  const at = top;
  const end = at + ((size + 15) & ~15);
  const have = memory.size() << 16;
  if (end > have) {
    const pages = max((end - have + 0xffff) >>> 16, 8);
    if (memory.grow(pages) < 0) unreachable();
  }
  top = end;
  return at;
}

/** Bytes of a power of two; not zero when they were used before. */
export function takeBlock(log: i32): i32 {
  const list = freeLists + (<usize>log << 2);
  const free = load<i32>(list);
  if (free === 0) return alloc(1 << log);
  store<i32>(list, load<i32>(free));
  return free;
}

export function giveBlock(at: i32, log: i32): void {
  const list = freeLists + (<usize>log << 2);
  store<i32>(at, load<i32>(list));
  store<i32>(list, at);
}

/** A growing vector of i32. */
@unmanaged
export class Ints {
  at: i32;
  length: i32;
  log: i32;

  @inline
  get(index: i32): i32 {
    return load<i32>(this.at + (index << 2));
  }

  @inline
  set(index: i32, value: i32): void {
    store<i32>(this.at + (index << 2), value);
  }

  /** Room for that many more. */
  reserve(more: i32): void {
    const need = (this.length + more) << 2;
    if (need <= 1 << this.log) return;
    let log = this.log;
    while (1 << log < need) log++;
    const moved = takeBlock(log);
    memory.copy(moved, this.at, this.length << 2);
    giveBlock(this.at, this.log);
    this.at = moved;
    this.log = log;
  }

  @inline
  push(value: i32): i32 {
    if ((this.length + 1) << 2 > 1 << this.log) this.reserve(1);
    store<i32>(this.at + (this.length << 2), value);
    return this.length++;
  }

  @inline
  pop(): i32 {
    return load<i32>(this.at + (--this.length << 2));
  }

  @inline
  clear(): void {
    this.length = 0;
  }

  /** Makes it that long; what is new is `fill`. */
  resize(length: i32, fill: i32): void {
    if (length > this.length) {
      this.reserve(length - this.length);
      for (let index = this.length; index < length; index++) this.set(index, fill);
    }
    this.length = length;
  }
}

export function ints(log: i32 = 6): Ints {
  const made = changetype<Ints>(alloc(offsetof<Ints>()));
  made.log = log;
  made.at = takeBlock(log);
  made.length = 0;
  return made;
}
