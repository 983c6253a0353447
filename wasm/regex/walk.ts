/**
 * Submatches by two passes over an automaton: backward, from which instructions the end can be reached at each place;
 * then forward, always the first choice from which it can. For regexp: the leftmost, then longest match, walked as
 * glibc walks it; for pcre: leftmost-first.
 * Guarantee: time and memory <= WORK bits; beyond it the outcome is Limit.
 */

import { holdsAt, Outcome } from "./backtrack";
import { giveBlock, Ints, ints, takeBlock } from "./memory";
import { Op, opAt, OPTIONAL, xAt, yAt } from "./nfa";
import * as sets from "./sets";

const WORK: i64 = 64 << 20;

/** Pairs of offsets, one a group, -1 where there is none. */
export const offsets: Ints = ints();
const former: Ints = ints();

let low: i32 = 0;
let rowBytes: i32 = 0;
let key: i32 = 0;
let length: i32 = 0;

@inline
function bit(row: i32, at: i32): bool {
  const index = at - low;
  return ((load<i32>(row + ((index >> 5) << 2)) >> (index & 31)) & 1) !== 0;
}

/** One row of the backward pass: instructions low to high, at a place. `end`: where the match ends, -1: anywhere. */
function fillRow(row: i32, after: i32, high: i32, place: i32, end: i32): void {
  memory.fill(row, 0, rowBytes);
  let changed = true;
  while (changed) {
    changed = false;
    for (let at = low; at < high; at++) {
      if (bit(row, at)) continue;
      let reaches = false;
      const op = opAt(at);
      if (op === Op.Set) reaches = after !== 0 && bit(after, xAt(at)) && sets.has(yAt(at), load<u8>(key + place));
      else if (op === Op.Split) reaches = (xAt(at) >= 0 && bit(row, xAt(at))) || (yAt(at) >= 0 && bit(row, yAt(at)));
      else if (op === Op.Save) reaches = bit(row, xAt(at));
      else if (op === Op.Match) reaches = end < 0 || place === end;
      else reaches = bit(row, xAt(at)) && holdsAt(yAt(at), key, length, place);
      if (!reaches) continue;
      const index = at - low;
      const word = row + ((index >> 5) << 2);
      store<i32>(word, load<i32>(word) | (1 << (index & 31)));
      changed = true;
    }
  }
}

/** Walks instructions [from, to) beginning at `entry` over the key; fills `offsets`. */
export function walk(
  from: i32, to: i32, entry: i32, groups: i32, anchored: bool, longest: bool, keyAt: i32, keyLength: i32,
): Outcome {
  low = from;
  key = keyAt;
  length = keyLength;
  rowBytes = ((to - from + 31) >> 5) << 2;
  if (<i64>(to - from) * (keyLength + 1) > WORK) return Outcome.Limit;
  let log = 6;
  while (1 << log < rowBytes * (keyLength + 1)) log++;
  const rows = takeBlock(log);
  const outcome = walkRows(rows, to, entry, groups, anchored, longest);
  giveBlock(rows, log);
  return outcome;
}

function walkRows(rows: i32, to: i32, entry: i32, groups: i32, anchored: bool, longest: bool): Outcome {
  let start = -1;
  for (let place = length; place >= 0; place--) {
    const row = rows + place * rowBytes;
    fillRow(row, place === length ? 0 : row + rowBytes, to, place, -1);
    if (bit(row, entry) && (!anchored || place === 0)) start = place;
  }
  if (start < 0) return Outcome.None;
  let end = -1;
  if (longest) {
    end = longestEnd(rows, to, entry, start);
    for (let place = end; place >= start; place--) {
      const row = rows + place * rowBytes;
      fillRow(row, place === end ? 0 : row + rowBytes, to, place, end);
    }
  }
  forward(rows, to, entry, groups, start, longest);
  return Outcome.Match;
}

const current: Ints = ints();
const following: Ints = ints();
const marks: Ints = ints();
let mark: i32 = 0;

/** The last place where the match that begins at `start` can end. */
function longestEnd(rows: i32, to: i32, entry: i32, start: i32): i32 {
  marks.clear();
  marks.resize(to - low, 0);
  mark = 0;
  let end = start;
  let now = current;
  let then = following;
  now.clear();
  now.push(entry);
  for (let place = start; place <= length; place++) {
    mark++;
    then.clear();
    while (now.length > 0) {
      const at = now.pop();
      if (at < 0 || marks.get(at - low) === mark) continue;
      marks.set(at - low, mark);
      const op = opAt(at);
      if (op === Op.Set) {
        if (place < length && sets.has(yAt(at), load<u8>(key + place))) then.push(xAt(at));
      } else if (op === Op.Match) end = place;
      else if (op === Op.Split) {
        now.push(xAt(at));
        now.push(yAt(at));
      } else if (op === Op.Save || holdsAt(yAt(at), key, length, place)) now.push(xAt(at));
    }
    const swap = now;
    now = then;
    then = swap;
    if (now.length === 0) break;
  }
  return end;
}

function forward(rows: i32, to: i32, entry: i32, groups: i32, start: i32, posix: bool): void {
  offsets.clear();
  offsets.resize(2 * (groups + 1), -1);
  former.clear();
  former.resize(2 * (groups + 1), -1);
  marks.clear();
  marks.resize(to - low, 0);
  mark = 1;
  let place = start;
  let at = entry;
  while (true) {
    const op = opAt(at);
    if (op === Op.Match) break;
    if (op === Op.Set) {
      place++;
      mark++;
      at = xAt(at);
      continue;
    }
    const row = rows + place * rowBytes;
    marks.set(at - low, mark);
    if (op === Op.Split) {
      const first = xAt(at);
      const second = yAt(at);
      const canFirst = first >= 0 && bit(row, first);
      const canSecond = second >= 0 && bit(row, second);
      // A choice taken before at this place would go round for ever.
      at = canFirst && !(canSecond && marks.get(first - low) === mark) ? first : second;
      continue;
    }
    if (op === Op.Save) save(yAt(at), place, posix);
    at = xAt(at);
  }
  offsets.set(0, start);
  offsets.set(1, place);
}

function save(slot: i32, place: i32, posix: bool): void {
  const index = slot & ~OPTIONAL;
  if ((index & 1) === 0) {
    offsets.set(index, place);
    if (posix) offsets.set(index + 1, -1);
    return;
  }
  if (!posix || offsets.get(index - 1) < place) {
    offsets.set(index, place);
    if (posix) memory.copy(former.at, offsets.at, offsets.length << 2);
  } else if (slot & OPTIONAL && former.get(index - 1) !== -1) {
    // An empty round of an optional group leaves what the round before it found.
    memory.copy(offsets.at, former.at, offsets.length << 2);
  } else offsets.set(index, place);
}
