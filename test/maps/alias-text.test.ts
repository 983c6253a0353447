import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type AliasLine, aliasLine } from "../../src/maps/alias-text.ts";

const entry = (key: string, value: string): AliasLine => ({ key, value });
const NEED = { fault: "need name:value pair" };
const LOCAL = { fault: "name must be local" };

// As Debian's postalias reads them.
const ROWS: readonly (readonly [string, AliasLine | null])[] = [
  ["root: bob", entry("root", "bob")],
  ['"a b": x@y, "c d"@e', entry("a b", 'x@y, "c d"@e')],
  ["foo:bar", entry("foo", "bar")],
  [
    'm: "|/usr/bin/prog arg" , /file/x, :include:/etc/list',
    entry("m", '"|/usr/bin/prog arg", /file/x, :include:/etc/list'),
  ],
  ["(comment) p: q (c2)", entry("(comment) p", "q (c2)")],
  ["q\\ r: s", entry("q r", "s")],
  ["[lit]: l", entry("[lit]", "l")],
  ["z: a:b:c", entry("z", "a:b:c")],
  ['w: <a@b> "x\\"y" foo;bar  lead', entry("w", '<a@b>"x\\"y" foo;bar lead')],
  ["t: Joe User <joe@x>", entry("t", "Joe User <joe@x>")],
  ['"e\\\\f": \\backslash', entry("e\\f", "backslash")],
  ['"": empty', entry("", "empty")],
  ['v: ""', entry("v", '""')],
  ["|x: y", entry("|x", "y")],
  ['at"x"y: z', entry("at x y", "z")],
  ["x@y: z", LOCAL],
  ["x%y: z", LOCAL],
  ["nocolon", NEED],
  [": v", NEED],
  ["k:", NEED],
  ["a,b: c", NEED],
  [" \t", null],
];

describe("a line of an alias file", () => {
  for (const [line, read] of ROWS) it(line, () => assert.deepEqual(aliasLine(line), read));
});
