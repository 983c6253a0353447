/**
 * A simulated world: the real queue manager over the real store, under a clock that jumps from one event to the next.
 * The network is a model: hosts that are up, slow or dead by the time of day, in the place of the smtp agent. What
 * happens depends on the seed alone. While it runs the world holds the rules of test/sim/README.md against every
 * delivery, and gathers what breaks them.
 */

import type { DeliveryAgent, DeliveryRequest } from "../../src/agent.ts";
import { type Config, loadConfig } from "../../src/config/config.ts";
import { NO_CLIENT, plainRecipient } from "../../src/envelope.ts";
import { latin1Encode } from "../../src/latin1.ts";
import { Qmgr } from "../../src/qmgr/qmgr.ts";
import { transportRules } from "../../src/qmgr/rules.ts";
import { openQueue } from "../../src/queue/open.ts";
import type { QueueStore } from "../../src/queue/store.ts";
import type { Millis, Runtime } from "../../src/runtime.ts";
import type { DeliveryResult } from "../../src/status.ts";
import { configured } from "../config/fake-runtime.ts";
import { Seeded, SimulatedDisk, simulatedRuntime } from "../queue/simulated-disk.ts";
import { testLog } from "../test-log.ts";
import type { VirtualClock } from "./clock.ts";
import { type Life, Repeats } from "./repeats.ts";
import { Sites, toItsDomain } from "./sites.ts";

export interface Host {
  /** How long a delivery takes; `chance`: in [0, 1), the same for a message in every run. */
  readonly latency: (chance: number) => Millis;
  /** Whether it answers at that time of the world. */
  readonly up: (at: Millis) => boolean;
}

export const LIVE: Host = { latency: (chance) => 50 + Math.floor(chance * 100), up: () => true };
export const DEAD: Host = { latency: () => 30_000, up: () => false };

/** What outlives a crash: hosts, what they got, and what was acknowledged. */
export class Outside {
  readonly random: Seeded;
  readonly hosts: (name: string) => Host;
  /** Message number -> when it was acknowledged. */
  readonly acknowledged = new Map<number, Millis>();
  /** Message number -> when it arrived, each time. */
  readonly arrived = new Map<number, Millis[]>();
  readonly broken: string[] = [];
  readonly repeats: Repeats = new Repeats((rule) => this.breaks(rule));
  attemptsOnDead = 0;

  constructor(random: Seeded, hosts: (name: string) => Host) {
    this.random = random;
    this.hosts = hosts;
  }

  breaks(rule: string): void {
    if (this.broken.length < 20) this.broken.push(rule);
  }

  get lost(): number[] {
    return [...this.acknowledged.keys()].filter((number) => !this.arrived.has(number));
  }

  /** Mean time from acknowledgement to arrival of those messages. */
  latency(chosen: (number: number) => boolean): Millis {
    let [sum, count] = [0, 0];
    for (const [number, [first]] of this.arrived) {
      if (!chosen(number)) continue;
      sum += first! - this.acknowledged.get(number)!;
      count++;
    }
    return count === 0 ? NaN : sum / count;
  }

  /** The longest of those times. */
  longest(chosen: (number: number) => boolean = () => true): Millis {
    let longest = 0;
    for (const [number, [first]] of this.arrived) {
      if (chosen(number)) longest = Math.max(longest, first! - this.acknowledged.get(number)!);
    }
    return longest;
  }
}

export interface WorldOptions {
  readonly outside: Outside;
  readonly runtime: Runtime;
  readonly clock: VirtualClock;
  readonly disk?: SimulatedDisk;
  readonly main?: string;
}

export class World {
  readonly clock: VirtualClock;
  readonly outside: Outside;
  readonly store: QueueStore;
  readonly qmgr: Qmgr;
  readonly #config: Config;
  readonly #disk: SimulatedDisk | null;
  readonly #sites: Sites;
  readonly #life: Life;
  #gone = false;

  private constructor({ outside, clock, disk, main = "" }: WorldOptions, store: QueueStore) {
    this.clock = clock;
    this.outside = outside;
    this.store = store;
    this.#disk = disk ?? null;
    this.#life = outside.repeats.begin(clock.monotonic);
    void disk?.died.then(() => this.#life.dies());
    this.#config = loadConfig(configured(`${main}\n`).runtime, "/etc/postfix").main;
    const log = testLog(clock);
    const { default_process_limit: processes, postrider_stalled_delivery_limit: stalled } = this.#config;
    const rules = transportRules("smtp", processes, this.#config, log.service("qmgr"), stalled);
    const { initial_destination_concurrency: cohort, minimal_backoff_time: rest } = this.#config;
    this.#sites = new Sites({
      limit: rules.window.limit,
      cohort,
      rest,
      now: () => clock.monotonic(),
      breaks: (rule) => outside.breaks(rule),
    });
    const agent: DeliveryAgent = { deliver: (request) => this.#deliver(request), close: () => Promise.resolve() };
    this.qmgr = new Qmgr({
      config: this.#config,
      store,
      clock,
      log,
      resolve: toItsDomain,
      agents: new Map([["smtp", { rules, agent, logName: "smtp", softBounce: false, resolution: 2 }]]),
      notices: {
        undeliverable: (message) => this.#notice(`${message.envelope.sender} bounced`).then(() => null),
        delayed: () => Promise.resolve(),
        delivered: () => Promise.resolve(),
        traced: () => Promise.resolve(),
      },
      requeue: () => Promise.resolve(false),
    });
  }

  static async open(options: WorldOptions): Promise<World> {
    const url = options.disk === undefined ? "memory:" : "fs:/queue";
    const world = new World(
      options,
      await openQueue(url, { runtime: options.runtime, tuning: { segmentBytes: 60_000 } }),
    );
    world.qmgr.start();
    return world;
  }

  /** Storage of this world has died, or the process has: nothing of it counts any more. */
  crash(): void {
    this.#gone = true;
    this.#life.dies();
  }

  /** What is under way is called off. */
  async stop(): Promise<void> {
    const stopped = this.qmgr.stop(0).then(() => this.store.close());
    await this.pass(5_000);
    await stopped;
  }

  /** Acknowledged when it resolves. */
  async accept(number: number, site: string): Promise<void> {
    const incoming = this.store.begin();
    void incoming.append(latin1Encode(`Subject: ${number}\r\n\r\n`));
    const committed = await incoming.commit({
      sender: `s${number}@x`,
      recipients: [plainRecipient(`u${number}@${site}`)],
      arrived: this.clock.now(),
      client: NO_CLIENT,
      encoding: "",
      ret: "",
      envid: "",
    });
    if (this.#gone) return;
    this.outside.acknowledged.set(number, this.clock.monotonic());
    this.qmgr.wake(committed);
  }

  /** Lets time pass. */
  async pass(time: Millis): Promise<void> {
    const disk = this.#disk;
    let [operations, still] = [-1, 0];
    await this.clock.run(this.clock.monotonic() + time, () => {
      if (disk === null || disk.dead) return false;
      still = disk.operations === operations ? still + 1 : 0;
      operations = disk.operations;
      return still < 6;
    });
  }

  #notice(rule: string): Promise<void> {
    if (!this.#gone) this.outside.breaks(rule);
    return Promise.resolve();
  }

  #deliver(request: DeliveryRequest): Promise<readonly DeliveryResult[]> {
    const { outside, clock } = this;
    const { nexthop, recipients } = request;
    const host = outside.hosts(nexthop);
    const begun = clock.monotonic();
    this.#sites.begin(nexthop);
    return new Promise((resolve) => {
      const chance = new Seeded(numberOf(recipients[0]!.address)).next();
      clock.after(host.latency(chance), () => {
        if (this.#gone) return;
        const up = host.up(begun);
        this.#sites.end(nexthop, up);
        if (!up) outside.attemptsOnDead++;
        if (up) { for (const { address } of recipients) this.#arrives(address); }
        const results = recipients.map(() => resultOf(up));
        this.#life.delivered(request, results);
        resolve(results);
      });
    });
  }

  #arrives(address: string): void {
    const number = numberOf(address);
    const times = this.outside.arrived.get(number);
    if (times === undefined) this.outside.arrived.set(number, [this.clock.monotonic()]);
    else times.push(this.clock.monotonic());
  }
}

const numberOf = (address: string): number => Number(/^u(\d+)@/.exec(address)![1]);

function resultOf(up: boolean): DeliveryResult {
  return {
    outcome: up ? "sent" : "deferred",
    scope: up ? "recipient" : "destination",
    status: up ? "2.0.0" : "4.4.1",
    reason: up ? "250 ok" : "connect to host: Connection timed out",
    remote: null,
    relay: "host",
    connectionUse: 0,
    connectedAt: 0,
  };
}

/** A world whose queue is in memory. */
export function calmWorld(outside: Outside, clock: VirtualClock, crc32: Runtime["crc32"], main = ""): Promise<World> {
  const { random } = outside;
  const runtime = { ...simulatedRuntime(new SimulatedDisk(random), random, crc32), clock };
  return World.open({ outside, runtime, clock, main });
}

/** A world whose queue is on that disk. */
export function diskWorld(
  outside: Outside,
  clock: VirtualClock,
  disk: SimulatedDisk,
  crc32: Runtime["crc32"],
  main = "",
): Promise<World> {
  const runtime = { ...simulatedRuntime(disk, outside.random, crc32), clock };
  return World.open({ outside, runtime, clock, disk, main });
}
