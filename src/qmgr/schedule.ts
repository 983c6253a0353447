/**
 * Which delivery starts next. Jobs wait at their destination; destinations with work take turns within their transport;
 * transports are limited by their process limit only. Pure bookkeeping: time is handed in, nothing is started here.
 */

import type { DeliveryRequest } from "../agent.ts";
import type { Waiting } from "../queue/store.ts";
import type { Millis } from "../runtime.ts";
import type { DeliveryResult } from "../status.ts";
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

export function requestOf({ message, destination, waiting, addresses }: Job): DeliveryRequest {
  return {
    queueId: message.entry.id,
    transport: destination.transport.name,
    nexthop: destination.nexthop,
    envelope: message.entry.envelope,
    recipients: waiting.map(({ recipient }, at) => {
      const address = addresses[at] as string;
      return address === recipient.address ? recipient : { ...recipient, address };
    }),
    size: message.entry.size,
    activeAt: message.activeAt,
  };
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
  /** How long a broken transport rests (transport_retry_time). */
  readonly retryTime: Millis;
  /** Recipients of one delivery. 1: each recipient is a destination of its own. */
  readonly recipientLimit: number;
}

export class TransportQueue {
  readonly name: string;
  readonly rules: WindowRules;
  readonly recipientLimit: number;
  readonly #processLimit: number;
  readonly #retryTime: Millis;
  readonly #destinations = new Map<string, Destination>();
  #turns: Destination[] = [];
  #busy = 0;
  /** Deliveries whose slot went to the next one before their end was told. */
  #handedOn = 0;
  /** Dead transport (transport_retry_time): no delivery until then. */
  #dead: { readonly until: Millis; readonly status: string; readonly why: string } | null = null;

  constructor(rules: TransportRules) {
    this.name = rules.name;
    this.rules = rules.window;
    this.recipientLimit = rules.recipientLimit;
    this.#processLimit = rules.processLimit;
    this.#retryTime = rules.retryTime;
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

  /**
   * The job that would get the slot of a delivery to this destination when it ends; null when none waits, or when
   * another destination waits for a process: then that one has its turn.
   */
  takeFollower(destination: Destination, now: Millis): Job | null {
    if (this.#turns.some((other) => other !== destination) || this.suspended(destination, now) !== null) return null;
    return destination.jobs.shift() ?? null;
  }

  /** The follower takes the slot of a delivery that is done and whose end is still to be told. */
  handOn(destination: Destination): void {
    destination.window.handOn();
    this.#handedOn++;
  }

  /** A follower that was not begun is the first one in the line again. */
  giveBack(job: Job): void {
    job.destination.jobs.unshift(job);
    this.#list(job.destination);
  }

  /** A delivery ended: what its results say of host and transport. Its destination may take part again. */
  ended(destination: Destination, results: readonly DeliveryResult[], now: Millis): void {
    const broken = results.find((result) => result.outcome === "deferred" && result.scope === "transport");
    const unreachable = results.find((result) => result.outcome === "deferred" && result.scope === "destination");
    if (broken !== undefined) {
      destination.window.calledOff();
      this.#dead = { until: now + this.#retryTime, status: broken.status, why: broken.reason };
    } else if (unreachable !== undefined) destination.window.failed(now, unreachable.status, unreachable.reason);
    else destination.window.answered();
    if (this.#handedOn > 0) this.#handedOn--;
    else this.#busy--;
    if (destination.jobs.length > 0) this.#list(destination);
    else this.#forgetIdle(destination);
  }

  /** All jobs that wait for a destination, taken off it. */
  takeAll(destination: Destination): Job[] {
    return destination.jobs.splice(0);
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
