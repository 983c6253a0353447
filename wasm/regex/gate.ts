/**
 * Which of many texts a key holds, in one pass (Aho-Corasick, all transitions made beforehand). Case is ignored.
 * Guarantee: one table look-up a byte, plus the texts found.
 */

import { alloc, Ints, ints } from "./memory";

const NODE = 5;
/** failure node, first output or -1, nearest node with outputs on the failure path or -1, first child or -1, sibling */
const nodes: Ints = ints(12);
const bytesOf: Ints = ints(10); // the byte that leads to a node
/** value, next output of the node */
const outputs: Ints = ints(10);

/** byte -> 4 * class */
const classOf: usize = memory.data(512);
let rows: i32 = 0;
let stride: i32 = 0;
export let gateSize: i32 = 0;

/** Values of the texts found, each once or more. */
export const opened: Ints = ints();

let root: i32 = newNode(0);

function newNode(byte: i32): i32 {
  nodes.push(0);
  nodes.push(-1);
  nodes.push(-1);
  nodes.push(-1);
  nodes.push(-1);
  bytesOf.push(byte);
  return nodes.length / NODE - 1;
}

// Children are found by a hash of (node, byte): wide nodes stay quick.
let slots: Ints = ints(10);
slots.resize(256, 0);

function slotOf(node: i32, byte: i32): i32 {
  const mask = slots.length - 1;
  let slot = ((node * 0x9e3779b1) ^ (byte * 0x85ebca6b)) >>> 9 & mask;
  while (slots.get(slot) !== 0) {
    const child = slots.get(slot);
    if (bytesOf.get(child) === byte && nodes.get(child * NODE) === node) break;
    slot = (slot + 1) & mask;
  }
  return slot;
}

function childOf(node: i32, byte: i32): i32 {
  const slot = slotOf(node, byte);
  if (slots.get(slot) !== 0) return slots.get(slot);
  const child = newNode(byte);
  nodes.set(child * NODE, node); // its parent until the failure links are made
  nodes.set(child * NODE + 4, nodes.get(node * NODE + 3));
  nodes.set(node * NODE + 3, child);
  slots.set(slot, child);
  if (child * 2 > slots.length) grow();
  return child;
}

function grow(): void {
  const size = slots.length * 2;
  slots.clear();
  slots.resize(size, 0);
  for (let node = 1; node < bytesOf.length; node++) slots.set(slotOf(nodes.get(node * NODE), bytesOf.get(node)), node);
}

let place: i32 = 0;

export function beginText(): void {
  place = root;
}

export function addByte(byte: i32): void {
  place = childOf(place, byte);
}

export function endText(value: i32): void {
  outputs.push(value);
  outputs.push(nodes.get(place * NODE + 1));
  nodes.set(place * NODE + 1, outputs.length / 2 - 1);
  gateSize++;
}

export function finishGate(): void {
  if (gateSize === 0) return;
  const count = bytesOf.length;
  let classes = 1;
  for (let node = 1; node < count; node++) {
    const byte = bytesOf.get(node);
    if (load<u16>(classOf + (<usize>byte << 1)) === 0) store<u16>(classOf + (<usize>byte << 1), <u16>(classes++ << 2));
  }
  for (let byte = 0x41; byte <= 0x5a; byte++) {
    store<u16>(classOf + (<usize>byte << 1), load<u16>(classOf + (<usize>(byte + 32) << 1)));
  }
  stride = classes << 2;
  rows = alloc(count * stride);
  for (let at = 0; at < stride; at += 4) store<i32>(rows + at, rows);
  const queue = ints(10);
  queue.push(root);
  nodes.set(root * NODE, root);
  for (let index = 0; index < queue.length; index++) {
    const node = queue.get(index);
    const row = rows + node * stride;
    // The failure node is nearer to the root: its row is complete.
    if (node !== root) memory.copy(row, rows + nodes.get(node * NODE) * stride, stride);
    for (let child = nodes.get(node * NODE + 3); child >= 0; child = nodes.get(child * NODE + 4)) {
      link(node, child, row);
      queue.push(child);
    }
  }
}

/** The row of a node is that of its failure node, with its own children in place. */
function link(node: i32, child: i32, row: i32): void {
  const cell = row + <i32>load<u16>(classOf + (<usize>bytesOf.get(child) << 1));
  const failure = node === root ? root : nodeAt(load<i32>(cell));
  const at = child * NODE;
  nodes.set(at, failure);
  nodes.set(at + 2, nodes.get(failure * NODE + 1) >= 0 ? failure : nodes.get(failure * NODE + 2));
  store<i32>(cell, valueOf(child));
}

@inline
function nodeAt(value: i32): i32 {
  return ((value & ~1) - rows) / stride;
}

@inline
function valueOf(node: i32): i32 {
  const outputs = nodes.get(node * NODE + 1) >= 0 || nodes.get(node * NODE + 2) >= 0;
  return (rows + node * stride) | (outputs ? 1 : 0);
}

/** Leaves in `opened` the values of the texts that the key holds. */
export function scan(at: i32, length: i32): void {
  opened.clear();
  const end = at + length;
  let row = rows;
  while (at < end) {
    const value = load<i32>(row + <i32>load<u16>(classOf + (<usize>load<u8>(at) << 1)));
    at++;
    row = value & ~1;
    if (value & 1) note(row);
  }
}

function note(row: i32): void {
  let node = (row - rows) / stride;
  while (node >= 0) {
    for (let output = nodes.get(node * NODE + 1); output >= 0; output = outputs.get(output * 2 + 1)) {
      opened.push(outputs.get(output * 2));
    }
    node = nodes.get(node * NODE + 2);
  }
}
