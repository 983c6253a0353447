/**
 * The queue manager (qmgr(8)): incoming -> active (bounded) -> delivery -> removed, deferred or bounced.
 * New mail is active at once while there is room. When places in the active queue become free, mail that had to wait
 * and due mail take turns, a short slice at a time, so that a flood of due mail delays nobody. Deliveries
 * are in dispatch.ts, the end of a message is in settle.ts. Nothing here throws.
 */

import type { Transport } from "../agent.ts";
import type { Config } from "../config/config.ts";
import type { Envelope, Recipient } from "../envelope.ts";
import { attempt, messageOf } from "../errors.ts";
import type { Log, Logger } from "../log.ts";
import type { Notices } from "../notices.ts";
import type { Committed, QueueEntry, QueueStore, Waiting } from "../queue/store.ts";
import type { Clock, Millis, Timer } from "../runtime.ts";
import { ActiveMessage, Work } from "./active.ts";
import { type AgentService, Dispatch, type Group } from "./dispatch.ts";
import { queueName } from "./queue-name.ts";
import { inOrder } from "./recipient-order.ts";
import { bouncedResult, suspendedResult } from "./report.ts";
import { agreeing } from "./rules.ts";
import { Settling } from "./settle.ts";

export interface QmgrServices {
  readonly config: Config;
  readonly store: QueueStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly resolve: (recipient: Recipient, envelope: Omit<Envelope, "recipients">) => Transport | Promise<Transport>;
  readonly agents: ReadonlyMap<string, AgentService>;
  readonly notices: Notices;
  /** Puts a message through cleanup again (postsuper -r): false, not now; the new message is durable otherwise. */
  readonly requeue: (entry: QueueEntry) => Promise<boolean>;
  /** A queue manager that retires still works on that message. */
  readonly elsewhere?: (id: string) => boolean;
  /** What was active here is in the queue again, for another queue manager. */
  readonly handedBack?: () => void;
}

/** How long messages become active without a look at anything else. */
const SLICE: Millis = 0.25;
/** And how long everything else has its turn then. */
const SLICE_PAUSE: Millis = 2;
/** Recipients that are looked up in one go. */
const ASSIGNED_AT_ONCE = 500;
/** Due times fall together: one look a second at most. */
const LOOK_EVERY: Millis = 1_000;
/** And one in that time at least: timers do not know that somebody set the clock forward, or that the host slept. */
const LOOK_AT_LEAST_EVERY: Millis = 300_000;

export class Qmgr {
  readonly #services: QmgrServices;
  readonly #logger: Logger;
  readonly #work = new Work();
  readonly #dispatch: Dispatch;
  readonly #settling: Settling;
  readonly #active = new Map<string, ActiveMessage>();
  /** Deferred messages whose delivery somebody asked for. */
  readonly #urged = new Set<string>();
  #activeRecipients = 0;
  #timer: Timer | null = null;
  #timerAt: Millis = 0;
  #incomingWaits = false;
  #dueTurn = false;
  #filling = false;
  #stopping = false;
  /** Messages that may still come in without a pause while others wait (in_flow_delay). */
  #flow: number;

  constructor(services: QmgrServices) {
    const { store, clock, log, notices, agents } = services;
    this.#logger = log.service("qmgr");
    const config = agreeing(services.config, this.#logger);
    this.#services = { ...services, config };
    const work = this.#work;
    const left = (message: ActiveMessage): void => this.#leave(message);
    this.#settling = new Settling({ config, store, clock, notices, logger: this.#logger, work, left });
    const activeCount = (): number => this.#active.size;
    this.#dispatch = new Dispatch({ config, store, clock, log, agents, work, settling: this.#settling, activeCount });
    this.#flow = config.default_process_limit;
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
    if (this.#hasRoom()) this.#activate(committed.entry.id);
    else this.#incomingWaits = true;
  }

  /**
   * How long who hands in a message waits before it does (in_flow_delay): not at all, unless mail waits for a place
   * in the active queue, and then only when more comes in than becomes active.
   */
  inflowPause(): Millis {
    const { in_flow_delay, default_process_limit } = this.#services.config;
    if (!this.#incomingWaits) this.#flow = default_process_limit;
    else if (this.#flow <= 0) return in_flow_delay;
    else this.#flow--;
    return 0;
  }

  /** The queue changed behind our back (release, requeue): looks again. */
  look(): void {
    if (this.#stopping) return;
    this.#incomingWaits = true;
    this.#fill();
    this.#dispatch.pump();
  }

  /**
   * Those messages, which became due, are tried whatever is dead; all of them: dead destinations are forgiven. What is
   * not deferred is under way, held or gone.
   */
  flush(ids: readonly string[] | "all"): void {
    if (this.#stopping) return;
    const { store } = this.#services;
    if (ids === "all") this.#dispatch.wake();
    const asked = ids === "all" ? this.#dispatch.holdsBack ? store.list("deferred") : [] : ids;
    for (const id of asked) if (store.queueOf(id) === "deferred") this.#urged.add(id);
    this.look();
  }

  /** Somebody works on it here. */
  isActive(id: string): boolean {
    return this.#active.has(id);
  }

  /**
   * No delivery starts any more, and messages without one are as they were in the queue; so are the others when their
   * deliveries have ended. When it resolves, all have.
   */
  retire(): Promise<void> {
    if (!this.#stopping) {
      this.#stopping = true;
      this.#timer?.cancel();
      this.#dispatch.stop();
    }
    return this.#work.idle();
  }

  /** The same; deliveries that have not ended within the time are called off. */
  async stop(within: Millis): Promise<void> {
    void this.retire();
    await this.#work.over(this.#services.clock, within, () => this.#dispatch.abort());
    for (const { agent } of this.#services.agents.values()) await agent.close();
  }

  #hasRoom(): boolean {
    const { qmgr_message_active_limit, qmgr_message_recipient_limit } = this.#services.config;
    return this.#active.size < qmgr_message_active_limit && this.#activeRecipients < qmgr_message_recipient_limit;
  }

  #fill(): void {
    if (this.#filling) return;
    this.#filling = true;
    this.#fillSlice();
  }

  /** New mail and due mail in turns, while there is room. */
  #fillSlice(): void {
    const { clock } = this.#services;
    const end = clock.monotonic() + SLICE;
    let last = "";
    while (!this.#stopping && this.#hasRoom()) {
      const id = this.#nextWaiting();
      // What cannot be made active is not tried in a circle.
      if (id === null || id === last) break;
      if (!this.#activate(id)) last = id;
      if (clock.monotonic() >= end) return void clock.after(SLICE_PAUSE, () => this.#fillSlice());
    }
    this.#filling = false;
    // What was asked for was due: who is left was held or removed meanwhile.
    if (this.#hasRoom()) this.#urged.clear();
    this.#watchDue();
  }

  #nextWaiting(): string | null {
    const { store, clock } = this.#services;
    this.#dueTurn = !this.#dueTurn;
    const due = (): string | null => store.due(clock.now(), 1)[0] ?? null;
    return this.#dueTurn ? due() ?? this.#nextIncoming() : this.#nextIncoming() ?? due();
  }

  #nextIncoming(): string | null {
    if (!this.#incomingWaits) return null;
    for (const id of this.#services.store.list("incoming")) {
      this.#flow = Math.min(this.#flow + 1, this.#services.config.default_process_limit);
      return id;
    }
    this.#incomingWaits = false;
    return null;
  }

  #watchDue(): void {
    const { store, clock } = this.#services;
    if (this.#stopping || !this.#hasRoom()) return;
    const next = store.nextDue();
    if (next === null) return;
    const wait = Math.min(Math.max(LOOK_EVERY, next - clock.now()), LOOK_AT_LEAST_EVERY);
    const at = clock.monotonic() + wait;
    if (this.#timer !== null && this.#timerAt <= at) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    this.#timer = clock.after(wait, () => {
      this.#timer = null;
      this.#fill();
    });
  }

  #activate(id: string): boolean {
    const { store, clock } = this.#services;
    if (this.#active.has(id) || this.#services.elsewhere?.(id) === true) return this.#skip(id);
    if (!store.activate(id)) return false;
    const entry = store.get(id);
    if (entry === null) return false;
    const urged = this.#urged.size > 0 && this.#urged.delete(id);
    const message = new ActiveMessage(entry, clock.now(), urged);
    const { size, waiting, envelope: { sender } } = entry;
    this.#active.set(id, message);
    this.#activeRecipients += waiting.length;
    if (entry.requeued && entry.envelope.probe === undefined) {
      this.#requeue(message);
      return true;
    }
    this.#logger.info(`${id}: from=<${sender}>, size=${size}, nrcpt=${waiting.length} (queue active)`);
    message.pending = 1;
    if (entry.expired) this.#expire(message);
    else this.#assign(message, this.#untold(message), 0, new Map());
    return true;
  }

  /** Those who are to be tried: who bounced waits for a notice that was refused. */
  #untold(message: ActiveMessage): readonly Waiting[] {
    const { waiting } = message.entry;
    const bounced = waiting.filter(({ status }) => status.startsWith("5"));
    if (bounced.length === 0) return waiting;
    for (const one of bounced) message.failed(one, bouncedResult(one.status, one.reason));
    return waiting.filter(({ status }) => !status.startsWith("5"));
  }

  /** Nobody is tried: who was deferred keeps the reason of that. */
  #expire(message: ActiveMessage): void {
    const { waiting } = message.entry;
    for (const one of waiting) {
      if (one.reason !== "") message.failed(one, suspendedResult(one.status, one.reason));
    }
    const fresh = waiting.filter(({ reason }) => reason === "");
    this.#dispatch.putOff(message, fresh, { status: "4.7.0", why: "message is administratively expired" });
    this.#settling.ended(message);
  }

  #requeue(message: ActiveMessage): void {
    const { store, clock, config, requeue } = this.#services;
    const { id, waiting } = message.entry;
    const later = (): Promise<void> => store.defer(id, clock.now() + config.minimal_backoff_time);
    const over = (): Promise<void> => store.mark(id, { done: waiting.map(({ index }) => index), deferred: [] }, "lazy");
    this.#work.begin();
    requeue(message.entry).then((done) => done ? over() : later(), (caught: unknown) => {
      this.#logger.warn(`${id}: not requeued: ${messageOf(caught)}`);
      return later();
    }).catch((caught: unknown) => this.#logger.warn(`${id}: queue storage: ${messageOf(caught)}`)).finally(() => {
      this.#leave(message);
      this.#work.end();
    });
  }

  /** Somebody held and released it while its deliveries are under way: their end decides what becomes of it. */
  #skip(id: string): boolean {
    const { store, clock, config } = this.#services;
    this.#logger.info(`${id}: skipped, still being delivered`);
    store.defer(id, clock.now() + config.minimal_backoff_time).catch((caught: unknown) =>
      this.#logger.warn(`${id}: queue storage: ${messageOf(caught)}`)
    );
    return true;
  }

  /** Resolves each recipient and groups them by destination; goes on asynchronously where a table takes time. */
  #assign(message: ActiveMessage, waiting: readonly Waiting[], first: number, groups: Map<string, Group>): void {
    for (let at = first; at < waiting.length; at++) {
      const one = waiting[at] as Waiting;
      const transport = attempt(() => this.#services.resolve(one.recipient, message.entry.envelope));
      if (transport instanceof Promise) {
        this.#work.begin();
        void transport.then(
          (value) => {
            this.#group(message, one, value, groups);
            this.#assign(message, waiting, at + 1, groups);
          },
          (caught: unknown) => {
            this.#dispatch.putOff(message, [one], { status: "4.3.0", why: messageOf(caught) });
            this.#assign(message, waiting, at + 1, groups);
          },
        ).finally(() => this.#work.end());
        return;
      }
      this.#group(message, one, transport, groups);
      if (at - first < ASSIGNED_AT_ONCE) continue;
      this.#work.begin();
      return this.#services.clock.soon(() => {
        this.#assign(message, waiting, at + 1, groups);
        this.#work.end();
      });
    }
    for (const group of inOrder(groups)) this.#dispatch.enqueue(message, group);
    this.#dispatch.pump();
    this.#settling.ended(message);
  }

  #group(message: ActiveMessage, waiting: Waiting, transport: Transport, groups: Map<string, Group>): void {
    if (transport.kind === "unsure") {
      return this.#dispatch.putOff(message, [waiting], { status: "4.3.0", why: transport.why });
    }
    const queue = this.#dispatch.transport(transport.transport);
    if (queue === null) {
      return this.#dispatch.putOff(message, [waiting], { status: "4.3.0", why: "mail transport unavailable" });
    }
    const { recipient_delimiter } = this.#services.config;
    const key = queueName(transport, queue.rules.recipientLimit, recipient_delimiter);
    const full = `${transport.transport}\0${key}`;
    const group = groups.get(full) ??
      { transport: queue, nexthop: transport.nexthop, key, waiting: [], addresses: [] };
    if (group.waiting.length === 0) groups.set(full, group);
    group.waiting.push(waiting);
    group.addresses.push(transport.recipient);
  }

  #leave(message: ActiveMessage): void {
    const wasFull = !this.#hasRoom();
    this.#active.delete(message.entry.id);
    this.#activeRecipients -= message.entry.waiting.length;
    if (this.#stopping) return this.#services.handedBack?.();
    if (this.#filling) return;
    if (this.#incomingWaits || wasFull) this.#fill();
    else this.#watchDue();
  }
}
