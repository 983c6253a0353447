import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inlineEntries } from "../../src/maps/inline.ts";

describe("inline:", () => {
  const rows: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
    ["{foo=bar}", [["foo", "bar"]]],
    ["{ X=1, y=2 z=3 }", [["x", "1"], ["y", "2"], ["z", "3"]]],
    ["{{foo = a b } {bar=c=d}}", [["foo", "a b"], ["bar", "c=d"]]],
    ["{, foo=1 ,}", [["foo", "1"]]],
    ["{foo=1, foo=2}", [["foo", "2"]]],
  ];
  for (const [name, entries] of rows) {
    it(name, () => {
      const read = inlineEntries(name);
      assert.ok("entries" in read);
      assert.deepEqual([...read.entries], entries);
    });
  }
  const faults: readonly (readonly [string, string])[] = [
    ["foo=b", "bad syntax"],
    ["{foo=1}x", "bad syntax"],
    ["{}", "empty table"],
    ["{ }", "empty table"],
    ["{foo}", "missing '=' after attribute name"],
    ["{foo = 1}", "missing '=' after attribute name"],
    ["{=1}", "missing attribute name"],
    ["{{foo=1}x}", "syntax error after '}'"],
  ];
  for (const [name, what] of faults) {
    it(`${name} is a fault`, () => {
      assert.deepEqual(inlineEntries(name), { fault: `${what}: "inline:${name}"; need "inline:{name=value...}"` });
    });
  }
});
