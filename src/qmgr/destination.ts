/**
 * One destination: a (transport, next hop) pair, and how many deliveries to it may run (SCHEDULER_README).
 *   alive --a cohort of failures--> dead --minimal_backoff_time--> alive
 *   alive --a delivery ended, and there is a rate delay--> paused --the delay--> alive
 * Pure: the caller hands in the time. Throws only on misuse (assert): started() while not mayStart().
 */

import { assert } from "../errors.ts";
import type { Millis } from "../runtime.ts";
import { type Feedback, feedbackAt, general } from "./feedback.ts";

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
  /** From the end of a delivery to the next one (destination_rate_delay); not 0: one delivery at a time. */
  readonly pause: Millis;
  /** Takes what destination_concurrency_feedback_debug tells; null: nobody asks. */
  readonly debug: ((text: string) => void) | null;
}

export interface Suspension {
  readonly until: Millis;
  readonly status: string;
  readonly why: string;
}

type State =
  | { readonly kind: "alive"; readonly window: number }
  | { readonly kind: "dead" } & Suspension
  | { readonly kind: "paused"; readonly until: Millis };

export class DestinationWindow {
  readonly #rules: WindowRules;
  readonly #name: string;
  #state: State;
  #busy = 0;
  /** Deliveries whose slot went to the next one before their result was told. */
  #handedOn = 0;
  #success = 0;
  #failure = 0;
  #failedCohorts = 0;

  constructor(rules: WindowRules, name: string) {
    const limit = rules.pause > 0 ? 1 : rules.limit;
    this.#rules = { ...rules, limit, initial: limit > 0 ? Math.min(rules.initial, limit) : rules.initial };
    this.#name = name;
    this.#state = { kind: "alive", window: this.#rules.initial };
  }

  get busy(): number {
    return this.#busy;
  }

  /** 0 while it is dead or paused. */
  get window(): number {
    return this.#state.kind === "alive" ? this.#state.window : 0;
  }

  /** Why mail for it is put off without a try; null when it is alive. */
  deadReason(now: Millis): Suspension | null {
    if (this.#state.kind === "dead" && now >= this.#state.until) this.#revive();
    return this.#state.kind === "dead" ? this.#state : null;
  }

  /** Until when it is paused; null: it is not. */
  pausedUntil(now: Millis): Millis | null {
    if (this.#state.kind === "paused" && now >= this.#state.until) this.#alive(this.#rules.initial);
    return this.#state.kind === "paused" ? this.#state.until : null;
  }

  mayStart(now: Millis): boolean {
    return this.deadReason(now) === null && this.pausedUntil(now) === null && this.#busy < this.window;
  }

  started(now: Millis): void {
    assert(this.mayStart(now), "a delivery starts only within the destination's window");
    this.#busy++;
  }

  /** Whether a delivery that ends now leaves its slot to another one. */
  mayHandOn(now: Millis): boolean {
    return this.deadReason(now) === null && this.#rules.pause === 0 && this.#busy <= this.window;
  }

  /**
   * A delivery takes over the slot of one that is done and whose end is still to be told. One slot may go through many
   * hands before the first end is told: answers come in one piece, and ends are told later.
   */
  handOn(): void {
    assert(this.#busy > 0, "a slot that is handed on is in use");
    this.#handedOn++;
  }

  /** The host answered, whatever it said about recipients or message. */
  answered(now: Millis): void {
    const busy = this.#ended();
    this.#failedCohorts = 0;
    if (this.#state.kind === "dead") this.#alive(busy);
    else if (this.#state.kind === "alive") this.#widen(this.#state.window, busy);
    this.#log("unthrottle");
    this.#pause(now);
  }

  /** The host could not be reached, or broke off. What all mail for it waits for, when that made it dead. */
  failed(now: Millis, status: string, why: string): Suspension | null {
    this.#ended();
    const dead = this.#state.kind === "alive" ? this.#narrow(this.#state.window, now, status, why) : null;
    this.#pause(now);
    return dead;
  }

  /** The delivery was called off: no verdict about the host. */
  calledOff(): void {
    this.#ended();
  }

  /** Tried again at once (postqueue -f). */
  wake(): void {
    if (this.#state.kind === "dead") this.#revive();
  }

  /** Not beyond what is used and a margin: negative feedback would come too late. */
  #widen(window: number, busy: number): void {
    const { limit, initial, positive } = this.#rules;
    if (limit > 0 && window >= limit || window >= busy + initial) return;
    const feedback = feedbackAt(positive, window);
    this.#rules.debug?.(`qmgr_queue_unthrottle: feedback ${general(feedback)}`);
    let wider = window;
    this.#success += feedback;
    // Half of the feedback against rounding errors: eight times 1/8 is a whole step.
    while (this.#success + feedback / 2 >= 1) {
      wider++;
      this.#success--;
      this.#failure = 0;
    }
    this.#state = { kind: "alive", window: limit > 0 ? Math.min(wider, limit) : wider };
  }

  /** The step down comes with the first failure of a cycle, the step up with the last success of one. */
  #narrow(window: number, now: Millis, status: string, why: string): Suspension | null {
    const { failedCohortLimit, negative, rest } = this.#rules;
    this.#failedCohorts += 1 / window;
    if (failedCohortLimit > 0 && this.#failedCohorts >= failedCohortLimit) {
      const dead = { kind: "dead", until: now + rest, status, why } as const;
      this.#state = dead;
      this.#log("throttle");
      return dead;
    }
    const feedback = feedbackAt(negative, window);
    this.#rules.debug?.(`qmgr_queue_throttle: feedback ${general(feedback)}`);
    let narrower = window;
    this.#failure -= feedback;
    while (this.#failure - feedback / 2 < 0) {
      narrower--;
      this.#success = 0;
      this.#failure++;
    }
    this.#state = { kind: "alive", window: Math.max(1, narrower) };
    this.#log("throttle");
    return null;
  }

  #log(what: "throttle" | "unthrottle"): void {
    const { debug, limit } = this.#rules;
    if (debug === null) return;
    const counts = `success ${general(this.#success)} failure ${general(this.#failure)} ` +
      `fail_cohorts ${general(this.#failedCohorts)}`;
    debug(`qmgr_queue_${what}: queue ${this.#name}: limit ${limit} window ${this.window} ${counts}`);
  }

  /** A rate delay begins when a delivery ends, whatever its end; one that died begins anew after it, as in Postfix. */
  #pause(now: Millis): void {
    if (this.#rules.pause === 0) return;
    if (this.#state.kind === "dead") this.#failedCohorts = 0;
    this.#state = { kind: "paused", until: now + this.#rules.pause };
  }

  /** How many were busy, this delivery among them. */
  #ended(): number {
    assert(this.#busy > 0, "a delivery ends only after it started");
    if (this.#handedOn === 0) return this.#busy--;
    this.#handedOn--;
    return this.#busy;
  }

  /** What it can take is anyone's guess: what it has, or the initial window. */
  #revive(): void {
    this.#failedCohorts = 0;
    this.#alive(this.#busy > 0 ? this.#busy : this.#rules.initial);
  }

  #alive(window: number): void {
    this.#state = { kind: "alive", window };
    this.#success = 0;
    this.#failure = 0;
  }
}
