/**
 * Which patterns would multiply the states of an automaton that they shared with others: those with counted repetition
 * of wide sets, or with a second repetition without end of one.
 */

import * as ast from "./ast";
import { Kind } from "./ast";
import * as sets from "./sets";

/** A set of so many bytes is wide. */
const WIDE = 24;
/** Counts up to that do little harm. */
const COUNT = 4;

let loops: i32 = 0;
let counted: bool = false;

export function isWild(root: i32): bool {
  loops = 0;
  counted = false;
  look(root);
  return counted || loops > 1;
}

/** The part of a sequence at which it becomes wild, or 0. */
export function wildPart(root: i32): i32 {
  if (ast.kindOf(root) !== Kind.Cat) return 0;
  loops = 0;
  counted = false;
  for (let at = ast.a(root); at !== 0; at = ast.next(at)) {
    look(at);
    if (counted || loops > 1) return at;
  }
  return 0;
}

function isWide(node: i32): bool {
  return ast.kindOf(node) !== Kind.Set || sets.sizeOf(ast.a(node)) >= WIDE;
}

function look(node: i32): void {
  switch (ast.kindOf(node)) {
    case Kind.Cat: case Kind.Alt:
      for (let at = ast.a(node); at !== 0; at = ast.next(at)) look(at);
      return;
    case Kind.Group: case Kind.Atomic: return look(ast.a(node));
    case Kind.Cond:
      look(ast.a(node));
      if (ast.b(node) !== 0) look(ast.b(node));
      return;
    case Kind.Backref: case Kind.Call:
      loops++;
      return;
    case Kind.Repeat: {
      const body = ast.a(node);
      if (isWide(body)) {
        if (ast.c(node) < 0) loops++;
        else if (ast.c(node) > COUNT) counted = true;
        if (ast.b(node) > COUNT) counted = true;
      }
      look(body);
      return;
    }
    default: return;
  }
}
