/**
 * Texts of which each match of a pattern holds at least one. A pattern whose texts are absent from a key cannot match
 * it. Texts are folded to small letters.
 */

import * as ast from "./ast";
import { Kind } from "./ast";
import { Ints, ints } from "./memory";
import * as sets from "./sets";

/** A text is strong from that length on. */
const STRONG = 3;
/** Longer texts are cut to their end. */
const MOST = 12;
const EXACT_MOST = 32;
const ALTERNATIVES = 24;

const bytes: Ints = ints();
/** start and length in `bytes` of each text that was considered */
const texts: Ints = ints();
/** The best set of texts so far: their numbers, behind `bestFrom`. */
const best: Ints = ints();
let bestFrom: i32 = 0;
let bestScore: i32 = 0;
let runStart: i32 = 0;
let skipping: bool = false;

/** How many texts were found, 0: none. With `anchored`, the bytes at the start of the pattern count little. */
export function findTexts(root: i32, anchored: bool): i32 {
  bytes.clear();
  texts.clear();
  best.clear();
  bestFrom = 0;
  bestScore = 0;
  runStart = 0;
  skipping = anchored;
  feed(root);
  endRun();
  return bestScore === 0 ? 0 : best.length;
}

/** Whether few keys hold the texts found: each has some length. */
export function areStrong(): bool {
  for (let index = 0; index < best.length; index++) {
    if (textLength(index) < STRONG) return false;
  }
  return best.length > 0;
}

export function textLength(index: i32): i32 {
  return texts.get(best.get(index) * 2 + 1);
}

export function textByte(index: i32, at: i32): i32 {
  return bytes.get(texts.get(best.get(index) * 2) + at);
}

/** Whether the pattern is a text without regard to case, and nothing else. */
export function isText(root: i32): bool {
  let part = ast.kindOf(root) === Kind.Cat ? ast.a(root) : root;
  let count = 0;
  while (part !== 0) {
    if (ast.kindOf(part) !== Kind.Set) return false;
    const byte = sets.literalOf(ast.a(part));
    if (byte < 0) return false;
    const letter = (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a);
    if (letter && sets.sizeOf(ast.a(part)) !== 2) return false;
    count++;
    if (part === root) break;
    part = ast.next(part);
  }
  return count >= STRONG && count <= EXACT_MOST;
}

/** The text of a pattern that isText(). */
export function wholeText(root: i32): void {
  findTexts(root, false);
  texts.clear();
  texts.push(0);
  texts.push(bytes.length);
  best.clear();
  best.push(0);
}

function isCommon(byte: i32): bool {
  switch (byte) {
    case 0x20: case 0x2d: case 0x2e: case 0x3a: case 0x2f: case 0x65: case 0x74: case 0x61: case 0x6f: case 0x69:
    case 0x6e: case 0x73: case 0x72: case 0x63: case 0x6d: case 0x30: case 0x31: return true;
    default: return false;
  }
}

@inline
function isLetter(byte: i32): bool {
  return byte >= 0x61 && byte <= 0x7a;
}

function endRun(): void {
  let start = runStart;
  const end = bytes.length;
  runStart = end;
  const prefix = skipping;
  skipping = false;
  if (start === end) return;
  if (end - start > MOST) start = end - MOST;
  let score = 0;
  for (let at = start; at < end; at++) score += isCommon(bytes.get(at)) ? 2 : 4;
  if (end - start < STRONG) score = score < 6 && end - start < 2 && isLetter(bytes.get(start)) ? 0 : score / 2;
  if (prefix) score = score / 8 + 1;
  if (score <= bestScore) return;
  bestScore = score;
  best.length = bestFrom;
  texts.push(start);
  texts.push(end - start);
  best.push(texts.length / 2 - 1);
}

function feed(node: i32): void {
  switch (ast.kindOf(node)) {
    case Kind.Empty: case Kind.Assert: case Kind.Look: return;
    case Kind.Set: {
      const byte = sets.literalOf(ast.a(node));
      if (byte < 0) return endRun();
      bytes.push(byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte);
      return;
    }
    case Kind.Cat:
      for (let at = ast.a(node); at !== 0; at = ast.next(at)) feed(at);
      return;
    case Kind.Group: case Kind.Atomic: return feed(ast.a(node));
    case Kind.Repeat: {
      const body = ast.a(node);
      const least = ast.b(node);
      if (least === 0) return endRun();
      if (ast.kindOf(body) === Kind.Set) {
        for (let count = 0; count < min(least, 8); count++) feed(body);
        if (ast.c(node) !== least || least > 8) endRun();
        return;
      }
      if (ast.c(node) !== 1) endRun();
      feed(body);
      if (ast.c(node) !== 1) endRun();
      return;
    }
    case Kind.Alt: return alternatives(node);
    default: endRun();
  }
}

function alternatives(node: i32): void {
  endRun();
  const outerFrom = bestFrom;
  const outerScore = bestScore;
  const start = best.length;
  let least = i32.MAX_VALUE;
  let count = 0;
  for (let at = ast.a(node); at !== 0; at = ast.next(at)) {
    bestFrom = best.length;
    bestScore = 0;
    runStart = bytes.length;
    skipping = false;
    feed(at);
    endRun();
    if (bestScore < least) least = bestScore;
    if (bestScore === 0) break;
    count++;
  }
  runStart = bytes.length;
  bestFrom = outerFrom;
  bestScore = outerScore;
  const found = best.length - start;
  const score = max(least - (count >> 1), 1);
  if (least > 0 && found <= ALTERNATIVES && score > outerScore) {
    for (let index = 0; index < found; index++) best.set(outerFrom + index, best.get(start + index));
    best.length = outerFrom + found;
    bestScore = score;
  } else best.length = start;
}
