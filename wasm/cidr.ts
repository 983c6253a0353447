/**
 * cidr: tables. The text of the whole file is read here; each rule becomes intervals of addresses, which are painted in
 * the order of the file over the places nobody painted before, so that the first match wins. `!` and if/endif give the
 * intervals in which a rule counts.
 *
 * Guarantees: a search looks at no more than log2(rules) + 3 places; building takes time in proportion to the number of
 * intervals (times its logarithm); any bytes are taken. `throw` does not occur.
 */

const KEY_LIMIT: usize = 256;
const OUT: usize = (__heap_base + 15) & ~15;
const KEY: usize = OUT + 64;
const NET: usize = KEY + KEY_LIMIT;
const TEXT: usize = NET + 64;

/** A rule: kind, family, negated, prefix length (u8 each), line, value (address, length), network (two u64). */
const RULE: usize = 32;
const MATCH: u32 = 0;
const IF: u32 = 1;
const ENDIF: u32 = 2;

/** A fault: what, line, text (address, length), network (two u64), family. */
const FAULT: usize = 40;
const NO_PATTERN: u32 = 1;
const NO_BRACKET: u32 = 2;
const GARBAGE: u32 = 3;
const BAD_MASK: u32 = 4;
const BAD_LENGTH: u32 = 5;
const BAD_NETWORK: u32 = 6;
const HOST_BITS: u32 = 7;
const BAD_ADDRESS: u32 = 8;
const NO_VALUE: u32 = 9;
const ENDIF_ALONE: u32 = 10;
const ENDIF_GARBAGE: u32 = 11;
const LEADING_SPACE: u32 = 12;
const IF_OPEN: u32 = 13;
const IF_EMPTY: u32 = 14;

/** Below this number of segments a search goes without the table of first halves. */
const DIRECT_FROM: u32 = 64;
const DIRECT: u32 = 65536;

let top: usize = 0;
let rules: usize = 0;
let ruleCount: u32 = 0;
let faults: usize = 0;
let faultCount: u32 = 0;
let depth: u32 = 0;
let filesMode: bool = false;

let starts4: usize = 0;
let owners4: usize = 0;
let count4: u32 = 0;
let direct4: usize = 0;
let starts6: usize = 0;
let owners6: usize = 0;
let count6: u32 = 0;
let direct6: usize = 0;

export function keyAt(): usize {
  return KEY;
}

export function keyLimit(): usize {
  return KEY_LIMIT;
}

function grown(end: usize): bool {
  const missing = <i32>((<u64>end + 64 + 65535) >> 16) - memory.size();
  return missing <= 0 || memory.grow(missing) >= 0;
}

/** Makes room for the text; 0 when memory has none. */
export function reserve(length: usize): usize {
  return length < 0x40000000 && grown(TEXT + length) ? TEXT : 0;
}

function allot(size: usize): usize {
  const at = (top + 15) & ~15;
  if (<u64>at + <u64>size > 0xffff0000 || !grown(at + size)) return 0;
  top = at + size;
  return at;
}

// @ts-ignore: decorator
@inline
function isSpace(byte: u32): bool {
  return byte === 32 || (byte >= 9 && byte <= 13);
}

// @ts-ignore: decorator
@inline
function isDigit(byte: u32): bool {
  return byte - 48 < 10;
}

/** Four numbers to 255 between dots, without leading zeros, as inet_pton(3) takes them. -1: no such address. */
function ipv4(at: usize, end: usize): i64 {
  let value: u32 = 0;
  for (let part = 0; part < 4; part++) {
    let number: u32 = 0;
    const first = at;
    while (at < end && isDigit(load<u8>(at))) {
      if (at > first && number === 0) return -1;
      number = number * 10 + (load<u8>(at++) - 48);
      if (number > 255) return -1;
    }
    if (at === first) return -1;
    value = (value << 8) | number;
    if (part === 3) break;
    if (at >= end || load<u8>(at++) !== 0x2e) return -1;
  }
  return at === end ? <i64>value : -1;
}

// @ts-ignore: decorator
@inline
function hexDigit(byte: u32): u32 {
  if (byte - 48 < 10) return byte - 48;
  const small = byte | 32;
  return small - 97 < 6 ? small - 87 : 16;
}

/** Writes 16 bytes in network order to NET; groups of four digits, one "::", an IPv4 address at the end. */
function ipv6(at: usize, end: usize): bool {
  store<u64>(NET, 0);
  store<u64>(NET, 0, 8);
  let to: usize = 0;
  let gap: i32 = -1;
  if (at >= end) return false;
  if (load<u8>(at) === 0x3a) {
    if (++at >= end || load<u8>(at) !== 0x3a) return false;
  }
  let group = at;
  let value: u32 = 0;
  let digits: u32 = 0;
  while (at < end) {
    const byte = <u32>load<u8>(at++);
    const digit = hexDigit(byte);
    if (digit < 16) {
      if (digits === 4) return false;
      value = (value << 4) | digit;
      digits++;
      continue;
    }
    if (byte === 0x3a) {
      group = at;
      if (digits === 0) {
        if (gap >= 0) return false;
        gap = <i32>to;
        continue;
      }
      if (at >= end || to + 2 > 16) return false;
      store<u8>(NET + to++, <u8>(value >> 8));
      store<u8>(NET + to++, <u8>value);
      digits = 0;
      value = 0;
      continue;
    }
    if (byte !== 0x2e || to + 4 > 16) return false;
    const inner = ipv4(group, end);
    if (inner < 0) return false;
    store<u32>(NET + to, bswap<u32>(<u32>inner));
    to += 4;
    digits = 0;
    break;
  }
  if (digits > 0) {
    if (to + 2 > 16) return false;
    store<u8>(NET + to++, <u8>(value >> 8));
    store<u8>(NET + to++, <u8>value);
  }
  if (gap >= 0) {
    if (to === 16) return false;
    const moved = to - <usize>gap;
    memory.copy(NET + 16 - moved, NET + <usize>gap, moved);
    memory.fill(NET + <usize>gap, 0, 16 - to);
    to = 16;
  }
  return to === 16;
}

function has(byte: u32, at: usize, end: usize): bool {
  for (; at < end; at++) if (<u32>load<u8>(at) === byte) return true;
  return false;
}

let netHigh: u64 = 0;
let netLow: u64 = 0;
let family: u32 = 4;

/** An address of either family, into netHigh, netLow and family. */
function address(at: usize, end: usize): bool {
  if (has(0x3a, at, end)) {
    family = 6;
    if (!ipv6(at, end)) return false;
    netHigh = bswap<u64>(load<u64>(NET));
    netLow = bswap<u64>(load<u64>(NET, 8));
    return true;
  }
  family = 4;
  const value = ipv4(at, end);
  if (value < 0) return false;
  netHigh = 0;
  netLow = <u64>value;
  return true;
}

// @ts-ignore: decorator
@inline
function maskHigh(bits: u32): u64 {
  return bits >= 64 ? <u64>-1 : bits === 0 ? 0 : <u64>-1 << (64 - bits);
}

// @ts-ignore: decorator
@inline
function maskLow(bits: u32): u64 {
  return bits <= 64 ? 0 : bits >= 128 ? <u64>-1 : <u64>-1 << (128 - bits);
}

let prefix: u32 = 0;

/** `address`, `address/bits`, either in brackets; 0 or what is wrong with it. */
function pattern(at: usize, end: usize): u32 {
  if (at >= end) return NO_PATTERN;
  let mask = at;
  let addressEnd = end;
  let maskEnd = end;
  if (load<u8>(at) === 0x5b) {
    at++;
    let close = at;
    while (close < end && load<u8>(close) !== 0x5d) close++;
    if (close >= end) return NO_BRACKET;
    if (close + 1 < end) {
      if (load<u8>(close + 1) !== 0x2f) return GARBAGE;
      mask = close + 1;
      addressEnd = close;
    } else {
      mask = at;
      addressEnd = close;
      maskEnd = close;
    }
  }
  const limit = maskEnd;
  while (mask < limit && load<u8>(mask) !== 0x2f) mask++;
  if (mask >= limit) {
    if (!address(at, addressEnd)) return BAD_ADDRESS;
    prefix = family === 4 ? 32 : 128;
    return 0;
  }
  if (mask < addressEnd) addressEnd = mask;
  const size: u32 = has(0x3a, at, addressEnd) ? 128 : 32;
  if (mask + 1 >= maskEnd) return BAD_MASK;
  let bits: u32 = 0;
  for (let digit = mask + 1; digit < maskEnd; digit++) {
    if (!isDigit(load<u8>(digit))) return BAD_MASK;
    bits = min<u32>(1000, bits * 10 + (load<u8>(digit) - 48));
  }
  if (bits > size) return BAD_LENGTH;
  if (!address(at, addressEnd)) return BAD_NETWORK;
  prefix = bits;
  const high = family === 4 ? 0 : netHigh & maskHigh(bits);
  const low = family === 4 ? netLow & (maskHigh(bits) >> 32) : netLow & maskLow(bits);
  if (high === netHigh && low === netLow) return 0;
  netHigh = high;
  netLow = low;
  return HOST_BITS;
}

function fault(what: u32, line: u32, at: usize, end: usize): void {
  const record = faults + <usize>(faultCount++) * FAULT;
  store<u32>(record, what);
  store<u32>(record, line, 4);
  store<u32>(record, <u32>at, 8);
  store<u32>(record, <u32>(end - at), 12);
  store<u64>(record, netHigh, 16);
  store<u64>(record, netLow, 24);
  store<u32>(record, family, 32);
}

function rule(kind: u32, negated: bool, line: u32, value: usize, valueEnd: usize): void {
  const record = rules + <usize>(ruleCount++) * RULE;
  store<u8>(record, <u8>kind);
  store<u8>(record, <u8>family, 1);
  store<u8>(record, <u8>negated, 2);
  store<u8>(record, <u8>prefix, 3);
  store<u32>(record, line, 4);
  store<u32>(record, <u32>value, 8);
  store<u32>(record, <u32>(valueEnd - value), 12);
  store<u64>(record, netHigh, 16);
  store<u64>(record, netLow, 24);
}

/** Whether the word (small letters) stands there, in any case, and no letter or digit after it. */
function word(at: usize, end: usize, letters: u64, length: usize): bool {
  if (at + length > end) return false;
  for (let index: usize = 0; index < length; index++) {
    if ((<u64>load<u8>(at + index) | 32) !== ((letters >> (index * 8)) & 255)) return false;
  }
  if (at + length === end) return true;
  const after = <u32>load<u8>(at + length);
  return !isDigit(after) && (after | 32) - 97 >= 26;
}

const WORD_IF: u64 = 0x6669;
const WORD_ENDIF: u64 = 0x6669646e65;

function logicalLine(at: usize, end: usize, line: u32): void {
  if (isSpace(load<u8>(at))) return fault(LEADING_SPACE, line, at, end);
  while (end > at && isSpace(load<u8>(end - 1))) end--;
  const endif = word(at, end, WORD_ENDIF, 5);
  if (endif) {
    if (end > at + 5) return fault(ENDIF_GARBAGE, line, at, end);
    if (depth === 0) return fault(ENDIF_ALONE, line, at, end);
    depth--;
    return rule(ENDIF, false, line, end, end);
  }
  const condition = word(at, end, WORD_IF, 2);
  if (condition) at += 2;
  let negated = false;
  while (at < end && isSpace(load<u8>(at))) at++;
  while (at < end && (load<u8>(at) === 0x21 || (isSpace(load<u8>(at))))) {
    if (load<u8>(at) === 0x21) negated = !negated;
    at++;
  }
  let patternEnd = end;
  if (!condition) {
    patternEnd = at;
    while (patternEnd < end && !isSpace(load<u8>(patternEnd))) patternEnd++;
  }
  const wrong = pattern(at, patternEnd);
  if (wrong !== 0) return fault(wrong, line, at, patternEnd);
  if (condition) {
    if (filesMode) return fault(IF_EMPTY, line, at, patternEnd);
    depth++;
    return rule(IF, negated, line, end, end);
  }
  let value = patternEnd;
  while (value < end && isSpace(load<u8>(value))) value++;
  if (value >= end) return fault(NO_VALUE, line, at, end);
  rule(MATCH, negated, line, value, end);
}

/**
 * Reads the text at TEXT. `files`: values are names of files, so that if, which has none, is a fault. Gives 1, or 0
 * when memory has no room.
 */
export function parse(length: usize, files: bool): i32 {
  top = TEXT + length;
  filesMode = files;
  let lines: usize = 2;
  for (let at = TEXT; at < TEXT + length; at++) if (load<u8>(at) === 10) lines++;
  rules = allot(lines * RULE);
  faults = allot(lines * 2 * FAULT);
  if (rules === 0 || faults === 0) return 0;
  ruleCount = faultCount = depth = 0;
  const end = TEXT + length;
  let number: u32 = 0;
  let first: u32 = 0;
  let start = TEXT;
  let joined = TEXT;
  for (let at = TEXT; at < end;) {
    let lineEnd = at;
    while (lineEnd < end && load<u8>(lineEnd) !== 10) lineEnd++;
    number++;
    let text = at;
    while (text < lineEnd && isSpace(load<u8>(text))) text++;
    if (text < lineEnd && load<u8>(text) !== 0x23) {
      if (first !== 0 && text === at) {
        logicalLine(start, joined, first);
        first = 0;
      }
      if (first === 0) {
        first = number;
        start = joined = at;
      }
      memory.copy(joined, at, lineEnd - at);
      joined += lineEnd - at;
    }
    at = lineEnd + 1;
  }
  if (first !== 0) logicalLine(start, joined, first);
  openIfs();
  return 1;
}

/** Those without endif, the last one first. */
function openIfs(): void {
  let closed: u32 = 0;
  for (let index = ruleCount; index > 0 && depth > 0; index--) {
    const record = rules + <usize>(index - 1) * RULE;
    const kind = <u32>load<u8>(record);
    if (kind === ENDIF) closed++;
    if (kind !== IF) continue;
    if (closed > 0) {
      closed--;
      continue;
    }
    depth--;
    fault(IF_OPEN, load<u32>(record, 4), TEXT, TEXT);
  }
}

export function ruleTotal(): u32 {
  return ruleCount;
}

export function ruleAt(index: u32): usize {
  return rules + <usize>index * RULE;
}

export function faultTotal(): u32 {
  return faultCount;
}

export function faultAt(index: u32): usize {
  return faults + <usize>index * FAULT;
}

/** The rule never matches. */
export function drop(index: u32): void {
  store<u8>(ruleAt(index), 3);
}

/*
 * Painting. A list of intervals: [count] and per interval two u64 pairs (first, last), in order. `walk` emits, in file
 * order, the pieces (first, last, rule) of one family.
 */

const INTERVAL: usize = 32;
const PIECE: usize = 40;
let pieces: usize = 0;
let pieceCount: u32 = 0;
let pieceRoom: u32 = 0;
let exhausted: bool = false;

function fail(): void {
  exhausted = true;
}

// @ts-ignore: decorator
@inline
function less(highA: u64, lowA: u64, highB: u64, lowB: u64): bool {
  return highA < highB || (highA === highB && lowA < lowB);
}

/** Calls for each part of the list that lies in [first, last]: to a new list, or as a piece when `list` is 0. */
function cut(from: usize, to: usize, rule: u32, firstHigh: u64, firstLow: u64, lastHigh: u64, lastLow: u64): void {
  const count = load<u32>(from);
  let low: u32 = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    const at = from + 16 + <usize>middle * INTERVAL;
    if (less(load<u64>(at, 16), load<u64>(at, 24), firstHigh, firstLow)) low = middle + 1;
    else high = middle;
  }
  for (let index = low; index < count; index++) {
    const at = from + 16 + <usize>index * INTERVAL;
    let aHigh = load<u64>(at);
    let aLow = load<u64>(at, 8);
    let zHigh = load<u64>(at, 16);
    let zLow = load<u64>(at, 24);
    if (less(lastHigh, lastLow, aHigh, aLow)) return;
    if (less(aHigh, aLow, firstHigh, firstLow)) {
      aHigh = firstHigh;
      aLow = firstLow;
    }
    if (less(lastHigh, lastLow, zHigh, zLow)) {
      zHigh = lastHigh;
      zLow = lastLow;
    }
    if (to !== 0) {
      const place = to + 16 + <usize>load<u32>(to) * INTERVAL;
      store<u64>(place, aHigh);
      store<u64>(place, aLow, 8);
      store<u64>(place, zHigh, 16);
      store<u64>(place, zLow, 24);
      store<u32>(to, load<u32>(to) + 1);
    } else piece(aHigh, aLow, zHigh, zLow, rule);
  }
}

function piece(aHigh: u64, aLow: u64, zHigh: u64, zLow: u64, rule: u32): void {
  if (pieceCount === pieceRoom) {
    // Pieces are the last thing allotted while they grow.
    if (pieces + <usize>pieceRoom * PIECE !== top) return fail();
    const more = max<u32>(1024, pieceRoom >> 1);
    if (!grown(top + <usize>more * PIECE)) return fail();
    top += <usize>more * PIECE;
    pieceRoom += more;
  }
  const at = pieces + <usize>(pieceCount++) * PIECE;
  store<u64>(at, aHigh);
  store<u64>(at, aLow, 8);
  store<u64>(at, zHigh, 16);
  store<u64>(at, zLow, 24);
  store<u32>(at, rule, 32);
}

let lastOfFamilyHigh: u64 = 0;
let lastOfFamilyLow: u64 = 0;

/** The parts of `from` that the rule's pattern matches. */
function within(from: usize, to: usize, record: usize, index: u32): void {
  const bits = <u32>load<u8>(record, 3);
  const high = load<u64>(record, 16);
  const low = load<u64>(record, 24);
  const four = load<u8>(record, 1) === 4;
  const lastHigh = four ? 0 : high | ~maskHigh(bits);
  const lastLow = four ? low | <u64>(<u32>~(maskHigh(bits) >> 32)) : low | ~maskLow(bits);
  if (!load<u8>(record, 2)) return cut(from, to, index, high, low, lastHigh, lastLow);
  if (high !== 0 || low !== 0) {
    cut(from, to, index, 0, 0, low === 0 ? high - 1 : high, low - 1);
  }
  if (lastHigh !== lastOfFamilyHigh || lastLow !== lastOfFamilyLow) {
    const nextLow = lastLow + 1;
    cut(from, to, index, nextLow === 0 ? lastHigh + 1 : lastHigh, nextLow, lastOfFamilyHigh, lastOfFamilyLow);
  }
}

/** Room for what within() may add: one interval more than there were. */
function listRoom(from: usize): usize {
  return 16 + <usize>(load<u32>(from) + 2) * INTERVAL;
}

/**
 * Two walks over the rules: the first one makes the list of each if (its address replaces the rule's value), the second
 * one the pieces.
 */
function walk(kin: u32, base: usize, stack: usize): void {
  for (let turn = 0; turn < 2; turn++) {
    if (turn === 1) {
      top = (top + 15) & ~15;
      pieces = top;
    }
    let level: usize = 0;
    let list = base;
    for (let index: u32 = 0; index < ruleCount && !exhausted; index++) {
      const record = ruleAt(index);
      const kind = <u32>load<u8>(record);
      const own = <u32>load<u8>(record, 1) === kin;
      if (kind === IF) {
        store<u32>(stack + level++ * 4, <u32>list);
        if (turn === 0) {
          const made = allot(listRoom(list));
          if (made === 0) return fail();
          store<u32>(made, 0);
          if (own) within(list, made, record, index);
          store<u32>(record, <u32>made, 8);
        }
        list = <usize>load<u32>(record, 8);
      } else if (kind === ENDIF) list = <usize>load<u32>(stack + --level * 4);
      else if (kind === MATCH && own && turn === 1) within(list, 0, record, index);
    }
  }
}

/** Builds the tables; 0 when memory has no room. */
export function finish(): i32 {
  return paint(4) && paint(6) ? 1 : 0;
}

function paint(kin: u32): bool {
  exhausted = false;
  pieceCount = pieceRoom = 0;
  lastOfFamilyHigh = kin === 4 ? 0 : <u64>-1;
  lastOfFamilyLow = kin === 4 ? 0xffffffff : <u64>-1;
  const stack = allot((<usize>ruleCount + 1) * 4);
  const base = allot(16 + INTERVAL);
  if (stack === 0 || base === 0) return false;
  store<u32>(base, 1);
  store<u64>(base, 0, 16);
  store<u64>(base, 0, 24);
  store<u64>(base, lastOfFamilyHigh, 32);
  store<u64>(base, lastOfFamilyLow, 40);
  walk(kin, base, stack);
  if (exhausted) return false;
  return kin === 4 ? paint4() : paint6();
}

/** Sorts u64 by bits 32-63, 11 bits a pass. */
function sort4(from: usize, to: usize, count: u32): usize {
  const counts = allot(2048 * 4);
  if (counts === 0) return 0;
  for (let shift: u64 = 32; shift < 64; shift += 11) {
    memory.fill(counts, 0, 2048 * 4);
    for (let index: u32 = 0; index < count; index++) {
      const place = counts + <usize>((load<u64>(from + <usize>index * 8) >> shift) & 2047) * 4;
      store<u32>(place, load<u32>(place) + 1);
    }
    let sum: u32 = 0;
    for (let digit: usize = 0; digit < 2048; digit++) {
      const here = load<u32>(counts + digit * 4);
      store<u32>(counts + digit * 4, sum);
      sum += here;
    }
    for (let index: u32 = 0; index < count; index++) {
      const value = load<u64>(from + <usize>index * 8);
      const place = counts + <usize>((value >> shift) & 2047) * 4;
      const position = load<u32>(place);
      store<u32>(place, position + 1);
      store<u64>(to + <usize>position * 8, value);
    }
    const swap = from;
    from = to;
    to = swap;
  }
  return from;
}

function root(nexts: usize, at: u32): u32 {
  let found = at;
  while (load<u32>(nexts + <usize>found * 4) !== found) found = load<u32>(nexts + <usize>found * 4);
  while (at !== found) {
    const place = nexts + <usize>at * 4;
    at = load<u32>(place);
    store<u32>(place, found);
  }
  return found;
}

/** Each piece knows its first segment and the one after its last (at +32 of the piece follows the rule). */
function color(segments: u32, ends: usize): usize {
  const nexts = allot((<usize>segments + 1) * 4);
  const owners = allot((<usize>segments + 1) * 4);
  if (nexts === 0 || owners === 0) return 0;
  for (let index: u32 = 0; index <= segments; index++) store<u32>(nexts + <usize>index * 4, index);
  memory.fill(owners, 0, (<usize>segments + 1) * 4);
  for (let index: u32 = 0; index < pieceCount; index++) {
    const last = load<u32>(ends + <usize>index * 8, 4);
    const owner = load<u32>(pieces + <usize>index * PIECE, 32) + 1;
    for (let at = root(nexts, load<u32>(ends + <usize>index * 8)); at < last;) {
      store<u32>(owners + <usize>at * 4, owner);
      store<u32>(nexts + <usize>at * 4, at + 1);
      at = root(nexts, at + 1);
    }
  }
  return owners;
}

function paint4(): bool {
  const total = pieceCount * 2;
  const one = allot(<usize>total * 8);
  const two = allot(<usize>total * 8);
  const ends = allot(<usize>pieceCount * 8);
  const starts = allot((<usize>total + 1) * 4);
  if (one === 0 || two === 0 || ends === 0 || starts === 0) return false;
  let count: u32 = 0;
  for (let index: u32 = 0; index < pieceCount; index++) {
    const at = pieces + <usize>index * PIECE;
    store<u64>(one + <usize>(count++) * 8, (load<u64>(at, 8) << 32) | <u64>(index * 2));
    const last = load<u64>(at, 24);
    if (last < 0xffffffff) store<u64>(one + <usize>(count++) * 8, ((last + 1) << 32) | <u64>(index * 2 + 1));
    store<u32>(ends + <usize>index * 8, <u32>-1, 4);
  }
  const sorted = sort4(one, two, count);
  if (sorted === 0) return false;
  let segments: u32 = 1;
  store<u32>(starts, 0);
  for (let index: u32 = 0; index < count; index++) {
    const value = load<u64>(sorted + <usize>index * 8);
    const key = <u32>(value >> 32);
    if (load<u32>(starts + <usize>(segments - 1) * 4) !== key) store<u32>(starts + <usize>(segments++) * 4, key);
    store<u32>(ends + <usize>(<u32>value) * 4, segments - 1);
  }
  for (let index: u32 = 0; index < pieceCount; index++) {
    if (load<u32>(ends + <usize>index * 8, 4) === <u32>-1) store<u32>(ends + <usize>index * 8, segments, 4);
  }
  const owners = color(segments, ends);
  if (owners === 0) return false;
  starts4 = starts;
  owners4 = owners;
  count4 = 0;
  for (let index: u32 = 0; index < segments; index++) {
    const owner = load<u32>(owners + <usize>index * 4);
    if (count4 > 0 && load<u32>(owners + <usize>(count4 - 1) * 4) === owner) continue;
    store<u32>(starts + <usize>count4 * 4, load<u32>(starts + <usize>index * 4));
    store<u32>(owners + <usize>(count4++) * 4, owner);
  }
  direct4 = 0;
  if (count4 < DIRECT_FROM) return true;
  direct4 = allot((<usize>DIRECT + 1) * 4);
  if (direct4 === 0) return false;
  let segment: u32 = 0;
  for (let chunk: u32 = 0; chunk < DIRECT; chunk++) {
    while (segment + 1 < count4 && load<u32>(starts + <usize>(segment + 1) * 4) <= chunk << 16) segment++;
    store<u32>(direct4 + <usize>chunk * 4, segment);
  }
  store<u32>(direct4 + <usize>DIRECT * 4, count4 - 1);
  return true;
}

/** Boundary `ref` of paint6: piece * 2 is where it begins, piece * 2 + 1 what comes after it. */
// @ts-ignore: decorator
@inline
function edgeHigh(ref: u32): u64 {
  const at = pieces + <usize>(ref >> 1) * PIECE;
  if (!(ref & 1)) return load<u64>(at);
  return load<u64>(at, 16) + <u64>(load<u64>(at, 24) === <u64>-1);
}

// @ts-ignore: decorator
@inline
function edgeLow(ref: u32): u64 {
  const at = pieces + <usize>(ref >> 1) * PIECE;
  return ref & 1 ? load<u64>(at, 24) + 1 : load<u64>(at, 8);
}

/** Merge sort of references by what they refer to. */
function sort6(from: usize, to: usize, count: u32): usize {
  for (let width: u32 = 1; width < count; width <<= 1) {
    for (let start: u32 = 0; start < count; start += width << 1) {
      const middle = min(start + width, count);
      const end = min(middle + width, count);
      let a = start;
      let b = middle;
      for (let place = start; place < end; place++) {
        let takeB = a >= middle;
        if (!takeB && b < end) {
          const refA = load<u32>(from + <usize>a * 4);
          const refB = load<u32>(from + <usize>b * 4);
          takeB = less(edgeHigh(refB), edgeLow(refB), edgeHigh(refA), edgeLow(refA));
        }
        const source = takeB ? b++ : a++;
        store<u32>(to + <usize>place * 4, load<u32>(from + <usize>source * 4));
      }
    }
    const swap = from;
    from = to;
    to = swap;
  }
  return from;
}

function paint6(): bool {
  const total = pieceCount * 2;
  const one = allot(<usize>total * 4);
  const two = allot(<usize>total * 4);
  const ends = allot(<usize>pieceCount * 8);
  const starts = allot((<usize>total + 1) * 16);
  if (one === 0 || two === 0 || ends === 0 || starts === 0) return false;
  let count: u32 = 0;
  for (let index: u32 = 0; index < pieceCount; index++) {
    const at = pieces + <usize>index * PIECE;
    store<u32>(one + <usize>(count++) * 4, index * 2);
    const open = load<u64>(at, 16) === <u64>-1 && load<u64>(at, 24) === <u64>-1;
    if (!open) store<u32>(one + <usize>(count++) * 4, index * 2 + 1);
    store<u32>(ends + <usize>index * 8, <u32>-1, 4);
  }
  const sorted = sort6(one, two, count);
  let segments: u32 = 1;
  store<u64>(starts, 0);
  store<u64>(starts, 0, 8);
  for (let index: u32 = 0; index < count; index++) {
    const ref = load<u32>(sorted + <usize>index * 4);
    const high = edgeHigh(ref);
    const low = edgeLow(ref);
    const last = starts + <usize>(segments - 1) * 16;
    if (load<u64>(last) !== high || load<u64>(last, 8) !== low) {
      store<u64>(last, high, 16);
      store<u64>(last, low, 24);
      segments++;
    }
    store<u32>(ends + <usize>ref * 4, segments - 1);
  }
  for (let index: u32 = 0; index < pieceCount; index++) {
    if (load<u32>(ends + <usize>index * 8, 4) === <u32>-1) store<u32>(ends + <usize>index * 8, segments, 4);
  }
  const owners = color(segments, ends);
  if (owners === 0) return false;
  starts6 = starts;
  owners6 = owners;
  count6 = 0;
  for (let index: u32 = 0; index < segments; index++) {
    const owner = load<u32>(owners + <usize>index * 4);
    if (count6 > 0 && load<u32>(owners + <usize>(count6 - 1) * 4) === owner) continue;
    store<u64>(starts + <usize>count6 * 16, load<u64>(starts + <usize>index * 16));
    store<u64>(starts + <usize>count6 * 16, load<u64>(starts + <usize>index * 16, 8), 8);
    store<u32>(owners + <usize>(count6++) * 4, owner);
  }
  direct6 = 0;
  if (count6 < DIRECT_FROM) return true;
  direct6 = allot((<usize>DIRECT + 1) * 4);
  if (direct6 === 0) return false;
  let segment: u32 = 0;
  for (let chunk: u64 = 0; chunk < DIRECT; chunk++) {
    for (; segment + 1 < count6; segment++) {
      const at = starts + <usize>(segment + 1) * 16;
      if (less(chunk << 48, 0, load<u64>(at), load<u64>(at, 8))) break;
    }
    store<u32>(direct6 + <usize>chunk * 4, segment);
  }
  store<u32>(direct6 + <usize>DIRECT * 4, count6 - 1);
  return true;
}

/** The first rule (its number plus one) that matches the text address of that length at KEY; 0: none, or no address. */
export function client(length: usize): u32 {
  if (!address(KEY, KEY + length)) return 0;
  return family === 4 ? client4(<u32>netLow) : client6(netHigh, netLow);
}

function client4(key: u32): u32 {
  if (count4 === 0) return 0;
  let low: u32 = 0;
  let high = count4 - 1;
  if (direct4 !== 0) {
    const chunk = direct4 + <usize>(key >> 16) * 4;
    low = load<u32>(chunk);
    high = load<u32>(chunk, 4);
  }
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (load<u32>(starts4 + <usize>middle * 4) <= key) low = middle;
    else high = middle - 1;
  }
  return load<u32>(owners4 + <usize>low * 4);
}

function client6(keyHigh: u64, keyLow: u64): u32 {
  if (count6 === 0) return 0;
  let low: u32 = 0;
  let high = count6 - 1;
  if (direct6 !== 0) {
    const chunk = direct6 + <usize>(keyHigh >> 48) * 4;
    low = load<u32>(chunk);
    high = load<u32>(chunk, 4);
  }
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    const at = starts6 + <usize>middle * 16;
    if (less(keyHigh, keyLow, load<u64>(at), load<u64>(at, 8))) high = middle - 1;
    else low = middle;
  }
  return load<u32>(owners6 + <usize>low * 4);
}
