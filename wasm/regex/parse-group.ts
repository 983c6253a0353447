/** What stands in parentheses in a Perl-compatible pattern. */

import * as ast from "./ast";
import { Condition, Kind, Look, node, Verb } from "./ast";
import { fault, Fault } from "./fault";
import { isDigit, isWord } from "./bytes";
import { length, Option, options, peek, position, setOptions, setPosition, source } from "./parse-input";
import { addName, faultLater, groupCount, lookLater, nameEnd, readName, setGroupCount } from "./parse-names";
import { alternatives, call, changeLookDepth, readNumber, starts } from "./parse-pcre";

/** What follows "(". */
export function group(): i32 {
  if (peek(0) === 0x2a) return verb();
  if (peek(0) !== 0x3f) {
    if (options & Option.NoAutoCapture) return closed(Kind.Empty, 0);
    return capture();
  }
  setPosition(position + 1);
  if (position >= length) return fault(114, position);
  const byte = peek(0);
  switch (byte) {
    case 0x3a: // :
      setPosition(position + 1);
      return closed(Kind.Empty, 0);
    case 0x7c: // |
      setPosition(position + 1);
      return closed(Kind.Alt, 0);
    case 0x3e: // >
      setPosition(position + 1);
      return closed(Kind.Atomic, 0);
    case 0x3d: // =
    case 0x2a: // * (non-atomic look-ahead: the same but for captures after failure)
      setPosition(position + 1);
      return closed(Kind.Look, Look.Ahead);
    case 0x21: // !
      setPosition(position + 1);
      if (peek(0) === 0x29) {
        setPosition(position + 1);
        return node(Kind.Verb, Verb.Fail);
      }
      return closed(Kind.Look, Look.NotAhead);
    case 0x3c: // <
      if (peek(1) === 0x3d || peek(1) === 0x21 || peek(1) === 0x2a) return lookBehind();
      setPosition(position + 1);
      return namedCapture(0x3e);
    case 0x27: // '
      setPosition(position + 1);
      return namedCapture(0x27);
    case 0x50: return python();
    case 0x26: { // &
      setPosition(position + 1);
      return namedCall();
    }
    case 0x28: return condition();
    case 0x43: return callout();
    case 0x52: { // R
      setPosition(position + 1);
      if (peek(0) !== 0x29) return fault(158, position);
      setPosition(position + 1);
      return call(0, position);
    }
    default: break;
  }
  if (isDigit(byte) || byte === 0x2b || (byte === 0x2d && isDigit(peek(1)))) return numberedCall();
  return optionSetting();
}

/** The body up to ")", options restored behind it. `kind` Empty: no node of its own; Alt: branch reset. */
function closed(kind: Kind, detail: i32): i32 {
  const before = options;
  if (kind === Kind.Look) changeLookDepth(1);
  const body = alternatives(kind === Kind.Alt);
  if (body < 0) return -1;
  if (kind === Kind.Look) changeLookDepth(-1);
  setOptions(before);
  if (peek(0) !== 0x29) return fault(114, position);
  setPosition(position + 1);
  // A group of its own keeps an assertion or quantifier inside from meeting one outside.
  return kind === Kind.Empty || kind === Kind.Alt ? node(Kind.Group, body, 0) : node(kind, body, detail);
}

function capture(): i32 {
  const number = groupCount + 1;
  setGroupCount(number);
  const made = closed(Kind.Empty, 0);
  if (made > 0) ast.setField(made, 2, number);
  return made;
}

function lookBehind(): i32 {
  const start = position - 2;
  const detail = peek(1) === 0x21 ? Look.NotBehind : Look.Behind;
  setPosition(position + 2);
  const made = closed(Kind.Look, detail);
  if (made > 0) ast.setField(made, 4, start);
  return made;
}

function namedCapture(terminator: i32): i32 {
  const start = position;
  if (!readName(terminator)) return -1;
  if (!addName(start, nameEnd - start, groupCount + 1)) return -1;
  return capture();
}

function namedCall(): i32 {
  const start = position;
  if (!readName(0x29)) return -1;
  const made = node(Kind.Call);
  lookLater(made, -1, source + start, nameEnd - start, start);
  return made;
}

/** (?P<name>…), (?P=name), (?P>name) */
function python(): i32 {
  setPosition(position + 1);
  const byte = peek(0);
  setPosition(position + 1);
  if (byte === 0x3c) return namedCapture(0x3e);
  if (byte === 0x3e) return namedCall();
  if (byte !== 0x3d) {
    if (position > length) return fault(114, length);
    return fault(141, position - 1);
  }
  const start = position;
  if (!readName(0x29)) return -1;
  const made = node(Kind.Backref, 0, options & Option.Caseless);
  lookLater(made, -1, source + start, nameEnd - start, start);
  return made;
}

/** (?n), (?+n), (?-n) */
function numberedCall(): i32 {
  const sign = peek(0);
  if (!isDigit(sign)) {
    if (!isDigit(peek(1))) return fault(129, position);
    setPosition(position + 1);
  }
  let number = readNumber();
  if (number < 0) return -1;
  if (sign === 0x2d) {
    if (number === 0) return fault(126, position);
    if (number > groupCount) return fault(115, position);
    number = groupCount - number + 1;
  } else if (sign === 0x2b) {
    if (number === 0) return fault(126, position);
    number += groupCount;
  }
  const offset = position;
  if (position >= length) return fault(114, position);
  if (peek(0) !== 0x29) return fault(129, position);
  setPosition(position + 1);
  return call(number, offset);
}

function callout(): i32 {
  setPosition(position + 1);
  const start = position;
  let number = 0;
  while (isDigit(peek(0))) {
    number = number * 10 + peek(0) - 0x30;
    setPosition(position + 1);
    if (number > 255) return fault(138, position);
  }
  if (position >= length) return fault(114, position);
  if (peek(0) !== 0x29) return fault(start === position ? 182 : 139, position);
  setPosition(position + 1);
  return 0;
}

/** (?i-s) and (?i-s:…) */
function optionSetting(): i32 {
  const before = options;
  let on = options;
  let minus = false;
  let caret = false;
  if (peek(0) === 0x5e) {
    caret = true;
    on &= ~(Option.Caseless | Option.Multiline | Option.DotAll | Option.Extended | Option.NoAutoCapture);
    setPosition(position + 1);
  }
  while (true) {
    if (position >= length) return fault(114, position);
    const byte = peek(0);
    setPosition(position + 1);
    if (byte === 0x29 || byte === 0x3a) {
      setOptions(on);
      if (byte === 0x29) return 0;
      const made = closed(Kind.Empty, 0);
      setOptions(before);
      return made;
    }
    if (byte === 0x2d) {
      if (minus || caret) return fault(194, position - 1);
      minus = true;
      continue;
    }
    let bit = optionOf(byte);
    if (bit === 0) return fault(111, position - 1);
    if (byte === 0x78 && peek(0) === 0x78) {
      bit |= Option.ExtendedMore;
      setPosition(position + 1);
    } else if (byte === 0x78) {
      on &= ~Option.ExtendedMore;
    }
    if (minus) on &= ~(bit | (byte === 0x78 ? Option.ExtendedMore : 0));
    else on |= bit;
  }
}

function optionOf(byte: i32): i32 {
  switch (byte) {
    case 0x69: return Option.Caseless;
    case 0x6d: return Option.Multiline;
    case 0x73: return Option.DotAll;
    case 0x78: return Option.Extended;
    case 0x55: return Option.Ungreedy;
    case 0x6e: return Option.NoAutoCapture;
    case 0x4a: return Option.DuplicateNames;
    default: return 0;
  }
}

/** (?(condition)yes|no) */
function condition(): i32 {
  setPosition(position + 1);
  const made = node(Kind.Cond);
  if (position >= length) return fault(114, position);
  if (peek(0) === 0x3f || peek(0) === 0x2a) {
    if (!lookCondition(made)) return -1;
  } else if (!plainCondition(made)) return -1;
  const before = options;
  const list = alternatives(false);
  if (list < 0) return -1;
  setOptions(before);
  if (peek(0) !== 0x29) return fault(114, position);
  setPosition(position + 1);
  if (ast.kindOf(list) === Kind.Alt) {
    const yes = ast.a(list);
    const no = ast.next(yes);
    if (ast.c(made) === Condition.Define) faultLater(154, position);
    else if (ast.next(no) !== 0) faultLater(127, position);
    ast.setField(made, 1, yes);
    ast.setField(made, 2, no);
  } else ast.setField(made, 1, list);
  return made;
}

function lookCondition(made: i32): bool {
  if (peek(0) === 0x2a) {
    fault(Fault.Unsupported, position);
    return false;
  }
  const byte = peek(1);
  const behind = byte === 0x3c && (peek(2) === 0x3d || peek(2) === 0x21);
  if (byte !== 0x3d && byte !== 0x21 && !behind) {
    fault(128, position - 1);
    return false;
  }
  const look = group();
  if (look < 0) return false;
  ast.setField(made, 3, Condition.Look);
  ast.setField(made, 4, look);
  return true;
}

function plainCondition(made: i32): bool {
  ast.setField(made, 3, Condition.Group);
  if (starts("R)", 2)) {
    // A group named R would win; none can have been seen before the names are known, so recursion it is.
    ast.setField(made, 3, Condition.Recursion);
    return true;
  }
  if (starts("DEFINE)", 7)) {
    ast.setField(made, 3, Condition.Define);
    return true;
  }
  const sign = peek(0);
  if (isDigit(sign) || ((sign === 0x2b || sign === 0x2d) && isDigit(peek(1)))) {
    if (!isDigit(sign)) setPosition(position + 1);
    let number = readNumber();
    if (number < 0) return false;
    if (number === 0) {
      fault(sign === 0x30 ? 115 : 126, position);
      return false;
    }
    if (sign === 0x2d) number = groupCount - number + 1;
    else if (sign === 0x2b) number += groupCount;
    if (number <= 0) {
      fault(115, position);
      return false;
    }
    if (peek(0) !== 0x29) {
      fault(124, position);
      return false;
    }
    lookLater(made, number, 0, 0, position - 2);
    setPosition(position + 1);
    return true;
  }
  if (sign === 0x52 && isDigit(peek(1))) {
    setPosition(position + 1);
    const number = readNumber();
    if (number < 0) return false;
    ast.setField(made, 3, Condition.Recursion);
    lookLater(made, number, 0, 0, position);
    if (peek(0) !== 0x29) {
      fault(124, position);
      return false;
    }
    setPosition(position + 1);
    return true;
  }
  return namedCondition(made, sign);
}

function namedCondition(made: i32, sign: i32): bool {
  let recursion = false;
  let terminator = 0x29;
  if (sign === 0x52 && peek(1) === 0x26) {
    recursion = true;
    setPosition(position + 2);
  } else if (sign === 0x3c || sign === 0x27) {
    terminator = sign === 0x3c ? 0x3e : 0x27;
    setPosition(position + 1);
  }
  const start = position;
  if (!readName(terminator)) return false;
  if (terminator !== 0x29) {
    if (peek(0) !== 0x29) {
      fault(124, position);
      return false;
    }
    setPosition(position + 1);
  }
  if (recursion) ast.setField(made, 3, Condition.Recursion);
  lookLater(made, -1, source + start, nameEnd - start, start);
  return true;
}

/** (*VERB) inside a pattern. */
function verb(): i32 {
  setPosition(position - 1);
  if (starts("(*FAIL)", 7) || starts("(*F)", 4)) return node(Kind.Verb, Verb.Fail);
  if (starts("(*ACCEPT)", 9)) return node(Kind.Verb, Verb.Accept);
  if (starts("(*COMMIT)", 9)) return node(Kind.Verb, Verb.Commit);
  if (starts("(*PRUNE)", 8)) return node(Kind.Verb, Verb.Prune);
  if (starts("(*SKIP)", 7)) return node(Kind.Verb, Verb.Skip);
  if (starts("(*THEN)", 7)) return node(Kind.Verb, Verb.Then);
  if (starts("(*pla:", 6) || starts("(*positive_lookahead:", 21)) return closed(Kind.Look, Look.Ahead);
  if (starts("(*nla:", 6) || starts("(*negative_lookahead:", 21)) return closed(Kind.Look, Look.NotAhead);
  if (starts("(*atomic:", 9)) return closed(Kind.Atomic, 0);
  if (starts("(*MARK:", 7) || starts("(*:", 3) || starts("(*PRUNE:", 8)) {
    const pruning = load<u8>(source + position - 2) === 0x45;
    while (position < length && peek(0) !== 0x29) setPosition(position + 1);
    if (position >= length) return fault(160, position);
    setPosition(position + 1);
    return pruning ? node(Kind.Verb, Verb.Prune) : node(Kind.Empty);
  }
  let at = position + 2;
  if (at >= length || !isVerbByte(load<u8>(source + at))) {
    // Not a verb at all: "(" and a quantifier with nothing before it.
    return fault(109, position + 1);
  }
  const first = <i32>load<u8>(source + at);
  while (at < length && isVerbByte(load<u8>(source + at))) at++;
  return fault(first >= 0x61 && first <= 0x7a ? 195 : 160, at);
}

function isVerbByte(byte: i32): bool {
  return isWord(byte) || byte === 0x3a;
}
