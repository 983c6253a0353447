/**
 * Which delivery starts next. Deliveries wait in line at their destination (line.ts); messages that have something to
 * deliver take turns within their transport, and so do the destinations of a message, so that a mailing to thousands
 * of destinations has one turn as a letter has; transports are limited by their process limit only. Pure bookkeeping:
 * time is handed in, nothing is started here.
 *   a destination is listed (stands in a turn) while it has work, but not after a turn in which it could not start:
 *   then it comes back when a delivery ends, its pause is over, or somebody wakes it
 */

import { DueHeap, type DueItem } from "../queue/due-heap.ts";
import type { Waiting } from "../queue/store.ts";
import type { Millis } from "../runtime.ts";
import type { DeliveryResult } from "../status.ts";
import type { ActiveMessage } from "./active.ts";
import { DestinationWindow, type Suspension, type WindowRules } from "./destination.ts";
import { Line, type SlotRules } from "./line.ts";
import { suspension } from "./report.ts";
import { Slots, Standing } from "./slots.ts";

/** Recipients of one message that go to one destination together. */
export interface Job {
  readonly message: ActiveMessage;
  readonly destination: Destination;
  readonly waiting: readonly Waiting[];
  /** Recipient addresses as the agent gets them, beside `waiting`. */
  readonly addresses: readonly string[];
}

export class Destination extends Standing implements DueItem {
  readonly transport: TransportQueue;
  readonly nexthop: string;
  readonly key: string;
  readonly window: DestinationWindow;
  readonly line: Line<Job>;
  /** Stands in a turn of its transport. */
  listed = false;
  /** Deliveries that were taken as followers, and neither begun nor given back. */
  held = 0;
  /** Deliveries whose slot went to the next one before their end was told. */
  handedOn = 0;
  /** When its pause is over. */
  due: Millis = 0;
  heapIndex = -1;
  /** No warning that it fills the active queue before. */
  warnAgain: Millis = 0;

  constructor(transport: TransportQueue, nexthop: string, key: string) {
    super();
    this.transport = transport;
    this.nexthop = nexthop;
    this.key = key;
    this.window = new DestinationWindow(transport.rules.window, key);
    this.line = new Line(transport.rules.slots);
  }
}

export interface TransportRules {
  readonly name: string;
  readonly window: WindowRules;
  readonly slots: SlotRules;
  /** Deliveries at once (master.cf maxproc); 0: no limit. */
  readonly processLimit: number;
  /** Deliveries beyond the process limit, to destinations that do not answer (slots.ts); 0: they have no more. */
  readonly stalledLimit: number;
  /** How long a broken transport rests (transport_retry_time). */
  readonly retryTime: Millis;
  /** Recipients of one delivery. 1: each recipient is a destination of its own. */
  readonly recipientLimit: number;
  /** From one start of a delivery to the next (transport_rate_delay). */
  readonly pause: Millis;
  /** Destinations that are remembered at most: beyond that the dead are forgotten. */
  readonly destinationLimit: number;
  /** What window.debug is told when the transport is used first. */
  readonly introduction: readonly string[];
}

/** The destinations of one message that wait for its turn. */
interface Turn {
  readonly message: ActiveMessage;
  readonly destinations: Destination[];
}

export class TransportQueue {
  readonly name: string;
  readonly rules: TransportRules;
  readonly #destinations = new Map<string, Destination>();
  readonly #turns: Turn[] = [];
  readonly #turnOf = new Map<ActiveMessage, Turn>();
  readonly #paused = new DueHeap<Destination>();
  /** Dead ones in the order in which their rest ends. */
  readonly #resting = new Set<Destination>();
  readonly #slots: Slots<Destination>;
  /** Stalled ones that have work: they take turns among themselves. */
  readonly #stalled = new Set<Destination>();
  /** New ones that may not have a second delivery while slots are scarce. */
  readonly #heldBack = new Set<Destination>();
  #used = false;
  #listed = 0;
  /** transport_rate_delay: no delivery starts before. */
  #nextStart: Millis = 0;
  /** Dead transport (transport_retry_time): no delivery until then. */
  #dead: Suspension | null = null;

  constructor(rules: TransportRules) {
    this.name = rules.name;
    this.rules = rules;
    this.#slots = new Slots(rules.processLimit, rules.stalledLimit);
  }

  get busy(): number {
    return this.#slots.busy;
  }

  destination(nexthop: string, key: string): Destination {
    const known = this.#destinations.get(key);
    if (known !== undefined) return known;
    const { introduction, window } = this.rules;
    if (!this.#used) { for (const line of introduction) window.debug?.(line); }
    this.#used = true;
    const made = new Destination(this, nexthop, key);
    this.#destinations.set(key, made);
    return made;
  }

  /** How many are remembered: those with work, and the dead and paused. */
  get destinationCount(): number {
    return this.#destinations.size;
  }

  /** Why nothing is tried now over this transport; null: go on. */
  dead(now: Millis): Suspension | null {
    if (this.#dead !== null && now >= this.#dead.until) this.#dead = null;
    return this.#dead;
  }

  /** All of a message's jobs for one destination. */
  add(jobs: readonly Job[], now: Millis): void {
    const destination = jobs[0]?.destination;
    if (destination === undefined) return;
    destination.line.add(jobs, now);
    this.#list(destination);
  }

  /** The next job that may start now, its slot taken; null when there is none. */
  next(now: Millis): Job | null {
    // Whatever nextStart() waits for: what is over must not be waited for again.
    this.#endPauses(now);
    for (const destination of this.#slots.look(now)) this.#list(destination);
    if (now < this.#nextStart || this.dead(now) !== null) return null;
    const job = this.#nextStalled(now) ?? this.#nextInTurn(now) ?? this.#nextHeldBack(now);
    if (job !== null && this.rules.pause > 0) this.#nextStart = now + this.rules.pause;
    return job;
  }

  #nextInTurn(now: Millis): Job | null {
    while (this.#turns.length > 0 && !this.#slots.full) {
      const destination = this.#takeTurn();
      const job = this.#start(destination, now);
      if (job !== null) return job;
    }
    return null;
  }

  #nextStalled(now: Millis): Job | null {
    if (this.#slots.stalledFull) return null;
    for (const destination of this.#stalled) {
      this.#stalled.delete(destination);
      const job = this.#start(destination, now);
      if (job !== null) return job;
    }
    return null;
  }

  /** As many of them as slots are free again: there may be thousands. */
  #nextHeldBack(now: Millis): Job | null {
    for (const destination of this.#heldBack) {
      if (this.#slots.scarce) return null;
      this.#list(destination);
      const job = this.#nextInTurn(now);
      if (job !== null) return job;
    }
    return null;
  }

  /** One that may not start has had its turn. */
  #start(destination: Destination, now: Millis): Job | null {
    if (!destination.window.mayStart(now)) {
      this.#watchPause(destination, now);
      return null;
    }
    if (!this.#slots.mayStart(destination)) {
      if (destination.state === "stalled") this.#list(destination);
      else this.#heldBack.add(destination);
      return null;
    }
    const job = destination.line.take(now);
    if (job === null) return null;
    destination.window.started(now);
    this.#slots.take(destination, now);
    this.#list(destination);
    return job;
  }

  /** When something may start that may not now, though nothing else happens; null: never. */
  nextStart(): Millis | null {
    const mayStart = this.#dead === null && this.#slots.roomFor(this.#listed, this.#stalled.size, this.#heldBack.size);
    const waits = mayStart && this.rules.pause > 0 ? this.#nextStart : null;
    const paused = this.#paused.first()?.due ?? null;
    const stalls = this.#listed > 0 || this.#heldBack.size > 0 ? this.#slots.nextLook() : null;
    return earliest(earliest(waits, paused), stalls);
  }

  /**
   * The job that would get the slot of a delivery to this destination when it ends; null when none waits, or when
   * another destination waits for a process: then that one has its turn. The caller gives it back, or begins it.
   */
  takeFollower(destination: Destination, now: Millis): Job | null {
    if (this.#listed > (destination.listed ? 1 : 0) || this.rules.pause > 0) return null;
    if (this.dead(now) !== null || !destination.window.mayHandOn(now)) return null;
    const job = destination.line.take(now);
    if (job !== null) destination.held++;
    return job;
  }

  /** The follower takes the slot of a delivery that is done and whose end is still to be told. */
  handOn(destination: Destination): void {
    destination.held--;
    destination.window.handOn();
    destination.handedOn++;
  }

  /** A follower that was not begun is the first one in the line again. What it is put off with, when that is dead. */
  giveBack(job: Job, now: Millis): Suspension | null {
    const { destination } = job;
    destination.held--;
    const dead = this.dead(now) ?? destination.window.deadReason(now);
    if (dead === null) {
      destination.line.giveBack(job);
      this.#list(destination);
    } else this.#forgetIdle(destination, now);
    return dead;
  }

  /**
   * A delivery ended: what its results say of host and transport. Its destination may take part again; or it, or the
   * whole transport, is dead from now on, and the jobs that waited for it are handed out to be put off. null: nothing
   * was tried.
   */
  ended(destination: Destination, results: readonly DeliveryResult[] | null, now: Millis): PutOff | null {
    if (results === null) this.#nextStart = now;
    if (destination.handedOn > 0) destination.handedOn--;
    else this.#slots.release(destination);
    const putOff = this.#judge(destination, results, now);
    this.#list(destination);
    this.#forgetIdle(destination, now);
    return putOff;
  }

  #judge(destination: Destination, results: readonly DeliveryResult[] | null, now: Millis): PutOff | null {
    const broken = results?.find((result) => result.outcome === "deferred" && result.scope === "transport");
    if (results === null || broken !== undefined) {
      destination.window.calledOff();
      return broken === undefined ? null : this.breakDown(broken.status, broken.reason, now);
    }
    const unreachable = results.find((result) => result.outcome === "deferred" && result.scope === "destination");
    if (unreachable === undefined) {
      this.#dead = null;
      destination.window.answered(now);
      this.#slots.answered(destination, now);
      this.#stalled.delete(destination);
      return null;
    }
    const dead = destination.window.failed(now, unreachable.status, suspension(unreachable.reason));
    if (dead === null) return null;
    this.#slots.died(destination);
    return { dead, jobs: destination.line.takeAll() };
  }

  /** The transport cannot be used at all; nothing else that happens to it counts until it was tried again. */
  breakDown(status: string, why: string, now: Millis): PutOff | null {
    if (this.dead(now) !== null) return null;
    const dead = { until: now + this.rules.retryTime, status, why };
    this.#dead = dead;
    const jobs = this.takeAll();
    for (const destination of this.#destinations.values()) this.#forgetIdle(destination, now);
    return { dead, jobs };
  }

  /** All jobs that have not started. */
  takeAll(): Job[] {
    return [...this.#destinations.values()].flatMap(({ line }) => line.takeAll());
  }

  /** Dead or not, everything may be tried now; with a destination: that one. */
  wake(now: Millis, only?: Destination): void {
    this.#dead = null;
    if (only !== undefined) return only.window.wake();
    for (const destination of this.#destinations.values()) {
      destination.window.wake();
      this.#list(destination);
      this.#forgetIdle(destination, now);
    }
  }

  #list(destination: Destination): void {
    if (destination.listed) return;
    this.#heldBack.delete(destination);
    const first = destination.line.first();
    if (first === null) return;
    if (destination.state === "stalled") return void this.#stalled.add(destination);
    destination.listed = true;
    this.#listed++;
    const turn = this.#turnOf.get(first.message);
    if (turn !== undefined) return void turn.destinations.push(destination);
    const made = { message: first.message, destinations: [destination] };
    this.#turnOf.set(first.message, made);
    this.#turns.push(made);
  }

  /** One destination of the message whose turn it is, which goes to the end. */
  #takeTurn(): Destination {
    const turn = this.#turns.shift() as Turn;
    const destination = turn.destinations.shift() as Destination;
    destination.listed = false;
    this.#listed--;
    if (turn.destinations.length > 0) this.#turns.push(turn);
    else this.#turnOf.delete(turn.message);
    return destination;
  }

  #watchPause(destination: Destination, now: Millis): void {
    const until = destination.window.pausedUntil(now);
    if (until === null || this.#paused.has(destination)) return;
    destination.due = until;
    this.#paused.add(destination);
  }

  #endPauses(now: Millis): void {
    for (let one = this.#paused.first(); one !== null && one.due <= now; one = this.#paused.first()) {
      this.#paused.remove(one);
      this.#list(one);
      this.#forgetIdle(one, now);
    }
  }

  /** A destination is remembered while it has work, is paused or dead: its window begins anew with the next mail. */
  #forgetIdle(destination: Destination, now: Millis): void {
    if (this.#destinations.get(destination.key) !== destination || !isIdle(destination)) return;
    if (isResting(destination, now)) {
      this.#resting.add(destination);
      this.#watchPause(destination, now);
      return this.#sweepResting(now);
    }
    this.#resting.delete(destination);
    this.#heldBack.delete(destination);
    this.#stalled.delete(destination);
    this.#destinations.delete(destination.key);
  }

  /** Those whose time is over go, and beyond the limit the oldest of the others: they cost memory. */
  #sweepResting(now: Millis): void {
    for (const one of this.#resting) {
      if (isResting(one, now) && this.#destinations.size <= this.rules.destinationLimit) return;
      this.#resting.delete(one);
      if (!isIdle(one)) continue;
      this.#paused.remove(one);
      this.#destinations.delete(one.key);
    }
  }
}

function earliest(one: Millis | null, other: Millis | null): Millis | null {
  return one === null || other === null ? one ?? other : Math.min(one, other);
}

function isIdle({ window, line, held }: Destination): boolean {
  return window.busy === 0 && line.size === 0 && held === 0;
}

function isResting({ window }: Destination, now: Millis): boolean {
  return window.deadReason(now) !== null || window.pausedUntil(now) !== null;
}

/** What is dead, and the jobs that are put off for it without a try. */
export interface PutOff {
  readonly dead: Suspension;
  readonly jobs: readonly Job[];
}
