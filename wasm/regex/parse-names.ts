/** Groups by name and number; references are resolved when the whole pattern is known. */

import * as ast from "./ast";
import { Kind } from "./ast";
import { isWord } from "./bytes";
import { fault } from "./fault";
import { length, Option, options, peek, position, setPosition, source } from "./parse-input";
import { Ints, ints } from "./memory";

export let groupCount: i32 = 0;
/** Where the name read last ends. */
export let nameEnd: i32 = 0;

const names: Ints = ints(); // address, length, group
const later: Ints = ints(); // node, number or -1, address, length, offset

const NAME_LIMIT = 32;

export function resetNames(): void {
  groupCount = 0;
  names.clear();
  later.clear();
}

export function setGroupCount(count: i32): void {
  groupCount = count;
}

/** Reads a name and its terminator. */
export function readName(terminator: i32): bool {
  const start = position;
  if (position >= length) return failed(162, position);
  if (peek(0) >= 0x30 && peek(0) <= 0x39) return failed(144, position);
  while (position < length && isWord(peek(0))) {
    setPosition(position + 1);
    if (position - start > NAME_LIMIT) return failed(148, position);
  }
  if (position === start) return failed(162, position);
  if (peek(0) !== terminator) return failed(142, position);
  nameEnd = position;
  setPosition(position + 1);
  return true;
}

function failed(code: i32, offset: i32): bool {
  fault(code, offset);
  return false;
}

export function findName(at: i32, count: i32): i32 {
  for (let index = 0; index < names.length; index += 3) {
    if (names.get(index + 1) !== count) continue;
    if (memory.compare(names.get(index), at, count) === 0) return names.get(index + 2);
  }
  return 0;
}

export function addName(start: i32, count: i32, group: i32): bool {
  const known = findName(source + start, count);
  if (known !== 0 && known !== group && !(options & Option.DuplicateNames)) return failed(143, position);
  names.push(source + start);
  names.push(count);
  names.push(group);
  return true;
}

export function lookLater(node: i32, number: i32, at: i32, count: i32, offset: i32): void {
  later.push(node);
  later.push(number);
  later.push(at);
  later.push(count);
  later.push(offset);
}

/** A fault that counts only when the references before it are right. */
export function faultLater(code: i32, offset: i32): void {
  lookLater(-1, code, 0, 0, offset);
}

export function resolveReferences(): bool {
  for (let index = 0; index < later.length; index += 5) {
    if (later.get(index) < 0) return failed(later.get(index + 1), later.get(index + 4));
    let number = later.get(index + 1);
    if (number < 0) {
      number = findName(later.get(index + 2), later.get(index + 3));
      if (number === 0) return failed(115, later.get(index + 4));
    } else if (number > groupCount) return failed(115, later.get(index + 4));
    const node = later.get(index);
    const kind = ast.kindOf(node);
    ast.setField(node, kind === Kind.Cond ? 4 : 1, number);
  }
  return true;
}
