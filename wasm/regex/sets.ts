/**
 * Sets of bytes, each kept once: equal sets have equal numbers. A set is built in `work`, then interned.
 */

import { Ints, ints } from "./memory";

/** The set under construction: 256 bits. */
export const work: usize = memory.data(32);

const words: Ints = ints(10); // eight words a set
let slots: Ints = ints(8); // hash -> set + 1
const counts: Ints = ints();
slots.resize(64, 0);

@inline
export function workAdd(byte: i32): void {
  const word = work + <usize>((byte >> 5) << 2);
  store<u32>(word, load<u32>(word) | (1 << (byte & 31)));
}

@inline
export function workHas(byte: i32): bool {
  return ((load<u32>(work + <usize>((byte >> 5) << 2)) >> (byte & 31)) & 1) !== 0;
}

export function workClear(): void {
  memory.fill(work, 0, 32);
}

export function workRange(from: i32, to: i32): void {
  for (let byte = from; byte <= to; byte++) workAdd(byte);
}

export function workNegate(): void {
  for (let at: usize = 0; at < 32; at += 4) store<u32>(work + at, ~load<u32>(work + at));
}

export function workRemove(byte: i32): void {
  const word = work + <usize>((byte >> 5) << 2);
  store<u32>(word, load<u32>(word) & ~(1 << (byte & 31)));
}

/** Adds the other case of each ASCII letter. */
export function workFold(): void {
  for (let byte = 0x41; byte <= 0x5a; byte++) {
    if (workHas(byte)) workAdd(byte + 32);
    else if (workHas(byte + 32)) workAdd(byte);
  }
}

/** Adds or removes a set that was interned. */
export function workJoin(set: i32): void {
  for (let at = 0; at < 32; at += 4) {
    store<u32>(work + at, load<u32>(work + at) | load<u32>(words.at + (set << 5) + at));
  }
}

function sameAsWork(set: i32): bool {
  const at = words.at + (set << 5);
  for (let word = 0; word < 32; word += 8) {
    if (load<u64>(at + word) !== load<u64>(work + word)) return false;
  }
  return true;
}

function grow(): void {
  const size = slots.length << 1;
  slots.clear();
  slots.resize(size, 0);
  for (let set = 0; set < counts.length; set++) {
    let slot = hashOf(words.at + (set << 5)) & (size - 1);
    while (slots.get(slot) !== 0) slot = (slot + 1) & (size - 1);
    slots.set(slot, set + 1);
  }
}

function hashOf(at: i32): i32 {
  let hash: u32 = 0;
  for (let word = 0; word < 32; word += 4) hash = (hash ^ load<u32>(at + word)) * 0x9e3779b1 ^ (hash >>> 15);
  return hash ^ (hash >>> 13);
}

/** The number of the set in `work`. */
export function intern(): i32 {
  const mask = slots.length - 1;
  let slot = hashOf(<i32>work) & mask;
  while (slots.get(slot) !== 0) {
    const set = slots.get(slot) - 1;
    if (sameAsWork(set)) return set;
    slot = (slot + 1) & mask;
  }
  let count = 0;
  for (let word: usize = 0; word < 32; word += 4) {
    words.push(load<i32>(work + word));
    count += popcnt<i32>(load<i32>(work + word));
  }
  const set = counts.push(count);
  slots.set(slot, set + 1);
  if (counts.length << 1 > slots.length) grow();
  return set;
}

export function setOfByte(byte: i32, fold: bool): i32 {
  workClear();
  workAdd(byte);
  if (fold) workFold();
  return intern();
}

@inline
export function has(set: i32, byte: i32): bool {
  return ((load<u32>(words.at + (set << 5) + ((byte >> 5) << 2)) >> (byte & 31)) & 1) !== 0;
}

@inline
export function addressOf(set: i32): i32 {
  return words.at + (set << 5);
}

@inline
export function setCount(): i32 {
  return counts.length;
}

/** How many bytes are in the set. */
@inline
export function sizeOf(set: i32): i32 {
  return counts.get(set);
}

/** The one byte of the set, folded to lower case where the set holds both cases of one letter; else -1. */
export function literalOf(set: i32): i32 {
  const size = sizeOf(set);
  if (size > 2 || size === 0) return -1;
  const byte = firstOf(set);
  if (size === 1) return byte;
  return byte >= 0x41 && byte <= 0x5a && has(set, byte + 32) ? byte + 32 : -1;
}

export function firstOf(set: i32): i32 {
  for (let word = 0; word < 8; word++) {
    const bits = load<i32>(words.at + (set << 5) + (word << 2));
    if (bits !== 0) return (word << 5) + ctz<i32>(bits);
  }
  return -1;
}
