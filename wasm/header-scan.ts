/**
 * Blocks of raw headers and of body lines, cut into keys for a table's rules: one call a block.
 * A header is a line and the lines after it that begin with a space or tab; its key has a newline between them and no
 * carriage return before it. A line ends at LF or CRLF. Keys end at a NUL, as Postfix's strings do.
 * Guarantee: each byte is looked at a bounded number of times before the rules see it.
 */

import { findAt, startBlock } from "./regex/lookup";
import { giveBlock, Ints, ints, takeBlock } from "./regex/memory";

/** offset, length, rule of each match */
export const results: Ints = ints(8);

let keyBuffer: i32 = takeBlock(12);
let keyLog: i32 = 12;

/** The place of the next LF at or behind `at`, or `end`. */
function lineEnd(at: i32, end: i32): i32 {
  const newline = i8x16.splat(0x0a);
  while (at + 16 <= end) {
    const mask = i8x16.bitmask(i8x16.eq(v128.load(at), newline));
    if (mask !== 0) return at + ctz<i32>(mask);
    at += 16;
  }
  while (at < end && load<u8>(at) !== 0x0a) at++;
  return at;
}

function nulOf(at: i32, length: i32): i32 {
  const end = at + length;
  const zero = i8x16.splat(0);
  let place = at;
  while (place + 16 <= end) {
    const mask = i8x16.bitmask(i8x16.eq(v128.load(place), zero));
    if (mask !== 0) return place + ctz<i32>(mask) - at;
    place += 16;
  }
  while (place < end && load<u8>(place) !== 0) place++;
  return place - at;
}

@inline
function isBlank(at: i32, end: i32): bool {
  return at < end && (load<u8>(at) === 0x20 || load<u8>(at) === 0x09);
}

function note(block: i32, at: i32, end: i32, rule: i32): void {
  if (rule < 0) return;
  results.push(at - block);
  results.push(end - at);
  results.push(rule);
}

/** Headers up to an empty line or the end; the number of matches. */
export function scanHeaderBlock(block: i32, length: i32): i32 {
  results.clear();
  startBlock();
  const end = block + length;
  let at = block;
  while (at < end) {
    let lf = lineEnd(at, end);
    let stop = lf > at && lf < end && load<u8>(lf - 1) === 0x0d ? lf - 1 : lf;
    if (stop === at) break; // an empty line
    if (!isBlank(lf + 1, end)) {
      note(block, at, stop, findAt(at, nulOf(at, stop - at)));
      at = lf + 1;
      continue;
    }
    const start = at;
    let size = add(0, at, stop);
    while (isBlank(lf + 1, end)) {
      const line = lf + 1;
      lf = lineEnd(line, end);
      stop = lf < end && load<u8>(lf - 1) === 0x0d ? lf - 1 : lf;
      store<u8>(keyBuffer + size, 0x0a);
      size = add(size + 1, line, stop);
    }
    note(block, start, stop, findAt(keyBuffer, nulOf(keyBuffer, size)));
    at = lf + 1;
  }
  return results.length / 3;
}

/** Adds a line to the key that has that size; the new size. There is room for a newline more. */
function add(size: i32, at: i32, end: i32): i32 {
  const count = end > at ? end - at : 0;
  if (size + count + 1 > 1 << keyLog) {
    let log = keyLog;
    while (size + count + 1 > 1 << log) log++;
    const moved = takeBlock(log);
    memory.copy(moved, keyBuffer, size);
    giveBlock(keyBuffer, keyLog);
    keyBuffer = moved;
    keyLog = log;
  }
  memory.copy(keyBuffer + size, at, count);
  return size + count;
}

/** Lines, or pieces of `limit` bytes of longer ones; the number of matches. */
export function scanLineBlock(block: i32, length: i32, limit: i32): i32 {
  results.clear();
  startBlock();
  const end = block + length;
  let at = block;
  while (at < end) {
    const lf = lineEnd(at, end);
    const stop = lf > at && lf < end && load<u8>(lf - 1) === 0x0d ? lf - 1 : lf;
    if (stop - at > limit) {
      note(block, at, at + limit, findAt(at, nulOf(at, limit)));
      at += limit;
      continue;
    }
    note(block, at, stop, findAt(at, nulOf(at, stop - at)));
    at = lf + 1;
  }
  return results.length / 3;
}
