/**
 * Which delivery starts next. Jobs wait at their destination; destinations with work take turns within their transport;
 * transports are limited by their process limit only. Pure bookkeeping: time is handed in, nothing is started here.
 */

import type { Waiting } from "../queue/store.ts";
import type { Millis } from "../runtime.ts";
import type { ActiveMessage } from "./active.ts";
import { DestinationWindow, type WindowRules } from "./destination.ts";

/** Recipients of one message that go to one destination together. */
export interface Job {
  readonly message: ActiveMessage;
  readonly destination: Destination;
  readonly waiting: readonly Waiting[];
  /** Recipient addresses as the agent gets them, beside `waiting`. */
  readonly addresses: readonly string[];
}

/** Recipients of one message that were found to have the same destination, before they are cut into jobs. */
export interface Group {
  readonly destination: Destination;
  readonly waiting: Waiting[];
  readonly addresses: string[];
}

export class Destination {
  readonly transport: TransportQueue;
  readonly nexthop: string;
  readonly key: string;
  readonly window: DestinationWindow;
  readonly jobs: Job[] = [];
  /** Stands in its transport's turn list. */
  listed = false;

  constructor(transport: TransportQueue, nexthop: string, key: string) {
    this.transport = transport;
    this.nexthop = nexthop;
    this.key = key;
    this.window = new DestinationWindow(transport.rules);
  }
}

export interface TransportRules {
  readonly name: string;
  readonly window: WindowRules;
  /** Deliveries at once (master.cf maxproc); 0: no limit. */
  readonly processLimit: number;
  /** Recipients of one delivery. 1: each recipient is a destination of its own. */
  readonly recipientLimit: number;
}

export class TransportQueue {
  readonly name: string;
  readonly rules: WindowRules;
  readonly recipientLimit: number;
  readonly #processLimit: number;
  readonly #destinations = new Map<string, Destination>();
  #turns: Destination[] = [];
  #busy = 0;
  /** Dead transport (transport_retry_time): no delivery until then. */
  #dead: { readonly until: Millis; readonly status: string; readonly why: string } | null = null;

  constructor(rules: TransportRules) {
    this.name = rules.name;
    this.rules = rules.window;
    this.recipientLimit = rules.recipientLimit;
    this.#processLimit = rules.processLimit;
  }

  get busy(): number {
    return this.#busy;
  }

  destination(nexthop: string, key: string): Destination {
    const known = this.#destinations.get(key);
    if (known !== undefined) return known;
    const made = new Destination(this, nexthop, key);
    this.#destinations.set(key, made);
    return made;
  }

  destinations(): Iterable<Destination> {
    return this.#destinations.values();
  }

  /** Why nothing for that destination is tried now; null: go on. */
  suspended(destination: Destination, now: Millis): { readonly status: string; readonly why: string } | null {
    if (this.#dead !== null && now >= this.#dead.until) this.#dead = null;
    return this.#dead ?? destination.window.deadReason(now);
  }

  add(job: Job): void {
    job.destination.jobs.push(job);
    this.#list(job.destination);
  }

  /** The next job that may start now, its slot taken; null when there is none. */
  next(now: Millis): Job | null {
    for (let left = this.#turns.length; left > 0; left--) {
      if (this.#processLimit > 0 && this.#busy >= this.#processLimit) return null;
      const destination = this.#turns.shift() as Destination;
      destination.listed = false;
      const job = destination.window.mayStart(now) ? destination.jobs.shift() : undefined;
      if (job === undefined) continue;
      destination.window.started(now);
      this.#busy++;
      if (destination.jobs.length > 0) this.#list(destination);
      return job;
    }
    return null;
  }

  /** A delivery ended; its destination may take part again. */
  ended(destination: Destination): void {
    this.#busy--;
    if (destination.jobs.length > 0) this.#list(destination);
    else this.#forgetIdle(destination);
  }

  /** All jobs that wait for a destination, taken off it. */
  takeAll(destination: Destination): Job[] {
    return destination.jobs.splice(0);
  }

  die(until: Millis, status: string, why: string): void {
    this.#dead = { until, status, why };
  }

  /** Dead or not, everything may be tried now. */
  wake(): void {
    this.#dead = null;
    for (const destination of this.#destinations.values()) {
      destination.window.wake();
      if (destination.jobs.length > 0) this.#list(destination);
    }
  }

  #list(destination: Destination): void {
    if (destination.listed) return;
    destination.listed = true;
    this.#turns.push(destination);
  }

  /** Destinations are kept while they have work, are dead, or few: their number is bounded by the active queue. */
  #forgetIdle(destination: Destination): void {
    const { window } = destination;
    if (window.busy > 0 || window.window === 0 || this.#destinations.size < 1000) return;
    this.#destinations.delete(destination.key);
  }
}
