/** Memory for the states of automata: bounded, given out piece by piece, taken back all at once. */

import { alloc, giveBlock, Ints, ints, takeBlock } from "./memory";

/** Bytes that states may take in all. */
let stateLimit: i32 = 16 << 20;

const CHUNK_LOG = 18;
const chunks: Ints = ints();
let chunkIndex: i32 = -1;
let chunkTop: i32 = 0;
let chunkEnd: i32 = 0;

export function setStateLimit(bytes: i32): void {
  stateLimit = bytes;
}

/** Fresh bytes, or 0 when the limit is reached: everything has to be forgotten then. */
export function room(size: i32): i32 {
  size = (size + 7) & ~7;
  if (chunkTop + size > chunkEnd) {
    if (size > 1 << CHUNK_LOG) return bigRoom(size);
    chunkIndex++;
    if (chunkIndex === chunks.length) {
      if ((chunks.length + 1) << CHUNK_LOG > stateLimit) return 0;
      chunks.push(alloc(1 << CHUNK_LOG));
    }
    chunkTop = chunks.get(chunkIndex);
    chunkEnd = chunkTop + (1 << CHUNK_LOG);
  }
  const at = chunkTop;
  chunkTop += size;
  return at;
}

/** Blocks for what is larger than a chunk: address and log. */
const bigs: Ints = ints();
let bigBytes: i32 = 0;

function bigRoom(size: i32): i32 {
  let log = CHUNK_LOG;
  while (1 << log < size) log++;
  if (bigBytes > 0 && bigBytes + (1 << log) > stateLimit) return 0;
  const at = takeBlock(log);
  bigs.push(at);
  bigs.push(log);
  bigBytes += 1 << log;
  return at;
}

export function emptyRoom(): void {
  while (bigs.length > 0) {
    const log = bigs.pop();
    giveBlock(bigs.pop(), log);
  }
  bigBytes = 0;
  chunkIndex = -1;
  chunkTop = 0;
  chunkEnd = 0;
}
