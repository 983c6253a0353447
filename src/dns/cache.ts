/**
 * Answers kept until their TTL runs out. Bounded: the least recently used goes first.
 * Failures are kept for a moment only, so that one broken zone does not cost a timeout per message.
 */

import type { Clock, Millis } from "../runtime.ts";

interface Entry<T> {
  readonly value: T;
  readonly until: Millis;
}

export class Cache<T> {
  readonly #clock: Clock;
  readonly #limit: number;
  readonly #entries: Map<string, Entry<T>> = new Map();

  constructor(clock: Clock, limit: number) {
    this.#clock = clock;
    this.#limit = limit;
  }

  get(key: string): T | null {
    const entry = this.#entries.get(key);
    if (entry === undefined) return null;
    this.#entries.delete(key);
    if (entry.until <= this.#clock.monotonic()) return null;
    this.#entries.set(key, entry);
    return entry.value;
  }

  /** A time of 0 or less keeps nothing (RFC 1035 §3.2.1: TTL 0 is for the transaction in progress only). */
  set(key: string, value: T, keep: Millis): void {
    if (keep <= 0) return;
    this.#entries.delete(key);
    if (this.#entries.size >= this.#limit) {
      const oldest = this.#entries.keys().next();
      if (oldest.done !== true) this.#entries.delete(oldest.value);
    }
    this.#entries.set(key, { value, until: this.#clock.monotonic() + keep });
  }

  clear(): void {
    this.#entries.clear();
  }
}
