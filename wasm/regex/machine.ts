/**
 * Lazy deterministic automata. Machine 0 holds the rules that share one automaton; each other machine one pattern. All
 * share byte classes, one store of states and one bound on its size: when it is full, everything is forgotten and
 * states are made again as input asks for them.
 * Guarantee: a search takes at most (instructions of the machine) x (input length) steps; it never goes back.
 * A state is a set of instructions (Set, and Assert that await the next byte), the kind of byte before it, and the
 * patterns that end there. What unanchored patterns may begin at any place is kept apart, in root steps by byte class.
 */

import { Assert } from "./ast";
import { alloc, Ints, ints } from "./memory";
import { codeLength, emit, Op, opAt, setX, xAt, yAt } from "./nfa";
import * as sets from "./sets";
import { sortItems, unique } from "./sort";
import { emptyRoom, room } from "./state-room";
import {
  Before,
  byteOf,
  classOf,
  endSymbol,
  finalNewline,
  holds,
  holdsBefore,
  isDecidedBefore,
  kindOfByte,
  makeSymbols,
  symbols,
} from "./symbols";

const MACHINE = 8;
/** anchored list, unanchored list, 1 when what stands before matters to the root, epoch of the start states, start state for each Before */
const machines: Ints = ints();

/** Layout of a state. */
const STATE_ITEMS = 0; // address of the items, then of the emitted patterns
const STATE_COUNT = 4;
const STATE_EMITS = 8;
const STATE_KEY = 12; // machine << 2 | Before
const STATE_CHAIN = 16; // next in its hash slot
const STATE_ROW = 20;

/** In a row: unknown, dead, or a state with bit 0 set when it emits. */
const UNKNOWN = 1;
const DEAD = 3;

let epoch: i32 = 1;
let hashTable: i32 = 0;
let hashMask: i32 = 0;

let rootTables: i32 = 0; // machine -> symbol x Before -> address of a root step

export function newMachine(): i32 {
  const number = machines.length / MACHINE;
  machines.push(emit(Op.Split, -1, -1));
  machines.push(emit(Op.Split, -1, -1));
  for (let field = 2; field < MACHINE; field++) machines.push(0);
  return number;
}

export function machineCount(): i32 {
  return machines.length / MACHINE;
}

/** Whether any pattern is in the machine. */
export function isUsed(machine: i32): bool {
  return xAt(rootList(machine, true)) >= 0 || xAt(rootList(machine, false)) >= 0;
}

/** Adds an entry to a list of alternatives (an instruction whose x heads a chain of Split). */
export function addChoice(list: i32, entry: i32): void {
  setX(list, emit(Op.Split, entry, xAt(list)));
}

export function rootList(machine: i32, anchored: bool): i32 {
  return machines.get(machine * MACHINE + (anchored ? 0 : 1));
}

/** Byte classes and the rest, once all patterns are in. */
export function prepare(): void {
  makeSymbols();
  rootTables = alloc(machineCount() * 4);
  let log = 10;
  while (1 << log < codeLength() && log < 16) log++;
  hashMask = (1 << log) - 1;
  hashTable = alloc(4 << log);
  marks = alloc(codeLength() * 4);
  resolveMarks = alloc(codeLength() * 4);
  for (let machine = 0; machine < machineCount(); machine++) {
    machines.set(machine * MACHINE + 2, rootNeedsBefore(machine) ? 1 : 0);
  }
}

// Closures: the items reached without a byte. `marks` holds the number of the closure that saw an instruction last.
let marks: i32 = 0;
let mark: i32 = 0;
const items: Ints = ints();
const emits: Ints = ints();
const stack: Ints = ints();
let pending: bool = false;

function startClosure(): void {
  mark++;
  items.clear();
  emits.clear();
  pending = false;
}

/** Adds what is reached from `from` at a place after `before`. */
function close(from: i32, before: Before): void {
  stack.push(from);
  while (stack.length > 0) {
    const at = stack.pop();
    if (at < 0) continue;
    const seen = marks + (at << 2);
    if (load<i32>(seen) === mark) continue;
    store<i32>(seen, mark);
    switch (opAt(at)) {
      case Op.Set: items.push(at); break;
      case Op.Split:
        stack.push(yAt(at));
        stack.push(xAt(at));
        break;
      case Op.Save: stack.push(xAt(at)); break;
      case Op.Match: emits.push(yAt(at)); break;
      default: {
        const assert: Assert = yAt(at);
        if (!holdsBefore(assert, before)) break;
        if (isDecidedBefore(assert)) stack.push(xAt(at));
        else {
          items.push(at);
          pending = true;
        }
      }
    }
  }
}

const resolved: Ints = ints();

/**
 * Adds to the current closure what the items reach over the symbol. Assertions among them are decided first, which
 * may add items at the same place. Patterns that end at this place already are emitted too.
 */
function step(from: i32, count: i32, before: Before, symbol: i32): void {
  const byte = byteOf(symbol);
  const after: Before = byte < 0 ? Before.Other : kindOfByte(byte);
  resolved.clear();
  resolveMark++;
  for (let index = 0; index < count; index++) {
    const at = load<i32>(from + (index << 2));
    if (opAt(at) === Op.Set) {
      if (byte >= 0 && sets.has(yAt(at), byte)) close(xAt(at), after);
    } else if (holds(yAt(at), before, symbol)) resolve(xAt(at), before, symbol);
  }
  for (let index = 0; index < resolved.length; index++) {
    const at = resolved.get(index);
    if (byte >= 0 && sets.has(yAt(at), byte)) close(xAt(at), after);
  }
}

let resolveMarks: i32 = 0;
let resolveMark: i32 = 0;

/** Follows what a decided assertion leads to, at the same place, with all assertions decided. */
function resolve(from: i32, before: Before, symbol: i32): void {
  const work = stack.length;
  stack.push(from);
  while (stack.length > work) {
    const at = stack.pop();
    if (at < 0 || load<i32>(resolveMarks + (at << 2)) === resolveMark) continue;
    store<i32>(resolveMarks + (at << 2), resolveMark);
    switch (opAt(at)) {
      case Op.Set: resolved.push(at); break;
      case Op.Split:
        stack.push(yAt(at));
        stack.push(xAt(at));
        break;
      case Op.Save: stack.push(xAt(at)); break;
      case Op.Match: emits.push(yAt(at)); break;
      default:
        if (holds(yAt(at), before, symbol)) stack.push(xAt(at));
    }
  }
}

/** Whether what the root reaches depends on the byte before. */
function rootNeedsBefore(machine: i32): bool {
  let reached = -1;
  for (let before: Before = Before.Start; before <= Before.Newline; before++) {
    startClosure();
    close(rootList(machine, false), before);
    const now = items.length * 65536 + emits.length;
    if (pending || (reached >= 0 && now !== reached)) return true;
    reached = now;
  }
  return false;
}

// The store of states.

function flush(): void {
  epoch++;
  emptyRoom();
  memory.fill(hashTable, 0, (hashMask + 1) << 2);
  memory.fill(rootTables, 0, machineCount() << 2);
}

/** The state of the current closure, as a row value. -1 when there is no room. */
function intern(machine: i32, before: Before): i32 {
  sortItems(items);
  sortItems(emits);
  unique(emits);
  const rootMatters = machines.get(machine * MACHINE + 2) !== 0;
  if (items.length === 0 && emits.length === 0 && xAt(rootList(machine, false)) < 0) return DEAD;
  const key = (machine << 2) | (pending || rootMatters ? before : Before.Other);
  let hash: u32 = <u32>key * 0x9e3779b1;
  for (let index = 0; index < items.length; index++) hash = (hash ^ <u32>items.get(index)) * 0x01000193;
  for (let index = 0; index < emits.length; index++) hash = (hash ^ <u32>emits.get(index)) * 0x9e3779b1;
  const slot = hashTable + <i32>(((hash ^ (hash >>> 15)) & hashMask) << 2);
  const flag = emits.length > 0 ? 1 : 0;
  for (let state = load<i32>(slot); state !== 0; state = load<i32>(state + STATE_CHAIN)) {
    if (isSame(state, key)) return state | flag;
  }
  const bytes = STATE_ROW + (symbols << 2);
  const state = room(bytes + ((items.length + emits.length) << 2));
  if (state === 0) return -1;
  const list = state + bytes;
  memory.copy(list, items.at, items.length << 2);
  memory.copy(list + (items.length << 2), emits.at, emits.length << 2);
  store<i32>(state + STATE_ITEMS, list);
  store<i32>(state + STATE_COUNT, items.length);
  store<i32>(state + STATE_EMITS, emits.length);
  store<i32>(state + STATE_KEY, key);
  store<i32>(state + STATE_CHAIN, load<i32>(slot));
  for (let symbol = 0; symbol < symbols; symbol++) store<i32>(state + STATE_ROW + (symbol << 2), UNKNOWN);
  store<i32>(slot, state);
  return state | flag;
}

function isSame(state: i32, key: i32): bool {
  if (load<i32>(state + STATE_KEY) !== key) return false;
  if (load<i32>(state + STATE_COUNT) !== items.length || load<i32>(state + STATE_EMITS) !== emits.length) return false;
  const list = load<i32>(state + STATE_ITEMS);
  return memory.compare(list, items.at, items.length << 2) === 0 &&
    memory.compare(list + (items.length << 2), emits.at, emits.length << 2) === 0;
}

const rootItems: Ints = ints();

/** Adds the root step of the machine to the current closure; false when there is no room. */
function addRootStep(machine: i32, before: Before, symbol: i32): bool {
  const root = rootList(machine, false);
  if (xAt(root) < 0) return true;
  if (machines.get(machine * MACHINE + 2) === 0) before = Before.Other;
  let table = load<i32>(rootTables + (machine << 2));
  if (table === 0) {
    table = room(symbols << 4);
    if (table === 0) return false;
    memory.fill(table, 0, symbols << 4);
    store<i32>(rootTables + (machine << 2), table);
  }
  const cell = table + (((symbol << 2) | before) << 2);
  let list = load<i32>(cell);
  if (list === 0) {
    list = makeRootStep(machine, before, symbol);
    if (list === 0) return false;
    store<i32>(cell, list);
  }
  const count = load<i32>(list);
  const ended = load<i32>(list + 4);
  if (load<i32>(list + 8) !== 0) pending = true;
  for (let index = 0; index < count; index++) {
    const at = load<i32>(list + 12 + (index << 2));
    const seen = marks + (at << 2);
    if (load<i32>(seen) === mark) continue;
    store<i32>(seen, mark);
    items.push(at);
  }
  for (let index = 0; index < ended; index++) emits.push(load<i32>(list + 12 + ((count + index) << 2)));
  return true;
}

/** item count, emit count, pending, items, emits. Saves and restores the current closure. */
function makeRootStep(machine: i32, before: Before, symbol: i32): i32 {
  const savedMark = mark;
  const savedItems = items.length;
  const savedEmits = emits.length;
  const savedPending = pending;
  // A scratch closure behind the current one: marks of a number of its own.
  rootMark++;
  const saved = saveMarks();
  mark = rootMark | 0x40000000;
  pending = false;
  close(rootList(machine, false), before);
  const first = items.length - savedItems;
  const ended = emits.length - savedEmits;
  rootItems.clear();
  for (let index = 0; index < first; index++) rootItems.push(items.get(savedItems + index));
  items.length = savedItems;
  pending = false;
  rootMark++;
  mark = rootMark | 0x40000000;
  step(rootItems.at, first, before, symbol);
  const count = items.length - savedItems;
  const emitted = emits.length - savedEmits;
  const list = room(12 + ((count + emitted) << 2));
  if (list !== 0) {
    store<i32>(list, count);
    store<i32>(list + 4, emitted);
    store<i32>(list + 8, pending ? 1 : 0);
    memory.copy(list + 12, items.at + (savedItems << 2), count << 2);
    memory.copy(list + 12 + (count << 2), emits.at + (savedEmits << 2), emitted << 2);
  }
  items.length = savedItems;
  emits.length = savedEmits;
  pending = savedPending;
  mark = savedMark;
  restoreMarks(saved);
  return list;
}

let rootMark: i32 = 0;

/** Marks of the current closure's own items are set again after a scratch closure has written over them. */
function saveMarks(): i32 {
  return items.length;
}

function restoreMarks(count: i32): void {
  for (let index = 0; index < count; index++) store<i32>(marks + (items.get(index) << 2), mark);
}

/** The row value for the symbol, made and stored. After a flush, `state` is made again from its items. */
function transition(state: i32, symbol: i32): i32 {
  for (let attempt = 0; attempt < 2; attempt++) {
    const key = load<i32>(state + STATE_KEY);
    const machine = key >> 2;
    const before: Before = key & 3;
    const byte = byteOf(symbol);
    startClosure();
    step(load<i32>(state + STATE_ITEMS), load<i32>(state + STATE_COUNT), before, symbol);
    if (addRootStep(machine, before, symbol)) {
      const to = intern(machine, byte < 0 ? Before.Other : kindOfByte(byte));
      if (to >= 0) {
        store<i32>(state + STATE_ROW + (symbol << 2), to);
        return to;
      }
    }
    state = remake(state);
  }
  unreachable();
  return DEAD;
}

/** Forgets all states but this one. */
function remake(state: i32): i32 {
  const key = load<i32>(state + STATE_KEY);
  const list = load<i32>(state + STATE_ITEMS);
  const count = load<i32>(state + STATE_COUNT);
  startClosure();
  for (let index = 0; index < count; index++) {
    const at = load<i32>(list + (index << 2));
    items.push(at);
    if (opAt(at) === Op.Assert) pending = true;
  }
  flush();
  const made = intern(key >> 2, key & 3);
  return made & ~1;
}

function startState(machine: i32, before: Before): i32 {
  const at = machine * MACHINE;
  const known = machines.get(at + 4 + before);
  if (machines.get(at + 3) === epoch && known !== 0) return known;
  for (let attempt = 0; attempt < 2; attempt++) {
    startClosure();
    close(rootList(machine, true), before);
    const made = intern(machine, before);
    if (made >= 0) {
      if (machines.get(at + 3) !== epoch) {
        for (let kind = 0; kind < 4; kind++) machines.set(at + 4 + kind, 0);
        machines.set(at + 3, epoch);
      }
      machines.set(at + 4 + before, made);
      return made;
    }
    flush();
  }
  unreachable();
  return DEAD;
}

/** Patterns that the last search found, each once or more; a search of one pattern stops at the first. */
export const found: Ints = ints();

function noteEmits(state: i32): void {
  const count = load<i32>(state + STATE_EMITS);
  const list = load<i32>(state + STATE_ITEMS) + (load<i32>(state + STATE_COUNT) << 2);
  for (let index = 0; index < count; index++) found.push(load<i32>(list + (index << 2)));
}

/** Where the last run ended: an address. */
export let stoppedAt: i32 = 0;

/** Runs a machine over a key; what matches is left in `found`. With `first`, ends at the first match. */
export function run(machine: i32, at: i32, length: i32, first: bool): void {
  runFrom(machine, at, length, 0, first);
}

/** As run(), from a place in the key on: what is anchored is anchored there. */
export function runFrom(machine: i32, at: i32, length: i32, from: i32, first: bool): void {
  found.clear();
  stoppedAt = at + from;
  const start = startState(machine, from === 0 ? Before.Start : kindOfByte(load<u8>(at + from - 1)));
  if (start === DEAD) return;
  let state = start & ~1;
  if (start & 1) {
    noteEmits(state);
    if (first) return;
  }
  let end = at + length;
  // A newline at the end is a symbol of its own.
  const newline = length > from && load<u8>(end - 1) === 0x0a;
  if (newline) end--;
  for (let place = at + from; place < end; place++) {
    const symbol = <i32>load<u16>(classOf + (<usize>load<u8>(place) << 1));
    let to = load<i32>(state + STATE_ROW + symbol);
    if (to & 1) {
      if (to === UNKNOWN) to = transition(state, symbol >> 2);
      stoppedAt = place;
      if (to === DEAD) return;
      state = to & ~1;
      if (to & 1) {
        noteEmits(state);
        if (first) return;
      }
    } else state = to;
  }
  stoppedAt = end;
  if (newline) {
    state = lastStep(state, finalNewline);
    if (state === 0 || (first && found.length > 0)) return;
  }
  lastStep(state, endSymbol);
}

function lastStep(state: i32, symbol: i32): i32 {
  let to = load<i32>(state + STATE_ROW + (symbol << 2));
  if (to === UNKNOWN) to = transition(state, symbol);
  if (to === DEAD) return 0;
  if (to & 1) noteEmits(to & ~1);
  return to & ~1;
}
