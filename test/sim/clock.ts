/**
 * Time of the simulated world: it jumps from one event to the next.
 */

import type { Clock, Millis, Timer } from "../../src/runtime.ts";

const START: Millis = 1_800_000_000_000;

/** Turns of the event loop in which no time passes, before that is a fault. */
const STANDSTILL = 1_000_000;

interface Event {
  readonly at: Millis;
  readonly order: number;
  action: (() => void) | null;
}

/** Events in the order of their times, and of their making. */
export class VirtualClock implements Clock {
  #time: Millis = 0;
  #order = 0;
  #soon = 0;
  readonly #heap: Event[] = [];
  /** What somebody sets the wall clock forward by (backward: less than 0). */
  jump: Millis = 0;

  now = (): Millis => START + this.#time + this.jump;
  monotonic = (): Millis => this.#time;
  zoneMinutes = (): number => 0;
  zoneName = (): string => "UTC";
  soon = (action: () => void): void => {
    this.#soon++;
    setImmediate(() => {
      this.#soon--;
      action();
    });
  };
  after = (delay: Millis, action: () => void): Timer => {
    const event: Event = { at: this.#time + Math.max(0, delay), order: this.#order++, action };
    this.#push(event);
    return { cancel: () => void (event.action = null) };
  };

  /**
   * Lets everything happen until that time; `busy`: whether work outside the clock is under way; `over`: nobody wants
   * to see the rest.
   */
  async run(until: Millis, busy: () => boolean = () => false, over: () => boolean = () => false): Promise<void> {
    for (;;) {
      let turns = 0;
      do {
        if (turns++ > STANDSTILL) throw new Error(`at ${this.#time} ms somebody is busy without end`);
        await new Promise((resolve) => setImmediate(resolve));
      } while ((this.#soon > 0 || busy()) && !over());
      if (over()) return;
      const [next] = this.#heap;
      if (next === undefined || next.at > until) break;
      this.#time = Math.max(this.#time, next.at);
      while (this.#heap[0] !== undefined && this.#heap[0].at <= this.#time) this.#pop().action?.();
    }
    this.#time = Math.max(this.#time, until);
  }

  #before(one: Event, other: Event): boolean {
    return one.at < other.at || (one.at === other.at && one.order < other.order);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#before(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event {
    const heap = this.#heap;
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && this.#before(heap[child + 1]!, heap[child]!)) child++;
      if (!this.#before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

/** The clock as one process of the world has it: when that dies its timers do. */
export class ProcessClock implements Clock {
  readonly #clock: VirtualClock;
  #dead = false;

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }

  die(): void {
    this.#dead = true;
  }

  now = (): Millis => this.#clock.now();
  monotonic = (): Millis => this.#clock.monotonic();
  zoneMinutes = (): number => 0;
  zoneName = (): string => "UTC";
  soon = (action: () => void): void => this.#clock.soon(() => this.#act(action));
  after = (delay: Millis, action: () => void): Timer => this.#clock.after(delay, () => this.#act(action));

  #act(action: () => void): void {
    if (!this.#dead) action();
  }
}
