/**
 * Which states of a backtracker's search have failed: none of them is gone through twice. A state is an instruction
 * with a choice, a place, and of each loop around it how often it has gone round and whether this round is still empty:
 * all that decides what follows where no back-reference, condition on a group, recursion or verb asks for more.
 * Guarantee: within one look-around or atomic group entered once, no state fails twice; BITS of memory.
 */

import { Verb } from "./ast";
import { B, FIELDS, program, registers } from "./backtrack";
import { giveBlock, Ints, ints, takeBlock } from "./memory";

/** Bits that a search may have for its states. */
const BITS: i64 = 32 << 20;
/** Variants of one instruction beyond which its states are not kept. */
const VARIANTS: i64 = 1 << 12;

/** By instruction from `start` on: where its first state is, or -1; and its innermost loop in `loops`, or -1. */
const states: Ints = ints();
/** register, highest count that is told apart, the loop around it or -1, the instruction behind it */
const loops: Ints = ints();
const LOOP = 4;

let start: i32 = 0;
let places: i32 = 0;
let bits: i32 = 0;
let log: i32 = 0;

/** Whether the states of the program between these addresses can be kept for a key of that length. */
export function beginMemo(from: i32, to: i32, length: i32): bool {
  start = from;
  places = length + 1;
  const count = plan(to);
  if (count <= 0 || <i64>count * places > BITS) return false;
  log = 6;
  while (<i64>8 << log < <i64>count * places) log++;
  bits = takeBlock(log);
  memory.fill(bits, 0, 1 << log);
  return true;
}

export function endMemo(): void {
  giveBlock(bits, log);
}

/** Numbers the states: how many there are for each place, or -1. */
function plan(to: i32): i32 {
  states.clear();
  loops.clear();
  let count: i64 = 0;
  let loop = -1;
  for (let pc = start; pc < to; pc++) {
    const at = program.at + pc * FIELDS * 4;
    const op: B = load<i32>(at);
    while (loop >= 0 && loops.get(loop + 3) <= pc) loop = loops.get(loop + 2);
    if (op === B.Loop) {
      const most = load<i32>(at + 12);
      loops.push(load<i32>(at + 4));
      // Without an upper bound, only whether another round has to follow, and whether there was one.
      loops.push(most < 0 ? max(load<i32>(at + 8), 1) : most);
      loops.push(loop);
      loops.push(program.get((pc + 1) * FIELDS + 1)); // where the exit jumps to
      loop = loops.length - LOOP;
    }
    let first = -1;
    if (op === B.Split || op === B.SplitLazy || op === B.Loop || op === B.Run) {
      const variants = variantsOf(loop);
      if (variants <= VARIANTS) {
        first = <i32>count;
        count += variants;
      }
    } else if (op === B.Backref || op === B.IfGroup || op === B.IfRecursion || op === B.Call) return -1;
    else if (op === B.Verb && load<i32>(at + 4) !== Verb.Fail) return -1;
    states.push(first);
    states.push(loop);
    if (count > BITS) return -1;
  }
  return <i32>count;
}

function variantsOf(innermost: i32): i64 {
  let variants: i64 = 1;
  for (let loop = innermost; loop >= 0 && variants <= VARIANTS; loop = loops.get(loop + 2)) {
    variants *= 2 * (<i64>loops.get(loop + 1) + 1);
  }
  return variants;
}

/** The number of the state, or -1 when it is not one to keep. */
export function stateAt(pc: i32, place: i32): i32 {
  const at = states.at + ((pc - start) << 3);
  const first = load<i32>(at);
  if (first < 0) return -1;
  let variant = 0;
  for (let loop = load<i32>(at + 4); loop >= 0; loop = loops.get(loop + 2)) {
    const register = loops.get(loop);
    const most = loops.get(loop + 1);
    variant = variant * (most + 1) + min(registers.get(register), most);
    variant = 2 * variant + (registers.get(register + 1) === place ? 1 : 0);
  }
  return (first + variant) * places + place;
}

@inline
export function hasFailed(state: i32): bool {
  return ((load<u8>(bits + (state >> 3)) >> (state & 7)) & 1) !== 0;
}

export function noteFailed(state: i32): void {
  const at = bits + (state >> 3);
  store<u8>(at, <u8>(<i32>load<u8>(at) | (1 << (state & 7))));
}
