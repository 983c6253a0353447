/**
 * The delivery slots of one transport (its service's process limit), and a second, bounded pool for deliveries to
 * destinations that keep silent, so that hosts that hang do not take the slots of those that answer.
 *   new --an answer--> answering --STALLED_AFTER without an answer--> stalled --an answer--> answering
 *   new --STALLED_AFTER--> stalled;  answering --dead--> new
 * All deliveries of a stalled destination count in the second pool as far as it has room, and it starts more of them
 * there only, while half of the pool is free. A new destination has one delivery at a time while half of the slots are
 * in use: five first attempts tell no more about a host than one. Pure: time is handed in.
 */

import { assert } from "../errors.ts";
import type { Millis } from "../runtime.ts";

/** A host that lives has answered somebody by then. */
export const STALLED_AFTER: Millis = 1_000;

/** What one destination has of the slots. */
export class Standing {
  state: "new" | "answering" | "stalled" = "new";
  /** Deliveries that count in the process limit, and in the pool of the stalled. */
  taken = 0;
  aside = 0;
  /** Its last answer, or when it got its first delivery of those under way. */
  heard: Millis = 0;
  /** When it is looked at next. */
  look: Millis = 0;

  get busy(): number {
    return this.taken + this.aside;
  }
}

export class Slots<S extends Standing> {
  readonly #limit: number;
  readonly #stalledLimit: number;
  #taken = 0;
  #aside = 0;
  /** With deliveries under way, by the time of their next look. */
  readonly #watched = new Set<S>();
  /** Stalled ones that hold slots, because their own pool is full. */
  readonly #crowded = new Set<S>();

  /** `limit` 0: none. `stalledLimit` 0: there is no second pool, and no difference between destinations. */
  constructor(limit: number, stalledLimit: number) {
    this.#limit = limit;
    this.#stalledLimit = limit > 0 ? stalledLimit : 0;
  }

  get busy(): number {
    return this.#taken + this.#aside;
  }

  /** No destination may start a delivery but stalled ones. */
  get full(): boolean {
    return this.#limit > 0 && this.#taken >= this.#limit;
  }

  /** Stalled destinations start no more: the rest is for those that stall next. */
  get stalledFull(): boolean {
    return 2 * this.#aside >= this.#stalledLimit;
  }

  get scarce(): boolean {
    return this.#limit > 0 && 2 * this.#taken >= this.#limit;
  }

  /** Of so many that wait, in turn, stalled or held back, one would have a slot. */
  roomFor(inTurn: number, stalled: number, heldBack: number): boolean {
    return inTurn > 0 && !this.full || stalled > 0 && !this.stalledFull || heldBack > 0 && !this.scarce;
  }

  mayStart({ state, busy }: S): boolean {
    if (this.#stalledLimit === 0) return !this.full;
    if (state === "stalled") return !this.stalledFull;
    return !this.full && (state === "answering" || busy === 0 || !this.scarce);
  }

  take(standing: S, now: Millis): void {
    assert(this.mayStart(standing), "a delivery starts only where there is a slot for it");
    if (standing.state === "stalled") {
      standing.aside++;
      this.#aside++;
      return;
    }
    standing.taken++;
    this.#taken++;
    if (this.#stalledLimit === 0) return;
    if (standing.busy === 1) standing.heard = now;
    if (!this.#watched.has(standing)) this.#watch(standing, now);
  }

  release(standing: S): void {
    assert(standing.busy > 0, "a slot is given back by who has it");
    if (standing.taken > 0) {
      standing.taken--;
      this.#taken--;
      if (standing.taken === 0) this.#crowded.delete(standing);
      return;
    }
    standing.aside--;
    this.#aside--;
    this.#makeRoom();
  }

  /** The host answered: its deliveries count as others do. */
  answered(standing: S, now: Millis): void {
    standing.heard = now;
    if (standing.state !== "stalled") return void (standing.state = "answering");
    standing.state = "answering";
    this.#crowded.delete(standing);
    standing.taken += standing.aside;
    this.#taken += standing.aside;
    this.#aside -= standing.aside;
    standing.aside = 0;
    if (standing.busy > 0) this.#watch(standing, now);
    this.#makeRoom();
  }

  died(standing: S): void {
    if (standing.state === "answering") standing.state = "new";
  }

  /** Those that are found to have stalled since the last look. */
  look(now: Millis): readonly S[] {
    let found: S[] | null = null;
    for (const standing of this.#watched) {
      if (standing.look > now) break;
      this.#watched.delete(standing);
      if (standing.busy === 0 || standing.state === "stalled") continue;
      if (now - standing.heard < STALLED_AFTER) {
        this.#watch(standing, now);
        continue;
      }
      standing.state = "stalled";
      this.#crowded.add(standing);
      (found ??= []).push(standing);
    }
    if (found !== null) this.#makeRoom();
    return found ?? [];
  }

  /** When look() may find something; null: never. */
  nextLook(): Millis | null {
    for (const { look } of this.#watched) return look;
    return null;
  }

  /** At the end of the line, which is thereby in the order of time. */
  #watch(standing: S, now: Millis): void {
    standing.look = now + STALLED_AFTER;
    this.#watched.add(standing);
  }

  #makeRoom(): void {
    for (const standing of this.#crowded) {
      const moving = Math.min(standing.taken, this.#stalledLimit - this.#aside);
      standing.taken -= moving;
      standing.aside += moving;
      this.#taken -= moving;
      this.#aside += moving;
      if (standing.taken > 0) return;
      this.#crowded.delete(standing);
    }
  }
}
