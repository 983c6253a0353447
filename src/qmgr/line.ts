/**
 * The messages that wait at one destination, and which of them has the next delivery (SCHEDULER_README, "preemptive
 * scheduling"): the oldest one, but a message of many deliveries lets smaller ones pass. For each `cost` deliveries it
 * gets one free slot is put aside; a message whose deliveries fit into the slots goes first, and may itself be passed
 * by a smaller one. So nobody waits longer than cost / (cost - 1) times what it would without.
 * Pure bookkeeping; nothing here can fail.
 */

import type { Millis } from "../runtime.ts";

/** default_delivery_slot_cost and its like. */
export interface SlotRules {
  /** Less than 2: no message passes another. */
  readonly cost: number;
  readonly loan: number;
  /** Percent of the slots that a message needs that may still be missing when it goes first. */
  readonly discount: number;
  /** Slots that a message must be able to put aside, or nobody passes it. */
  readonly minimum: number;
}

/** One message's deliveries at the destination. */
interface Share<J> {
  readonly jobs: readonly J[];
  readonly since: Millis;
  next: number;
  /** Deliveries since another one went first, less what that one used; `cost` of them make one slot. */
  saved: number;
}

/** How far back in the line a message is looked for that may pass. */
const LOOK_BEHIND = 100;

export class Line<J> {
  readonly #rules: SlotRules;
  /** By age. */
  readonly #waiting: Share<J>[] = [];
  /** Those that were let pass, each by the one before it; the first one passes the oldest. */
  readonly #passing: Share<J>[] = [];
  readonly #returned: J[] = [];
  #size = 0;

  constructor(rules: SlotRules) {
    this.#rules = rules;
  }

  /** Deliveries that wait. */
  get size(): number {
    return this.#size;
  }

  /** All deliveries of a message to the destination. */
  add(jobs: readonly J[], now: Millis): void {
    if (jobs.length === 0) return;
    this.#waiting.push({ jobs, since: now, next: 0, saved: 0 });
    this.#size += jobs.length;
  }

  /** The delivery that would come next, but for a message that is let pass then. */
  first(): J | null {
    const share = this.#current();
    return this.#returned.at(-1) ?? share?.jobs[share.next] ?? null;
  }

  take(now: Millis): J | null {
    const returned = this.#returned.pop();
    if (returned !== undefined) {
      this.#size--;
      return returned;
    }
    const current = this.#current();
    if (current === null) return null;
    const share = this.#letPass(current, now);
    const job = share.jobs[share.next++] as J;
    share.saved++;
    this.#size--;
    if (share.next < share.jobs.length) return job;
    if (this.#passing.at(-1) === share) this.#passing.pop();
    else this.#waiting.shift();
    return job;
  }

  /** It was taken and not begun: the first one again. */
  giveBack(job: J): void {
    this.#returned.push(job);
    this.#size++;
  }

  takeAll(): J[] {
    const shares = [...this.#passing.splice(0).reverse(), ...this.#waiting.splice(0)];
    this.#size = 0;
    return [...this.#returned.splice(0).reverse(), ...shares.flatMap(({ jobs, next }) => jobs.slice(next))];
  }

  #current(): Share<J> | null {
    return this.#passing.at(-1) ?? this.#waiting[0] ?? null;
  }

  #letPass(current: Share<J>, now: Millis): Share<J> {
    const { cost, loan, discount, minimum } = this.#rules;
    if (cost < 2 || current.saved <= 0 || current.jobs.length < minimum * cost) return current;
    const candidate = this.#candidate(current, now);
    if (candidate < 0) return current;
    const share = this.#waiting[candidate] as Share<J>;
    const needed = share.jobs.length - share.next;
    if (Math.floor(current.saved / cost) + loan < needed * (100 - discount) / 100) return current;
    this.#waiting.splice(candidate, 1);
    this.#passing.push(share);
    current.saved -= needed * cost;
    share.saved = 0;
    return share;
  }

  /** Of those that fit into what the current one can ever put aside: the longest wait for each delivery. */
  #candidate(current: Share<J>, now: Millis): number {
    const slots = Math.floor((current.jobs.length - current.next + current.saved) / this.#rules.cost);
    let best = -1;
    let bestScore = 0;
    const end = slots > 0 ? Math.min(this.#waiting.length, LOOK_BEHIND) : 0;
    for (let at = 1; at < end; at++) {
      const { jobs, next, since } = this.#waiting[at] as Share<J>;
      if (jobs.length - next > slots) continue;
      const score = (now - since + 1_000) / jobs.length;
      if (score <= bestScore) continue;
      best = at;
      bestScore = score;
    }
    return best;
  }
}
