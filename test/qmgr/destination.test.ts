import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { DestinationWindow, parseFeedback, type WindowRules } from "../../src/qmgr/destination.ts";

const RULES: WindowRules = {
  initial: 5,
  limit: 20,
  positive: { amount: 1, per: "one" },
  negative: { amount: 1, per: "one" },
  failedCohortLimit: 1,
  rest: 300_000,
};

function start(window: DestinationWindow, count: number, now = 0): void {
  for (let at = 0; at < count; at++) window.started(now);
}

describe("DestinationWindow", () => {
  test("opens by one with each success, up to the limit", () => {
    const window = new DestinationWindow(RULES);
    assert.equal(window.window, 5);
    for (let round = 0; round < 40; round++) {
      while (window.mayStart(0)) window.started(0);
      window.answered();
    }
    assert.equal(window.window, 20);
  });

  test("stays near the concurrency that is used", () => {
    const window = new DestinationWindow(RULES);
    for (let round = 0; round < 40; round++) {
      start(window, 1);
      window.answered();
    }
    assert.equal(window.window, 6);
  });

  test("a cohort of failures makes it dead, for as long as it rests, then it begins anew", () => {
    const window = new DestinationWindow(RULES);
    start(window, 5);
    for (let failure = 0; failure < 5; failure++) window.failed(1000, "4.4.1", "refused");
    assert.deepEqual(window.deadReason(1000), { kind: "dead", until: 301_000, status: "4.4.1", why: "refused" });
    assert.equal(window.mayStart(300_999), false);
    assert.equal(window.mayStart(301_000), true);
    assert.equal(window.window, 5);
  });

  test("an answer ends the count of failures", () => {
    const window = new DestinationWindow(RULES);
    for (let round = 0; round < 20; round++) {
      start(window, 2);
      window.failed(0, "4.4.1", "x");
      window.answered();
    }
    assert.notEqual(window.deadReason(0)?.status, "4.4.1");
  });

  test("with 1/concurrency the window grows by one in each cohort of successes", () => {
    const window = new DestinationWindow({ ...RULES, positive: { amount: 1, per: "concurrency" } });
    const seen: number[] = [];
    for (let round = 0; round < 18; round++) {
      while (window.mayStart(0)) window.started(0);
      window.answered();
      seen.push(window.window);
    }
    assert.deepEqual(seen.slice(0, 11), [5, 5, 5, 5, 6, 6, 6, 6, 6, 6, 7]);
  });

  test("busy <= window <= limit, whatever happens", () => {
    fc.assert(fc.property(
      fc.array(fc.constantFrom("start", "answered", "failed", "off", "wait"), { maxLength: 300 }),
      fc.integer({ min: 1, max: 8 }),
      fc.constantFrom("1", "1/concurrency", "1/sqrt_concurrency", "0.5"),
      (steps, initial, feedback) => {
        const parsed = parseFeedback(feedback)!;
        const window = new DestinationWindow({ ...RULES, initial, limit: 10, positive: parsed, negative: parsed });
        let now = 0;
        for (const step of steps) {
          if (step === "start" && window.mayStart(now)) window.started(now);
          else if (step === "wait") now += 100_000;
          else if (window.busy > 0 && step === "answered") window.answered();
          else if (window.busy > 0 && step === "failed") window.failed(now, "4.4.1", "x");
          else if (window.busy > 0 && step === "off") window.calledOff();
          assert.ok(window.window <= 10);
        }
      },
    ));
  });

  test("a start outside the window is misuse", () => {
    const window = new DestinationWindow({ ...RULES, initial: 1 });
    window.started(0);
    assert.throws(() => window.started(0), /broken rule/);
  });
});

test("parseFeedback", () => {
  assert.deepEqual(parseFeedback("1"), { amount: 1, per: "one" });
  assert.deepEqual(parseFeedback("1/concurrency"), { amount: 1, per: "concurrency" });
  assert.deepEqual(parseFeedback("0.5 / sqrt_concurrency"), { amount: 0.5, per: "sqrt_concurrency" });
  assert.equal(parseFeedback("2"), null);
  assert.equal(parseFeedback("x"), null);
});
