import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { DestinationWindow, type WindowRules } from "../../src/qmgr/destination.ts";
import { parseFeedback } from "../../src/qmgr/feedback.ts";
import { SEED } from "../seed.ts";
import { WINDOW } from "./desk.ts";

const RULES: WindowRules = { ...WINDOW, initial: 5, limit: 20 };

const made = (rules: Partial<WindowRules> = {}): DestinationWindow =>
  new DestinationWindow({ ...RULES, ...rules }, "host");

function start(window: DestinationWindow, count: number, now = 0): void {
  for (let at = 0; at < count; at++) window.started(now);
}

/** SCHEDULER_README's pseudocode; 0: dead. */
class Pseudocode {
  concurrency: number;
  busy = 0;
  #success = 0;
  #failure = 0;
  #failCohorts = 0;
  readonly #initial: number;
  readonly #limit: number;
  readonly #cohorts: number;
  readonly #g: (n: number) => number;
  readonly #f: (n: number) => number;

  constructor(
    initial: number,
    limit: number,
    cohorts: number,
    g: (n: number) => number,
    f: (n: number) => number,
  ) {
    this.#initial = Math.min(initial, limit);
    this.#limit = limit;
    this.#cohorts = cohorts;
    this.#g = g;
    this.#f = f;
    this.concurrency = this.#initial;
  }

  good(): void {
    this.#failCohorts = 0;
    if (this.concurrency < this.#limit && this.concurrency < this.busy + this.#initial) {
      const step = this.#g(this.concurrency);
      this.#success += step;
      while (this.#success + step / 2 >= 1) {
        this.concurrency += 1;
        this.#failure = 0;
        this.#success -= 1;
      }
      this.concurrency = Math.min(this.concurrency, this.#limit);
    }
    this.busy--;
  }

  bad(): void {
    this.busy--;
    this.#failCohorts += 1 / this.concurrency;
    if (this.#failCohorts >= this.#cohorts) {
      this.concurrency = 0;
      return;
    }
    const step = this.#f(this.concurrency);
    this.#failure -= step;
    while (this.#failure - step / 2 < 0) {
      this.concurrency -= 1;
      this.#failure += 1;
      this.#success = 0;
    }
    this.concurrency = Math.max(this.concurrency, 1);
  }
}

const FORMS: Readonly<Record<string, (n: number) => number>> = {
  "1": () => 1,
  "0": () => 0,
  "0.5": () => 0.5,
  "1/8": () => 1 / 8,
  "1/concurrency": (n) => 1 / n,
  "0.7 / concurrency": (n) => 0.7 / n,
  "1/sqrt_concurrency": (n) => 1 / Math.sqrt(n),
};

/** Windows after each of the answers (+ and -), with all of the window in use before each. */
function curve(window: DestinationWindow, answers: string): number[] {
  return [...answers].map((answer) => {
    while (window.mayStart(0)) window.started(0);
    if (answer === "+") window.answered(0);
    else window.failed(0, "4.4.1", "refused");
    return window.window;
  });
}

describe("DestinationWindow", () => {
  test("curves by the formulas of SCHEDULER_README", () => {
    const rows: readonly (readonly [string, string, string, string])[] = [
      ["1", "1", "+++++", "6 7 8 9 10"],
      ["1/concurrency", "1", "+++++++++++", "5 5 5 5 6 6 6 6 6 6 7"],
      ["1/sqrt_concurrency", "1", "++++++", "5 6 6 6 7 7"],
      ["1/8", "1", "+++++++++", "5 5 5 5 5 5 5 6 6"],
      ["1", "1", "---", "3 2 0"],
      ["1", "1/concurrency", "-----", "4 4 4 3 0"],
      ["1", "0.5", "-+-+-", "4 5 4 5 4"],
      ["0", "0", "++--", "5 5 5 5"],
    ];
    for (const [positive, negative, answers, expected] of rows) {
      const window = made({ positive: parseFeedback(positive)!, negative: parseFeedback(negative)! });
      assert.equal(curve(window, answers).join(" "), expected, `${positive} ${negative} ${answers}`);
    }
  });

  test("agrees with the pseudocode of SCHEDULER_README, whatever is answered", () => {
    const form = fc.constantFrom(...Object.keys(FORMS));
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("start", "start", "good", "good", "bad"), { maxLength: 200 }),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 2, max: 20 }),
        fc.integer({ min: 1, max: 3 }),
        form,
        form,
        (steps, initial, limit, failedCohortLimit, positive, negative) => {
          const rules = { initial, limit, failedCohortLimit };
          const window = made({ ...rules, positive: parseFeedback(positive)!, negative: parseFeedback(negative)! });
          const model = new Pseudocode(initial, limit, failedCohortLimit, FORMS[positive]!, FORMS[negative]!);
          for (const step of steps) {
            if (step === "start" && window.mayStart(0)) {
              window.started(0);
              model.busy++;
            } else if (step === "good" && window.busy > 0) {
              window.answered(0);
              model.good();
            } else if (step === "bad" && window.busy > 0) {
              window.failed(0, "4.4.1", "x");
              model.bad();
            }
            assert.equal(window.window, model.concurrency);
            if (model.concurrency === 0) return;
          }
        },
      ),
      { seed: SEED },
    );
  });

  test("starts with no more than its limit", () => {
    assert.equal(made({ limit: 2 }).window, 2);
    assert.equal(made({ limit: 0 }).window, 5);
  });

  test("opens by one with each success, up to the limit", () => {
    assert.equal(curve(made(), "+".repeat(40)).at(-1), 20);
  });

  test("stays near the concurrency that is used", () => {
    const window = made();
    for (let round = 0; round < 40; round++) {
      start(window, 1);
      window.answered(0);
    }
    assert.equal(window.window, 6);
  });

  test("a cohort of failures makes it dead, for as long as it rests, then it begins anew", () => {
    const window = made();
    start(window, 5);
    for (let failure = 0; failure < 5; failure++) window.failed(1000, "4.4.1", "refused");
    assert.deepEqual(window.deadReason(1000), { kind: "dead", until: 301_000, status: "4.4.1", why: "refused" });
    assert.equal(window.mayStart(300_999), false);
    assert.equal(window.mayStart(301_000), true);
    assert.equal(window.window, 5);
  });

  test("what answers after all is as wide as what it has under way", () => {
    const window = made();
    start(window, 5);
    while (window.deadReason(0) === null) window.failed(0, "4.4.1", "refused");
    assert.equal(window.busy, 2);
    window.answered(0);
    assert.equal(window.window, 2);
  });

  test("an answer ends the count of failures", () => {
    const window = made();
    for (let round = 0; round < 20; round++) {
      start(window, 2);
      window.failed(0, "4.4.1", "x");
      window.answered(0);
    }
    assert.equal(window.deadReason(0), null);
  });

  test("with a rate delay there is one delivery at a time, and a pause after each, whatever its end", () => {
    const window = made({ pause: 1_000 });
    assert.equal(window.window, 1);
    window.started(0);
    assert.equal(window.mayHandOn(0), false);
    window.answered(500);
    assert.deepEqual([window.mayStart(1_499), window.pausedUntil(1_499), window.mayStart(1_500)], [false, 1_500, true]);
    window.started(1_500);
    assert.equal(window.failed(2_000, "4.4.1", "refused")?.why, "refused");
    assert.deepEqual([window.deadReason(2_001), window.mayStart(2_999), window.mayStart(3_000)], [null, false, true]);
  });

  test("with a rate delay failed cohorts add up, and a destination that died begins anew", () => {
    const window = made({ pause: 1_000, failedCohortLimit: 2 });
    const fail = (now: number): string | null => {
      window.started(now);
      return window.failed(now, "4.4.1", "refused")?.why ?? null;
    };
    assert.deepEqual([fail(0), fail(1_000), fail(2_000), fail(3_000)], [null, "refused", null, "refused"]);
    window.started(4_000);
    window.answered(4_000);
    assert.deepEqual([fail(5_000), fail(6_000)], [null, "refused"]);
  });

  test("tells each step as Postfix does (destination_concurrency_feedback_debug)", () => {
    const lines: string[] = [];
    const window = made({ positive: { amount: 1, per: "concurrency" }, debug: (text) => void lines.push(text) });
    curve(window, "+-");
    assert.deepEqual(lines, [
      "qmgr_queue_unthrottle: feedback 0.2",
      "qmgr_queue_unthrottle: queue host: limit 20 window 5 success 0.2 failure 0 fail_cohorts 0",
      "qmgr_queue_throttle: feedback 1",
      "qmgr_queue_throttle: queue host: limit 20 window 3 success 0 failure 1 fail_cohorts 0.2",
    ]);
  });

  test("busy <= window <= limit when a delivery starts, whatever happens", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("start", "answered", "failed", "off", "wait", "hand on"), { maxLength: 300 }),
        fc.integer({ min: 1, max: 20 }),
        fc.constantFrom("1", "1/concurrency", "1/sqrt_concurrency", "0.5"),
        (steps, initial, feedback) => {
          const parsed = parseFeedback(feedback)!;
          const window = made({ initial, limit: 10, positive: parsed, negative: parsed });
          let now = 0;
          let handedOn = 0;
          for (const step of steps) {
            if (step === "start" && window.mayStart(now)) window.started(now);
            else if (step === "wait") now += 100_000;
            else if (step === "hand on" && window.busy > handedOn && window.mayHandOn(now)) {
              window.handOn();
              handedOn++;
            } else if (window.busy > 0 && ["answered", "failed", "off"].includes(step)) {
              if (step === "answered") window.answered(now);
              else if (step === "failed") window.failed(now, "4.4.1", "x");
              else window.calledOff();
              handedOn = Math.max(0, handedOn - 1);
            }
            assert.ok(window.window <= 10 && window.busy <= 10);
          }
        },
      ),
      { seed: SEED },
    );
  });

  test("a start outside the window is misuse", () => {
    const window = made({ initial: 1 });
    window.started(0);
    assert.throws(() => window.started(0), /broken rule/);
  });
});
