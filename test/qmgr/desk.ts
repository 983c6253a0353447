/**
 * The real queue manager over the memory queue, with agents that answer when told and a clock moved by hand.
 */

import assert from "node:assert/strict";
import { currentRuntime } from "../../runtimes/select.ts";
import type { DeliveryAgent, DeliveryRequest, Transport } from "../../src/agent.ts";
import { loadConfig } from "../../src/config/config.ts";
import { type Envelope, NO_CLIENT, plainRecipient, type Recipient } from "../../src/envelope.ts";
import { ResourceError } from "../../src/errors.ts";
import { latin1Encode } from "../../src/latin1.ts";
import type { Failed, NoticeSubject } from "../../src/notices.ts";
import type { AgentService } from "../../src/qmgr/dispatch.ts";
import { Qmgr } from "../../src/qmgr/qmgr.ts";
import type { TransportRules } from "../../src/qmgr/schedule.ts";
import { openQueue } from "../../src/queue/open.ts";
import type { QueueStore } from "../../src/queue/store.ts";
import type { Clock, Millis, Timer } from "../../src/runtime.ts";
import type { DeliveryResult, Outcome, Scope } from "../../src/status.ts";
import { configured } from "../config/fake-runtime.ts";
import { testLog } from "../test-log.ts";

const runtime = await currentRuntime();

export class HandClock implements Clock {
  #now: Millis = 1_000_000_000;
  #ahead: Millis = 0;
  /** Timers that rang so far. */
  rung = 0;
  readonly #timers = new Set<{ at: Millis; action: () => void }>();

  now = (): Millis => this.#now + this.#ahead;
  monotonic = (): Millis => this.#now;
  soon = (action: () => void): void => void setTimeout(action, 0);
  zoneMinutes = (): number => 0;
  zoneName = (): string => "UTC";
  after = (delay: Millis, action: () => void): Timer => {
    const timer = { at: this.#now + delay, action };
    this.#timers.add(timer);
    return { cancel: () => void this.#timers.delete(timer) };
  };

  get timers(): number {
    return this.#timers.size;
  }

  /** Somebody sets the wall clock. */
  jump(time: Millis): void {
    this.#ahead += time;
  }

  async pass(time: Millis): Promise<void> {
    for (const end = this.#now + time;;) {
      await settled();
      const next = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) {
        this.#now = end;
        return;
      }
      this.#now = Math.max(this.#now, next.at);
      this.#timers.delete(next);
      this.rung++;
      next.action();
    }
  }
}

export const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));

export interface UnderWay {
  readonly request: DeliveryRequest;
  readonly addresses: string;
  end(outcome?: Outcome, scope?: Scope, status?: string): Promise<void>;
  mixed(...outcomes: Outcome[]): Promise<void>;
  results(results: readonly DeliveryResult[]): Promise<void>;
}

export const resultOf = (outcome: Outcome, scope: Scope = "recipient", status = "4.0.0"): DeliveryResult => ({
  outcome,
  scope,
  status: outcome === "sent" ? "2.0.0" : outcome === "bounced" ? "5.0.0" : status,
  reason: `${outcome} by test`,
  remote: null,
  relay: "test",
  connectionUse: 0,
  connectedAt: 0,
});

export interface DeskOptions {
  readonly main?: string;
  readonly processLimit?: number;
  readonly recipientLimit?: number;
  readonly rules?: Partial<TransportRules>;
  readonly resolve?: (recipient: Recipient) => Transport | Promise<Transport>;
  /** In the place of the agents that wait to be told. */
  readonly agent?: DeliveryAgent;
}

export const WINDOW = {
  initial: 2,
  limit: 4,
  positive: { amount: 1, per: "one" },
  negative: { amount: 1, per: "one" },
  failedCohortLimit: 1,
  rest: 300_000,
  pause: 0,
  debug: null,
} as const;

export class Desk {
  readonly clock = new HandClock();
  readonly open: UnderWay[] = [];
  readonly lines: string[] = [];
  readonly events: string[] = [];
  readonly #retiring = new Set<Qmgr>();
  store!: QueueStore;
  qmgr!: Qmgr;
  /** Calls of the store and of notices that fail, by name; counted down. */
  readonly fails = new Map<string, number>();
  /** What a notice of failure is refused for. */
  refuses: string | null = null;
  /** What requeue answers. */
  requeues = true;

  static async make(options: DeskOptions = {}): Promise<Desk> {
    const desk = new Desk();
    const { clock } = desk;
    desk.store = desk.#watched(await openQueue("memory:", { runtime: { ...runtime, clock } }));
    desk.qmgr = desk.#openQmgr(options);
    return desk;
  }

  /** Another queue manager has the queue from now on; gives the promise of the former's end. */
  reload(options: DeskOptions = {}): Promise<void> {
    const former = this.qmgr;
    this.#retiring.add(former);
    const over = former.retire().then(() => void this.#retiring.delete(former));
    this.qmgr = this.#openQmgr(options);
    this.qmgr.start();
    return over;
  }

  #openQmgr(options: DeskOptions): Qmgr {
    const { clock, lines } = this;
    const config = loadConfig(configured(`${options.main ?? ""}\n`).runtime, "/etc/postfix").main;
    const log = testLog(
      clock,
      (text) => void lines.push(...text.trimEnd().split("\n").map((line) => line.replace(/^.*?\]: /, ""))),
    );
    const one: Transport = { kind: "deliver", transport: "smtp", nexthop: "", recipient: "" };
    const byDomain = ({ address }: Recipient): Transport => ({
      ...one,
      nexthop: address.split("@")[1]!,
      recipient: address,
    });
    const qmgr: Qmgr = new Qmgr({
      config,
      store: this.store,
      clock,
      log: Object.assign(log, {}),
      resolve: (recipient) => (options.resolve ?? byDomain)(recipient),
      agents: new Map(["smtp", "other"].map((name) => [name, this.#agent(name, options)])),
      notices: {
        undeliverable: async (message, failed) => {
          await this.#notice("undeliverable", message, failed);
          return this.refuses;
        },
        delayed: (message, waiting) => this.#notice("delayed", message, waiting),
        delivered: (message, succeeded) => this.#notice("delivered", message, succeeded),
        traced: (message, results) => this.#notice("traced", message, results),
      },
      requeue: async ({ id }) => {
        await settled();
        this.#fail("requeue");
        this.events.push(`requeue ${this.store.queueOf(id)}`);
        return this.requeues;
      },
      elsewhere: (id) => [...this.#retiring].some((one) => one !== qmgr && one.isActive(id)),
      handedBack: () => {
        if (this.qmgr !== qmgr) this.qmgr.look();
      },
    });
    return qmgr;
  }

  #fail(name: string): void {
    const left = this.fails.get(name) ?? 0;
    if (left === 0) return;
    this.fails.set(name, left - 1);
    throw new ResourceError("ENOSPC", `${name}: no space`);
  }

  #watched(store: QueueStore): QueueStore {
    return new Proxy(store, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== "function") return value;
        return (...words: unknown[]) => {
          if (["mark", "defer", "warned"].includes(String(key))) {
            this.events.push(`${String(key)} ${JSON.stringify(words[1] ?? "")}`);
            try {
              this.#fail(String(key));
            } catch (caught) {
              return Promise.reject(caught as Error);
            }
          }
          return Reflect.apply(value, target, words) as unknown;
        };
      },
    });
  }

  async #notice(name: string, message: NoticeSubject, failed: readonly Failed[]): Promise<void> {
    await settled();
    this.#fail(name);
    assert.ok(this.store.get(message.id) !== null, "the message is there until its notice is");
    this.events.push(`${name} ${failed.map(({ waiting }) => waiting.recipient.address).join(" ")}`);
  }

  #agent(
    name: string,
    { main = "", processLimit = 0, recipientLimit = 50, rules = {}, agent: own }: DeskOptions,
  ): AgentService {
    const agent: DeliveryAgent = own ?? {
      deliver: (request, signal) =>
        new Promise((resolve) => {
          const finish = (outcomes: readonly DeliveryResult[]): Promise<void> => {
            this.open.splice(this.open.indexOf(one), 1);
            resolve(outcomes);
            return settled();
          };
          const one: UnderWay = {
            request,
            addresses: request.recipients.map(({ address }) => address).join(" "),
            end: (outcome = "sent", scope, status) =>
              finish(request.recipients.map(() => resultOf(outcome, scope, status))),
            results: finish,
            mixed: (...outcomes) => finish(outcomes.map((outcome) => resultOf(outcome))),
          };
          this.open.push(one);
          signal.addEventListener("abort", () => void one.end("deferred", "message"));
        }),
      close: () => Promise.resolve(),
    };
    const slots = { cost: 5, loan: 3, discount: 50, minimum: 3 };
    return {
      agent,
      logName: name,
      softBounce: /^soft_bounce = yes/m.test(main),
      resolution: 2,
      rules: {
        name,
        processLimit,
        stalledLimit: 0,
        recipientLimit,
        retryTime: 60_000,
        pause: 0,
        destinationLimit: 1_000,
        introduction: [],
        slots,
        window: WINDOW,
        ...rules,
      },
    };
  }

  /** Its queue id. */
  async accept(
    recipients: readonly (string | Recipient)[],
    sender = "s@x",
    change: Partial<Envelope> = {},
  ): Promise<string> {
    const incoming = this.store.begin();
    void incoming.append(latin1Encode("Subject: x\r\n\r\nx\r\n"));
    const committed = await incoming.commit({
      sender,
      recipients: recipients.map((one) => typeof one === "string" ? plainRecipient(one) : one),
      arrived: this.clock.now(),
      client: NO_CLIENT,
      encoding: "",
      ret: "",
      envid: "",
      ...change,
    });
    this.qmgr.wake(committed);
    return committed.entry.id;
  }

  get started(): string[] {
    return this.open.map(({ addresses }) => addresses);
  }

  async endAll(outcome: Outcome = "sent", scope?: Scope): Promise<void> {
    for (const one of [...this.open]) await one.end(outcome, scope);
  }

  async log(): Promise<string> {
    await this.clock.pass(30);
    return this.lines.join("\n");
  }
}
