/**
 * One destination: a (transport, next hop) pair, and how many deliveries to it may run (SCHEDULER_README).
 *   alive --a cohort of failures--> dead --minimal_backoff_time--> alive, initial window
 * Pure: the caller hands in the time. Throws only on misuse (assert): started() while not mayStart().
 */

import { assert } from "../errors.ts";
import type { Millis } from "../runtime.ts";

/** `1`, `N/concurrency` or `N/sqrt_concurrency` (default_destination_concurrency_positive_feedback). */
export interface Feedback {
  readonly amount: number;
  readonly per: "one" | "concurrency" | "sqrt_concurrency";
}

export interface WindowRules {
  readonly initial: number;
  /** 0: none. */
  readonly limit: number;
  readonly positive: Feedback;
  readonly negative: Feedback;
  /** Cohorts of failures after which the destination is dead; 0: never. */
  readonly failedCohortLimit: number;
  /** How long a dead destination rests. */
  readonly rest: Millis;
}

type State =
  | { readonly kind: "alive"; readonly window: number }
  | { readonly kind: "dead"; readonly until: Millis; readonly status: string; readonly why: string };

export function parseFeedback(text: string): Feedback | null {
  const found = /^(\d+(?:\.\d+)?)(?:\s*\/\s*(concurrency|sqrt_concurrency))?$/.exec(text.trim());
  if (found === null) return null;
  const amount = Number(found[1]);
  const per = found[2] === "concurrency" || found[2] === "sqrt_concurrency" ? found[2] : "one";
  return amount >= 0 && amount <= 1 ? { amount, per } : null;
}

function feedbackAt(feedback: Feedback, window: number): number {
  if (feedback.per === "one") return feedback.amount;
  return feedback.amount / (feedback.per === "concurrency" ? window : Math.sqrt(window));
}

/** The window moves by whole steps once the feedback adds up to this. */
function hysteresis(feedback: Feedback): number {
  return feedback.per === "one" && feedback.amount > 0 && feedback.amount < 1 ? feedback.amount : 1;
}

export class DestinationWindow {
  readonly #rules: WindowRules;
  #state: State;
  #busy = 0;
  /** Deliveries whose slot went to the next one before their result was told. */
  #handedOn = 0;
  #success = 0;
  #failure = 0;
  #failedCohorts = 0;

  constructor(rules: WindowRules) {
    this.#rules = rules;
    this.#state = { kind: "alive", window: rules.initial };
  }

  get busy(): number {
    return this.#busy;
  }

  /** 0 while dead. */
  get window(): number {
    return this.#state.kind === "alive" ? this.#state.window : 0;
  }

  /** Why mail for it is put off without a try; null when it is alive. */
  deadReason(now: Millis): { readonly status: string; readonly why: string; readonly until: Millis } | null {
    if (this.#state.kind === "dead" && now >= this.#state.until) this.#revive();
    return this.#state.kind === "dead" ? this.#state : null;
  }

  mayStart(now: Millis): boolean {
    return this.deadReason(now) === null && this.#busy < this.window;
  }

  started(now: Millis): void {
    assert(this.mayStart(now), "a delivery starts only within the destination's window");
    this.#busy++;
  }

  /** A delivery takes over the slot of one that is done and whose end is still to be told. */
  handOn(): void {
    assert(this.#handedOn < this.#busy, "a slot is handed on once");
    this.#handedOn++;
  }

  /** The host answered, whatever it said about recipients or message. */
  answered(): void {
    const busy = this.#ended();
    this.#failedCohorts = 0;
    if (this.#state.kind === "dead") return this.#revive();
    const { window } = this.#state;
    const { limit, initial, positive } = this.#rules;
    if ((limit > 0 && window >= limit) || window >= busy + initial) return;
    const step = hysteresis(positive);
    const feedback = feedbackAt(positive, window);
    let wider = window;
    this.#success += feedback;
    while (step > 0 && feedback > 0 && this.#success + feedback / 2 >= step) {
      wider += step;
      this.#success -= step;
      this.#failure = 0;
    }
    this.#state = { kind: "alive", window: limit > 0 ? Math.min(wider, limit) : wider };
  }

  /** The host could not be reached, or broke off: the window shrinks, or the destination is dead. */
  failed(now: Millis, status: string, why: string): void {
    this.#ended();
    if (this.#state.kind === "dead") return;
    const { window } = this.#state;
    const { failedCohortLimit, negative, rest } = this.#rules;
    this.#failedCohorts += 1 / window;
    // Adding up fractions of a window must not miss the limit by a rounding error.
    if (failedCohortLimit > 0 && this.#failedCohorts + 1e-9 >= failedCohortLimit) {
      this.#state = { kind: "dead", until: now + rest, status, why };
      return;
    }
    const step = hysteresis(negative);
    const feedback = feedbackAt(negative, window);
    let narrower = window;
    this.#failure -= feedback;
    while (step > 0 && feedback > 0 && this.#failure - feedback / 2 < 0) {
      narrower -= step;
      this.#success = 0;
      this.#failure += step;
    }
    this.#state = { kind: "alive", window: Math.max(1, narrower) };
  }

  /** The delivery was called off: no verdict about the host. */
  calledOff(): void {
    this.#ended();
  }

  /** Tried again at once (postqueue -f). */
  wake(): void {
    if (this.#state.kind === "dead") this.#revive();
  }

  /** How many were busy, this delivery among them. */
  #ended(): number {
    assert(this.#busy > 0, "a delivery ends only after it started");
    if (this.#handedOn === 0) return this.#busy--;
    this.#handedOn--;
    return this.#busy;
  }

  #revive(): void {
    this.#state = { kind: "alive", window: this.#rules.initial };
    this.#success = 0;
    this.#failure = 0;
    this.#failedCohorts = 0;
  }
}
