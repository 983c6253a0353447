import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { Line, type SlotRules } from "../../src/qmgr/line.ts";
import { SEED } from "../seed.ts";

const RULES: SlotRules = { cost: 5, loan: 3, discount: 50, minimum: 3 };

/** A message's deliveries are its letter, many times. */
const jobs = (letter: string, count: number): string[] => new Array<string>(count).fill(letter);

function order(line: Line<string>, count = Infinity): string {
  let text = "";
  for (let job = count > 0 ? line.take(0) : null; job !== null; job = text.length < count ? line.take(0) : null) {
    text += job;
  }
  return text;
}

function lineOf(rules: SlotRules, ...counts: readonly (readonly [string, number])[]): Line<string> {
  const line = new Line<string>(rules);
  for (const [letter, count] of counts) line.add(jobs(letter, count), 0);
  return line;
}

describe("Line", () => {
  test("letters go in the order of their coming", () => {
    assert.equal(order(lineOf(RULES, ["a", 1], ["b", 2], ["c", 1])), "abbc");
  });

  test("small messages pass a mailing, each for the slots that it pays", () => {
    const strict = { ...RULES, loan: 0, discount: 0 };
    assert.equal(order(lineOf(strict, ["M", 20], ["b", 1], ["c", 2])), "MMMMMbMMMMMMMMMMccMMMMM");
    assert.equal(order(lineOf({ ...strict, cost: 0 }, ["M", 20], ["b", 1])), `${"M".repeat(20)}b`);
    assert.equal(order(lineOf({ ...strict, minimum: 5 }, ["M", 20], ["b", 1])), `${"M".repeat(20)}b`);
  });

  test("loan and discount let them pass earlier, and what is lent is paid back before the next passes", () => {
    assert.equal(order(lineOf(RULES, ["M", 20], ["b", 1], ["c", 1])), "MbMMMMMcMMMMMMMMMMMMMM");
  });

  test("what passes may itself be passed by what is smaller", () => {
    const line = lineOf(RULES, ["M", 1000], ["n", 100]);
    assert.match(order(line, 240), /^M+nnnnn$/);
    line.add(["x"], 0);
    assert.match(order(line), /^xn{95}M+$/);
  });

  test("the longest wait for each delivery goes first", () => {
    const line = lineOf({ ...RULES, loan: 0, discount: 0 }, ["M", 50]);
    line.add(["x", "x"], 0);
    line.add(["y"], 500);
    line.add(["z"], 90_000);
    let text = "";
    for (let at = 0; at < 12; at++) text += line.take(100_000) ?? "";
    assert.equal(text, "MMMMMyMMMMMM");
  });

  test("a delivery that is given back is the first again", () => {
    const line = lineOf(RULES, ["a", 1], ["b", 1]);
    const taken = line.take(0)!;
    line.giveBack(taken);
    assert.deepEqual([line.first(), line.size], ["a", 2]);
    assert.equal(order(line), "ab");
  });

  test("takeAll() empties it", () => {
    const line = lineOf(RULES, ["M", 20], ["b", 2]);
    order(line, 3);
    line.giveBack("r");
    assert.equal(line.takeAll().length, 20);
    assert.deepEqual([line.size, line.take(0), line.first()], [0, null, null]);
  });

  test("every delivery goes once, and no mailing waits longer than cost / (cost - 1) of its deliveries", () => {
    const counts = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 30 });
    fc.assert(
      fc.property(counts, fc.integer({ min: 2, max: 7 }), (sizes, cost) => {
        const line = new Line<number>({ cost, loan: 3, discount: 50, minimum: 3 });
        sizes.forEach((size, message) => line.add(new Array<number>(size).fill(message), 0));
        const sequence: number[] = [];
        for (let job = line.take(0); job !== null; job = line.take(0)) sequence.push(job);
        const total = sizes.reduce((sum, size) => sum + size, 0);
        assert.equal(sequence.length, total);
        sizes.forEach((size, message) => assert.equal(sequence.filter((one) => one === message).length, size));
        const end = sequence.lastIndexOf(0) + 1;
        // What is lent at the end is never paid back: it is bounded by the loan.
        assert.ok(end <= sizes[0]! * cost / (cost - 1) + 2 * (3 + 1) * cost, `${end} of ${sizes[0]}`);
      }),
      { seed: SEED },
    );
  });
});
