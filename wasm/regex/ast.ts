/**
 * The tree of one pattern. The arena is reset before each parse: a tree lives until the next pattern is parsed.
 */

import { Ints, ints } from "./memory";

export const enum Kind {
  Empty,
  /** a: set of bytes */
  Set,
  /** a: first part, b: last part */
  Cat,
  /** a: first alternative, b: last */
  Alt,
  /** a: body, b: least, c: most (-1: any), d: Greed */
  Repeat,
  /** a: body, b: number from 1 */
  Group,
  /** a: Assert */
  Assert,
  /** a: body, b: Look */
  Look,
  /** a: body */
  Atomic,
  /** a: group, b: 1 when case is ignored */
  Backref,
  /** a: yes, b: no, c: Condition, d: group, or the node of a look-around */
  Cond,
  /** a: group, 0 for the whole pattern */
  Call,
  /** a: Verb */
  Verb,
}

export const enum Greed {
  Greedy,
  Lazy,
  Possessive,
}

export const enum Look {
  Ahead,
  NotAhead,
  Behind,
  NotBehind,
}

export const enum Condition {
  /** The group has matched. */
  Group,
  /** Inside a recursion into the group; 0: any, -1: the whole pattern */
  Recursion,
  Look,
  Define,
}

export const enum Verb {
  Fail,
  Accept,
  Commit,
  Prune,
  Skip,
  Then,
}

/** Assertions on the place between two bytes. */
export const enum Assert {
  /** Start of the key. */
  Start,
  /** End of the key. */
  End,
  /** End of the key, or before a newline that ends it. */
  EndOrNewline,
  /** pcre's ^ with m: the start, or after a newline that does not end the key. */
  LineStart,
  /** regexp's ^ with m: the start, or after any newline. */
  PosixLineStart,
  /** The end, or before any newline. */
  LineEnd,
  WordEdge,
  NotWordEdge,
  WordStart,
  WordEnd,
}

const FIELDS = 7;
const nodes: Ints = ints(12);

export function resetTree(): void {
  nodes.clear();
  node(Kind.Empty); // number 0 stands for "no node"
}

export function nodeCount(): i32 {
  return nodes.length / FIELDS;
}

export function node(kind: Kind, a: i32 = 0, b: i32 = 0, c: i32 = 0, d: i32 = 0): i32 {
  const made = nodes.length / FIELDS;
  nodes.push(kind);
  nodes.push(a);
  nodes.push(b);
  nodes.push(c);
  nodes.push(d);
  nodes.push(0); // next
  nodes.push(0); // previous
  return made;
}

@inline
export function kindOf(at: i32): Kind {
  return nodes.get(at * FIELDS);
}
@inline
export function a(at: i32): i32 {
  return nodes.get(at * FIELDS + 1);
}
@inline
export function b(at: i32): i32 {
  return nodes.get(at * FIELDS + 2);
}
@inline
export function c(at: i32): i32 {
  return nodes.get(at * FIELDS + 3);
}
@inline
export function d(at: i32): i32 {
  return nodes.get(at * FIELDS + 4);
}
@inline
export function next(at: i32): i32 {
  return nodes.get(at * FIELDS + 5);
}
@inline
export function previous(at: i32): i32 {
  return nodes.get(at * FIELDS + 6);
}
export function setField(at: i32, field: i32, value: i32): void {
  nodes.set(at * FIELDS + field, value);
}

/** Appends a part to a Cat or Alt. */
export function append(list: i32, part: i32): void {
  const last = b(list);
  if (last === 0) setField(list, 1, part);
  else setField(last, 5, part);
  setField(part, 6, last);
  setField(list, 2, part);
}

/** Takes the last part of a Cat off. */
export function removeLast(list: i32): i32 {
  const last = b(list);
  const before = previous(last);
  if (before === 0) setField(list, 1, 0);
  else setField(before, 5, 0);
  setField(last, 6, 0);
  setField(list, 2, before);
  return last;
}

/** A list of one part is that part; of none, Empty. */
export function simplest(list: i32): i32 {
  if (a(list) === 0) return node(Kind.Empty);
  if (a(list) !== b(list)) return list;
  return a(list);
}
