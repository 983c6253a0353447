import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { headerRun, RUN_FIELDS } from "../../src/cleanup/header-run.ts";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";

/** "name|header" for each header of the run. */
function run(text: string, from = 0, limits = { lineLimit: 2048, headerLimit: 102_400 }): string[] {
  const bytes = latin1Encode(text);
  const numbers: number[] = [];
  headerRun(bytes, from, limits, numbers);
  const out: string[] = [];
  let start = from;
  for (let at = 0; at < numbers.length; at += RUN_FIELDS) {
    const [nameLength, end] = [numbers[at]!, numbers[at + 1]!];
    out.push(`${latin1Decode(bytes, start, start + nameLength)}|${latin1Decode(bytes, start, end)}`);
    start = end;
  }
  return out;
}

describe("the run of usual headers", () => {
  const rows: readonly (readonly [string, string, readonly string[]])[] = [
    ["up to the empty line", "A: 1\r\nBc:2\r\n\r\nC: 3\r\n", ["A|A: 1\r\n", "Bc|Bc:2\r\n"]],
    ["with continuation lines", "A: 1\r\n 2\r\n\t3\r\nB: 4\r\n\r\n", ["A|A: 1\r\n 2\r\n\t3\r\n", "B|B: 4\r\n"]],
    ["without the header behind which nothing has come", "A: 1\r\nB: 2\r\n", ["A|A: 1\r\n"]],
    ["without a line that is not whole", "A: 1\r\nB: 2", ["A|A: 1\r\n"]],
    ["up to a line that is no header", "A: 1\r\nfoo\r\nB: 2\r\n\r\n", ["A|A: 1\r\n"]],
    ["up to white space before a colon", "A: 1\r\nB : 2\r\nC: 3\r\n\r\n", ["A|A: 1\r\n"]],
    ["up to a name that is not ASCII", "A: 1\r\n\xc4: 2\r\nC: 3\r\n\r\n", ["A|A: 1\r\n"]],
    ["up to a line that ends in LF alone", "A: 1\r\nB: 2\nC: 3\r\n\r\n", ["A|A: 1\r\n"]],
    ["… within a header", "A: 1\r\nB: 2\n 3\r\nC: 3\r\n\r\n", ["A|A: 1\r\n"]],
    ["none at a continuation line", " x\r\nA: 1\r\n\r\n", []],
    ["none at a mailbox line", "From x\r\nA: 1\r\n\r\n", []],
    ["none of nothing", "", []],
    ["none at a colon", ": x\r\n\r\n", []],
  ];
  for (const [name, text, expected] of rows) it(name, () => assert.deepEqual(run(text), expected));

  it("from a place on", () => assert.deepEqual(run("x\r\nA: 1\r\n\r\n", 3), ["A|A: 1\r\n"]));
  it("to the end where that is the end of a header", () => {
    const numbers: number[] = [];
    headerRun(latin1Encode("A: 1\r\nB: 2\r\n 3\r\n"), 0, { lineLimit: 2048, headerLimit: 1000 }, numbers, true);
    assert.deepEqual(numbers, [1, 6, 1, 16]);
  });
  it("up to a line over the limit", () => {
    const limits = { lineLimit: 10, headerLimit: 1000 };
    assert.deepEqual(run("A: 3456789\r\nB: 34567890\r\nC: 1\r\n\r\n", 0, limits), ["A|A: 3456789\r\n"]);
    assert.deepEqual(run("A: 1\r\n 2345678901\r\nB: 2\r\n\r\n", 0, limits), []);
  });
  it("up to a header near its limit", () => {
    const limits = { lineLimit: 1000, headerLimit: 20 };
    assert.equal(run(`A: ${"x".repeat(13)}\r\n\r\n`, 0, limits).length, 1);
    assert.equal(run(`A: ${"x".repeat(14)}\r\n\r\n`, 0, limits).length, 0);
    assert.equal(run("A: 1\r\n 2\r\n 3\r\n 45\r\nB: 5\r\n\r\n", 0, limits).length, 0);
  });
});
