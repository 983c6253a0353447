/**
 * A backtracking matcher for what no automaton can do: look-around, back-references, atomic groups, conditions,
 * recursion; and for the submatches of the one pcre rule that won.
 * A search that takes long keeps which states have failed (memo.ts), so that choices within choices do not multiply.
 * Guarantee: a search ends after STEPS instructions at most, or when its stack holds DEPTH entries: outcome Limit.
 */

import { Assert, Greed, Verb } from "./ast";
import { isWord } from "./bytes";
import { found, runFrom, stoppedAt } from "./machine";
import { beginMemo, endMemo, hasFailed, noteFailed, stateAt } from "./memo";
import { Ints, ints } from "./memory";
import * as sets from "./sets";

export const enum B {
  /** a: set */
  Set,
  /** a: Assert */
  Assert,
  /** Next instruction, then a. */
  Split,
  /** a, then the next instruction. */
  SplitLazy,
  /** a */
  Jump,
  /** a: group */
  Open,
  /** a: group */
  Close,
  /** a: set, b: least, c: most, d: Greed */
  Run,
  /** a: register */
  LoopStart,
  /** a: register, b: least, c: most, d: 1 lazy; the next instruction is "Jump exit", the body follows. */
  Loop,
  /** a: register */
  AtomicStart,
  AtomicEnd,
  /** a: register */
  LookStart,
  LookEnd,
  /** a: register, b: where to go when the body fails */
  LookOrElse,
  /** a: register, b: where to go when the body fails */
  NotLookStart,
  /** a: register, b: where to go when the body matched, -1: fail */
  NotLookEnd,
  /** a: machine of the body, b: 1 when it must match here */
  LookRegular,
  /** a: bytes */
  Back,
  /** a: group, b: 1 to ignore case */
  Backref,
  /** a: group, b: else */
  IfGroup,
  /** a: group, 0 any, b: else */
  IfRecursion,
  /** a: group, b: address of its Open (0 is the start) */
  Call,
  /** a: Verb */
  Verb,
  Match,
}

export const enum Outcome {
  None,
  Match,
  Limit,
  /** Recursion without progress. */
  Loop,
}

export const FIELDS: i32 = 5;
/** Instructions of all programs: op, a, b, c, d. */
export const program: Ints = ints(12);

const STEPS: i32 = 1_000_000;
/** Steps, and steps a byte of the key, after which failed states are kept. */
const MEMO_STEPS: i32 = 1 << 14;
const MEMO_STEPS_A_BYTE: i32 = 8;
const DEPTH: i32 = 1 << 22;

/** Registers: [0] frame, [1] frames used; then two a group for captures; one a group for its start; then the loops'. */
export const FIRST: i32 = 2;
export const registers: Ints = ints(10);

// Entries of the stack: kind, x, y, z.
const enum Entry {
  /** register, value before */
  Undo,
  /** address, place */
  Choice,
  /** address, least place, place: gives back one byte at a time */
  Greedy,
  /** address, most places more, place, and the set in the next entry's place */
  Lazy,
  /** loop address, place */
  LazyLoop,
  Commit,
  Prune,
  /** place */
  Skip,
  /** state: has failed when all above it has */
  State,
}

const stack: Ints = ints(12);
const frames: Ints = ints(8);

let steps: i32 = 0;
/** Steps beyond which each instruction asks slowStep(). */
let patience: i32 = 0;
let keepsStates: bool = false;

@inline
function pushEntry(kind: Entry, x: i32, y: i32, z: i32): void {
  stack.reserve(4);
  const at = stack.at + (stack.length << 2);
  store<i32>(at, kind);
  store<i32>(at + 4, x);
  store<i32>(at + 8, y);
  store<i32>(at + 12, z);
  stack.length += 4;
}

@inline
function assign(register: i32, value: i32): void {
  pushEntry(Entry.Undo, register, registers.get(register), 0);
  registers.set(register, value);
}

export function holdsAt(assert: Assert, key: i32, length: i32, place: i32): bool {
  const atEnd = place === length;
  const next = atEnd ? -1 : <i32>load<u8>(key + place);
  const before = place === 0 ? -1 : <i32>load<u8>(key + place - 1);
  switch (assert) {
    case Assert.Start: return place === 0;
    case Assert.End: return atEnd;
    case Assert.EndOrNewline: return atEnd || (next === 0x0a && place === length - 1);
    case Assert.LineStart: return place === 0 || (before === 0x0a && !atEnd);
    case Assert.PosixLineStart: return place === 0 || before === 0x0a;
    case Assert.LineEnd: return atEnd || next === 0x0a;
    case Assert.WordEdge: return isWord(before) !== isWord(next);
    case Assert.NotWordEdge: return isWord(before) === isWord(next);
    case Assert.WordStart: return !isWord(before) && isWord(next);
    default: return isWord(before) && !isWord(next);
  }
}

/** Drops the choices above that height but keeps what has to be undone. */
function cut(height: i32): void {
  let kept = height;
  for (let at = height; at < stack.length; at += 4) {
    if (stack.get(at) !== Entry.Undo) continue;
    if (kept !== at) memory.copy(stack.at + (kept << 2), stack.at + (at << 2), 16);
    kept += 4;
  }
  stack.length = kept;
}

/** Undoes everything above that height. */
function unwind(height: i32): void {
  while (stack.length > height) {
    stack.length -= 4;
    const at = stack.at + (stack.length << 2);
    if (load<i32>(at) === Entry.Undo) registers.set(load<i32>(at + 4), load<i32>(at + 8));
  }
}

@inline
function fold(byte: i32): i32 {
  return byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte;
}

let groups: i32 = 0;

/** How far the text of the group goes from there: its length, or -1. */
function backref(key: i32, length: i32, place: i32, group: i32, ignoreCase: bool): i32 {
  const from = registers.get(FIRST + 2 * group);
  const to = registers.get(FIRST + 2 * group + 1);
  if (from < 0) return -1;
  const count = to - from;
  if (place + count > length) return -1;
  for (let index = 0; index < count; index++) {
    const one = <i32>load<u8>(key + from + index);
    const other = <i32>load<u8>(key + place + index);
    if (one !== other && !(ignoreCase && fold(one) === fold(other))) return -1;
  }
  steps += count >> 2;
  return count;
}

// A frame: return address, group, place, former frame, then all registers as they were.
function enter(group: i32, back: i32, place: i32): Outcome {
  const size = 4 + registers.length;
  const at = registers.get(1);
  for (let frame = registers.get(0); frame >= 0; frame = frames.get(frame + 3)) {
    if (frames.get(frame + 1) === group && frames.get(frame + 2) === place) return Outcome.Loop;
    if (frames.get(frame + 2) !== place) break;
  }
  if (at + size > 1 << 20) return Outcome.Limit;
  if (frames.length < at + size) frames.resize(at + size, 0);
  frames.set(at, back);
  frames.set(at + 1, group);
  frames.set(at + 2, place);
  frames.set(at + 3, registers.get(0));
  memory.copy(frames.at + ((at + 4) << 2), registers.at, registers.length << 2);
  assign(0, at);
  assign(1, at + size);
  steps += registers.length >> 2;
  return Outcome.Match;
}

/** Ends the innermost recursion: captures are again what they were before it. Gives the address to go on at. */
function leave(): i32 {
  const frame = registers.get(0);
  for (let register = FIRST; register < registers.length; register++) {
    const value = frames.get(frame + 4 + register);
    if (registers.get(register) !== value) assign(register, value);
  }
  assign(0, frames.get(frame + 3));
  return frames.get(frame);
}

/** Where a search goes on after (*SKIP), or -1. */
let skipTo: i32 = -1;
let committed: bool = false;

/** Searches the key for the program from `start` to `end`; captures are left in the registers. */
export function search(
  start: i32, end: i32, registerCount: i32, groupCount: i32, anchored: bool, first: i32, key: i32, length: i32,
): Outcome {
  steps = 0;
  patience = min(STEPS, MEMO_STEPS + MEMO_STEPS_A_BYTE * min(length, STEPS));
  keepsStates = false;
  programEnd = end;
  const outcome = searchAll(start, registerCount, groupCount, anchored, first, key, length);
  if (keepsStates) endMemo();
  return outcome;
}

function searchAll(
  start: i32, registerCount: i32, groupCount: i32, anchored: bool, first: i32, key: i32, length: i32,
): Outcome {
  groups = groupCount;
  registers.clear();
  registers.resize(registerCount, -1);
  registers.set(1, 0);
  committed = false;
  for (let place = 0; place <= length; place++) {
    if (first >= 0 && !anchored) {
      while (place < length && !sets.has(first, load<u8>(key + place))) place++;
      if (place === length) return Outcome.None;
    }
    stack.clear();
    skipTo = -1;
    const outcome = attempt(start, key, length, place);
    if (outcome !== Outcome.None) {
      registers.set(FIRST, place);
      return outcome;
    }
    if (anchored || committed) return Outcome.None;
    if (skipTo > place) place = skipTo - 1;
  }
  return Outcome.None;
}

let programEnd: i32 = 0;

const enum Slow {
  GoOn,
  /** This state has failed before. */
  Fail,
  Limit,
}

/** Before an instruction of a search that has taken long. */
function slowStep(start: i32, length: i32, pc: i32, place: i32): Slow {
  if (steps > STEPS || stack.length > DEPTH) return Slow.Limit;
  if (!keepsStates) {
    keepsStates = beginMemo(start, programEnd, length);
    patience = keepsStates ? -1 : STEPS;
    if (!keepsStates) return Slow.GoOn;
  }
  const state = stateAt(pc, place);
  if (state < 0) return Slow.GoOn;
  if (hasFailed(state)) return Slow.Fail;
  pushEntry(Entry.State, state, 0, 0);
  return Slow.GoOn;
}

function attempt(start: i32, key: i32, length: i32, from: i32): Outcome {
  let pc = start;
  let place = from;
  while (true) {
    let failed = false;
    if (++steps > patience || stack.length > DEPTH) {
      const slow = slowStep(start, length, pc, place);
      if (slow === Slow.Limit) {
        unwind(0);
        return Outcome.Limit;
      }
      failed = slow === Slow.Fail;
    }
    const at = program.at + pc * 20;
    const x = load<i32>(at + 4);
    // The number of no instruction: nothing but to go back.
    switch (failed ? -1 : load<i32>(at)) {
      case -1: break;
      case B.Set:
        if (place < length && sets.has(x, load<u8>(key + place))) {
          place++;
          pc++;
        } else failed = true;
        break;
      case B.Assert:
        if (holdsAt(x, key, length, place)) pc++;
        else failed = true;
        break;
      case B.Split:
        pushEntry(Entry.Choice, x, place, 0);
        pc++;
        break;
      case B.SplitLazy:
        pushEntry(Entry.Choice, pc + 1, place, 0);
        pc = x;
        break;
      case B.Jump: pc = x; break;
      case B.Open:
        assign(FIRST + 2 * (groups + 1) + x, place);
        pc++;
        break;
      case B.Close: {
        assign(FIRST + 2 * x, registers.get(FIRST + 2 * (groups + 1) + x));
        assign(FIRST + 2 * x + 1, place);
        const frame = registers.get(0);
        pc = frame >= 0 && frames.get(frame + 1) === x ? leave() : pc + 1;
        break;
      }
      case B.Run: {
        const end = run(at, key, length, place, pc + 1);
        if (end < 0) failed = true;
        else {
          place = end;
          pc++;
        }
        break;
      }
      case B.LoopStart:
        assign(x, 0);
        assign(x + 1, -1);
        pc++;
        break;
      case B.Loop: {
        const count = registers.get(x);
        const least = load<i32>(at + 8);
        const most = load<i32>(at + 12);
        if (count >= least && ((count > 0 && registers.get(x + 1) === place) || (most >= 0 && count >= most))) {
          pc++;
          break;
        }
        if (count >= least) {
          if (load<i32>(at + 16)) {
            pushEntry(Entry.LazyLoop, pc, place, 0);
            pc++;
            break;
          }
          pushEntry(Entry.Choice, pc + 1, place, 0);
        }
        assign(x, count + 1);
        assign(x + 1, place);
        pc += 2;
        break;
      }
      case B.AtomicStart: {
        pushEntry(Entry.Undo, x, registers.get(x), 0);
        registers.set(x, stack.length);
        pc++;
        break;
      }
      case B.AtomicEnd:
        cut(registers.get(x));
        pc++;
        break;
      case B.LookStart: case B.LookOrElse: {
        const height = stack.length;
        if (load<i32>(at) === B.LookOrElse) pushEntry(Entry.Choice, load<i32>(at + 8), place, 0);
        assign(x, height);
        assign(x + 1, place);
        if (load<i32>(at) === B.LookStart) registers.set(x, stack.length);
        pc++;
        break;
      }
      case B.LookEnd:
        place = registers.get(x + 1);
        cut(registers.get(x));
        pc++;
        break;
      case B.NotLookStart: {
        const height = stack.length;
        pushEntry(Entry.Choice, load<i32>(at + 8), place, 0);
        assign(x, height);
        assign(x + 1, place);
        pc++;
        break;
      }
      case B.NotLookEnd: {
        place = registers.get(x + 1);
        unwind(registers.get(x));
        if (load<i32>(at + 8) >= 0) pc = load<i32>(at + 8);
        else failed = true;
        break;
      }
      case B.LookRegular:
        runFrom(x, key, length, place, true);
        steps += (stoppedAt - key - place) >> 3;
        if ((found.length > 0) === (load<i32>(at + 8) !== 0)) pc++;
        else failed = true;
        break;
      case B.Back:
        if (place >= x) {
          place -= x;
          pc++;
        } else failed = true;
        break;
      case B.Backref: {
        const count = backref(key, length, place, x, load<i32>(at + 8) !== 0);
        if (count < 0) failed = true;
        else {
          place += count;
          pc++;
        }
        break;
      }
      case B.IfGroup:
        pc = registers.get(FIRST + 2 * x + 1) >= 0 ? pc + 1 : load<i32>(at + 8);
        break;
      case B.IfRecursion: {
        const frame = registers.get(0);
        pc = frame >= 0 && (x === 0 || frames.get(frame + 1) === x) ? pc + 1 : load<i32>(at + 8);
        break;
      }
      case B.Call: {
        const outcome = enter(x, pc + 1, place);
        if (outcome !== Outcome.Match) {
          unwind(0);
          return outcome;
        }
        pc = load<i32>(at + 8);
        break;
      }
      case B.Verb:
        if (x === Verb.Fail) failed = true;
        else {
          pushEntry(x === Verb.Commit ? Entry.Commit : x === Verb.Prune ? Entry.Prune : Entry.Skip, place, 0, 0);
          pc++;
        }
        break;
      default: {
        if (registers.get(0) >= 0) {
          pc = leave();
          break;
        }
        registers.set(FIRST + 1, place);
        return Outcome.Match;
      }
    }
    if (!failed) continue;
    // Back to the last choice.
    while (true) {
      if (stack.length === 0) return Outcome.None;
      const top = stack.at + ((stack.length - 4) << 2);
      const one = load<i32>(top + 4);
      const other = load<i32>(top + 8);
      const kind: Entry = load<i32>(top);
      if (kind === Entry.Undo) {
        registers.set(one, other);
        stack.length -= 4;
        continue;
      }
      if (kind === Entry.State) {
        stack.length -= 4;
        noteFailed(one);
        continue;
      }
      if (kind === Entry.Choice) {
        stack.length -= 4;
        pc = one;
        place = other;
      } else if (kind === Entry.Greedy) {
        // one: address behind, other: least place, then the place reached
        place = load<i32>(top + 12) - 1;
        pc = one;
        if (place <= other) stack.length -= 4;
        else store<i32>(top + 12, place);
      } else if (kind === Entry.Lazy) {
        // one: address behind, other: places left, then the place
        place = load<i32>(top + 12);
        const set = load<i32>(program.at + (one - 1) * 20 + 4);
        if (place >= length || !sets.has(set, load<u8>(key + place))) {
          stack.length -= 4;
          continue;
        }
        place++;
        pc = one;
        if (other === 1) stack.length -= 4;
        else {
          store<i32>(top + 8, other < 0 ? other : other - 1);
          store<i32>(top + 12, place);
        }
      } else if (kind === Entry.LazyLoop) {
        stack.length -= 4;
        pc = one;
        place = other;
        const loop = load<i32>(program.at + pc * 20 + 4);
        assign(loop, registers.get(loop) + 1);
        assign(loop + 1, place);
        pc += 2;
      } else {
        if (kind === Entry.Commit) committed = true;
        else if (kind === Entry.Skip) skipTo = one;
        unwind(0);
        return Outcome.None;
      }
      break;
    }
  }
}

/** Bytes of one set, repeated. The place behind them, or -1. */
function run(at: i32, key: i32, length: i32, place: i32, behind: i32): i32 {
  const set = load<i32>(at + 4);
  const least = load<i32>(at + 8);
  const most = load<i32>(at + 12);
  const greed: Greed = load<i32>(at + 16);
  const bits = sets.addressOf(set);
  let end = most < 0 || most > length - place ? length : place + most;
  if (greed === Greed.Lazy) {
    if (place + least > length) return -1;
    const stop = place + least;
    while (place < stop) {
      const byte = <i32>load<u8>(key + place);
      if (!((load<u32>(bits + ((byte >> 5) << 2)) >> (byte & 31)) & 1)) return -1;
      place++;
    }
    if (most < 0 || most > least) pushEntry(Entry.Lazy, behind, most < 0 ? -1 : most - least, place);
    return place;
  }
  const start = place;
  if (sets.sizeOf(set) === 256) place = end;
  else {
    while (place < end) {
      const byte = <i32>load<u8>(key + place);
      if (!((load<u32>(bits + ((byte >> 5) << 2)) >> (byte & 31)) & 1)) break;
      place++;
    }
  }
  steps += (place - start) >> 3;
  if (place - start < least) return -1;
  if (greed === Greed.Greedy && place > start + least) pushEntry(Entry.Greedy, behind, start + least, place);
  return place;
}
