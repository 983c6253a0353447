/**
 * A whole relay in the simulated world: cleanup, queue, queue manager, smtp agent, resolver and bounce service as they
 * are, over a network of model hosts. The world holds the rules of test/sim/README.md against what its destinations
 * see; the ledger does so for what arrives.
 */

import type { DeliveryAgent, DeliveryRequest, Follower, NextFollower } from "../../src/agent.ts";
import { Bounce } from "../../src/bounce/bounce.ts";
import { Cleanup } from "../../src/cleanup/cleanup.ts";
import { type Config, loadConfig } from "../../src/config/config.ts";
import { Resolver } from "../../src/dns/dns.ts";
import { NO_CLIENT, plainRecipient } from "../../src/envelope.ts";
import { latin1Encode } from "../../src/latin1.ts";
import type { Log } from "../../src/log.ts";
import type { Notices } from "../../src/notices.ts";
import { Qmgr } from "../../src/qmgr/qmgr.ts";
import { transportRules } from "../../src/qmgr/rules.ts";
import { openQueue } from "../../src/queue/open.ts";
import type { Committed, QueueStore } from "../../src/queue/store.ts";
import type { Millis, Runtime } from "../../src/runtime.ts";
import { smtpParameters } from "../../src/smtp/parameters.ts";
import { SmtpAgent } from "../../src/smtp/smtp.ts";
import type { DeliveryResult } from "../../src/status.ts";
import { configured } from "../config/fake-runtime.ts";
import { SimulatedDisk, simulatedRuntime } from "../queue/simulated-disk.ts";
import { testLog } from "../test-log.ts";
import { ProcessClock } from "./clock.ts";
import { type Internet, NAME_SERVER, type ProcessNetwork } from "./internet.ts";
import type { Ledger, SimMail } from "./ledger.ts";
import type { Life } from "./repeats.ts";
import { Sites, toItsDomain } from "./sites.ts";

const MAIN = `myhostname = relay.example
mydestination =
notify_classes = resource, software, 2bounce
`;

export interface RelayOptions {
  readonly internet: Internet;
  readonly ledger: Ledger;
  readonly crc32: Runtime["crc32"];
  /** Without it the queue is in memory. */
  readonly disk?: SimulatedDisk;
  readonly main?: string;
}

type Results = readonly DeliveryResult[];

/** The smtp agent, looked at. */
class WatchedAgent implements DeliveryAgent {
  readonly #agent: DeliveryAgent;
  readonly #sites: Sites;
  readonly #life: Life;

  constructor(agent: DeliveryAgent, sites: Sites, life: Life) {
    this.#agent = agent;
    this.#sites = sites;
    this.#life = life;
  }

  deliver(request: DeliveryRequest, signal: AbortSignal, next: NextFollower): Promise<Results> {
    const end = this.#begin(request);
    return end.with(this.#agent.deliver(request, signal, () => this.#followed(next(), end)));
  }

  close(): Promise<void> {
    return this.#agent.close();
  }

  /** It takes over the slot of the one before, whose results are told a moment later. */
  #followed(follower: Follower | null, before: { tell(results: Results | null): void }): Follower | null {
    if (follower === null) return null;
    return {
      ...follower,
      begin: (results) => {
        before.tell(null);
        follower.begin(this.#begin(follower.request).with(results));
      },
    };
  }

  #begin(request: DeliveryRequest) {
    const { nexthop } = request;
    this.#sites.begin(nexthop);
    let open = true;
    const tell = (results: Results | null): void => {
      if (!open) return;
      open = false;
      const unreachable = results?.some(({ outcome, scope }) => outcome === "deferred" && scope === "destination");
      this.#sites.end(nexthop, unreachable !== true);
    };
    const told = (results: Results): Results => {
      tell(results);
      this.#life.delivered(request, results);
      return results;
    };
    return { tell, with: (results: Promise<Results>) => results.then(told) };
  }
}

export class RelayWorld {
  readonly internet: Internet;
  readonly ledger: Ledger;
  readonly store: QueueStore;
  qmgr: Qmgr;
  readonly #retiring: Qmgr[] = [];
  readonly #runtime: Runtime;
  readonly #config: Config;
  readonly #log: Log;
  readonly #notices: Notices;
  readonly #clock: ProcessClock;
  readonly #network: ProcessNetwork;
  readonly #cleanup: Cleanup;
  readonly #resolver: Resolver;
  readonly #disk: SimulatedDisk | null;
  readonly #life: Life;
  #gone = false;

  private constructor(options: RelayOptions, runtime: Runtime, parts: Parts, store: QueueStore) {
    const { internet, ledger, disk = null } = options;
    const { clock, network } = parts;
    this.internet = internet;
    this.ledger = ledger;
    this.store = store;
    this.#disk = disk;
    this.#life = ledger.repeats.begin(clock.monotonic);
    void disk?.died.then(() => this.#life.dies());
    this.#clock = clock;
    this.#network = network;
    const config = loadConfig(configured(`${MAIN}${options.main ?? ""}\n`).runtime, "/etc/postfix").main;
    const log = testLog(clock);
    const queued = (committed: Committed): void => this.qmgr.wake(committed);
    this.#cleanup = new Cleanup({ config, store, log, clock });
    this.#resolver = new Resolver({ runtime: { ...runtime, files: null }, servers: [NAME_SERVER] });
    this.#runtime = runtime;
    this.#config = config;
    this.#log = log;
    this.#notices = this.#watched(new Bounce({ config, cleanup: this.#cleanup, content: store, log, clock, queued }));
    this.qmgr = this.#openQmgr();
  }

  #openQmgr(): Qmgr {
    const [config, log, clock, store, ledger] = [this.#config, this.#log, this.#clock, this.store, this.ledger];
    const { default_process_limit: processes, postrider_stalled_delivery_limit: stalled } = config;
    const rules = transportRules("smtp", processes, config, log.service("qmgr"), stalled);
    const { minimal_backoff_time: rest } = config;
    const agent = new SmtpAgent({
      runtime: this.#runtime,
      parameters: smtpParameters(config, "smtp"),
      resolver: this.#resolver,
      content: store,
      log: log.service("smtp"),
      protocol: "smtp",
    });
    const sites = new Sites({
      limit: rules.window.limit,
      cohort: rules.window.limit,
      rest,
      now: () => clock.monotonic(),
      breaks: (rule) => ledger.breaks(rule),
    });
    const qmgr: Qmgr = new Qmgr({
      config,
      store,
      clock,
      log,
      resolve: toItsDomain,
      agents: new Map([["smtp", {
        rules,
        agent: new WatchedAgent(agent, sites, this.#life),
        logName: "smtp",
        softBounce: false,
        resolution: 2,
      }]]),
      notices: this.#notices,
      requeue: () => Promise.resolve(false),
      elsewhere: (id) => this.#retiring.some((one) => one !== qmgr && one.isActive(id)),
      handedBack: () => {
        if (this.qmgr !== qmgr) this.qmgr.look();
      },
    });
    return qmgr;
  }

  /** Another queue manager takes over; the deliveries of this one go on. */
  reload(): void {
    const former = this.qmgr;
    this.#retiring.push(former);
    void former.retire().then(() => {
      this.#retiring.splice(this.#retiring.indexOf(former), 1);
      return former.stop(0);
    });
    this.qmgr = this.#openQmgr();
    this.qmgr.start();
  }

  /** It does not resolve when the disk dies first. */
  static async open(options: RelayOptions): Promise<RelayWorld> {
    const { internet: { clock: outer, random }, disk, crc32 } = options;
    const parts = { clock: new ProcessClock(outer), network: options.internet.join() };
    const runtime = { ...simulatedRuntime(disk ?? new SimulatedDisk(random), random, crc32), ...parts };
    const tuning = { segmentBytes: 60_000 };
    const store = await openQueue(disk === undefined ? "memory:" : "fs:/queue", { runtime, tuning });
    const world = new RelayWorld(options, runtime, parts, store);
    world.qmgr.start();
    return world;
  }

  /** The process has died: nothing of it counts any more. */
  crash(): void {
    this.#gone = true;
    this.ledger.crashes++;
    this.#life.dies();
    this.#leave();
  }

  /** An orderly end; what is under way is called off after the time. */
  async stop(within: Millis): Promise<void> {
    let over = false;
    const all = [this.qmgr, ...this.#retiring].map((one) => one.stop(within));
    const stopped = Promise.all(all).then(() => this.store.close()).then(() => over = true);
    while (!over && this.#disk?.dead !== true) await this.pass(100);
    if (over) {
      await stopped;
      this.#life.ends();
    }
    this.#gone = true;
    this.#leave();
  }

  #watched(notices: Notices): Notices {
    return {
      undeliverable: async (message, failed) => {
        const refused = await notices.undeliverable(message, failed);
        if (refused === null) this.#life.noticed(message, failed);
        return refused;
      },
      delayed: (message, waiting) => notices.delayed(message, waiting),
      delivered: (message, succeeded) => notices.delivered(message, succeeded),
      traced: (message, results) => notices.traced(message, results),
    };
  }

  #leave(): void {
    this.#resolver.close();
    this.#clock.die();
    this.#network.die();
  }

  /** Acknowledged when it resolves. */
  async accept(mail: SimMail): Promise<void> {
    const { number, sender, recipients, content } = mail;
    this.ledger.mails.set(number, mail);
    const arrived = this.#clock.now();
    const incoming = this.#cleanup.open();
    incoming.begin({ sender, arrived, complete: false, checked: false }, "");
    const wait = incoming.data(latin1Encode(content));
    if (wait !== null) await wait;
    const result = await incoming.finish({
      sender,
      recipients: recipients.map((address) => plainRecipient(address)),
      arrived,
      client: NO_CLIENT,
      encoding: "",
      ret: "",
      envid: "",
    });
    if (this.#gone) return;
    if (result.kind !== "queued") return this.ledger.breaks(`${number} was ${result.kind}`);
    this.ledger.acknowledged.set(number, this.internet.clock.monotonic());
    this.qmgr.wake(result.committed);
  }

  /** Lets time pass, until the process dies. */
  async pass(time: Millis): Promise<void> {
    const disk = this.#disk;
    const { clock } = this.internet;
    let [operations, still] = [-1, 0];
    const busy = (): boolean => {
      if (disk === null || disk.dead) return false;
      still = disk.operations === operations ? still + 1 : 0;
      operations = disk.operations;
      return still < 6;
    };
    await clock.run(clock.monotonic() + time, busy, () => disk?.dead === true);
  }
}

interface Parts {
  readonly clock: ProcessClock;
  readonly network: ProcessNetwork;
}
