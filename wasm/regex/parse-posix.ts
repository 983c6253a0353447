/**
 * POSIX patterns, extended or basic, as glibc's regcomp reads them in the C locale, with its GNU additions (\w \s \b \<
 * \` and back-references). When case is ignored glibc turns pattern and key to upper case but for escaped letters,
 * which then match nothing: here each set holds the bytes whose upper case it accepts.
 * Failing: node -1, with regcomp's code in fault.ts.
 */

import * as ast from "./ast";
import { append, Assert, Greed, Kind, node } from "./ast";
import { escapeSet } from "./parse-escape";
import { namedSet } from "./parse-class";
import { fault, Fault, faultCode } from "./fault";
import { length, Option, options, peek, position, setPosition, source } from "./parse-input";
import { groupCount, setGroupCount } from "./parse-names";
import { intern, work, workAdd, workClear, workHas, workJoin, workNegate, workRange, workRemove } from "./sets";

/** regcomp's error numbers. */
const enum Posix {
  Pattern = 2,
  Collate = 3,
  ClassType = 4,
  Escape = 5,
  Subregister = 6,
  Bracket = 7,
  Parenthesis = 8,
  Brace = 9,
  BadBrace = 10,
  Range = 11,
  Size = 15,
  BadRepeat = 13,
}

const enum Token {
  End,
  Byte,
  /** A byte that was escaped: never folded. */
  Escaped,
  Any,
  Bracket,
  Open,
  Close,
  Alt,
  Star,
  Plus,
  Question,
  OpenCount,
  CloseCount,
  Assert,
  Class,
  Backref,
}

const DUP_MAX = 32767;
const DEPTH = 250;

let token: Token = Token.End;
/** The byte, Assert, class letter or group of the token. */
let detail: i32 = 0;
let tokenLength: i32 = 0;
/** Groups 1 to 9 that are complete: bits. */
let completed: i32 = 0;
let depth: i32 = 0;

@inline
function basic(): bool {
  return (options & Option.Basic) !== 0;
}

@inline
function folding(): bool {
  return (options & Option.Caseless) !== 0;
}

/** The byte as the pattern's own buffer holds it. */
@inline
function upper(byte: i32): i32 {
  return folding() && byte >= 0x61 && byte <= 0x7a ? byte - 32 : byte;
}

export function parsePosix(): i32 {
  completed = 0;
  depth = 0;
  tokenLength = 0;
  fetch(true);
  const root = alternation(0);
  if (root < 0) return -1;
  if (token !== Token.End) return fault(Posix.Parenthesis, 0);
  return root === 0 ? node(Kind.Empty) : root;
}

/** Reads the next token; `caretHere`: in basic syntax ^ is an anchor at this place. */
function fetch(caretHere: bool): void {
  setPosition(position + tokenLength);
  look(caretHere);
}

function set(kind: Token, value: i32, size: i32): void {
  token = kind;
  detail = value;
  tokenLength = size;
}

function look(caretHere: bool): void {
  const byte = peek(0);
  if (byte < 0) return set(Token.End, 0, 0);
  if (byte === 0x5c) return lookEscape();
  const extended = !basic();
  switch (byte) {
    case 0x2a: return set(Token.Star, byte, 1);
    case 0x2e: return set(Token.Any, byte, 1);
    case 0x5b: return set(Token.Bracket, byte, 1);
    case 0x7c: return set(extended ? Token.Alt : Token.Byte, byte, 1);
    case 0x2b: return set(extended ? Token.Plus : Token.Byte, byte, 1);
    case 0x3f: return set(extended ? Token.Question : Token.Byte, byte, 1);
    case 0x7b: return set(extended ? Token.OpenCount : Token.Byte, byte, 1);
    case 0x7d: return set(extended ? Token.CloseCount : Token.Byte, byte, 1);
    case 0x28: return set(extended ? Token.Open : Token.Byte, byte, 1);
    case 0x29: return set(extended ? Token.Close : Token.Byte, byte, 1);
    case 0x5e:
      if (!extended && !caretHere && position !== 0) return set(Token.Byte, byte, 1);
      return set(Token.Assert, options & Option.Multiline ? Assert.PosixLineStart : Assert.Start, 1);
    case 0x24:
      if (!extended && position + 1 !== length) {
        const bar = peek(1) === 0x5c && (peek(2) === 0x7c || peek(2) === 0x29);
        if (!bar) return set(Token.Byte, byte, 1);
      }
      return set(Token.Assert, options & Option.Multiline ? Assert.LineEnd : Assert.End, 1);
    default: return set(Token.Byte, upper(byte), 1);
  }
}

function lookEscape(): void {
  const byte = peek(1);
  if (byte < 0) {
    fault(Posix.Escape, 0);
    return set(Token.End, 0, 1);
  }
  if (byte >= 0x31 && byte <= 0x39) return set(Token.Backref, byte - 0x30, 2);
  const isBasic = basic();
  switch (byte) {
    case 0x3c: return set(Token.Assert, Assert.WordStart, 2);
    case 0x3e: return set(Token.Assert, Assert.WordEnd, 2);
    case 0x62: return set(Token.Assert, Assert.WordEdge, 2);
    case 0x42: return set(Token.Assert, Assert.NotWordEdge, 2);
    case 0x60: return set(Token.Assert, Assert.Start, 2);
    case 0x27: return set(Token.Assert, Assert.End, 2);
    case 0x77: case 0x57: case 0x73: case 0x53: return set(Token.Class, byte, 2);
    case 0x7c: return set(isBasic ? Token.Alt : Token.Escaped, byte, 2);
    case 0x28: return set(isBasic ? Token.Open : Token.Escaped, byte, 2);
    case 0x29: return set(isBasic ? Token.Close : Token.Escaped, byte, 2);
    case 0x7b: return set(isBasic ? Token.OpenCount : Token.Escaped, byte, 2);
    case 0x7d: return set(isBasic ? Token.CloseCount : Token.Escaped, byte, 2);
    case 0x2b: return set(isBasic ? Token.Plus : Token.Escaped, byte, 2);
    case 0x3f: return set(isBasic ? Token.Question : Token.Escaped, byte, 2);
    default: return set(Token.Escaped, byte, 2);
  }
}

/** Alternatives; 0 when there is nothing at all, as glibc's null tree. */
function alternation(nest: i32): i32 {
  if (++depth > DEPTH) return fault(Fault.TooBig, 0);
  const before = completed;
  let tree = branch(nest);
  if (tree < 0) return -1;
  if (token === Token.Alt) {
    const list = node(Kind.Alt);
    // What is empty is preferred least, whatever its place.
    let empty = tree === 0;
    if (tree > 0) append(list, tree);
    let all = completed;
    while (token === Token.Alt) {
      fetch(true);
      tree = 0;
      if (token !== Token.Alt && token !== Token.End && (nest === 0 || token !== Token.Close)) {
        all |= completed;
        completed = before;
        tree = branch(nest);
        if (tree < 0) return -1;
        completed |= all;
      }
      if (tree > 0) append(list, tree);
      else empty = true;
    }
    if (empty) append(list, node(Kind.Empty));
    tree = ast.a(list) === 0 ? 0 : ast.simplest(list);
  }
  depth--;
  return tree;
}

function branch(nest: i32): i32 {
  const list = node(Kind.Cat);
  while (token !== Token.Alt && token !== Token.End && (nest === 0 || token !== Token.Close)) {
    const part = expression(nest);
    if (part < 0) return -1;
    if (part > 0) append(list, part);
  }
  if (faultCode !== 0) return -1;
  return ast.a(list) === 0 ? 0 : ast.simplest(list);
}

function byteNode(byte: i32): i32 {
  workClear();
  workAdd(byte);
  return foldedNode();
}

/** The set in `work` tells which upper case bytes are accepted; the node's set, which bytes. */
function foldedNode(): i32 {
  if (folding()) {
    for (let byte = 0x61; byte <= 0x7a; byte++) {
      if (workHas(byte - 32)) workAdd(byte);
      else workRemove(byte);
    }
  }
  return node(Kind.Set, intern());
}

function expression(nest: i32): i32 {
  let tree = 0;
  switch (token) {
    case Token.Byte: case Token.CloseCount: tree = byteNode(detail); break;
    case Token.Escaped: tree = byteNode(detail); break;
    case Token.Any:
      workClear();
      if (options & Option.Multiline) workAdd(0x0a);
      workNegate();
      tree = foldedNode();
      break;
    case Token.Bracket:
      tree = bracket();
      if (tree < 0) return -1;
      break;
    case Token.Open:
      tree = group(nest + 1);
      if (tree < 0) return -1;
      break;
    case Token.Close:
      if (basic()) return fault(Posix.Parenthesis, 0);
      tree = byteNode(0x29);
      break;
    case Token.Star:
      if (!basic()) return fault(Posix.BadRepeat, 0);
      tree = byteNode(0x2a);
      break;
    case Token.Plus: case Token.Question:
      if (!basic()) return fault(Posix.BadRepeat, 0);
      tree = byteNode(detail);
      break;
    case Token.OpenCount: return fault(Posix.BadRepeat, 0);
    case Token.Assert:
      tree = node(Kind.Assert, detail);
      fetch(true);
      return tree; // an anchor takes no repetition
    case Token.Class:
      escapeSet(detail);
      tree = foldedNode();
      break;
    case Token.Backref:
      if (!((completed >> detail) & 1)) return fault(Posix.Subregister, 0);
      tree = node(Kind.Backref, detail, options & Option.Caseless);
      break;
    default: return 0;
  }
  fetch(false);
  while (token === Token.Star || token === Token.Plus || token === Token.Question || token === Token.OpenCount) {
    tree = repeated(tree);
    if (tree < 0) return -1;
    if (basic() && (token === Token.Star || token === Token.OpenCount)) return fault(Posix.BadRepeat, 0);
  }
  return faultCode !== 0 ? -1 : tree;
}

function group(nest: i32): i32 {
  const number = groupCount + 1;
  setGroupCount(number);
  fetch(true);
  let body = 0;
  if (token !== Token.Close) {
    body = alternation(nest);
    if (body < 0) return -1;
    if (token !== Token.Close) return fault(Posix.Parenthesis, 0);
  }
  if (number <= 9) completed |= 1 << number;
  return node(Kind.Group, body === 0 ? node(Kind.Empty) : body, number);
}

/** What a number in braces is when it is not one. */
const NO_NUMBER = -1;
const NOT_A_NUMBER = -2;

function fetchNumber(): i32 {
  let value = NO_NUMBER;
  while (true) {
    fetch(false);
    if (token === Token.End) return NOT_A_NUMBER;
    if (token === Token.CloseCount || (token === Token.Byte && detail === 0x2c)) return value;
    const digit = token === Token.Byte && detail >= 0x30 && detail <= 0x39;
    value = !digit || value === NOT_A_NUMBER
      ? NOT_A_NUMBER
      : value === NO_NUMBER
      ? detail - 0x30
      : min(DUP_MAX + 1, value * 10 + detail - 0x30);
  }
}

function repeated(body: i32): i32 {
  let least = 0;
  let most = -1;
  if (token === Token.OpenCount) {
    least = fetchNumber();
    if (least === NO_NUMBER) {
      if (token !== Token.Byte || detail !== 0x2c) return fault(Posix.BadBrace, 0);
      least = 0;
    }
    if (least !== NOT_A_NUMBER) {
      most = token === Token.CloseCount ? least : fetchNumber();
    }
    if (least === NOT_A_NUMBER || most === NOT_A_NUMBER) {
      return fault(token === Token.End ? Posix.Brace : Posix.BadBrace, 0);
    }
    if ((most !== -1 && least > most) || token !== Token.CloseCount) return fault(Posix.BadBrace, 0);
    if ((most === -1 ? least : most) > DUP_MAX) return fault(Posix.Size, 0);
  } else {
    least = token === Token.Plus ? 1 : 0;
    most = token === Token.Question ? 1 : -1;
  }
  fetch(false);
  if (body === 0 || (least === 0 && most === 0)) return body === 0 ? 0 : node(Kind.Empty);
  return node(Kind.Repeat, body, least, most, Greed.Greedy);
}

const enum Part {
  Failed,
  Byte,
  Class,
  Symbol,
}

let partByte: i32 = 0;
let soFar: i32 = 0;

/** [ … ] */
function bracket(): i32 {
  setPosition(position + 1);
  let negated = false;
  if (peek(0) < 0) return fault(Posix.Pattern, 0);
  workClear();
  soFar = intern();
  if (peek(0) === 0x5e) {
    negated = true;
    setPosition(position + 1);
    if (options & Option.Multiline) {
      workAdd(0x0a);
      soFar = intern();
    }
    if (peek(0) < 0) return fault(Posix.Pattern, 0);
  }
  let first = true;
  while (true) {
    if (peek(0) < 0) return fault(Posix.Bracket, 0);
    if (peek(0) === 0x5d && !first) break;
    const part = bracketPart(first);
    first = false;
    if (part === Part.Failed) return -1;
    if (peek(0) < 0) return fault(Posix.Bracket, 0);
    if (part === Part.Class) continue;
    const from = partByte;
    if (isRangeMark()) {
      if (peek(1) < 0) return fault(Posix.Bracket, 0);
      if (peek(1) !== 0x5d) {
        setPosition(position + 1);
        const end = bracketPart(true);
        if (end === Part.Failed) return -1;
        if (end === Part.Class || from > partByte) return fault(Posix.Range, 0);
        workClear();
        workRange(from, partByte);
        workJoin(soFar);
        soFar = intern();
        continue;
      }
    }
    workClear();
    workAdd(from);
    workJoin(soFar);
    soFar = intern();
  }
  // The token's length counts from the closing bracket on.
  tokenLength = 1;
  workClear();
  workJoin(soFar);
  if (negated) workNegate();
  return foldedNode();
}

/** A hyphen means a range unless it is one of three in a row. */
function isRangeMark(): bool {
  return peek(0) === 0x2d && !(peek(1) === 0x2d && peek(2) === 0x2d);
}

function bracketPart(acceptHyphen: bool): Part {
  const byte = peek(0);
  if (byte === 0x5b && (peek(1) === 0x3a || peek(1) === 0x2e || peek(1) === 0x3d)) return symbol(peek(1));
  if (byte === 0x2d && !isRangeMark()) {
    setPosition(position + 3);
    partByte = byte;
    return Part.Byte;
  }
  if (byte === 0x2d && !acceptHyphen && peek(1) !== 0x5d) return failedPart(Posix.Range);
  setPosition(position + 1);
  partByte = upper(byte);
  return Part.Byte;
}

function failedPart(code: i32): Part {
  fault(code, 0);
  return Part.Failed;
}

/** [:name:], [.x.] or [=x=] */
function symbol(mark: i32): Part {
  setPosition(position + 2);
  const start = position;
  while (true) {
    if (position - start >= 32 || peek(0) < 0 || peek(1) < 0) return failedPart(Posix.Bracket);
    if (peek(0) === mark && peek(1) === 0x5d) break;
    setPosition(position + 1);
  }
  const count = position - start;
  setPosition(position + 2);
  if (mark !== 0x3a) {
    if (count !== 1) return failedPart(Posix.Collate);
    partByte = upper(load<u8>(source + start));
    if (mark === 0x2e) return Part.Byte;
    workClear();
    workAdd(partByte);
  } else {
    workClear();
    // regexp has no [:word:] and no [:ascii:].
    const known = namedSet(source + start, count, folding());
    const ascii = count === 5 && load<u8>(source + start) === 0x61 && load<u8>(source + start + 1) === 0x73;
    if (!known || count === 4 || ascii) {
      return failedPart(Posix.ClassType);
    }
  }
  workJoin(soFar);
  soFar = intern();
  return Part.Class;
}
