/**
 * What a key must have for a pattern to match in it: a least length, and for some sets one byte of each. A key without
 * it need not be searched. Guarantee: holds for every match; a pattern with verbs, which may end a match early, needs
 * nothing.
 */

import * as ast from "./ast";
import { Kind } from "./ast";
import { alloc, Ints, ints } from "./memory";
import * as sets from "./sets";

/** As many sets are kept, those that the fewest keys have bytes of. */
const MOST = 3;
/** A set of this or more is in nearly every header. */
const USUAL = 16;
const LONGEST = 1 << 14;

/** Least length, number of sets, then addresses of their 256 bits: one such list a pattern. */
export const needs: Ints = ints();

/** Address and score of each, the lowest score first, behind `from`. */
const best: Ints = ints();
let from: i32 = 0;
/** By number of set; -1: not known yet. */
const scores: Ints = ints();

/** Adds a list for the pattern: its place in `needs`. */
export function addNeeds(root: i32): i32 {
  const place = needs.length;
  best.clear();
  from = 0;
  const free = hasVerb(root);
  needs.push(free ? 0 : leastLength(root));
  if (!free) feed(root);
  needs.push(best.length >> 1);
  for (let at = 0; at < best.length; at += 2) {
    const bits = alloc(32);
    memory.copy(bits, best.get(at), 32);
    needs.push(bits);
  }
  return place;
}

/** The bytes of the key of one look-up: 256 bits. */
const present: usize = memory.data(32);
let presentOf: i32 = 0;

/** Whether the key of that look-up has what the list at that place asks for. */
export function areMet(place: i32, lookup: i32, key: i32, length: i32): bool {
  if (needs.get(place) > length) return false;
  const count = needs.get(place + 1);
  if (count === 0) return true;
  notePresent(lookup, key, length);
  const low = v128.load(present);
  const high = v128.load(present, 16);
  for (let index = 0; index < count; index++) {
    const bits = needs.get(place + 2 + index);
    const both = v128.or(v128.and(low, v128.load(bits)), v128.and(high, v128.load(bits, 16)));
    if (!v128.any_true(both)) return false;
  }
  return true;
}

function notePresent(lookup: i32, key: i32, length: i32): void {
  if (presentOf === lookup) return;
  presentOf = lookup;
  memory.fill(present, 0, 32);
  for (let at = key; at < key + length; at++) {
    const byte = load<u8>(at);
    const word = present + <usize>((byte >> 5) << 2);
    store<u32>(word, load<u32>(word) | (1 << (byte & 31)));
  }
}

function hasVerb(node: i32): bool {
  switch (ast.kindOf(node)) {
    case Kind.Verb: return true;
    case Kind.Cat: case Kind.Alt:
      for (let part = ast.a(node); part !== 0; part = ast.next(part)) {
        if (hasVerb(part)) return true;
      }
      return false;
    case Kind.Repeat: case Kind.Group: case Kind.Look: case Kind.Atomic: return hasVerb(ast.a(node));
    case Kind.Cond: return hasVerb(ast.a(node)) || (ast.b(node) !== 0 && hasVerb(ast.b(node)));
    default: return false;
  }
}

function leastLength(node: i32): i32 {
  switch (ast.kindOf(node)) {
    case Kind.Set: return 1;
    case Kind.Cat: {
      let sum = 0;
      for (let part = ast.a(node); part !== 0; part = ast.next(part)) sum = min(sum + leastLength(part), LONGEST);
      return sum;
    }
    case Kind.Alt: {
      let least = LONGEST;
      for (let part = ast.a(node); part !== 0; part = ast.next(part)) least = min(least, leastLength(part));
      return least;
    }
    case Kind.Repeat: {
      const times = min(ast.b(node), LONGEST);
      return times === 0 ? 0 : min(times * leastLength(ast.a(node)), LONGEST);
    }
    case Kind.Group: case Kind.Atomic: return leastLength(ast.a(node));
    default: return 0;
  }
}

function feed(node: i32): void {
  switch (ast.kindOf(node)) {
    case Kind.Set: return offer(sets.addressOf(ast.a(node)), scoreOfSet(ast.a(node)));
    case Kind.Cat:
      for (let part = ast.a(node); part !== 0; part = ast.next(part)) feed(part);
      return;
    case Kind.Group: case Kind.Atomic: return feed(ast.a(node));
    case Kind.Repeat:
      if (ast.b(node) > 0) feed(ast.a(node));
      return;
    case Kind.Alt: return alternatives(node);
    default: return;
  }
}

/** One byte of the best set of any of them is needed. */
function alternatives(node: i32): void {
  const outer = from;
  const start = best.length;
  const union = alloc(32);
  let all = true;
  for (let part = ast.a(node); part !== 0 && all; part = ast.next(part)) {
    from = best.length;
    feed(part);
    all = best.length > from;
    if (all) join(union, best.get(from));
    best.length = from;
  }
  from = outer;
  best.length = start;
  if (all) offer(union, scoreOf(union));
}

function join(union: i32, bits: i32): void {
  v128.store(union, v128.or(v128.load(union), v128.load(bits)));
  v128.store(union + 16, v128.or(v128.load(union, 16), v128.load(bits, 16)));
}

function offer(bits: i32, score: i32): void {
  if (score >= USUAL) return;
  for (let at = from; at < best.length; at += 2) {
    if (same(best.get(at), bits)) return;
  }
  best.push(bits);
  best.push(score);
  let at = best.length - 2;
  while (at > from && best.get(at - 1) > score) {
    best.set(at, best.get(at - 2));
    best.set(at + 1, best.get(at - 1));
    at -= 2;
  }
  best.set(at, bits);
  best.set(at + 1, score);
  if (best.length > from + 2 * MOST) best.length = from + 2 * MOST;
}

function same(one: i32, other: i32): bool {
  return memory.compare(one, other, 32) === 0;
}

function scoreOfSet(set: i32): i32 {
  if (set >= scores.length) scores.resize(set + 1, -1);
  if (scores.get(set) < 0) scores.set(set, scoreOf(sets.addressOf(set)));
  return scores.get(set);
}

function scoreOf(bits: i32): i32 {
  let score = 0;
  for (let byte = 0; byte < 256 && score < USUAL; byte++) {
    if ((load<u8>(bits + (byte >> 3)) >> (byte & 7)) & 1) score += usual(byte);
  }
  return score;
}

/** How usual the byte is in headers. */
function usual(byte: i32): i32 {
  if (byte >= 0x61 && byte <= 0x7a) {
    switch (byte) {
      case 0x6a: case 0x71: case 0x78: case 0x7a: return 3;
      case 0x6b: case 0x76: case 0x77: case 0x79: case 0x62: case 0x67: return 8;
      default: return USUAL;
    }
  }
  if (byte >= 0x41 && byte <= 0x5a) return 3;
  if (byte >= 0x30 && byte <= 0x39) return 8;
  switch (byte) {
    case 0x20: case 0x3a: case 0x2e: return USUAL;
    case 0x2d: return 10;
    case 0x40: case 0x3c: case 0x3e: case 0x28: case 0x29: case 0x2c: return 6;
    case 0x0a: case 0x2f: case 0x3d: case 0x3b: case 0x22: case 0x5f: return 4;
    default: return byte > 0x7f ? 0 : 1;
  }
}
