/**
 * Perl-compatible patterns as PCRE2 10.42 reads them without UTF, to a tree (ast.ts).
 * Guarantee: each byte is looked at a bounded number of times; nesting is bounded by DEPTH.
 * Failing: node -1, with PCRE2's code and offset in fault.ts; what is valid but not done here is Fault.Unsupported.
 */

import * as ast from "./ast";
import { append, Assert, Greed, Kind, Look, node, Verb } from "./ast";
import { isDigit } from "./bytes";
import { group } from "./parse-group";
import { parseClass, parseClassName } from "./parse-class";
import { Escape, escapeValue, isCount, readEscape } from "./parse-escape";
import { fault, Fault } from "./fault";
import { length, Option, options, peek, position, setPosition, source } from "./parse-input";
import { groupCount, lookLater, nameEnd, resolveReferences, setGroupCount } from "./parse-names";
import { checkLookBehinds } from "./lookbehind";
import { intern, setOfByte, workAdd, workClear, workNegate, workRange } from "./sets";

const DEPTH = 250;

let depth: i32 = 0;
/** Look-arounds that are open. */
export let lookDepth: i32 = 0;

export function parsePcre(): i32 {
  depth = 0;
  lookDepth = 0;
  if (!startVerbs()) return -1;
  const root = alternatives(false);
  if (root < 0) return -1;
  if (position < length) return fault(122, position); // unmatched )
  if (!checkLookBehinds(root)) return -1;
  if (!resolveReferences()) return -1;
  return root;
}

/** (*NAME) at the very start: those that only tune the matcher have no effect. */
function startVerbs(): bool {
  while (peek(0) === 0x28 && peek(1) === 0x2a) {
    if (starts("(*NO_START_OPT)", 15) || starts("(*NO_AUTO_POSSESS)", 18)) continue;
    if (starts("(*NO_DOTSTAR_ANCHOR)", 20) || starts("(*NO_JIT)", 9) || starts("(*LF)", 5)) continue;
    if (
      starts("(*UTF)", 6) || starts("(*UCP)", 6) || starts("(*CRLF)", 7) || starts("(*CR)", 5) || starts("(*ANY)", 6) ||
      starts("(*ANYCRLF)", 10) || starts("(*NUL)", 6) || starts("(*BSR_", 6) ||
      starts("(*LIMIT_", 8) || starts("(*NOTEMPTY", 10)
    ) {
      fault(Fault.Unsupported, 0);
      return false;
    }
    break;
  }
  return true;
}

/** Goes on behind an ASCII text if it is next. The text is a literal: its characters are UTF-16 in static memory. */
export function starts(text: string, count: i32): bool {
  const at = changetype<usize>(text);
  for (let index = 0; index < count; index++) {
    if (peek(index) !== <i32>load<u16>(at + (<usize>index << 1))) return false;
  }
  setPosition(position + count);
  return true;
}

export function alternatives(reset: bool): i32 {
  if (++depth > DEPTH) return fault(119, position);
  const list = node(Kind.Alt);
  const first = groupCount;
  let most = first;
  while (true) {
    const branch = sequence();
    if (branch < 0) return -1;
    append(list, branch);
    if (groupCount > most) most = groupCount;
    if (peek(0) !== 0x7c) break;
    setPosition(position + 1);
    if (reset) setGroupCount(first);
  }
  setGroupCount(most);
  depth--;
  return ast.simplest(list);
}

function sequence(): i32 {
  const list = node(Kind.Cat);
  let repeatable = false;
  while (position < length) {
    const byte = peek(0);
    if (byte === 0x7c || byte === 0x29) break;
    if (options & Option.Extended && isSpace(byte)) {
      setPosition(position + 1);
      continue;
    }
    if (options & Option.Extended && byte === 0x23) {
      while (position < length && peek(0) !== 0x0a) setPosition(position + 1);
      continue;
    }
    if (byte === 0x28 && peek(1) === 0x3f && peek(2) === 0x23) {
      if (!skipComment()) return -1;
      continue;
    }
    if (byte === 0x5c && (peek(1) === 0x45 || peek(1) === 0x51)) {
      const before = ast.b(list);
      if (peek(1) === 0x51) quoted(list);
      else setPosition(position + 2);
      if (ast.b(list) !== before) repeatable = true;
      continue;
    }
    if (byte === 0x2a || byte === 0x2b || byte === 0x3f || (byte === 0x7b && isCount(position))) {
      if (!quantify(list, repeatable)) return -1;
      repeatable = false;
      continue;
    }
    const made = atom();
    if (made < 0) return -1;
    if (made === 0) {
      repeatable = false; // an option setting or a callout
      continue;
    }
    const kind = ast.kindOf(made);
    repeatable = kind !== Kind.Assert && !(kind === Kind.Verb && ast.a(made) !== Verb.Fail);
    if (kind === Kind.Empty && ast.a(made) === 1) repeatable = false; // \K
    append(list, made);
  }
  return ast.simplest(list);
}

function isSpace(byte: i32): bool {
  return byte === 0x20 || (byte >= 0x09 && byte <= 0x0d);
}

function skipComment(): bool {
  while (position < length && peek(0) !== 0x29) setPosition(position + 1);
  if (position >= length) {
    fault(118, length);
    return false;
  }
  setPosition(position + 1);
  return true;
}

/** \Q…\E: each byte stands for itself. */
function quoted(list: i32): void {
  setPosition(position + 2);
  while (position < length) {
    if (peek(0) === 0x5c && peek(1) === 0x45) {
      setPosition(position + 2);
      return;
    }
    append(list, literal(peek(0)));
    setPosition(position + 1);
  }
}

function literal(byte: i32): i32 {
  return node(Kind.Set, setOfByte(byte, (options & Option.Caseless) !== 0));
}

let least: i32 = 0;
let most: i32 = 0;

export function readNumber(): i32 {
  let value = 0;
  while (isDigit(peek(0))) {
    value = value * 10 + peek(0) - 0x30;
    setPosition(position + 1);
    if (value > 65535) {
      fault(105, position);
      return -1;
    }
  }
  return value;
}

function readCount(): bool {
  setPosition(position + 1);
  least = readNumber();
  if (least < 0) return false;
  most = least;
  if (peek(0) === 0x2c) {
    setPosition(position + 1);
    if (peek(0) === 0x7d) most = -1;
    else {
      most = readNumber();
      if (most < 0) return false;
      if (most < least) {
        fault(104, position);
        return false;
      }
    }
  }
  setPosition(position + 1);
  return true;
}

function quantify(list: i32, repeatable: bool): bool {
  const byte = peek(0);
  if (byte === 0x7b) {
    if (!readCount()) return false;
  } else {
    setPosition(position + 1);
    least = byte === 0x2b ? 1 : 0;
    most = byte === 0x3f ? 1 : -1;
  }
  if (!repeatable) {
    fault(109, position - 1);
    return false;
  }
  let greed: Greed = options & Option.Ungreedy ? Greed.Lazy : Greed.Greedy;
  if (peek(0) === 0x2b) {
    greed = Greed.Possessive;
    setPosition(position + 1);
  } else if (peek(0) === 0x3f) {
    greed = greed === Greed.Greedy ? Greed.Lazy : Greed.Greedy;
    setPosition(position + 1);
  }
  const body = ast.removeLast(list);
  if (ast.kindOf(body) === Kind.Look) {
    // A repeated assertion is tried once, or not at all when it may be left out: {0,n} is {0,1}.
    if (most !== 0 && least > 0) least = 1;
    if (most !== 0) most = 1;
  }
  append(list, node(Kind.Repeat, body, least, most, greed));
  return true;
}

function atom(): i32 {
  const byte = peek(0);
  setPosition(position + 1);
  if (byte === 0x5c) return escaped();
  if (byte === 0x5b) return bracket();
  if (byte === 0x28) return group();
  if (byte === 0x2e) return anyByte((options & Option.DotAll) === 0);
  if (byte === 0x5e) return node(Kind.Assert, options & Option.Multiline ? Assert.LineStart : Assert.Start);
  if (byte === 0x24) {
    if (options & Option.Multiline) return node(Kind.Assert, Assert.LineEnd);
    return node(Kind.Assert, options & Option.DollarEndOnly ? Assert.End : Assert.EndOrNewline);
  }
  return literal(byte);
}

function anyByte(butNewline: bool): i32 {
  workClear();
  if (butNewline) workAdd(0x0a);
  workNegate();
  return node(Kind.Set, intern());
}

function bracket(): i32 {
  const named = parseClassName(position - 1);
  if (named < 0) return -1;
  if (named === 1) return node(Kind.Assert, Assert.WordStart);
  if (named === 2) return node(Kind.Assert, Assert.WordEnd);
  const set = parseClass();
  return set < 0 ? -1 : node(Kind.Set, set);
}

function escaped(): i32 {
  const escape = readEscape(false);
  switch (escape) {
    case Escape.Failed: return -1;
    case Escape.Literal: return literal(escapeValue);
    case Escape.Set: return node(Kind.Set, intern());
    case Escape.WordEdge: return node(Kind.Assert, Assert.WordEdge);
    case Escape.NotWordEdge: return node(Kind.Assert, Assert.NotWordEdge);
    case Escape.Start: return node(Kind.Assert, Assert.Start);
    case Escape.End: return node(Kind.Assert, Assert.End);
    case Escape.EndOrNewline: return node(Kind.Assert, Assert.EndOrNewline);
    case Escape.NotNewline: return anyByte(true);
    case Escape.AnyByte: return anyByte(false);
    case Escape.Keep:
      if (lookDepth > 0) return fault(199, length);
      return node(Kind.Empty, 1); // the start of the match is never asked for
    case Escape.LineBreak: return lineBreak();
    case Escape.Backref: {
      const made = node(Kind.Backref, escapeValue, options & Option.Caseless);
      lookLater(made, escapeValue, 0, 0, position - 1);
      return made;
    }
    case Escape.NamedBackref: return namedBackref();
    case Escape.Call: return call(escapeValue, position - 1);
    case Escape.NamedCall: {
      const made = node(Kind.Call);
      lookLater(made, -1, source + escapeValue, nameEnd - escapeValue, escapeValue);
      return made;
    }
    default: return fault(Fault.Unsupported, position);
  }
}

function namedBackref(): i32 {
  const made = node(Kind.Backref, 0, options & Option.Caseless);
  lookLater(made, -1, source + escapeValue, nameEnd - escapeValue, escapeValue);
  return made;
}

/** \R is (?>\r\n|\n|\x0b|\f|\r|\x85). */
function lineBreak(): i32 {
  const pair = node(Kind.Cat);
  append(pair, node(Kind.Set, setOfByte(0x0d, false)));
  append(pair, node(Kind.Set, setOfByte(0x0a, false)));
  workClear();
  workRange(0x0a, 0x0d);
  workAdd(0x85);
  const list = node(Kind.Alt);
  append(list, pair);
  append(list, node(Kind.Set, intern()));
  return node(Kind.Atomic, list);
}

export function call(group: i32, offset: i32): i32 {
  const made = node(Kind.Call, group);
  lookLater(made, group, 0, 0, offset);
  return made;
}

export function changeLookDepth(by: i32): void {
  lookDepth += by;
}
