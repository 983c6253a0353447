import assert from "node:assert/strict";
import { test } from "node:test";
import { dueAgain, isExpired, isLate } from "../../src/qmgr/backoff.ts";

const CONFIG = {
  minimal_backoff_time: 300_000,
  maximal_backoff_time: 4_000_000,
  maximal_queue_lifetime: 432_000_000,
  bounce_queue_lifetime: 86_400_000,
  delay_warning_time: 0,
};

test("the wait grows with the age of the message, within its bounds", () => {
  for (
    const [age, wait] of [[0, 300], [100, 300], [300, 300], [600, 600], [1200, 1200], [4000, 4000], [
      90_000,
      4000,
    ]] as const
  ) assert.equal(dueAgain(0, age * 1000, CONFIG) - age * 1000, wait * 1000);
});

test("a clock that went back does not make mail due in the past", () => {
  assert.equal(dueAgain(1_000_000, 0, CONFIG), 300_000);
});

test("mail expires after maximal_queue_lifetime, a bounce after its own", () => {
  assert.equal(isExpired("a@b.example", 0, 432_000_000 - 1, CONFIG), false);
  assert.equal(isExpired("a@b.example", 0, 432_000_000, CONFIG), true);
  assert.equal(isExpired("", 0, 86_400_000, CONFIG), true);
});

test("delay_warning_time = 0 means never", () => {
  assert.equal(isLate("s@x", 0, 1e12, CONFIG), false);
  assert.equal(isLate("s@x", 0, 1000, { ...CONFIG, delay_warning_time: 1000 }), true);
});

test("nobody is warned where there is no sender", () => {
  assert.equal(isLate("", 0, 1000, { ...CONFIG, delay_warning_time: 1000 }), false);
});

test("where the bounds contradict each other the lower one holds", () => {
  const config = { ...CONFIG, minimal_backoff_time: 500_000, maximal_backoff_time: 200_000 };
  assert.deepEqual([0, 300_000, 900_000].map((age) => dueAgain(0, age, config) - age), [500_000, 500_000, 500_000]);
});
