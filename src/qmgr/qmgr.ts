/**
 * The queue manager (qmgr(8)): incoming -> active (bounded) -> delivery -> removed, deferred or bounced.
 * New mail and due mail take turns when places in the active queue become free. A delivery's results are noted before
 * anything else happens to them; a bounce is durable before its recipients leave the queue. Storage that fails makes
 * the message wait (it is tried again after minimal_backoff_time); nothing here throws.
 */

import type { DeliveryAgent, Follower, Transport } from "../agent.ts";
import type { Config } from "../config/config.ts";
import type { Envelope, Recipient } from "../envelope.ts";
import { messageOf } from "../errors.ts";
import type { Log, Logger } from "../log.ts";
import type { Notices } from "../notices.ts";
import type { Committed, QueueStore, Waiting } from "../queue/store.ts";
import type { Clock, Millis, Timer } from "../runtime.ts";
import type { DeliveryResult } from "../status.ts";
import { ActiveMessage } from "./active.ts";
import { dueAgain, isExpired, isLate } from "./backoff.ts";
import { deliveryLine, suspendedResult, suspension } from "./report.ts";
import { type Destination, type Group, type Job, requestOf, TransportQueue, type TransportRules } from "./schedule.ts";

/** A master.cf service that delivers. */
export interface AgentService {
  readonly rules: TransportRules;
  readonly agent: DeliveryAgent;
  /** Its name in the log: "smtp", "local". */
  readonly logName: string;
  /** Deliveries run one recipient at a time per mailbox (local): the recipient names the destination. */
  readonly perRecipient: boolean;
}

export interface QmgrServices {
  readonly config: Config;
  readonly store: QueueStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly resolve: (recipient: Recipient, envelope: Omit<Envelope, "recipients">) => Transport | Promise<Transport>;
  readonly agents: ReadonlyMap<string, AgentService>;
  readonly notices: Notices;
}

export class Qmgr {
  readonly #services: QmgrServices;
  readonly #logger: Logger;
  readonly #transports = new Map<string, TransportQueue>();
  readonly #deferTransports: ReadonlySet<string>;
  readonly #stop = new AbortController();
  readonly #active = new Set<ActiveMessage>();
  #timer: Timer | null = null;
  #timerAt: Millis = 0;
  #incomingWaits = false;
  #pumping = false;
  #stopping = false;
  /** Deliveries under way and results being noted: what stop() waits for. */
  #working = 0;
  #slot = 0;
  #idle: (() => void) | null = null;

  constructor(services: QmgrServices) {
    this.#services = services;
    this.#logger = services.log.service("qmgr");
    for (const [name, service] of services.agents) this.#transports.set(name, new TransportQueue(service.rules));
    this.#deferTransports = new Set(services.config.defer_transports);
  }

  get activeCount(): number {
    return this.#active.size;
  }

  /** Takes up what the queue holds. */
  start(): void {
    this.#incomingWaits = this.#services.store.count("incoming") > 0;
    this.#fill();
  }

  /** A new message is durable. */
  wake(committed: Committed): void {
    if (committed.entry.queue !== "incoming" || this.#stopping) return;
    if (this.#active.size < this.#services.config.qmgr_message_active_limit) this.#activate(committed.entry.id);
    else this.#incomingWaits = true;
  }

  /** The queue changed behind our back (release, flush, requeue): looks again; `revive` forgives dead destinations. */
  look(revive: boolean): void {
    if (this.#stopping) return;
    if (revive) { for (const transport of this.#transports.values()) transport.wake(); }
    this.#incomingWaits = true;
    this.#fill();
    this.#pump();
  }

  /** No delivery starts any more; those under way may end within the time, then they are called off. */
  async stop(within: Millis): Promise<void> {
    this.#stopping = true;
    this.#timer?.cancel();
    if (this.#working > 0) {
      const { clock } = this.#services;
      const timers: Timer[] = [];
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
        timers.push(clock.after(within, () => this.#stop.abort()), clock.after(within + 2_000, resolve));
      });
      for (const timer of timers) timer.cancel();
    }
    for (const { agent } of this.#services.agents.values()) await agent.close();
  }

  #workEnded(): void {
    if (--this.#working === 0) this.#idle?.();
  }

  /** New mail and due mail in turns, while there is room (qmgr_message_active_limit). */
  #fill(): void {
    const { store, config, clock } = this.#services;
    let room = config.qmgr_message_active_limit - this.#active.size;
    const now = clock.now();
    const due = room > 0 ? store.due(now, room)[Symbol.iterator]() : [][Symbol.iterator]();
    const incoming = this.#incomingWaits ? store.list("incoming")[Symbol.iterator]() : [][Symbol.iterator]();
    // Taken out first: activating changes the lists.
    const ids: string[] = [];
    for (let open = true; open && ids.length < room;) {
      const next = [incoming.next(), due.next()].flatMap((step) => step.done === true ? [] : [step.value as string]);
      ids.push(...next);
      open = next.length > 0;
    }
    if (ids.length < room) this.#incomingWaits = false;
    for (const id of ids) if (room > 0 && this.#activate(id)) room--;
    this.#watchDue();
  }

  #watchDue(): void {
    const { store, clock, config } = this.#services;
    if (this.#active.size >= config.qmgr_message_active_limit) return;
    const next = store.nextDue();
    if (next === null || (this.#timer !== null && this.#timerAt <= next)) return;
    this.#timer?.cancel();
    this.#timerAt = next;
    // Due times fall together: one look a second at most.
    this.#timer = clock.after(Math.max(1_000, next - clock.now()), () => {
      this.#timer = null;
      this.#fill();
    });
  }

  #activate(id: string): boolean {
    const { store, clock } = this.#services;
    if (!store.activate(id)) return false;
    const entry = store.get(id);
    if (entry === null) return false;
    const message = new ActiveMessage(entry, clock.now());
    this.#active.add(message);
    const { size, waiting, envelope: { sender } } = entry;
    this.#logger.info(`${id}: from=<${sender}>, size=${size}, nrcpt=${waiting.length} (queue active)`);
    message.pending = 1;
    this.#assign(message, waiting, 0, new Map());
    return true;
  }

  /** Resolves each recipient and groups them by destination; goes on asynchronously where a table takes time. */
  #assign(message: ActiveMessage, waiting: readonly Waiting[], first: number, groups: Map<string, Group>): void {
    const { resolve } = this.#services;
    for (let at = first; at < waiting.length; at++) {
      const one = waiting[at] as Waiting;
      const transport = resolve(one.recipient, message.entry.envelope);
      if (transport instanceof Promise) {
        transport.then(
          (value) => {
            this.#group(message, one, value, groups);
            this.#assign(message, waiting, at + 1, groups);
          },
          (caught: unknown) => {
            this.#putOff(message, [one], { status: "4.3.0", why: messageOf(caught) });
            this.#assign(message, waiting, at + 1, groups);
          },
        );
        return;
      }
      this.#group(message, one, transport, groups);
    }
    for (const group of groups.values()) this.#enqueue(message, group);
    this.#pump();
    this.#ended(message);
  }

  #group(message: ActiveMessage, waiting: Waiting, transport: Transport, groups: Map<string, Group>): void {
    if (transport.kind === "unsure") return this.#putOff(message, [waiting], { status: "4.3.0", why: transport.why });
    const service = this.#services.agents.get(transport.transport);
    const queue = this.#transports.get(transport.transport);
    if (service === undefined || queue === undefined) {
      const why = `mail transport unavailable: ${transport.transport}`;
      return this.#putOff(message, [waiting], { status: "4.3.0", why });
    }
    const key = service.perRecipient ? transport.recipient.toLowerCase() : transport.nexthop.toLowerCase();
    const full = `${transport.transport}\0${key}`;
    const group = groups.get(full) ??
      { destination: queue.destination(transport.nexthop, key), waiting: [], addresses: [] };
    if (group.waiting.length === 0) groups.set(full, group);
    group.waiting.push(waiting);
    group.addresses.push(transport.recipient);
  }

  #enqueue(message: ActiveMessage, group: Group): void {
    const { destination, waiting, addresses } = group;
    const { transport } = destination;
    const now = this.#services.clock.now();
    if (this.#deferTransports.has(transport.name)) {
      return this.#putOff(message, waiting, { status: "4.3.2", why: "deferred transport" });
    }
    const dead = transport.suspended(destination, now);
    if (dead !== null) return this.#putOff(message, waiting, suspension(dead));
    const limit = transport.recipientLimit > 0 ? transport.recipientLimit : waiting.length;
    for (let at = 0; at < waiting.length; at += limit) {
      const part = { waiting: waiting.slice(at, at + limit), addresses: addresses.slice(at, at + limit) };
      message.pending++;
      transport.add({ message, destination, ...part });
    }
  }

  /** Starts whatever may start; transports take turns. */
  #pump(): void {
    if (this.#pumping || this.#stopping) return;
    this.#pumping = true;
    const { clock } = this.#services;
    for (let started = true; started;) {
      started = false;
      for (const transport of this.#transports.values()) {
        const job = transport.next(clock.now());
        if (job === null) continue;
        started = true;
        this.#deliver(job);
      }
    }
    this.#pumping = false;
  }

  #deliver(job: Job): void {
    const service = this.#serviceOf(job);
    const results = service.agent.deliver(requestOf(job), this.#stop.signal, () => this.#follower(job.destination));
    this.#await(job, results);
  }

  #serviceOf({ destination }: Job): AgentService {
    return this.#services.agents.get(destination.transport.name) as AgentService;
  }

  #await(job: Job, results: Promise<readonly DeliveryResult[]>): void {
    const service = this.#serviceOf(job);
    const startedAt = this.#services.clock.now();
    this.#working++;
    results.then(
      (given) => this.#delivered(job, service, given, startedAt),
      (caught: unknown) => {
        this.#logger.error(`${job.message.entry.id}: ${service.logName}: ${messageOf(caught)}`);
        const result = suspendedResult("4.3.0", `internal error: ${messageOf(caught)}`);
        this.#delivered(job, service, job.waiting.map(() => result), startedAt);
      },
    );
  }

  #follower(destination: Destination): Follower | null {
    const { transport } = destination;
    const job = this.#stopping ? null : transport.takeFollower(destination, this.#services.clock.now());
    if (job === null) return null;
    return {
      request: requestOf(job),
      begin: (results) => {
        transport.handOn(destination);
        this.#await(job, results);
      },
      giveBack: () => transport.giveBack(job),
    };
  }

  #delivered(job: Job, service: AgentService, results: readonly DeliveryResult[], startedAt: Millis): void {
    const { message, destination, waiting } = job;
    const { clock, log } = this.#services;
    const now = clock.now();
    destination.transport.ended(destination, results, now);
    const logger = log.service(service.logName, ++this.#slot % 100_000 + 1);
    const done: number[] = [];
    const times = { arrived: message.entry.envelope.arrived, activeAt: message.activeAt, startedAt, now };
    waiting.forEach((one, at) => {
      const result = results[at] ?? suspendedResult("4.3.0", "delivery agent gave no result");
      logger.info(deliveryLine(message.entry.id, one.recipient, result, times));
      if (result.outcome === "sent") {
        done.push(one.index);
        if (one.recipient.notify.includes("success") && result.reportsSuccess !== true) {
          message.succeeded.push({ waiting: one, result });
        }
      } else if (result.outcome === "bounced" && !this.#services.config.soft_bounce) {
        message.bounced.push({ waiting: one, result });
      } else message.deferred.push({ waiting: one, result });
    });
    this.#suspendRest(destination, now);
    this.#note(message, done);
    this.#pump();
    this.#workEnded();
  }

  /** All further mail for a dead destination is deferred without a try. */
  #suspendRest(destination: Destination, now: Millis): void {
    const dead = destination.transport.suspended(destination, now);
    if (dead === null) return;
    for (const job of destination.transport.takeAll(destination)) {
      this.#putOff(job.message, job.waiting, suspension(dead));
      this.#ended(job.message);
    }
  }

  /** Recipients that are put off without a delivery. */
  #putOff(message: ActiveMessage, waiting: readonly Waiting[], why: { status: string; why: string }): void {
    const result = suspendedResult(why.status, why.why);
    const now = this.#services.clock.now();
    const logger = this.#services.log.service("retry", ++this.#slot % 100_000 + 1);
    const { arrived } = message.entry.envelope;
    const times = { arrived, activeAt: message.activeAt, startedAt: now, now };
    for (const one of waiting) {
      logger.info(deliveryLine(message.entry.id, one.recipient, result, times));
      message.deferred.push({ waiting: one, result });
    }
  }

  #note(message: ActiveMessage, done: readonly number[]): void {
    const last = message.pending === 1 && message.bounced.length === 0 && message.deferred.length === 0;
    if (last && message.succeeded.length === 0) return this.#finishDelivered(message, done);
    if (done.length === 0 || message.succeeded.length > 0) {
      // Recipients of a success notice stay until the notice is durable.
      return this.#ended(message);
    }
    this.#working++;
    this.#services.store.mark(message.entry.id, { done, deferred: [] }, "lazy").catch((caught: unknown) =>
      // The index knows; what is written next for this message says it again.
      this.#logger.warn(`${message.entry.id}: queue storage: ${messageOf(caught)}`)
    ).finally(() => {
      this.#ended(message);
      this.#workEnded();
    });
  }

  /** The usual end, without a detour: everything went out. */
  #finishDelivered(message: ActiveMessage, done: readonly number[]): void {
    this.#services.store.mark(message.entry.id, { done, deferred: [] }, "lazy").catch((caught: unknown) =>
      this.#logger.warn(`${message.entry.id}: ${messageOf(caught)}`)
    );
    this.#logger.info(`${message.entry.id}: removed`);
    this.#leave(message);
  }

  #ended(message: ActiveMessage): void {
    if (--message.pending > 0) return;
    this.#working++;
    this.#settle(message).catch((caught: unknown) => this.#storageFailed(message, caught)).finally(() => {
      this.#leave(message);
      this.#workEnded();
    });
  }

  /** All deliveries of the message are over: notices first, then its recipients leave, the rest waits. */
  async #settle(message: ActiveMessage): Promise<void> {
    const { store, notices, config, clock } = this.#services;
    const { entry } = message;
    const { id, envelope } = entry;
    const now = clock.now();
    const expired = message.deferred.length > 0 && isExpired(envelope.sender, envelope.arrived, now, config);
    if (expired) this.#logger.info(`${id}: from=<${envelope.sender}>, status=expired, returned to sender`);
    const failed = expired ? [...message.bounced, ...message.deferred] : message.bounced;
    const deferred = expired ? [] : message.deferred;
    if (failed.length > 0) await notices.undeliverable(entry, failed);
    if (message.succeeded.length > 0) await notices.delivered(entry, message.succeeded);
    const late = deferred.length > 0 && !entry.warned && isLate(envelope.arrived, now, config);
    if (late) await notices.delayed(entry, deferred);
    const done = [...failed, ...message.succeeded].map(({ waiting }) => waiting.index);
    const reasons = deferred.map(({ waiting, result }) => ({
      index: waiting.index,
      reason: result.reason,
      status: result.status,
    }));
    if (done.length > 0 || reasons.length > 0) await store.mark(id, { done, deferred: reasons }, "lazy");
    if (late) await store.warned(id);
    if (deferred.length > 0) await store.defer(id, dueAgain(envelope.arrived, now, config));
    else this.#logger.info(`${id}: removed`);
  }

  #storageFailed(message: ActiveMessage, caught: unknown): void {
    const { store, clock, config } = this.#services;
    const { id } = message.entry;
    this.#logger.warn(`${id}: queue storage: ${messageOf(caught)}: tried again later`);
    store.defer(id, clock.now() + config.minimal_backoff_time).catch((again: unknown) =>
      this.#logger.error(`${id}: queue storage: ${messageOf(again)}`)
    );
  }

  #leave(message: ActiveMessage): void {
    this.#active.delete(message);
    if (this.#stopping) return;
    const { config } = this.#services;
    if (this.#incomingWaits || this.#active.size === config.qmgr_message_active_limit - 1) this.#fill();
    else this.#watchDue();
  }
}
