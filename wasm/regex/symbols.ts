/**
 * What an automaton sees in place of bytes: classes of bytes that no set tells apart, a newline that ends the key, and
 * the end; and the assertions on the place between two of them.
 */

import { Assert } from "./ast";
import { isWord } from "./bytes";
import { alloc } from "./memory";
import * as sets from "./sets";

/** Kinds of the byte before a place. */
export const enum Before {
  Start,
  Other,
  Word,
  Newline,
}

/** byte -> 4 * class, as u16 */
export const classOf: usize = memory.data(512);
/** class -> one byte of it */
const sample: usize = memory.data(256);
let classes: i32 = 0;
export let finalNewline: i32 = 0; // symbol of a newline that ends the key
export let endSymbol: i32 = 0;
export let symbols: i32 = 0;
/** Two bytes are of one class when no set tells them apart. */
export function makeSymbols(): void {
  const current: i32 = alloc(512); // byte -> class, u16
  const remap: i32 = alloc(1024); // class -> new class, or -1
  let count = 1;
  count = refine(current, remap, count, wordSet());
  count = refine(current, remap, count, sets.setOfByte(0x0a, false));
  for (let set = 0; set < sets.setCount() && count < 256; set++) count = refine(current, remap, count, set);
  classes = count;
  finalNewline = classes;
  endSymbol = classes + 1;
  symbols = classes + 2;
  for (let byte = 255; byte >= 0; byte--) {
    const one = <i32>load<u16>(current + (byte << 1));
    store<u16>(classOf + (<usize>byte << 1), <u16>(one << 2));
    store<u8>(sample + <usize>one, <u8>byte);
  }
}

function wordSet(): i32 {
  sets.workClear();
  sets.workRange(0x30, 0x39);
  sets.workRange(0x41, 0x5a);
  sets.workRange(0x61, 0x7a);
  sets.workAdd(0x5f);
  return sets.intern();
}

function refine(current: i32, remap: i32, count: i32, set: i32): i32 {
  const size = sets.sizeOf(set);
  if (size === 0 || size === 256) return count;
  memory.fill(remap, 0xff, count << 2);
  // A class that has bytes inside and outside the set keeps its number for those outside.
  const outside: i32 = remap + 0;
  for (let byte = 0; byte < 256; byte++) {
    if (sets.has(set, byte)) continue;
    store<i32>(outside + (<i32>load<u16>(current + (byte << 1)) << 2), -2);
  }
  let more = count;
  for (let byte = 0; byte < 256; byte++) {
    if (!sets.has(set, byte)) continue;
    const at = current + (byte << 1);
    const old = <i32>load<u16>(at);
    const to = load<i32>(remap + (old << 2));
    if (to === -1) continue; // wholly inside
    if (to === -2) {
      store<i32>(remap + (old << 2), more);
      store<u16>(at, <u16>more);
      more++;
    } else store<u16>(at, <u16>to);
  }
  return more;
}

export function kindOfByte(byte: i32): Before {
  return byte === 0x0a ? Before.Newline : isWord(byte) ? Before.Word : Before.Other;
}

@inline
export function byteOf(symbol: i32): i32 {
  return symbol >= classes ? symbol === finalNewline ? 0x0a : -1 : <i32>load<u8>(sample + <usize>symbol);
}

/** Whether the assertion may hold given what stands before; `decided` tells if that is all there is to it. */
export function holdsBefore(assert: Assert, before: Before): bool {
  switch (assert) {
    case Assert.Start: return before === Before.Start;
    case Assert.LineStart: case Assert.PosixLineStart: return before === Before.Start || before === Before.Newline;
    case Assert.WordStart: return before !== Before.Word;
    case Assert.WordEnd: return before === Before.Word;
    default: return true;
  }
}

@inline
export function isDecidedBefore(assert: Assert): bool {
  return assert === Assert.Start || assert === Assert.PosixLineStart;
}

export function holds(assert: Assert, before: Before, symbol: i32): bool {
  if (!holdsBefore(assert, before)) return false;
  const word = symbol < classes && isWord(byteOf(symbol));
  switch (assert) {
    case Assert.End: return symbol === endSymbol;
    case Assert.EndOrNewline: return symbol === endSymbol || symbol === finalNewline;
    case Assert.LineStart: return before === Before.Start || symbol !== endSymbol;
    case Assert.LineEnd: return symbol === endSymbol || byteOf(symbol) === 0x0a;
    case Assert.WordEdge: return word !== (before === Before.Word);
    case Assert.NotWordEdge: return word === (before === Before.Word);
    case Assert.WordStart: return word;
    case Assert.WordEnd: return !word;
    default: return true;
  }
}

