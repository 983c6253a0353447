/**
 * Lengths of patterns. A look-behind must have alternatives of one fixed length each, as in PCRE2 10.42.
 */

import * as ast from "./ast";
import { Kind, Look } from "./ast";
import { fault } from "./fault";

/** The one length of all that the node matches, or -1. */
export function fixedLength(node: i32): i32 {
  switch (ast.kindOf(node)) {
    case Kind.Set: return 1;
    case Kind.Empty: case Kind.Assert: case Kind.Look: return 0;
    case Kind.Verb: return ast.a(node) === ast.Verb.Accept ? -1 : 0;
    case Kind.Group: case Kind.Atomic: return fixedLength(ast.a(node));
    case Kind.Cat: {
      let sum = 0;
      for (let part = ast.a(node); part !== 0; part = ast.next(part)) {
        const one = fixedLength(part);
        if (one < 0) return -1;
        sum += one;
      }
      return sum;
    }
    case Kind.Alt: {
      let same = -2;
      for (let part = ast.a(node); part !== 0; part = ast.next(part)) {
        const one = fixedLength(part);
        if (one < 0 || (same !== -2 && same !== one)) return -1;
        same = one;
      }
      return same;
    }
    case Kind.Repeat: {
      if (ast.b(node) !== ast.c(node)) return -1;
      const one = fixedLength(ast.a(node));
      return one < 0 ? -1 : one * ast.b(node);
    }
    case Kind.Cond: {
      const yes = fixedLength(ast.a(node));
      const no = ast.b(node) === 0 ? 0 : fixedLength(ast.b(node));
      return yes === no ? yes : -1;
    }
    default: return -1;
  }
}

/** Looks at every look-behind below the node. */
export function checkLookBehinds(root: i32): bool {
  const count = ast.nodeCount();
  for (let at = 1; at < count; at++) {
    if (ast.kindOf(at) !== Kind.Look || ast.b(at) < Look.Behind) continue;
    const body = ast.a(at);
    if (ast.kindOf(body) === Kind.Alt) {
      for (let part = ast.a(body); part !== 0; part = ast.next(part)) {
        if (fixedLength(part) < 0) return failed(at);
      }
    } else if (fixedLength(body) < 0) return failed(at);
  }
  return true;
}

function failed(at: i32): bool {
  fault(125, ast.d(at));
  return false;
}
