import assert from "node:assert/strict";
import { it } from "node:test";
import { addressList } from "../src/address-list.ts";

/** As Postfix's sendmail 3.7.11 reads them (test/system/commands.test.ts compares). */
const ROWS: readonly (readonly [string, readonly string[]])[] = [
  ["a@b", ["a@b"]],
  ["a,b", ["a", "b"]],
  ['a@b, "X Y" <c@d> (co@mm)', ["a@b", "c@d"]],
  ["grp: e@f, g@h;, i@j", ["e@f", "g@h", "i@j"]],
  ["undisclosed-recipients:;", []],
  ["<@r1,@r2:i@j>", ["i@j"]],
  ["a b c@d, \n  folded@x", ["a", "b", "c@d", "folded@x"]],
  ["<x@y> z", ["x@y", "z"]],
  ["A B <a@b>", ["a@b"]],
  ['"a b"@c', ['"a b"@c']],
  ['"ab"@c', ["ab@c"]],
  ["a\\b@c", ["ab@c"]],
  ["|cmd", ["|cmd"]],
  ["a@[1.2.3.4]", ["a@[1.2.3.4]"]],
  ["a (one (two) three) @ b", ["a@b"]],
  ["user%x@y", ["user%x@y"]],
  ["", [""]],
  [" \t", [""]],
  ["<>", [""]],
  ['a"b@y', ["a", "b@y"]],
  ["<a@b", ["a@b"]],
];

for (const [text, expected] of ROWS) {
  it(`addresses of ${JSON.stringify(text)}`, () => assert.deepEqual(addressList(text), expected));
}

it("a long list takes time in proportion to its length", () => {
  const started = performance.now();
  assert.equal(addressList("(a".repeat(20_000) + "a@b, ".repeat(20_000)).length, 1);
  assert.equal(addressList("a@b, ".repeat(50_000)).length, 50_000);
  assert.ok(performance.now() - started < 2_000);
});
