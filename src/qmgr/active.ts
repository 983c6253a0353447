/**
 * A message in the active queue: what of it is still under way, and what has to be done when the last delivery ends.
 * Plain bookkeeping for qmgr.ts, dispatch.ts and settle.ts.
 */

import type { Failed } from "../notices.ts";
import type { QueueEntry, Waiting } from "../queue/store.ts";
import type { Clock, Millis, Timer } from "../runtime.ts";
import type { DeliveryResult } from "../status.ts";
import { expansions } from "./report.ts";

/** With what the queue says of the recipient so far. */
export interface FailedNow extends Failed {
  readonly waiting: Waiting;
}

export class ActiveMessage {
  readonly entry: QueueEntry;
  readonly activeAt: Millis;
  /** Somebody asked for its delivery now: what is dead or in defer_transports is tried all the same. */
  readonly urged: boolean;
  /** Jobs that have not ended. */
  pending = 0;
  /** A delivery that was to come does not: the message is for another queue manager, or an operator took it away. */
  untried = false;
  readonly bounced: FailedNow[] = [];
  readonly deferred: FailedNow[] = [];
  /** How many of the deferred the queue has been told of. */
  noted = 0;
  /** Delivered, and the sender is to know it. */
  readonly succeeded: Failed[];
  /** All results, where the sender wants a report of them. */
  readonly traced: Failed[] = [];

  constructor(entry: QueueEntry, activeAt: Millis, urged = false) {
    this.entry = entry;
    // They are told of with the first attempt's deliveries.
    this.succeeded = entry.attempts === 0 ? expansions(entry.envelope) : [];
    this.activeAt = activeAt;
    this.urged = urged;
  }

  /** A recipient without its mail. Whatever became of a probe is told, and it is not tried again. */
  failed(waiting: Waiting, result: DeliveryResult): void {
    const over = result.outcome === "bounced" || this.entry.envelope.probe !== undefined;
    (over ? this.bounced : this.deferred).push({ waiting, result });
    this.trace(waiting, result);
  }

  get hasFailures(): boolean {
    return this.bounced.length > 0 || this.deferred.length > 0;
  }

  /** Delivered, and to be told of: they stay until that is done. */
  get toldOf(): readonly Failed[] {
    if (this.traced.length === 0) return this.succeeded;
    return [...this.succeeded, ...this.traced.filter(({ result }) => result.outcome === "sent")];
  }

  /** sendmail -v */
  trace(waiting: Waiting, result: DeliveryResult): void {
    const { envelope, attempts } = this.entry;
    if (envelope.traced && attempts === 0) this.traced.push({ waiting, result });
  }
}

/** Deliveries under way and results being noted: what stop() waits for. */
export class Work {
  #count = 0;
  readonly #waiting: (() => void)[] = [];

  begin(): void {
    this.#count++;
  }

  end(): void {
    if (--this.#count > 0) return;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /** Until nothing is under way. */
  idle(): Promise<void> {
    return this.#count === 0 ? Promise.resolve() : new Promise((resolve) => void this.#waiting.push(resolve));
  }

  /** The same. `late` is called after the time, and two seconds later nobody waits any more. */
  async over(clock: Clock, within: Millis, late: () => void): Promise<void> {
    if (this.#count === 0) return;
    const timers: Timer[] = [clock.after(within, late)];
    const enough = new Promise<void>((resolve) => void timers.push(clock.after(within + 2_000, resolve)));
    await Promise.race([this.idle(), enough]);
    for (const timer of timers) timer.cancel();
  }
}
