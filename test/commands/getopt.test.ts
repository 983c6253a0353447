import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { getopt, hasOption, lastValue } from "../../src/commands/getopt.ts";

/** Options as "n" or "c=DIR". */
function read(optionString: string, words: readonly string[]): readonly (string | null)[] {
  const line = getopt(optionString, words);
  return [
    ...line.options.map(({ letter, value }) => value === null ? letter : `${letter}=${value}`),
    "|",
    ...line.operands,
    line.fault,
  ];
}

describe("getopt", () => {
  const rows: readonly (readonly [string, readonly string[], readonly (string | null)[]])[] = [
    ["nhc:", ["-nh", "-c", "/d", "x"], ["n", "h", "c=/d", "|", "x", null]],
    ["nhc:", ["-nc/d", "x"], ["n", "c=/d", "|", "x", null]],
    ["o:", ["-oa=1", "-o", "b=2", "-o", "-x"], ["o=a=1", "o=b=2", "o=-x", "|", null]],
    ["nh", ["x", "-n"], ["|", "x", "-n", null]],
    ["nh", ["-n", "--", "-h"], ["n", "|", "-h", null]],
    ["nh", ["-", "-n"], ["|", "-", "-n", null]],
    ["n", ["-nz", "x"], ["n", "|", "-nz", "x", "invalid option -- 'z'"]],
    ["n:", [":"], ["|", ":", null]],
    ["n:", ["-:"], ["|", "-:", "invalid option -- ':'"]],
    ["c:", ["-c"], ["|", "option requires an argument -- 'c'"]],
    ["q::i", ["-q", "-qI", "-i"], ["q", "q=I", "i", "|", null]],
    ["n", [], ["|", null]],
  ];
  for (const [optionString, words, want] of rows) {
    it(`"${optionString}" ${words.join(" ")}`, () => assert.deepEqual(read(optionString, words), want));
  }
  it("gives the last of several values", () => {
    const line = getopt("c:n", ["-ca", "-cb"]);
    assert.equal(lastValue(line, "c"), "b");
    assert.equal(lastValue(line, "n"), null);
    assert.equal(hasOption(line, "c"), true);
    assert.equal(hasOption(line, "n"), false);
  });
});
