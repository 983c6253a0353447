/**
 * The real queue manager over the memory queue, with agents that answer when told and a clock moved by hand.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import type { DeliveryAgent, DeliveryRequest, Transport } from "../../src/agent.ts";
import { loadConfig } from "../../src/config/config.ts";
import { NO_CLIENT, plainRecipient, type Recipient } from "../../src/envelope.ts";
import { ResourceError } from "../../src/errors.ts";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import { Log } from "../../src/log.ts";
import type { Failed, NoticeSubject } from "../../src/notices.ts";
import { type AgentService, Qmgr } from "../../src/qmgr/qmgr.ts";
import { openQueue } from "../../src/queue/open.ts";
import type { QueueStore } from "../../src/queue/store.ts";
import type { Clock, Millis, Timer } from "../../src/runtime.ts";
import type { DeliveryResult, Outcome, Scope } from "../../src/status.ts";
import { configured } from "../config/fake-runtime.ts";

const runtime = await currentRuntime();

class HandClock implements Clock {
  #now: Millis = 1_000_000_000;
  readonly #timers = new Set<{ at: Millis; action: () => void }>();

  now = (): Millis => this.#now;
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
      next.action();
    }
  }
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));

interface UnderWay {
  readonly request: DeliveryRequest;
  readonly addresses: string;
  end(outcome?: Outcome, scope?: Scope, status?: string): Promise<void>;
  mixed(...outcomes: Outcome[]): Promise<void>;
  results(results: readonly DeliveryResult[]): Promise<void>;
}

const resultOf = (outcome: Outcome, scope: Scope = "recipient", status = "4.0.0"): DeliveryResult => ({
  outcome,
  scope,
  status: outcome === "sent" ? "2.0.0" : outcome === "bounced" ? "5.0.0" : status,
  reason: `${outcome} by test`,
  remote: null,
  relay: "test",
  connectionUse: 0,
  connectedAt: 0,
});

interface Options {
  readonly main?: string;
  readonly processLimit?: number;
  readonly recipientLimit?: number;
  readonly resolve?: (recipient: Recipient) => Transport | Promise<Transport>;
}

class Desk {
  readonly clock = new HandClock();
  readonly open: UnderWay[] = [];
  readonly lines: string[] = [];
  readonly events: string[] = [];
  store!: QueueStore;
  qmgr!: Qmgr;
  /** Calls of the store and of notices that fail, by name; counted down. */
  readonly fails = new Map<string, number>();

  static async make(options: Options = {}): Promise<Desk> {
    const desk = new Desk();
    const { clock, lines } = desk;
    desk.store = desk.#watched(await openQueue("memory:", { runtime: { ...runtime, clock } }));
    const config = loadConfig(configured(`${options.main ?? ""}\n`).runtime, "/etc/postfix").main;
    const log = new Log({
      clock,
      hostname: "mx",
      name: "postfix",
      format: "postfix",
      pid: 1,
      write: (bytes) =>
        void lines.push(...latin1Decode(bytes).trimEnd().split("\n").map((line) => line.replace(/^.*?\]: /, ""))),
    });
    const one: Transport = { kind: "deliver", transport: "smtp", nexthop: "", recipient: "" };
    const byDomain = ({ address }: Recipient): Transport => ({
      ...one,
      nexthop: address.split("@")[1]!,
      recipient: address,
    });
    desk.qmgr = new Qmgr({
      config,
      store: desk.store,
      clock,
      log: Object.assign(log, {}),
      resolve: (recipient) => (options.resolve ?? byDomain)(recipient),
      agents: new Map(["smtp", "other"].map((name) => [name, desk.#agent(name, options)])),
      notices: {
        undeliverable: (message, failed) => desk.#notice("undeliverable", message, failed),
        delayed: (message, waiting) => desk.#notice("delayed", message, waiting),
        delivered: (message, succeeded) => desk.#notice("delivered", message, succeeded),
      },
    });
    return desk;
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

  #agent(name: string, { processLimit = 0, recipientLimit = 50 }: Options): AgentService {
    const agent: DeliveryAgent = {
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
    const window = {
      initial: 2,
      limit: 4,
      positive: { amount: 1, per: "one" },
      negative: { amount: 1, per: "one" },
      failedCohortLimit: 1,
      rest: 300_000,
    } as const;
    return {
      agent,
      logName: name,
      perRecipient: false,
      rules: { name, processLimit, recipientLimit, retryTime: 60_000, window },
    };
  }

  /** Its queue id. */
  async accept(recipients: readonly (string | Recipient)[], sender = "s@x"): Promise<string> {
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
    await this.clock.pass(10);
    return this.lines.join("\n");
  }
}

describe("which delivery starts", () => {
  test("a window per destination, destinations in turn", async () => {
    const desk = await Desk.make();
    for (let at = 0; at < 4; at++) await desk.accept([`${at}@a`]);
    await desk.accept(["x@b"]);
    assert.deepEqual(desk.started, ["0@a", "1@a", "x@b"]);
    await desk.open[0]!.end();
    assert.deepEqual(desk.started, ["1@a", "x@b", "2@a", "3@a"], "a success opens the window");
  });

  test("the process limit of a transport leaves other transports alone", async () => {
    const desk = await Desk.make({
      processLimit: 1,
      resolve: ({ address }) => ({
        kind: "deliver",
        transport: address[0] === "o" ? "other" : "smtp",
        nexthop: address,
        recipient: address,
      }),
    });
    for (const one of ["a@a", "b@b", "o@o"]) await desk.accept([one]);
    assert.deepEqual(desk.started, ["a@a", "o@o"]);
    await desk.open[0]!.end();
    assert.deepEqual(desk.started, ["o@o", "b@b"]);
  });

  test("recipients of one destination go together, up to the recipient limit", async () => {
    const desk = await Desk.make({ recipientLimit: 2 });
    await desk.accept(["1@a", "2@a", "x@b", "3@a"]);
    assert.deepEqual(desk.started, ["1@a 2@a", "x@b", "3@a"]);
    await desk.endAll();
    assert.equal(desk.store.count("active") + desk.store.count("deferred"), 0);
  });

  test("beyond qmgr_message_active_limit mail waits as incoming, and is taken up", async () => {
    const desk = await Desk.make({ main: "qmgr_message_active_limit = 2" });
    for (let at = 0; at < 7; at++) await desk.accept([`u@d${at}`]);
    assert.equal(desk.store.count("active"), 2);
    assert.equal(desk.store.count("incoming"), 5);
    const seen = new Set<string>();
    for (let round = 0; round < 7; round++) {
      assert.ok(desk.qmgr.activeCount <= 2);
      for (const one of desk.started) seen.add(one);
      await desk.open[0]!.end();
    }
    assert.equal(seen.size, 7);
    assert.equal(desk.qmgr.activeCount, 0);
  });

  test("new mail and due mail take turns for free places", async () => {
    const desk = await Desk.make({
      main: "qmgr_message_active_limit = 1\nminimal_backoff_time = 10s\nmaximal_backoff_time = 10s",
    });
    for (let at = 0; at < 3; at++) {
      await desk.accept([`old${at}@o${at}`]);
      await desk.open[0]!.end("deferred");
    }
    await desk.accept(["holds@x"]);
    for (let at = 0; at < 3; at++) await desk.accept([`new${at}@n${at}`]);
    await desk.clock.pass(20_000);
    const order: string[] = [];
    while (desk.open.length > 0) {
      order.push(desk.started[0]!.slice(0, 3));
      await desk.open[0]!.end();
    }
    assert.equal(order.length, 7);
    assert.ok(order.slice(1, 5).includes("old") && order.slice(1, 5).includes("new"), order.join(" "));
  });

  test("a lookup that cannot answer defers that recipient alone", async () => {
    const desk = await Desk.make({
      resolve: ({ address }) => {
        if (address === "unsure@a") return Promise.resolve({ kind: "unsure", why: "table lookup error" });
        if (address === "broken@a") return Promise.reject(new Error("boom"));
        return { kind: "deliver", transport: address === "gone@a" ? "none" : "smtp", nexthop: "a", recipient: address };
      },
    });
    const id = await desk.accept(["good@a", "unsure@a", "broken@a", "gone@a"]);
    await settled();
    assert.deepEqual(desk.started, ["good@a"]);
    await desk.endAll();
    const { waiting } = desk.store.get(id)!;
    assert.deepEqual(waiting.map(({ recipient, reason }) => `${recipient.address}: ${reason}`), [
      "unsure@a: table lookup error",
      "broken@a: boom",
      "gone@a: mail transport unavailable: none",
    ]);
  });
});

describe("what is broken rests", () => {
  test("a dead destination: one cohort of tries, the rest put off, others go on", async () => {
    const desk = await Desk.make();
    for (let at = 0; at < 4; at++) await desk.accept([`${at}@dead`]);
    await desk.open[0]!.end("deferred", "destination");
    await desk.open[0]!.end("deferred", "destination");
    // Failures narrow the window: what is left goes one by one until the cohort is complete.
    while (desk.open.length > 0) await desk.endAll("deferred", "destination");
    const id = await desk.accept(["late@dead"]);
    await desk.accept(["u@live"]);
    assert.deepEqual(desk.started, ["u@live"]);
    await settled();
    assert.equal(desk.store.get(id)!.waiting[0]!.reason, "delivery temporarily suspended: deferred by test");
    assert.match(await desk.log(), /to=<late@dead>, relay=none, .*status=deferred \(delivery temporarily suspended: /);
    await desk.endAll();
    await desk.clock.pass(330_000);
    assert.ok(
      desk.started.length > 0 && desk.started.every((one) => one.endsWith("@dead")),
      "after its rest it is tried",
    );
  });

  test("a transport that is broken rests for transport_retry_time, with all its destinations", async () => {
    const desk = await Desk.make({
      main: "transport_retry_time = 60s\nminimal_backoff_time = 10s\nmaximal_backoff_time = 10s",
    });
    await desk.accept(["1@a"]);
    await desk.open[0]!.end("deferred", "transport");
    const id = await desk.accept(["2@b"]);
    await settled();
    assert.deepEqual(desk.started, []);
    assert.match(desk.store.get(id)!.waiting[0]!.reason, /^delivery temporarily suspended: /);
    await desk.clock.pass(80_000);
    assert.equal(desk.started.length, 2);
  });

  test("a temporary no to the message or recipient says nothing about the destination", async () => {
    const desk = await Desk.make();
    for (let round = 0; round < 10; round++) {
      await desk.accept([`${round}@a`]);
      await desk.open[0]!.end("deferred", round % 2 === 0 ? "message" : "recipient");
    }
    await desk.accept(["last@a"]);
    assert.deepEqual(desk.started, ["last@a"]);
  });

  test("look(true) forgives", async () => {
    const desk = await Desk.make();
    await desk.accept(["1@a"]);
    await desk.accept(["2@a"]);
    while (desk.open.length > 0) await desk.open[0]!.end("deferred", "destination");
    await desk.accept(["3@a"]);
    assert.deepEqual(desk.started, []);
    await settled();
    await desk.store.flush();
    desk.qmgr.look(true);
    assert.equal(desk.started.length, 2);
  });
});

describe("results", () => {
  test("are noted before anything else; the rest waits", async () => {
    const desk = await Desk.make();
    const id = await desk.accept(["1@a", "2@a", "3@b"]);
    await desk.open[0]!.mixed("sent", "deferred");
    assert.deepEqual(desk.events, ['mark {"done":[0],"deferred":[]}']);
    assert.equal(desk.store.get(id)!.queue, "active");
    await desk.open[0]!.end();
    assert.deepEqual(desk.store.get(id)!.waiting.map(({ index, reason }) => [index, reason]), [[
      1,
      "deferred by test",
    ]]);
    assert.equal(desk.store.get(id)!.queue, "deferred");
  });

  test("a bounce is durable before its recipients leave", async () => {
    const desk = await Desk.make();
    const id = await desk.accept(["1@a", "2@a"]);
    await desk.open[0]!.mixed("bounced", "bounced");
    await settled();
    assert.deepEqual(desk.events, ["undeliverable 1@a 2@a", 'mark {"done":[0,1],"deferred":[]}']);
    assert.equal(desk.store.get(id), null);
  });

  test("with soft_bounce nothing is returned", async () => {
    const desk = await Desk.make({ main: "soft_bounce = yes" });
    const id = await desk.accept(["1@a"]);
    await desk.open[0]!.end("bounced");
    assert.equal(desk.store.get(id)!.queue, "deferred");
    assert.ok(!desk.events.some((event) => event.startsWith("undeliverable")));
  });

  test("a notice that cannot be stored: the message stays, and is tried again", async () => {
    const desk = await Desk.make({ main: "minimal_backoff_time = 10s\nmaximal_backoff_time = 10s" });
    const id = await desk.accept(["1@a", "2@b"]);
    desk.fails.set("undeliverable", 1);
    await desk.open[0]!.end("bounced");
    await desk.open[0]!.end("sent");
    await settled();
    assert.equal(desk.store.get(id)!.queue, "deferred");
    assert.deepEqual(desk.store.get(id)!.waiting.map(({ index }) => index), [0]);
    assert.match(await desk.log(), /queue storage: undeliverable: no space: tried again later/);
    await desk.clock.pass(12_000);
    assert.deepEqual(desk.started, ["1@a"]);
    await desk.open[0]!.end("bounced");
    await settled();
    assert.equal(desk.store.get(id), null);
    assert.equal(desk.events.filter((event) => event.startsWith("undeliverable")).length, 1);
  });

  test("mark() that fails between two deliveries: the message ends as it should, and is no longer active", async () => {
    const desk = await Desk.make({ main: "minimal_backoff_time = 10s\nmaximal_backoff_time = 10s" });
    const id = await desk.accept(["1@a", "2@b", "3@c"]);
    desk.fails.set("mark", 1);
    await desk.open[0]!.end("sent");
    assert.equal(desk.store.get(id)!.queue, "active", "two deliveries are under way");
    await desk.open[0]!.end("deferred");
    await desk.open[0]!.end("sent");
    await settled();
    assert.equal(desk.qmgr.activeCount, 0);
    assert.ok(desk.store.get(id)!.waiting.some(({ index }) => index === 1));
    await desk.clock.pass(12_000);
    for (let round = 0; round < 3; round++) await desk.endAll();
    await settled();
    assert.equal(desk.store.get(id), null);
    assert.equal(desk.qmgr.activeCount, 0);
  });

  test("NOTIFY=SUCCESS: the notice comes before the recipient leaves", async () => {
    const desk = await Desk.make();
    await desk.accept([{ ...plainRecipient("1@a"), notify: ["success"] }]);
    await desk.open[0]!.end();
    await settled();
    assert.deepEqual(desk.events, ["delivered 1@a", 'mark {"done":[0],"deferred":[]}']);
  });

  test("NOTIFY=SUCCESS: no notice where the next hop reports it", async () => {
    const desk = await Desk.make();
    await desk.accept([{ ...plainRecipient("1@a"), notify: ["success"] }]);
    await desk.open[0]!.results([{ ...resultOf("sent"), reportsSuccess: true }]);
    await settled();
    assert.deepEqual(desk.events, ['mark {"done":[0],"deferred":[]}']);
  });

  test("delays are told once, age ends the message", async () => {
    const desk = await Desk.make({
      main: "delay_warning_time = 60s\nmaximal_queue_lifetime = 200s\n" +
        "minimal_backoff_time = 50s\nmaximal_backoff_time = 50s",
    });
    const id = await desk.accept(["1@a"]);
    for (let round = 0; round < 5; round++) {
      await desk.endAll("deferred");
      await settled();
      await desk.clock.pass(51_500);
    }
    await desk.endAll("deferred");
    await settled();
    assert.equal(desk.store.get(id), null);
    assert.deepEqual(desk.events.filter((event) => /^(delayed|undeliv)/.test(event)), [
      "delayed 1@a",
      "undeliverable 1@a",
    ]);
    assert.match(
      await desk.log(),
      new RegExp(`${id}: from=<s@x>, status=expired, returned to sender\n.*${id}: removed`, "s"),
    );
  });
});

describe("stop()", () => {
  test("waits for deliveries and for what they leave to be noted; starts nothing more; leaves no timer", async () => {
    const desk = await Desk.make();
    const id = await desk.accept(["1@a"]);
    for (const at of [2, 3, 4]) await desk.accept([`${at}@a`]);
    let stopped = false;
    const stop = desk.qmgr.stop(10_000).then(() => stopped = true);
    await settled();
    assert.equal(stopped, false);
    await desk.accept(["5@b"]);
    const [first, second] = [...desk.open];
    await Promise.all([first!.end("bounced"), second!.end("deferred")]);
    await stop;
    assert.deepEqual(desk.started, []);
    assert.equal(desk.store.get(id), null, "its notice went out before the end");
    await desk.clock.pass(10);
    assert.equal(desk.clock.timers, 0);
  });

  test("calls off what does not end in time", async () => {
    const desk = await Desk.make();
    const id = await desk.accept(["1@a"]);
    const stop = desk.qmgr.stop(1_000);
    await desk.clock.pass(1_500);
    await stop;
    assert.equal(desk.store.get(id)!.queue, "deferred");
  });
});
