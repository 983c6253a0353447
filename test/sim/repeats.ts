/**
 * D1 in time: results are stored within a tenth of a second (QueueEngine.commit, "lazy"). So a delivery or a notice is
 * made again only where the process that made it died within that time of the result; what it knew for longer, or ended
 * in order with, never comes again.
 */

import type { DeliveryRequest } from "../../src/agent.ts";
import type { Failed, NoticeSubject } from "../../src/notices.ts";
import type { Millis } from "../../src/runtime.ts";
import type { DeliveryResult } from "../../src/status.ts";

const WITHIN: Millis = 100;

interface Done {
  readonly life: Life;
  readonly at: Millis;
}

/** One process of the world, from its start to its end. */
export class Life {
  readonly #repeats: Repeats;
  readonly #now: () => Millis;
  #over = false;
  /** null: it lives, or ended in order. */
  diedAt: Millis | null = null;

  constructor(repeats: Repeats, now: () => Millis) {
    this.#repeats = repeats;
    this.#now = now;
  }

  /** Now, unless it has ended before. */
  dies(): void {
    if (!this.#over) this.diedAt = this.#now();
    this.#over = true;
  }

  /** All that it knew is stored. */
  ends(): void {
    this.#over = true;
  }

  /** The queue manager has the results of a delivery. */
  delivered({ queueId, envelope, recipients }: DeliveryRequest, results: readonly DeliveryResult[]): void {
    const sent = recipients.filter((_, index) => results[index]?.outcome === "sent");
    for (const { address } of sent) this.#does(`${queueId} ${envelope.arrived} to ${address}`);
  }

  /** A notice is in the queue. */
  noticed({ id, envelope }: NoticeSubject, failed: readonly Failed[]): void {
    for (const { waiting } of failed) this.#does(`${id} ${envelope.arrived} notice of ${waiting.recipient.address}`);
  }

  /** The dead know nothing: what was under way then comes to its end in this simulation alone. */
  #does(what: string): void {
    if (!this.#over) this.#repeats.done(what, this, this.#now());
  }
}

export class Repeats {
  readonly #breaks: (rule: string) => void;
  readonly #done = new Map<string, Done>();

  constructor(breaks: (rule: string) => void) {
    this.#breaks = breaks;
  }

  begin(now: () => Millis): Life {
    return new Life(this, now);
  }

  done(what: string, life: Life, at: Millis): void {
    const before = this.#done.get(what);
    this.#done.set(what, { life, at });
    if (before === undefined) return;
    const { diedAt } = before.life;
    if (before.life === life || diedAt === null) this.#breaks(`${what} comes again, and nothing had crashed`);
    else if (diedAt - before.at > WITHIN) {
      this.#breaks(`${what} comes again, and was known for ${diedAt - before.at} ms before the crash`);
    }
  }
}
