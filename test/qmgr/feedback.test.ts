import assert from "node:assert/strict";
import { test } from "node:test";
import { feedbackAt, general, parseFeedback } from "../../src/qmgr/feedback.ts";

test("feedback has the forms of main.cf, between 0 and 1", () => {
  assert.deepEqual(parseFeedback("1"), { amount: 1, per: "one" });
  assert.deepEqual(parseFeedback("1/8"), { amount: 0.125, per: "one" });
  assert.deepEqual(parseFeedback("1/concurrency"), { amount: 1, per: "concurrency" });
  assert.deepEqual(parseFeedback("0.5 / sqrt_concurrency"), { amount: 0.5, per: "sqrt_concurrency" });
  for (const bad of ["", "2", "x", "-1", "1/", "1/window", "1/0", "1/concurrency x", "3/2"]) {
    assert.equal(parseFeedback(bad), null, bad);
  }
});

test("feedback depends on the window where it says so", () => {
  assert.equal(feedbackAt({ amount: 1, per: "one" }, 4), 1);
  assert.equal(feedbackAt({ amount: 1, per: "concurrency" }, 4), 0.25);
  assert.equal(feedbackAt({ amount: 1, per: "sqrt_concurrency" }, 4), 0.5);
});

test("numbers look as %g writes them", () => {
  for (
    const [value, text] of [[0, "0"], [1, "1"], [1 / 3, "0.333333"], [0.2, "0.2"], [20, "20"], [1e-5, "1e-05"], [
      1234567,
      "1.23457e+06",
    ], [-0.5, "-0.5"]] as const
  ) assert.equal(general(value), text);
});
