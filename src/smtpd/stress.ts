/**
 * One smtpd service under load (STRESS_README): once it has as many sessions as it may have, new ones get the
 * configuration with `stress = yes` (shorter time-outs, fewer errors allowed), until nothing of the kind has happened
 * for CALM. The log says so once each time.
 */

import type { Clock, Millis, Socket } from "../runtime.ts";
import type { Smtpd } from "./smtpd.ts";

/** As long as Postfix's master keeps it up. */
const CALM: Millis = 1_000_000;

type Served = Pick<Smtpd, "accept" | "sessions" | "over" | "drain">;

export interface StressOptions {
  /** Called once each, the one with stress when it is needed. */
  readonly make: (stressed: boolean) => Smtpd;
  /** Sessions at most; 0: no limit. */
  readonly limit: number;
  readonly clock: Clock;
  /** As in the log: 'service "smtp" (25)'. */
  readonly name: string;
  readonly warn: (text: string) => void;
}

export class StressedService {
  readonly #options: StressOptions;
  readonly #usual: Served;
  #stressed: Served | null = null;
  #until: Millis = Number.NEGATIVE_INFINITY;

  constructor(options: StressOptions) {
    this.#options = options;
    this.#usual = options.make(false);
  }

  get sessions(): number {
    return this.#usual.sessions + (this.#stressed?.sessions ?? 0);
  }

  accept(socket: Socket): void {
    const { limit, clock } = this.#options;
    const now = clock.monotonic();
    if (limit > 0 && this.sessions + 1 >= limit) this.#begin(now);
    if (now >= this.#until) return this.#usual.accept(socket);
    this.#stressed ??= this.#options.make(true);
    this.#stressed.accept(socket);
  }

  async over(): Promise<void> {
    await this.#usual.over();
    await this.#stressed?.over();
  }

  async drain(within: Millis): Promise<void> {
    await Promise.all([this.#usual.drain(within), this.#stressed?.drain(within)]);
  }

  #begin(now: Millis): void {
    const { name, limit, warn } = this.#options;
    if (now >= this.#until) {
      warn(`${name} has reached its process limit "${limit}": new clients may experience noticeable delays`);
      warn("to avoid this condition, increase the process count in master.cf or reduce the service time per client");
      warn("see https://www.postfix.org/STRESS_README.html for examples of stress-adapting configuration settings");
    }
    this.#until = now + CALM;
  }
}
