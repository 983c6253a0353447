/**
 * Rules and lookups: which patterns match a key, and so which rule takes effect.
 * Guarantee: the time of a lookup is bounded by (instructions) x (key length), and for patterns that need the
 * backtracker by its step limit.
 */

import { FIRST, Outcome, registers, search } from "./backtrack";
import { finishGate, gateSize, opened, scan } from "./gate";
import * as machine from "./machine";
import { alloc, Ints, ints } from "./memory";
import { areMet } from "./needs";
import { Option } from "./parse-input";
import { offsets, walk } from "./walk";

export const enum Way {
  /** Found by machine 0. */
  Shared,
  /** Found by the gate: a text without regard to case. */
  Text,
  /** Tried by a machine of its own. */
  Machine,
  /** Tried by the backtracker. */
  Backtrack,
}

/** Fields of a pattern. */
export const enum P {
  Way,
  /** number of its machine */
  Machine,
  /** 1 when it is tried only if the key holds one of its texts */
  Gated,
  Rule,
  Groups,
  Options,
  /** Program of the backtracker: address or -1, the address behind it, registers, set of first bytes or -1. */
  Program,
  ProgramEnd,
  Registers,
  First,
  Anchored,
  /** Automaton with groups: first instruction, the one behind the last, entry or -1. */
  Low,
  High,
  Entry,
  /** Look-ahead at the start of the key: where it is in `looks`, or -1 */
  Looks,
  /** What a key must have: where it is in `needs`, or -1 */
  Needs,
  Size,
}

export const patterns: Ints = ints();

/** For a pattern: how many, 1 when any line of the key will do, then for each its machine and 1 when it must match. */
export const looks: Ints = ints();

@inline
export function field(pattern: i32, index: P): i32 {
  return patterns.get(pattern * P.Size + index);
}

export const shared: i32 = machine.newMachine();

const enum Rule {
  Match,
  If,
}

const RULE = 6;
/** kind, pattern, 1 when it must match, second pattern or -1, 1 when that must match, rule behind the endif or -1 */
const rules: Ints = ints();

/** Adds a rule; its number. */
export function addRule(kind: i32, first: i32, firstMatch: i32, second: i32, secondMatch: i32): i32 {
  const number = rules.length / RULE;
  rules.push(kind);
  rules.push(first);
  rules.push(firstMatch);
  rules.push(second);
  rules.push(secondMatch);
  rules.push(-1);
  patterns.set(first * P.Size + P.Rule, number);
  if (second >= 0) patterns.set(second * P.Size + P.Rule, number);
  return number;
}

/** The rules of the if at that number end here. */
export function endIf(rule: i32): void {
  rules.set(rule * RULE + 5, rules.length / RULE);
}

let ruleCount: i32 = 0;
let dynamic: i32 = 0; // rules that may take effect for this key
let fixed: i32 = 0; // rules to be looked at for every key
let matched: i32 = 0; // by pattern: the look-up in which machine 0 or the gate found it
let hasShared: bool = false;

export function finish(): void {
  machine.prepare();
  finishGate();
  hasShared = machine.isUsed(shared);
  ruleCount = rules.length / RULE;
  const words = (ruleCount + 31) >> 5;
  dynamic = alloc((words + 1) << 2);
  fixed = alloc((words + 1) << 2);
  matched = alloc((patterns.length / P.Size + 1) << 2);
  for (let rule = 0; rule < ruleCount; rule++) {
    const always = rules.get(rule * RULE) === Rule.If || rules.get(rule * RULE + 2) === 0 ||
      isTried(rules.get(rule * RULE + 1));
    if (always) setBit(fixed, rule);
  }
}

/** Whether nothing but trying it tells if the pattern may match. */
function isTried(pattern: i32): bool {
  return field(pattern, P.Way) >= Way.Machine && field(pattern, P.Gated) !== 1;
}

@inline
function setBit(bits: i32, index: i32): void {
  const word = bits + ((index >> 5) << 2);
  store<i32>(word, load<i32>(word) | (1 << (index & 31)));
}

let lookup: i32 = 0;
let keyAt: i32 = 0;
let keyLength: i32 = 0;

/** Patterns whose match was given up in the last lookup: pattern numbers. */
const limits: Ints = ints();

export function limitCount(): i32 {
  return limits.length;
}

/** The rule whose match was given up. */
export function limitRule(index: i32): i32 {
  return field(limits.get(index), P.Rule);
}

/** Why: an Outcome. */
export function limitOutcome(index: i32): i32 {
  return limits.get(index + 1);
}

/** Before the keys of one block, or one key. */
export function startBlock(): void {
  limits.clear();
}

/** The first rule that takes effect for the key, or -1. */
export function findAt(at: i32, length: i32): i32 {
  lookup++;
  keyAt = at;
  keyLength = length;
  touched.clear();
  if (hasShared) {
    machine.run(shared, at, length, false);
    note(machine.found);
  }
  if (gateSize > 0) {
    scan(at, length);
    note(opened);
  }
  const rule = firstRule();
  for (let index = 0; index < touched.length; index++) store<i32>(touched.get(index), 0);
  return rule;
}

/** Words of `dynamic` that are not zero. */
const touched: Ints = ints();

function note(found: Ints): void {
  for (let index = 0; index < found.length; index++) {
    const pattern = found.get(index);
    if (load<i32>(matched + (pattern << 2)) === lookup) continue;
    store<i32>(matched + (pattern << 2), lookup);
    const rule = field(pattern, P.Rule);
    if (rule < 0) continue;
    setBit(dynamic, rule);
    touched.push(dynamic + ((rule >> 5) << 2));
  }
}

function firstRule(): i32 {
  let rule = 0;
  while (rule < ruleCount) {
    const word = rule >> 5;
    const bits = (load<i32>(dynamic + (word << 2)) | load<i32>(fixed + (word << 2))) & (-1 << (rule & 31));
    if (bits === 0) {
      rule = (word + 1) << 5;
      continue;
    }
    rule = (word << 5) + ctz<i32>(bits);
    const at = rules.at + rule * RULE * 4;
    const holds = truth(load<i32>(at + 4), load<i32>(at + 8)) &&
      (load<i32>(at + 12) < 0 || truth(load<i32>(at + 12), load<i32>(at + 16)));
    if (load<i32>(at) === Rule.Match) {
      if (holds) return rule;
      rule++;
    } else if (holds) rule++;
    else {
      if (load<i32>(at + 20) < 0) return -1;
      rule = load<i32>(at + 20);
    }
  }
  return -1;
}

/** Whether the pattern matches as asked; a match that was given up is neither. */
function truth(pattern: i32, wanted: i32): bool {
  const way: Way = field(pattern, P.Way);
  const noted = load<i32>(matched + (pattern << 2)) === lookup;
  if (way <= Way.Text || (!noted && field(pattern, P.Gated) === 1)) return noted === (wanted !== 0);
  const needs = field(pattern, P.Needs);
  if (needs >= 0 && !areMet(needs, lookup, keyAt, keyLength)) return wanted === 0;
  if (field(pattern, P.Machine) >= 0) {
    machine.run(field(pattern, P.Machine), keyAt, keyLength, true);
    const may = machine.found.length > 0 && looksHold(field(pattern, P.Looks));
    // For the backtracker's patterns this is a necessary condition only.
    if (way === Way.Machine || !may) return may === (wanted !== 0);
  }
  const outcome = backtrack(pattern);
  if (outcome === Outcome.None) return wanted === 0;
  if (outcome === Outcome.Match) return wanted !== 0;
  limits.push(pattern);
  limits.push(outcome);
  return false;
}

/** Whether the look-ahead holds at the start of the key, or of one of its lines where that will do. */
function looksHold(at: i32): bool {
  if (at < 0 || looksHoldFrom(at, 0)) return true;
  if (looks.get(at + 1) === 0) return false;
  // A newline that ends the key begins no line.
  for (let place = 1; place < keyLength; place++) {
    if (load<u8>(keyAt + place - 1) === 0x0a && looksHoldFrom(at, place)) return true;
  }
  return false;
}

function looksHoldFrom(at: i32, place: i32): bool {
  const end = at + 2 + 2 * looks.get(at);
  for (let index = at + 2; index < end; index += 2) {
    machine.runFrom(looks.get(index), keyAt, keyLength, place, true);
    if ((machine.found.length > 0) !== (looks.get(index + 1) !== 0)) return false;
  }
  return true;
}

function backtrack(pattern: i32): Outcome {
  return search(
    field(pattern, P.Program), field(pattern, P.ProgramEnd), field(pattern, P.Registers), field(pattern, P.Groups),
    field(pattern, P.Anchored) > 0, field(pattern, P.First), keyAt, keyLength,
  );
}

/** Where the groups of the rule's first pattern matched in the key of the last lookup: address of pairs, or 0. */
export function captures(rule: i32): i32 {
  const pattern = rules.get(rule * RULE + 1);
  const groups = field(pattern, P.Groups);
  if (field(pattern, P.Program) >= 0) {
    const outcome = backtrack(pattern);
    if (outcome === Outcome.Match) return registers.at + (FIRST << 2);
    if (outcome === Outcome.None || field(pattern, P.Entry) < 0) return 0;
  }
  if (field(pattern, P.Entry) < 0) return 0;
  const posix = (field(pattern, P.Options) & Option.Posix) !== 0;
  const outcome = walk(
    field(pattern, P.Low), field(pattern, P.High), field(pattern, P.Entry), groups, field(pattern, P.Anchored) > 0,
    posix, keyAt, keyLength,
  );
  return outcome === Outcome.Match ? offsets.at : 0;
}
