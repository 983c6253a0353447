/**
 * Thompson automata of all patterns of a table in one store of instructions. A pattern is compiled from its end to its
 * start, each part in front of what follows it. Machine 0 shares the first bytes of its patterns in a tree.
 * Failing: -1 when a pattern needs more than LIMIT instructions.
 */

import * as ast from "./ast";
import { Condition, Greed, Kind, Verb } from "./ast";
import { Ints, ints } from "./memory";
import { intern, workClear, workNegate } from "./sets";

export const enum Op {
  /** x: next, y: set */
  Set,
  /** x: first choice, y: second; -1: none */
  Split,
  /** x: next, y: Assert */
  Assert,
  /** y: pattern */
  Match,
  /** x: next, y: 2 * group, or 2 * group + 1 at its end, | OPTIONAL; only where captures are asked for */
  Save,
}

/** In the Save at the end of a group that a repetition need not take (regexp only). */
export const OPTIONAL: i32 = 1 << 16;

/** Instructions that one pattern may have. */
const LIMIT = 20000;

const FIELDS = 3;
const code: Ints = ints(12);

let budget: i32 = 0;
let keepSaves: bool = false;
let posix: bool = false;
let optionalGroup: i32 = 0;

@inline
export function opAt(at: i32): Op {
  return load<i32>(code.at + at * 12);
}
@inline
export function xAt(at: i32): i32 {
  return load<i32>(code.at + at * 12 + 4);
}
@inline
export function yAt(at: i32): i32 {
  return load<i32>(code.at + at * 12 + 8);
}

export function codeLength(): i32 {
  return code.length / FIELDS;
}

export function emit(op: Op, x: i32, y: i32): i32 {
  const at = code.length / FIELDS;
  code.push(op);
  code.push(x);
  code.push(y);
  budget--;
  return at;
}

export function setX(at: i32, x: i32): void {
  code.set(at * FIELDS + 1, x);
}

export function setY(at: i32, y: i32): void {
  code.set(at * FIELDS + 2, y);
}

/** Forgets what was emitted from there on. */
export function truncate(to: i32): void {
  code.length = to * FIELDS;
}

/** Whether the pattern is regular as it stands: no look-around, back-reference, atomic group and so on. */
export function isRegular(node: i32): bool {
  switch (ast.kindOf(node)) {
    case Kind.Empty: case Kind.Set: case Kind.Assert: return true;
    case Kind.Cat: case Kind.Alt:
      for (let part = ast.a(node); part !== 0; part = ast.next(part)) {
        if (!isRegular(part)) return false;
      }
      return true;
    case Kind.Repeat: return ast.d(node) !== Greed.Possessive && isRegular(ast.a(node));
    case Kind.Group: return isRegular(ast.a(node));
    default: return false;
  }
}

/** What (*ACCEPT) leads to where a pattern is widened. */
let accept: i32 = -1;

/**
 * As compile(), but for all patterns: what is not regular is widened, so that it accepts at least what it should.
 * Look-around is left out, a back-reference or recursion is any text.
 */
export function compileWidened(node: i32, next: i32, match: i32): i32 {
  accept = match;
  const made = compile(node, next, false, false);
  accept = -1;
  return made;
}

/** The first instruction of the node in front of `next`, or -1. */
export function compile(node: i32, next: i32, saves: bool, posixOrder: bool): i32 {
  budget = LIMIT;
  keepSaves = saves;
  posix = posixOrder;
  optionalGroup = 0;
  return part(node, next);
}

function part(node: i32, next: i32): i32 {
  if (budget <= 0 || next < 0) return -1;
  switch (ast.kindOf(node)) {
    case Kind.Empty: return next;
    case Kind.Set: return emit(Op.Set, next, ast.a(node));
    case Kind.Assert: return emit(Op.Assert, next, ast.a(node));
    case Kind.Cat: {
      let entry = next;
      for (let at = ast.b(node); at !== 0 && entry >= 0; at = ast.previous(at)) entry = part(at, entry);
      return entry;
    }
    case Kind.Alt: {
      let entry = part(ast.b(node), next);
      for (let at = ast.previous(ast.b(node)); at !== 0 && entry >= 0; at = ast.previous(at)) {
        const one = part(at, next);
        if (one < 0) return -1;
        entry = emit(Op.Split, one, entry);
      }
      return entry;
    }
    case Kind.Group: {
      const number = ast.b(node);
      if (!keepSaves || number === 0) return part(ast.a(node), next);
      const end = emit(Op.Save, next, (2 * number + 1) | (optionalGroup === number ? OPTIONAL : 0));
      const body = part(ast.a(node), end);
      return body < 0 ? -1 : emit(Op.Save, body, 2 * number);
    }
    case Kind.Repeat: return repeat(node, next);
    default: return accept < 0 ? -1 : widened(node, next);
  }
}

function widened(node: i32, next: i32): i32 {
  switch (ast.kindOf(node)) {
    case Kind.Look: return next;
    case Kind.Atomic: return part(ast.a(node), next);
    case Kind.Cond: {
      const yes = ast.c(node) === Condition.Define ? next : part(ast.a(node), next);
      const no = ast.b(node) === 0 ? next : part(ast.b(node), next);
      return yes < 0 || no < 0 ? -1 : emit(Op.Split, yes, no);
    }
    case Kind.Verb:
      if (ast.a(node) === Verb.Fail) return emit(Op.Split, -1, -1);
      return ast.a(node) === Verb.Accept ? accept : next;
    default: {
      const loop = emit(Op.Split, -1, next);
      workClear();
      workNegate();
      setX(loop, emit(Op.Set, loop, intern()));
      return loop;
    }
  }
}

function choice(body: i32, next: i32, lazy: bool): i32 {
  if (body < 0) return -1;
  return lazy ? emit(Op.Split, next, body) : emit(Op.Split, body, next);
}

function repeat(node: i32, next: i32): i32 {
  const body = ast.a(node);
  const least = ast.b(node);
  const most = ast.c(node);
  const lazy = ast.d(node) === Greed.Lazy;
  let entry = next;
  const outer = optionalGroup;
  const marked = posix && ast.kindOf(body) === Kind.Group ? ast.b(body) : 0;
  if (most < 0) {
    optionalGroup = marked;
    const loop = emit(Op.Split, -1, -1);
    const inner = part(body, loop);
    if (inner < 0) return -1;
    setX(loop, lazy ? next : inner);
    setY(loop, lazy ? inner : next);
    optionalGroup = outer;
    entry = loop;
  } else if (posix) {
    // ((x)?x)?: the innermost option comes first.
    entry = options(body, most - least, next, marked);
  } else {
    for (let count = least; count < most && entry >= 0; count++) {
      // Leaving skips all the copies that would follow.
      entry = choice(part(body, entry), next, lazy);
    }
  }
  for (let count = 0; count < least && entry >= 0; count++) entry = part(body, entry);
  return entry;
}

/** Only the first of the copies that may be left out is marked as such, as in glibc. */
function options(body: i32, count: i32, next: i32, marked: i32): i32 {
  if (count === 0 || next < 0) return next;
  const outer = optionalGroup;
  if (count === 1) optionalGroup = marked;
  const last = part(body, next);
  optionalGroup = outer;
  if (last < 0) return -1;
  // A copy is reached from the one before it or from the start; leaving at any level goes to the end of all.
  return choice(options(body, count - 1, last, marked), next, false);
}
