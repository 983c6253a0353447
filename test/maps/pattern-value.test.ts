import assert from "node:assert/strict";
import { it } from "node:test";
import { readValue } from "../../src/maps/pattern-value.ts";

const VALUES: readonly (readonly [text: string, texts: readonly string[], groups: readonly number[]])[] = [
  ["plain", ["plain"], []],
  ["$$1 costs $$", ["$1 costs $"], []],
  ["$1", ["", ""], [1]],
  ["a${1}b$(2)c", ["a", "b", "c"], [1, 2]],
  ["$1-$2", ["", "-", ""], [1, 2]],
  ["", [""], []],
];

it("cuts a value into texts and groups", () => {
  for (const [text, texts, groups] of VALUES) {
    const warned: string[] = [];
    const value = readValue("pcre", text, "place", (words) => warned.push(words));
    assert.deepEqual(value, { texts, groups, highest: Math.max(0, ...groups) }, text);
    assert.deepEqual(warned, []);
  }
});

const FAULTS: readonly (readonly [text: string, ...warnings: string[]])[] = [
  ["$", 'empty macro name: "$"'],
  ["$()", 'empty macro name: "$()"'],
  ["$(1", 'truncated macro reference: "$(1"'],
  ["$0", 'place: out of range replacement index "0"'],
  ["$x $1y", 'place: non-numeric replacement index "x"', 'place: non-numeric replacement index "1y"'],
  ["$4294967296", 'place: out of range replacement index "4294967296"'],
];

it("says what is wrong with a value", () => {
  for (const [text, ...warnings] of FAULTS) {
    const warned: string[] = [];
    assert.equal(readValue("pcre", text, "place", (words) => warned.push(words)), null, text);
    assert.deepEqual(warned, warnings);
  }
});
