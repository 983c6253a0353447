/**
 * verify(8): whether mail for an address can be delivered. What is not known is found out by a probe: a real message
 * that delivery agents take as far as they can without delivering it. Its results come back through Notices, and
 * nobody is told of them.
 *   unknown --query--> probe under way --result--> deliverable | deferred | undeliverable --expire--> unknown
 *   a known status is given as long as it has not expired, and is probed again once it needs a refresh
 * A failed probe does not make a deliverable address undeliverable before it expires. Nothing is thrown; a probe that
 * cannot be queued is tried again with the next query.
 */

import type { Cleanup } from "../cleanup/cleanup.ts";
import type { Config } from "../config/config.ts";
import { NO_CLIENT, plainRecipient } from "../envelope.ts";
import { messageOf } from "../errors.ts";
import { localReceived } from "../header.ts";
import type { Logger } from "../log.ts";
import type { Failed, Notices } from "../notices.ts";
import { type AddressStatus, probeSender, type Verified, type Verifier } from "../probe.ts";
import type { Committed } from "../queue/store.ts";
import type { Clock, Files, Millis, Timer } from "../runtime.ts";
import { rewriteAddress } from "../trivial-rewrite/rewrite.ts";
import { type CacheEntry, VerifyCache } from "./cache.ts";

export interface VerifyServices {
  readonly config: Config;
  readonly cleanup: Pick<Cleanup, "open">;
  readonly clock: Clock;
  readonly files: Files | null;
  readonly log: Logger;
  /** A probe is in the queue. */
  readonly queued: (committed: Committed) => void;
  /** Those of workers before and after this one: results are theirs too. */
  readonly others?: () => readonly Verify[];
}

/** A probe without a result counts as lost after this time. */
const PROBE_LIFE: Millis = 1_000_000;
const IN_PROGRESS = "Address verification in progress";
const UNKNOWN: CacheEntry = { status: "unknown", probed: 0, updated: 0, why: IN_PROGRESS };

/** `type:path` of a table that keeps its content in a file; null: memory. */
function cachePath(map: string): string | null {
  const colon = map.indexOf(":");
  const path = map.replace(/^proxy:/, "").slice(map.startsWith("proxy:") ? map.indexOf(":", 6) - 5 : colon + 1);
  return colon < 0 || map.startsWith("internal:") || path === "" ? null : `${path}.probes`;
}

export class Verify implements Verifier {
  readonly #services: VerifyServices;
  readonly #name: string;
  readonly #cache: VerifyCache;
  readonly #waiting = new Map<string, Set<(entry: CacheEntry | null) => void>>();
  #underWay = 0;
  #timer: Timer | null = null;
  #closed = false;

  constructor(services: VerifyServices) {
    const { config, clock, files, log } = services;
    const [map = ""] = config.address_verify_map;
    this.#services = services;
    this.#name = map === "" ? "internal:verify" : map;
    this.#cache = new VerifyCache({ clock, files, path: cachePath(map), warn: (text) => log.warn(text) });
  }

  /** What is known now; starts a probe where that is needed. */
  query(address: string): Verified {
    if (this.#timer === null) this.#sweep();
    const { config: { address_verify_negative_cache: keepsNegative }, clock } = this.#services;
    const now = clock.now();
    const found = this.#cache.get(address);
    const mayProbe = found === null || now - found.probed > PROBE_LIFE;
    const expired = found === null || (mayProbe && this.#older(found, now, "expire"));
    const entry = expired ? UNKNOWN : found;
    if (expired && found !== null && !keepsNegative) this.#cache.remove(address);
    if (now - entry.probed > PROBE_LIFE && this.#older(entry, now, "refresh") && this.#roomForProbe()) {
      if (entry.updated !== 0 || keepsNegative) this.#cache.put(address, { ...entry, probed: now });
      this.#underWay++;
      this.#probe(address).catch((caught: unknown) => {
        this.#services.log.warn(`probe of ${address}: ${messageOf(caught)}`);
        this.#cache.remove(address);
        this.#underWay--;
        this.#tell(address, null);
      });
    }
    return { status: entry.status, why: entry.why };
  }

  async wait(address: string, within: Millis): Promise<Verified> {
    const first = this.query(address);
    if (first.status !== "unknown" || within <= 0) return first;
    let tell = (_entry: CacheEntry | null): void => {};
    const result = new Promise<CacheEntry | null>((resolve) => tell = resolve);
    const waiters = this.#waiting.get(address) ?? new Set();
    this.#waiting.set(address, waiters.add(tell));
    const timer = this.#services.clock.after(within, () => tell(null));
    const { status, why } = await result ?? UNKNOWN;
    timer.cancel();
    waiters.delete(tell);
    if (waiters.size === 0) this.#waiting.delete(address);
    return { status, why };
  }

  /** The notices of a system that probes: results of probes come here. */
  notices(others: Notices): Notices {
    return {
      undeliverable: (message, failed) => {
        const { probe } = message.envelope;
        if (probe === undefined) return others.undeliverable(message, failed);
        return (probe === "report" ? others.traced(message, failed) : this.#results(failed)).then(() => null);
      },
      delayed: (message, waiting) => others.delayed(message, waiting),
      delivered: (message, succeeded) => others.delivered(message, succeeded),
      traced: (message, results) => others.traced(message, results),
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#cache.close();
  }

  #results(results: readonly Failed[]): Promise<void> {
    for (const { waiting: { recipient }, result } of results) {
      const status = result.outcome === "sent"
        ? "deliverable"
        : result.outcome === "deferred"
        ? "deferred"
        : "undeliverable";
      const names = new Set([recipient.original === "" ? recipient.address : recipient.original, recipient.address]);
      for (const one of [this, ...this.#services.others?.() ?? []]) {
        for (const address of names) one.#update(address, status, result.reason);
      }
    }
    if (this.#underWay > 0) this.#underWay--;
    return Promise.resolve();
  }

  #update(address: string, status: AddressStatus, why: string): void {
    const known = this.#cache.get(address);
    const entry = { status, probed: 0, updated: this.#services.clock.now(), why };
    // One probe that fails is no proof against one that did not.
    if (status === "deliverable" || known?.status !== "deliverable") this.#cache.put(address, entry);
    this.#tell(address, entry);
  }

  #tell(address: string, entry: CacheEntry | null): void {
    for (const tell of this.#waiting.get(address) ?? []) tell(entry);
  }

  #roomForProbe(): boolean {
    const { address_verify_pending_request_limit: limit } = this.#services.config;
    return !this.#closed && (limit === 0 || this.#underWay < limit);
  }

  #older({ status, updated }: CacheEntry, now: Millis, than: "expire" | "refresh"): boolean {
    const { config } = this.#services;
    const sign = status === "deliverable" ? "positive" : "negative";
    return updated + config[`address_verify_${sign}_${than}_time`] < now;
  }

  async #probe(address: string): Promise<void> {
    const { config, cleanup, clock, queued } = this.#services;
    const now = clock.now();
    const sender = probeSender(config, now);
    const recipient = rewriteAddress(address, config);
    const message = cleanup.open();
    message.begin(
      { sender, arrived: now, complete: true, checked: false, internal: true, recipient },
      localReceived(config, clock, { id: message.id, at: now }),
    );
    const result = await message.finish({
      sender,
      recipients: [{ ...plainRecipient(recipient), original: recipient === address ? "" : address }],
      arrived: now,
      client: NO_CLIENT,
      encoding: "",
      ret: "",
      envid: "",
      probe: "verify",
    });
    if (result.kind === "queued") return queued(result.committed);
    this.#underWay--;
    if (result.kind === "discarded") return this.#tell(address, null);
    const { code, lines } = result.reply;
    this.#update(address, code < 500 ? "deferred" : "undeliverable", lines.join(" ").replace(/^Error: /, ""));
  }

  /** At start, and then every address_verify_cache_cleanup_interval. */
  #sweep(): void {
    const { config: { address_verify_cache_cleanup_interval: interval }, clock, log } = this.#services;
    if (this.#closed) return;
    const now = clock.now();
    const keep = (entry: CacheEntry): boolean => now - entry.probed <= PROBE_LIFE || !this.#older(entry, now, "expire");
    const { retained, dropped } = this.#cache.sweep(keep);
    log.info(`cache ${this.#name} full cleanup: retained=${retained} dropped=${dropped} entries`);
    const again = interval > 0 ? interval : 365 * 86_400_000;
    this.#timer = clock.after(Math.min(again, LONGEST_TIMER), () => this.#sweep());
  }
}

/** Timers of 32 bits. */
const LONGEST_TIMER: Millis = 2 ** 31 - 1;
