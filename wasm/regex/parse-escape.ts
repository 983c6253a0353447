/** What follows a backslash in a Perl-compatible pattern, inside and outside a class. */

import { isDigit, isLetter } from "./bytes";
import { fault, Fault } from "./fault";
import { length, peek, position, setPosition, source } from "./parse-input";
import { groupCount, nameEnd, readName } from "./parse-names";
import { workAdd, workClear, workNegate, workRange } from "./sets";

export const enum Escape {
  Failed,
  /** escapeValue: the byte */
  Literal,
  /** The set is in sets.work (outside a class: only that). */
  Set,
  WordEdge,
  NotWordEdge,
  Start,
  End,
  EndOrNewline,
  NotNewline,
  AnyByte,
  Keep,
  LineBreak,
  /** escapeValue: group */
  Backref,
  /** escapeValue: offset of the name, which ends at nameEnd */
  NamedBackref,
  Call,
  NamedCall,
  Unsupported,
}

export let escapeValue: i32 = 0;

/** Whether {n}, {n,} or {n,m} stands there; anything else is literal text. */
export function isCount(at: i32): bool {
  let index = at + 1;
  const digits = index;
  while (index < length && isDigit(load<u8>(source + index))) index++;
  if (index === digits || index >= length) return false;
  if (load<u8>(source + index) === 0x7d) return true;
  if (load<u8>(source + index) !== 0x2c) return false;
  index++;
  while (index < length && isDigit(load<u8>(source + index))) index++;
  return index < length && load<u8>(source + index) === 0x7d;
}

/** `position` is behind the backslash. With `inClass`, a set is left to escapeSet. */
export function readEscape(inClass: bool): Escape {
  if (position >= length) {
    fault(101, position);
    return Escape.Failed;
  }
  const byte = peek(0);
  setPosition(position + 1);
  if (byte >= 0x30 && byte <= 0x39) return digits(byte, inClass);
  if (!isLetter(byte)) return literal(byte);
  switch (byte) {
    case 0x61: return literal(0x07);
    case 0x65: return literal(0x1b);
    case 0x66: return literal(0x0c);
    case 0x6e: return literal(0x0a);
    case 0x72: return literal(0x0d);
    case 0x74: return literal(0x09);
    case 0x63: return control();
    case 0x6f: return braced(8);
    case 0x78: return hex();
    case 0x64: case 0x44: case 0x77: case 0x57: case 0x73: case 0x53: case 0x68: case 0x48: case 0x76: case 0x56:
      if (!inClass) escapeSet(byte);
      escapeValue = byte;
      return Escape.Set;
    case 0x62: return inClass ? literal(0x08) : Escape.WordEdge;
    case 0x4e:
      if (peek(0) === 0x7b && !isCount(position)) return namedCharacter();
      return inClass ? failed(171, position) : Escape.NotNewline;
    case 0x42: return inClass ? failed(107, position - 1) : Escape.NotWordEdge;
    case 0x52: return inClass ? failed(107, position - 1) : Escape.LineBreak;
    case 0x46: case 0x4c: case 0x6c: case 0x55: case 0x75: return failed(137, position);
    case 0x70: case 0x50: case 0x58: return failed(Fault.Unsupported, position - 2);
    default: break;
  }
  if (inClass) return byte === 0x67 ? literal(byte) : failed(strange(byte) ? 107 : 103, position - 1);
  switch (byte) {
    case 0x41: case 0x47: return Escape.Start;
    case 0x7a: return Escape.End;
    case 0x5a: return Escape.EndOrNewline;
    case 0x43: return Escape.AnyByte;
    case 0x4b: return Escape.Keep;
    case 0x67: return groupReference();
    case 0x6b: return namedReference();
    default: return failed(103, position - 1);
  }
}

/** Escapes that mean something outside a class only. */
function strange(byte: i32): bool {
  switch (byte) {
    case 0x41: case 0x43: case 0x47: case 0x4b: case 0x5a: case 0x6b: case 0x7a: return true;
    default: return false;
  }
}

function failed(code: i32, offset: i32): Escape {
  fault(code, offset);
  return Escape.Failed;
}

function literal(byte: i32): Escape {
  escapeValue = byte;
  return Escape.Literal;
}

/** \1 to \9, and longer numbers of groups that have begun, are references; else octal. */
function digits(first: i32, inClass: bool): Escape {
  if (first === 0x30) {
    let value = 0;
    for (let count = 0; count < 2 && peek(0) >= 0x30 && peek(0) <= 0x37; count++) {
      value = (value << 3) + peek(0) - 0x30;
      setPosition(position + 1);
    }
    return literal(value);
  }
  const start = position;
  if (!inClass) {
    let value = first - 0x30;
    while (peek(0) >= 0x30 && peek(0) <= 0x39) {
      value = value * 10 + peek(0) - 0x30;
      setPosition(position + 1);
      if (value > 65535) return failed(161, position);
    }
    if (value < 10 || value <= groupCount) {
      escapeValue = value;
      return Escape.Backref;
    }
    setPosition(start);
  }
  if (first >= 0x38) return literal(first);
  let value = first - 0x30;
  for (let count = 0; count < 2 && peek(0) >= 0x30 && peek(0) <= 0x37; count++) {
    value = (value << 3) + peek(0) - 0x30;
    setPosition(position + 1);
  }
  if (value > 255) return failed(151, position);
  return literal(value);
}

function control(): Escape {
  if (position >= length) return failed(102, position);
  let byte = peek(0);
  if (byte >= 0x61 && byte <= 0x7a) byte -= 32;
  if (byte < 0x20 || byte > 0x7e) return failed(168, position);
  setPosition(position + 1);
  return literal(byte ^ 0x40);
}

function hexDigit(byte: i32): i32 {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  if (byte >= 0x61 && byte <= 0x66) return byte - 0x57;
  if (byte >= 0x41 && byte <= 0x46) return byte - 0x37;
  return -1;
}

function hex(): Escape {
  if (peek(0) === 0x7b) return braced(16);
  let value = 0;
  for (let count = 0; count < 2 && hexDigit(peek(0)) >= 0; count++) {
    value = (value << 4) + hexDigit(peek(0));
    setPosition(position + 1);
  }
  return literal(value);
}

/** \x{…} and \o{…} */
function braced(base: i32): Escape {
  if (peek(0) !== 0x7b) return failed(155, position - 1);
  setPosition(position + 1);
  if (position >= length || peek(0) === 0x7d) return failed(178, position);
  let value = 0;
  while (true) {
    const digit = hexDigit(peek(0));
    if (digit < 0 || digit >= base) break;
    value = value * base + digit;
    setPosition(position + 1);
    if (value > 255) {
      return failed(134, position);
    }
  }
  if (peek(0) !== 0x7d) return failed(base === 8 ? 164 : 167, position < length ? position : position - 1);
  setPosition(position + 1);
  return literal(value);
}

function namedCharacter(): Escape {
  const byNumber = peek(1) === 0x55 && peek(2) === 0x2b;
  return failed(byNumber ? 193 : 137, byNumber ? position : position + 1);
}

/** \g{n} \g{-n} \g{+n} \gn \g{name} as references; \g<…> \g'…' as calls. */
function groupReference(): Escape {
  const start = position;
  const open = peek(0);
  const called = open === 0x3c || open === 0x27;
  const close = open === 0x3c ? 0x3e : open === 0x27 ? 0x27 : open === 0x7b ? 0x7d : -1;
  if (close >= 0) setPosition(position + 1);
  const sign = peek(0);
  const signed = sign === 0x2d || sign === 0x2b;
  if (!(sign >= 0x30 && sign <= 0x39) && !(signed && peek(1) >= 0x30 && peek(1) <= 0x39)) {
    if (close < 0) return failed(157, position);
    escapeValue = position;
    if (!readName(close)) return Escape.Failed;
    return called ? Escape.NamedCall : Escape.NamedBackref;
  }
  if (signed) setPosition(position + 1);
  let value = 0;
  while (peek(0) >= 0x30 && peek(0) <= 0x39) {
    value = value * 10 + peek(0) - 0x30;
    setPosition(position + 1);
    if (value > 65535) return failed(161, position);
  }
  if (value === 0 && (signed || !called)) return failed(signed ? 126 : 115, position);
  if (sign === 0x2d) {
    if (value > groupCount) return failed(115, position);
    value = groupCount - value + 1;
  } else if (sign === 0x2b) value += groupCount;
  if (close >= 0) {
    if (peek(0) !== close) return failed(157, called ? position : start);
    setPosition(position + 1);
  }
  escapeValue = value;
  return called ? Escape.Call : Escape.Backref;
}

/** \k{name} \k<name> \k'name' */
function namedReference(): Escape {
  const open = peek(0);
  const close = open === 0x3c ? 0x3e : open === 0x27 ? 0x27 : open === 0x7b ? 0x7d : -1;
  if (close < 0) return failed(169, position);
  setPosition(position + 1);
  escapeValue = position;
  return readName(close) ? Escape.NamedBackref : Escape.Failed;
}

/** \d \w \s \h \v and their opposites, as the set in sets.work. */
export function escapeSet(byte: i32): void {
  workClear();
  switch (byte | 0x20) {
    case 0x64: workRange(0x30, 0x39); break;
    case 0x77:
      workRange(0x30, 0x39);
      workRange(0x41, 0x5a);
      workRange(0x61, 0x7a);
      workAdd(0x5f);
      break;
    case 0x73:
      workRange(0x09, 0x0d);
      workAdd(0x20);
      break;
    case 0x68:
      workAdd(0x09);
      workAdd(0x20);
      workAdd(0xa0);
      break;
    default:
      workRange(0x0a, 0x0d);
      workAdd(0x85);
      break;
  }
  if (byte < 0x60) workNegate();
}
