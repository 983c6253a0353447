/**
 * The end of a message's attempt: results are noted as they come; when the last delivery has ended, notices are made
 * durable, then their recipients leave the queue and the rest waits (deferred), or the message is removed. Storage
 * that fails makes the message wait, but a delivered recipient never waits for its notice; nothing here throws.
 */

import type { Config } from "../config/config.ts";
import { messageOf, ResourceError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Notices } from "../notices.ts";
import type { Progress, QueueStore } from "../queue/store.ts";
import type { Clock } from "../runtime.ts";
import { statusOfClass } from "../status.ts";
import type { ActiveMessage, FailedNow, Work } from "./active.ts";
import { dueAgain, isExpired, isLate } from "./backoff.ts";

export interface SettlingServices {
  readonly config: Config;
  readonly store: QueueStore;
  readonly clock: Clock;
  readonly notices: Notices;
  readonly logger: Logger;
  readonly work: Work;
  /** The message is no longer active. */
  readonly left: (message: ActiveMessage) => void;
}

export class Settling {
  readonly #services: SettlingServices;

  constructor(services: SettlingServices) {
    this.#services = services;
  }

  /** A delivery has ended, with these recipients done. */
  note(message: ActiveMessage, done: readonly number[]): void {
    const last = message.pending === 1 && !message.untried && !message.hasFailures;
    if (last && message.toldOf.length === 0) return this.#finishDelivered(message, done);
    // They stay until their notice is durable.
    const told = new Set(message.toldOf.map(({ waiting }) => waiting.index));
    const leaving = done.filter((index) => !told.has(index));
    if (leaving.length === 0) return this.ended(message);
    const { store, logger, work } = this.#services;
    work.begin();
    store.mark(message.entry.id, { done: leaving, deferred: [] }, "lazy").catch((caught: unknown) =>
      // The index knows; what is written next for this message says it again.
      logger.warn(`${message.entry.id}: queue storage: ${messageOf(caught)}`)
    ).finally(() => {
      this.ended(message);
      work.end();
    });
  }

  /** One of its jobs is over. */
  ended(message: ActiveMessage): void {
    if (--message.pending > 0) return this.#noteDeferred(message);
    const { work, left, store } = this.#services;
    if (message.untried && !message.hasFailures && message.toldOf.length === 0) {
      store.deactivate(message.entry.id);
      return left(message);
    }
    work.begin();
    this.#settle(message).catch((caught: unknown) => this.#storageFailed(message, caught)).finally(() => {
      left(message);
      work.end();
    });
  }

  /** While others are under way, the queue's list says why these wait. */
  #noteDeferred(message: ActiveMessage): void {
    const { store, logger } = this.#services;
    const deferred = message.deferred.slice(message.noted).filter(isNews).map(reasonOf);
    message.noted = message.deferred.length;
    if (deferred.length === 0) return;
    store.mark(message.entry.id, { done: [], deferred }, "lazy").catch((caught: unknown) =>
      logger.warn(`${message.entry.id}: queue storage: ${messageOf(caught)}`)
    );
  }

  /** The usual end, without a detour: everything went out. */
  #finishDelivered(message: ActiveMessage, done: readonly number[]): void {
    const { store, logger, left } = this.#services;
    store.mark(message.entry.id, { done, deferred: [] }, "lazy").catch((caught: unknown) =>
      logger.warn(`${message.entry.id}: ${messageOf(caught)}`)
    );
    logger.info(`${message.entry.id}: removed`);
    left(message);
  }

  /** All deliveries of the message are over: notices first, then its recipients leave, the rest waits. */
  async #settle(message: ActiveMessage): Promise<void> {
    const { store, notices, config, clock, logger } = this.#services;
    const { entry } = message;
    const { id, envelope } = entry;
    const now = clock.now();
    const tooOld = isExpired(envelope.sender, envelope.arrived, now, config);
    const expired = message.deferred.length > 0 && (entry.expired || tooOld);
    const word = entry.expired ? "force-expired" : "expired";
    if (expired) logger.info(`${id}: from=<${envelope.sender}>, status=${word}, returned to sender`);
    const failed = expired ? [...message.bounced, ...message.deferred] : message.bounced;
    const deferred = expired ? [] : message.deferred;
    let refused: string | null = null;
    try {
      if (failed.length > 0) refused = await notices.undeliverable(entry, failed);
    } finally {
      if (message.succeeded.length > 0) await this.#tell(message, notices.delivered(entry, message.succeeded));
      if (message.traced.length > 0) await this.#tell(message, notices.traced(entry, message.traced));
    }
    if (refused !== null) return await this.#bounceFailed(message, refused, tooOld);
    const due = deferred.length > 0 && !entry.warned && isLate(envelope.sender, envelope.arrived, now, config);
    const late = due && await this.#tell(message, notices.delayed(entry, deferred));
    const done = [...failed, ...message.toldOf].map(({ waiting }) => waiting.index);
    const reasons = deferred.filter(isNews).map(reasonOf);
    if (late) await store.warned(id);
    const progress = { done, deferred: reasons };
    if (message.untried) return store.defer(id, now, progress);
    // One write for both: a dead destination has its whole queue put off.
    if (deferred.length > 0) return store.defer(id, dueAgain(envelope.arrived, now, config), progress);
    if (done.length > 0) await store.mark(id, progress, "lazy");
    logger.info(`${id}: removed`);
  }

  /**
   * Who bounced is not tried again (a status of class 5 says it: qmgr.ts), their notice is. At the end of the message's
   * life nobody is told of it, so it is for the operator to see.
   */
  async #bounceFailed(message: ActiveMessage, why: string, tooOld: boolean): Promise<void> {
    const { store, config, clock, logger } = this.#services;
    const { id, envelope } = message.entry;
    logger.warn(`${id}: notice refused: ${why}`);
    logger.info(`${id}: status=deferred (bounce failed)`);
    const waits = [...message.bounced, ...message.deferred].filter(isNews);
    const progress = {
      done: message.toldOf.map(({ waiting }) => waiting.index),
      deferred: waits.map(reasonOf),
    };
    await store.defer(id, dueAgain(envelope.arrived, clock.now(), config), progress);
    if (!tooOld) return;
    logger.warn(`${id}: its time is over and its notice refused: placed on hold`);
    await store.hold([id]);
  }

  /** A notice that mail may do without: for want of it nothing is delivered or bounced a second time. */
  async #tell(message: ActiveMessage, notice: Promise<void>): Promise<boolean> {
    try {
      await notice;
      return true;
    } catch (caught) {
      this.#services.logger.warn(`${message.entry.id}: notice not sent: ${messageOf(caught)}`);
      return false;
    }
  }

  #storageFailed(message: ActiveMessage, caught: unknown): void {
    const { store, clock, config, logger } = this.#services;
    const { id } = message.entry;
    const again = caught instanceof ResourceError && caught.damaged ? "" : ": tried again later";
    logger.warn(`${id}: queue storage: ${messageOf(caught)}${again}`);
    const done = message.toldOf.map(({ waiting }) => waiting.index);
    store.defer(id, clock.now() + config.minimal_backoff_time, { done, deferred: [] }).catch((other: unknown) =>
      logger.error(`${id}: queue storage: ${messageOf(other)}`)
    );
  }
}

/** The queue does not say the same already. */
function isNews({ waiting, result }: FailedNow): boolean {
  return waiting.reason !== result.reason || waiting.status !== result.status;
}

/** As the queue keeps it. */
function reasonOf(
  { waiting: { index }, result: { outcome, reason, status } }: FailedNow,
): Progress["deferred"][number] {
  return { index, reason, status: statusOfClass(status, outcome) };
}
