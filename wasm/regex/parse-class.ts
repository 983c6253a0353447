/** A bracket class of a Perl-compatible pattern, and the names of classes that both syntaxes share. */

import { Escape, escapeSet, escapeValue, readEscape } from "./parse-escape";
import { fault } from "./fault";
import { length, Option, options, peek, position, setPosition, source } from "./parse-input";
import { intern, work, workAdd, workClear, workFold, workJoin, workNegate, workRange } from "./sets";

/** Where [:name:] ends: at the second colon. */
let nameClose: i32 = 0;

/** Whether [: [. or [= opens a named thing at `at`, which is at the bracket. */
function isNamed(at: i32): bool {
  const mark = at + 1 < length ? <i32>load<u8>(source + at + 1) : -1;
  if (mark !== 0x3a && mark !== 0x2e && mark !== 0x3d) return false;
  for (let index = at + 2; index + 1 < length; index++) {
    const byte = <i32>load<u8>(source + index);
    const after = <i32>load<u8>(source + index + 1);
    if (byte === 0x5c && (after === 0x5d || after === 0x5c)) index++;
    else if ((byte === 0x5b && after === mark) || byte === 0x5d) return false;
    else if (byte === mark && after === 0x5d) {
      nameClose = index;
      return true;
    }
  }
  return false;
}

/** What stands at "[" but is no class: 1 for [[:<:]], 2 for [[:>:]]; -1 for [:name:] outside a class; else 0. */
export function parseClassName(at: i32): i32 {
  if (isNamed(at)) return fault(load<u8>(source + at + 1) === 0x3a ? 112 : 113, at);
  const edge = peek(0) === 0x5b && peek(1) === 0x3a && (peek(2) === 0x3c || peek(2) === 0x3e);
  if (edge && peek(3) === 0x3a && peek(4) === 0x5d && peek(5) === 0x5d) {
    const start = peek(2) === 0x3c;
    setPosition(position + 6);
    return start ? 1 : 2;
  }
  return 0;
}

let hasWork: i32 = 0; // the set so far, interned while another is in `work`

/** Behind "[": the set up to "]", or -1. */
export function parseClass(): i32 {
  let negated = false;
  if (peek(0) === 0x5e) {
    negated = true;
    setPosition(position + 1);
  }
  workClear();
  hasWork = intern();
  let first = true;
  let quoting = false;
  // What a hyphen may join: -1 nothing, -2 a set stands before it.
  let from = -1;
  let range = false;
  while (true) {
    if (position >= length) return fault(106, position);
    const at = position;
    let byte = peek(0);
    if (quoting) {
      if (byte === 0x5c && peek(1) === 0x45) {
        quoting = false;
        setPosition(position + 2);
        continue;
      }
    } else {
      if (byte === 0x5d && !first) break;
      if (byte === 0x5c && (peek(1) === 0x51 || peek(1) === 0x45)) {
        quoting = peek(1) === 0x51;
        setPosition(position + 2);
        continue;
      }
      if (options & Option.ExtendedMore && (byte === 0x20 || byte === 0x09)) {
        setPosition(position + 1);
        continue;
      }
    }
    first = false;
    if (!quoting && byte === 0x5b && isNamed(at)) {
      if (peek(1) !== 0x3a) return fault(113, at);
      if (range) return fault(150, at + 1);
      if (!addNamed(at + 2, nameClose)) return -1;
      setPosition(nameClose + 2);
      if (peek(0) === 0x2d && peek(1) !== 0x5d && position + 1 < length) return fault(150, position);
      from = -1;
      continue;
    }
    if (!quoting && byte === 0x2d && from >= 0 && !range && position + 1 < length && peek(1) !== 0x5d) {
      range = true;
      setPosition(position + 1);
      continue;
    }
    setPosition(position + 1);
    if (!quoting && byte === 0x5c) {
      const escape = readEscape(true);
      if (escape === Escape.Failed) return -1;
      if (escape === Escape.Set) {
        if (range) return fault(150, position);
        const kind = escapeValue;
        escapeSet(kind);
        workJoin(hasWork);
        hasWork = intern();
        if (peek(0) === 0x2d && peek(1) !== 0x5d && position + 1 < length) return fault(150, position);
        from = -1;
        continue;
      }
      byte = escapeValue;
    }
    if (range) {
      if (byte < from) return fault(108, position - 1);
      addRange(from, byte);
      range = false;
      from = -1;
      continue;
    }
    addRange(byte, byte);
    from = byte;
  }
  if (range) addRange(0x2d, 0x2d);
  setPosition(position + 1);
  workClear();
  workJoin(hasWork);
  if (negated) workNegate();
  return intern();
}

function addRange(from: i32, to: i32): void {
  workClear();
  workRange(from, to);
  if (options & Option.Caseless) workFold();
  workJoin(hasWork);
  hasWork = intern();
}

function addNamed(start: i32, end: i32): bool {
  let at = start;
  const negated = load<u8>(source + at) === 0x5e;
  if (negated) at++;
  workClear();
  if (!namedSet(source + at, end - at, (options & Option.Caseless) !== 0)) {
    fault(130, start);
    return false;
  }
  if (negated) workNegate();
  workJoin(hasWork);
  hasWork = intern();
  return true;
}

/** Adds the bytes of a POSIX class to sets.work; false when there is none of that name. */
export function namedSet(at: i32, count: i32, fold: bool): bool {
  if (is(at, count, "alpha", 5)) letters();
  else if (is(at, count, "lower", 5)) {
    if (fold) letters();
    else workRange(0x61, 0x7a);
  } else if (is(at, count, "upper", 5)) {
    if (fold) letters();
    else workRange(0x41, 0x5a);
  } else if (is(at, count, "alnum", 5)) {
    letters();
    workRange(0x30, 0x39);
  } else if (is(at, count, "digit", 5)) workRange(0x30, 0x39);
  else if (is(at, count, "blank", 5)) {
    workAdd(0x20);
    workAdd(0x09);
  } else if (is(at, count, "cntrl", 5)) {
    workRange(0, 0x1f);
    workAdd(0x7f);
  } else if (is(at, count, "graph", 5)) workRange(0x21, 0x7e);
  else if (is(at, count, "print", 5)) workRange(0x20, 0x7e);
  else if (is(at, count, "punct", 5)) punctuation();
  else if (is(at, count, "space", 5)) {
    workRange(0x09, 0x0d);
    workAdd(0x20);
  } else if (is(at, count, "xdigit", 6)) {
    workRange(0x30, 0x39);
    workRange(0x41, 0x46);
    workRange(0x61, 0x66);
  } else if (is(at, count, "word", 4)) {
    letters();
    workRange(0x30, 0x39);
    workAdd(0x5f);
  } else if (is(at, count, "ascii", 5)) workRange(0, 0x7f);
  else return false;
  return true;
}

function letters(): void {
  workRange(0x41, 0x5a);
  workRange(0x61, 0x7a);
}

function punctuation(): void {
  workRange(0x21, 0x2f);
  workRange(0x3a, 0x40);
  workRange(0x5b, 0x60);
  workRange(0x7b, 0x7e);
}

function is(at: i32, count: i32, name: string, size: i32): bool {
  if (count !== size) return false;
  const characters = changetype<usize>(name);
  for (let index = 0; index < size; index++) {
    if (<i32>load<u8>(at + index) !== <i32>load<u16>(characters + (<usize>index << 1))) return false;
  }
  return true;
}
