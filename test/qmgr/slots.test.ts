import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Slots, STALLED_AFTER, Standing } from "../../src/qmgr/slots.ts";

const standings = (count: number): Standing[] => Array.from({ length: count }, () => new Standing());

/** "taken+aside" of each. */
const counts = (...all: Standing[]): string => all.map(({ taken, aside }) => `${taken}+${aside}`).join(" ");

/** Takes slots until it may not. */
function takeAll(slots: Slots<Standing>, standing: Standing, now: number, most = 100): number {
  let count = 0;
  for (; count < most && slots.mayStart(standing); count++) slots.take(standing, now);
  return count;
}

describe("Slots", () => {
  test("without a pool for the stalled there is the process limit and nothing else", () => {
    const slots = new Slots<Standing>(4, 0);
    const [one, other] = standings(2) as [Standing, Standing];
    assert.equal(takeAll(slots, one, 0), 4);
    assert.equal(slots.mayStart(other), false);
    assert.deepEqual([slots.look(1e9), slots.nextLook(), one.state], [[], null, "new"]);
    slots.release(one);
    assert.equal(slots.mayStart(other), true);
  });

  test("without a process limit nothing is counted apart", () => {
    const slots = new Slots<Standing>(0, 10);
    const [one] = standings(1) as [Standing];
    assert.equal(takeAll(slots, one, 0), 100);
    assert.deepEqual(slots.look(1e9), []);
  });

  test("a new destination has one slot while half of them are in use, an answering one as many as it likes", () => {
    const slots = new Slots<Standing>(8, 8);
    const [one, other, third] = standings(3) as [Standing, Standing, Standing];
    assert.equal(takeAll(slots, one, 0), 4);
    assert.equal(takeAll(slots, other, 0), 1);
    assert.equal(slots.scarce, true);
    slots.answered(one, 10);
    assert.equal(takeAll(slots, one, 10), 3);
    assert.deepEqual([slots.full, slots.mayStart(third), slots.busy], [true, false, 8]);
  });

  test("a destination that keeps silent leaves its slots to others, and takes them again when it answers", () => {
    const slots = new Slots<Standing>(4, 8);
    const [silent, live] = standings(2) as [Standing, Standing];
    assert.equal(takeAll(slots, silent, 0, 2), 2);
    assert.equal(slots.nextLook(), STALLED_AFTER);
    assert.deepEqual(slots.look(STALLED_AFTER - 1), []);
    assert.deepEqual(slots.look(STALLED_AFTER), [silent]);
    assert.deepEqual([silent.state, counts(silent), slots.busy], ["stalled", "0+2", 2]);
    slots.answered(live, 0);
    assert.equal(takeAll(slots, live, 0), 4);
    assert.equal(slots.mayStart(silent), true, "in its own pool");
    slots.release(silent);
    slots.answered(silent, 2_000);
    assert.deepEqual([silent.state, counts(silent, live), slots.busy], ["answering", "1+0 4+0", 5]);
    assert.equal(slots.mayStart(live), false);
  });

  test("who answers in time is not stalled; who falls silent later is", () => {
    const slots = new Slots<Standing>(4, 4);
    const [one] = standings(1) as [Standing];
    takeAll(slots, one, 0, 2);
    slots.release(one);
    slots.answered(one, 900);
    assert.deepEqual(slots.look(1_000), []);
    assert.deepEqual(slots.look(1_899), []);
    assert.deepEqual(slots.look(2_000), [one]);
  });

  test("half of the pool is for those that stall next; who finds no room there keeps its slots", () => {
    const slots = new Slots<Standing>(4, 4);
    const [one, other] = standings(2) as [Standing, Standing];
    takeAll(slots, one, 0, 1);
    slots.look(1_000);
    assert.equal(takeAll(slots, one, 1_000), 1, "half of four");
    takeAll(slots, other, 1_000, 2);
    slots.answered(other, 1_000);
    takeAll(slots, other, 1_000);
    assert.deepEqual(counts(one, other), "0+2 4+0");
    slots.look(2_000);
    assert.deepEqual([counts(one, other), slots.busy, slots.full], ["0+2 2+2", 6, false]);
    slots.release(one);
    assert.deepEqual(counts(one, other), "0+1 1+3", "what becomes free is taken");
    slots.release(other);
    slots.release(other);
    assert.deepEqual([counts(one, other), slots.stalledFull], ["0+1 0+2", true]);
  });

  test("a destination that died is new when it is tried again, but not one that had stalled", () => {
    const slots = new Slots<Standing>(4, 4);
    const [one, other] = standings(2) as [Standing, Standing];
    slots.answered(one, 0);
    slots.died(one);
    takeAll(slots, other, 0, 1);
    slots.look(1_000);
    slots.died(other);
    assert.deepEqual([one.state, other.state], ["new", "stalled"]);
  });

  test("misuse is found", () => {
    const slots = new Slots<Standing>(1, 0);
    const [one] = standings(1) as [Standing];
    assert.throws(() => slots.release(one), /given back by who has it/);
    slots.take(one, 0);
    assert.throws(() => slots.take(one, 0), /only where there is a slot/);
  });
});
