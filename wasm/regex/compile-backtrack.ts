/** Trees to programs of the backtracker. */

import * as ast from "./ast";
import { Condition, Greed, Kind, Look, Verb } from "./ast";
import { B, FIELDS, FIRST, program } from "./backtrack";
import { fixedLength } from "./lookbehind";
import { addChoice, newMachine, rootList } from "./machine";
import { Ints, ints } from "./memory";
import { codeLength, compile, emit as emitCode, isRegular, Op, truncate } from "./nfa";
import * as sets from "./sets";
import { isStart } from "./prefix";

const LIMIT: i32 = 20000;

/** What a program needs beside its address. */
export let registerCount: i32 = 0;
export let programEnd: i32 = 0;

let origin: i32 = 0;
let failed: bool = false;
let inside: i32 = 0;

/** Where Call instructions stand: address; and where groups begin: group -> address. */
const calls: Ints = ints();
const opens: Ints = ints();

function emit(op: B, x: i32 = 0, y: i32 = 0, z: i32 = 0, w: i32 = 0): i32 {
  const at = program.length / FIELDS;
  program.push(op);
  program.push(x);
  program.push(y);
  program.push(z);
  program.push(w);
  if (at - origin > LIMIT) failed = true;
  return at;
}

function here(): i32 {
  return program.length / FIELDS;
}

function patch(at: i32, field: i32, value: i32): void {
  program.set(at * FIELDS + field, value);
}

function register(count: i32): i32 {
  const first = registerCount;
  registerCount += count;
  return first;
}

/** The program's address, or -1 when the pattern is too big or has what is not supported. */
export function compileBacktrack(root: i32, groups: i32): i32 {
  origin = here();
  failed = false;
  inside = 0;
  calls.clear();
  opens.clear();
  opens.resize(groups + 1, origin);
  registerCount = FIRST + 3 * (groups + 1);
  part(root);
  emit(B.Match);
  for (let index = 0; index < calls.length; index++) {
    const at = calls.get(index);
    patch(at, 2, opens.get(program.get(at * FIELDS + 1)));
  }
  programEnd = here();
  if (!failed) return origin;
  program.length = origin * FIELDS;
  return -1;
}

function part(node: i32): void {
  if (failed) return;
  switch (ast.kindOf(node)) {
    case Kind.Empty: break;
    case Kind.Set: emit(B.Set, ast.a(node)); break;
    case Kind.Assert: emit(B.Assert, ast.a(node)); break;
    case Kind.Cat:
      for (let at = ast.a(node); at !== 0; at = ast.next(at)) part(at);
      break;
    case Kind.Alt: alternatives(node); break;
    case Kind.Group: group(node); break;
    case Kind.Repeat: repeat(node); break;
    case Kind.Look: look(node); break;
    case Kind.Atomic: {
      const at = register(1);
      emit(B.AtomicStart, at);
      inside++;
      part(ast.a(node));
      inside--;
      emit(B.AtomicEnd, at);
      break;
    }
    case Kind.Backref: emit(B.Backref, ast.a(node), ast.b(node)); break;
    case Kind.Call:
      calls.push(emit(B.Call, ast.a(node)));
      break;
    case Kind.Cond: condition(node); break;
    case Kind.Verb:
      if (ast.a(node) !== Verb.Fail && (inside > 0 || ast.a(node) === Verb.Then)) failed = true;
      if (ast.a(node) === Verb.Accept) emit(B.Match);
      else emit(B.Verb, ast.a(node));
      break;
    default: failed = true;
  }
}

function alternatives(node: i32): void {
  let jumps = -1; // chain of jumps to the end through their field 1
  for (let at = ast.a(node); at !== 0; at = ast.next(at)) {
    const last = ast.next(at) === 0;
    const split = last ? -1 : emit(B.Split);
    part(at);
    if (last) break;
    jumps = emit(B.Jump, jumps);
    patch(split, 1, here());
  }
  while (jumps >= 0) {
    const former = program.get(jumps * FIELDS + 1);
    patch(jumps, 1, here());
    jumps = former;
  }
}

function group(node: i32): void {
  const number = ast.b(node);
  if (number === 0) return part(ast.a(node));
  opens.set(number, emit(B.Open, number));
  part(ast.a(node));
  emit(B.Close, number);
}

function repeat(node: i32): void {
  const body = ast.a(node);
  const least = ast.b(node);
  const most = ast.c(node);
  const greed: Greed = ast.d(node);
  if (ast.kindOf(body) === Kind.Set) {
    emit(B.Run, ast.a(body), least, most, greed);
    return;
  }
  if (most === 0) {
    // Never run, but its groups can be called.
    const jump = emit(B.Jump);
    part(body);
    patch(jump, 1, here());
    return;
  }
  const atomic = greed === Greed.Possessive ? register(1) : 0;
  if (greed === Greed.Possessive) {
    emit(B.AtomicStart, atomic);
    inside++;
  }
  if (least === 1 && most === 1) part(body);
  else if (least === 0 && most === 1) {
    if (greed === Greed.Lazy) {
      const split = emit(B.SplitLazy);
      part(body);
      patch(split, 1, here());
    } else {
      const split = emit(B.Split);
      part(body);
      patch(split, 1, here());
    }
  } else {
    const at = register(2);
    emit(B.LoopStart, at);
    const loop = emit(B.Loop, at, least, most, greed === Greed.Lazy ? 1 : 0);
    const exit = emit(B.Jump);
    part(body);
    emit(B.Jump, loop);
    patch(exit, 1, here());
  }
  if (greed === Greed.Possessive) {
    inside--;
    emit(B.AtomicEnd, atomic);
  }
}

/** The body of a look-around: behind, each alternative goes back by its own length. */
function lookBody(node: i32): void {
  inside++;
  const body = ast.a(node);
  if (ast.b(node) < Look.Behind) part(body);
  else if (ast.kindOf(body) !== Kind.Alt) {
    emit(B.Back, fixedLength(body));
    part(body);
  } else {
    let jumps = -1;
    for (let at = ast.a(body); at !== 0; at = ast.next(at)) {
      const last = ast.next(at) === 0;
      const split = last ? -1 : emit(B.Split);
      emit(B.Back, fixedLength(at));
      part(at);
      if (last) break;
      jumps = emit(B.Jump, jumps);
      patch(split, 1, here());
    }
    while (jumps >= 0) {
      const former = program.get(jumps * FIELDS + 1);
      patch(jumps, 1, here());
      jumps = former;
    }
  }
  inside--;
}

function hasGroups(node: i32): bool {
  switch (ast.kindOf(node)) {
    case Kind.Group: return ast.b(node) > 0 || hasGroups(ast.a(node));
    case Kind.Repeat: return hasGroups(ast.a(node));
    case Kind.Cat: case Kind.Alt:
      for (let at = ast.a(node); at !== 0; at = ast.next(at)) {
        if (hasGroups(at)) return true;
      }
      return false;
    default: return false;
  }
}

/** Look-ahead for what is regular is left to an automaton. */
function regularLook(node: i32): bool {
  const body = ast.a(node);
  if (ast.b(node) >= Look.Behind || !isRegular(body) || hasGroups(body)) return false;
  const before = codeLength();
  const entry = compile(body, emitCode(Op.Match, 0, 0), false, false);
  if (entry < 0) {
    truncate(before);
    return false;
  }
  const machine = newMachine();
  addChoice(rootList(machine, true), entry);
  emit(B.LookRegular, machine, ast.b(node) === Look.Ahead ? 1 : 0);
  return true;
}

function look(node: i32): void {
  if (regularLook(node)) return;
  const at = register(2);
  if (ast.b(node) & 1) {
    const start = emit(B.NotLookStart, at);
    lookBody(node);
    emit(B.NotLookEnd, at, -1);
    patch(start, 2, here());
  } else {
    emit(B.LookStart, at);
    lookBody(node);
    emit(B.LookEnd, at);
  }
}

function condition(node: i32): void {
  const kind: Condition = ast.c(node);
  if (kind === Condition.Define) {
    const jump = emit(B.Jump);
    part(ast.a(node));
    patch(jump, 1, here());
    return;
  }
  let test = -1; // its field 2 is where "no" begins
  if (kind === Condition.Look) {
    const inner = ast.d(node);
    const at = register(2);
    if (ast.b(inner) & 1) {
      const start = emit(B.NotLookStart, at);
      lookBody(inner);
      test = emit(B.NotLookEnd, at);
      patch(start, 2, here());
    } else {
      test = emit(B.LookOrElse, at);
      lookBody(inner);
      emit(B.LookEnd, at);
    }
  } else test = emit(kind === Condition.Group ? B.IfGroup : B.IfRecursion, ast.d(node));
  part(ast.a(node));
  const jump = emit(B.Jump);
  patch(test, 2, here());
  if (ast.b(node) !== 0) part(ast.b(node));
  patch(jump, 1, here());
}

/** The set of bytes that a match begins with, or -1 when a match may be empty or the set is not clear. */
export function firstSet(node: i32): i32 {
  switch (ast.kindOf(node)) {
    case Kind.Set: return ast.a(node);
    case Kind.Group: case Kind.Atomic: return firstSet(ast.a(node));
    case Kind.Repeat: return ast.b(node) > 0 ? firstSet(ast.a(node)) : -1;
    case Kind.Cat:
      for (let at = ast.a(node); at !== 0; at = ast.next(at)) {
        const kind = ast.kindOf(at);
        if (kind === Kind.Assert || kind === Kind.Look || kind === Kind.Empty) continue;
        return firstSet(at);
      }
      return -1;
    case Kind.Alt: {
      let all = -1;
      for (let at = ast.a(node); at !== 0; at = ast.next(at)) {
        const one = firstSet(at);
        if (one < 0) return -1;
        sets.workClear();
        sets.workJoin(one);
        if (all >= 0) sets.workJoin(all);
        all = sets.intern();
      }
      return all;
    }
    default: return -1;
  }
}

/** Whether a match can begin at the start of the key only. */
export function isAnchored(node: i32): bool {
  switch (ast.kindOf(node)) {
    case Kind.Group: case Kind.Atomic: return isAnchored(ast.a(node));
    case Kind.Cat: return isAnchored(ast.a(node));
    case Kind.Alt:
      for (let at = ast.a(node); at !== 0; at = ast.next(at)) {
        if (!isAnchored(at)) return false;
      }
      return true;
    case Kind.Assert: return isStart(node);
    default: return false;
  }
}
