/** Puts patterns into machine 0 so that those with the same first bytes share their first instructions. */

import * as ast from "./ast";
import { Assert, Kind } from "./ast";
import { Ints, ints } from "./memory";
import { compileWidened, emit, Op, setX } from "./nfa";
import { addChoice, rootList } from "./machine";

/** (list, set) -> the list behind that set: list, set, list behind. */
let slots: Ints = ints(10);
let filled: i32 = 0;
slots.resize(3 * 64, -1);

function slotOf(list: i32, set: i32): i32 {
  const mask = slots.length / 3 - 1;
  let slot = ((list * 0x9e3779b1) ^ (set * 0x85ebca6b)) >>> 7 & mask;
  while (slots.get(slot * 3) !== -1) {
    if (slots.get(slot * 3) === list && slots.get(slot * 3 + 1) === set) break;
    slot = (slot + 1) & mask;
  }
  return slot * 3;
}

function grow(): void {
  const old = slots;
  slots = ints(10);
  slots.resize(old.length * 2, -1);
  for (let at = 0; at < old.length; at += 3) {
    if (old.get(at) === -1) continue;
    const to = slotOf(old.get(at), old.get(at + 1));
    for (let field = 0; field < 3; field++) slots.set(to + field, old.get(at + field));
  }
}

/** In a slot's set: any number of its bytes; an assertion in place of a set. */
const ANY_NUMBER: i32 = 1 << 30;
const ASSERT: i32 = 1 << 29;

/** The list of what may follow the set there, made when there is none. */
function follow(list: i32, set: i32): i32 {
  const slot = slotOf(list, set);
  if (slots.get(slot) !== -1) return slots.get(slot + 2);
  const behind = emit(Op.Split, -1, -1);
  if (set & ANY_NUMBER) {
    const loop = emit(Op.Split, -1, behind);
    setX(loop, emit(Op.Set, loop, set & ~ANY_NUMBER));
    addChoice(list, loop);
  } else if (set & ASSERT) addChoice(list, emit(Op.Assert, behind, set & ~ASSERT));
  else addChoice(list, emit(Op.Set, behind, set));
  slots.set(slot, list);
  slots.set(slot + 1, set);
  slots.set(slot + 2, behind);
  if (++filled * 9 > slots.length * 2) grow();
  return behind;
}

/** What patterns that begin alike may share. */
function isEdge(node: i32): bool {
  const kind = ast.kindOf(node);
  return kind === Kind.Set || kind === Kind.Assert || isRun(node);
}

/** One set repeated without end. */
function isRun(node: i32): bool {
  return ast.kindOf(node) === Kind.Repeat && ast.c(node) < 0 && ast.b(node) < 8 && ast.kindOf(ast.a(node)) === Kind.Set;
}

/**
 * Adds the parts of the pattern before `stop` (0: all), widened to what is regular. False when the pattern is too big.
 */
export function addShared(machine: i32, root: i32, anchored: bool, match: i32, stop: i32): bool {
  let first = ast.kindOf(root) === Kind.Cat ? ast.a(root) : root;
  const single = first === root;
  if (isStart(first)) {
    anchored = true;
    first = single ? 0 : ast.next(first);
  }
  let list = rootList(machine, anchored);
  while (first !== 0 && first !== stop && isEdge(first)) {
    if (ast.kindOf(first) === Kind.Set) list = follow(list, ast.a(first));
    else if (ast.kindOf(first) === Kind.Assert) list = follow(list, ast.a(first) | ASSERT);
    else {
      const set = ast.a(ast.a(first));
      for (let count = 0; count < ast.b(first); count++) list = follow(list, set);
      list = follow(list, set | ANY_NUMBER);
    }
    first = single ? 0 : ast.next(first);
  }
  // What is left, from its end.
  let entry = match;
  if (first !== 0 && first !== stop) {
    let at = single ? first : stop === 0 ? ast.b(root) : ast.previous(stop);
    while (true) {
      entry = compileWidened(at, entry, match);
      if (entry < 0) return false;
      if (at === first) break;
      at = ast.previous(at);
    }
  }
  addChoice(list, entry);
  return true;
}

export function isStart(node: i32): bool {
  return ast.kindOf(node) === Kind.Assert && ast.a(node) === Assert.Start;
}
