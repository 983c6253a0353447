/**
 * Deadlines of many sessions on one timer: setting one costs a comparison. The timer rings at the earliest deadline
 * that was known when it was set; what has moved on since is looked at again.
 */

import type { Clock, Millis, Timer } from "../runtime.ts";

/** Who has a deadline. */
export interface Bound {
  /** By Clock.monotonic(); Infinity: none. */
  deadline: Millis;
  expired(): void;
}

/** A deadline may be met this much late. */
const GRAIN: Millis = 5;

export class Deadlines {
  readonly #clock: Clock;
  readonly #members: Set<Bound> = new Set();
  #timer: Timer | null = null;
  #rings: Millis = Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(member: Bound): void {
    this.#members.add(member);
  }

  remove(member: Bound): void {
    this.#members.delete(member);
    if (this.#members.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
    this.#rings = Infinity;
  }

  set(member: Bound, after: Millis): void {
    const deadline = this.#clock.monotonic() + after;
    member.deadline = deadline;
    if (deadline < this.#rings - GRAIN) this.#arm(deadline);
  }

  #arm(deadline: Millis): void {
    this.#timer?.cancel();
    this.#rings = deadline;
    const delay = Math.max(1, deadline - this.#clock.monotonic());
    // A timer cannot be set for more than 2^31 ms; ringing early is harmless.
    this.#timer = this.#clock.after(Math.min(delay + 1, 2 ** 30), () => this.#ring());
  }

  #ring(): void {
    this.#timer = null;
    this.#rings = Infinity;
    const now = this.#clock.monotonic();
    for (const member of [...this.#members]) {
      if (member.deadline <= now) {
        member.deadline = Infinity;
        member.expired();
      }
    }
    let earliest = Infinity;
    for (const member of this.#members) earliest = Math.min(earliest, member.deadline);
    if (earliest < this.#rings) this.#arm(earliest);
  }
}
