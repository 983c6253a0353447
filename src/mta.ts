/**
 * One worker: wires the roles together by what master.cf says (inet services that run smtpd, unix services that
 * deliver), and takes them down in order: no new sessions, no new deliveries, queue synced and closed.
 * start() throws ConfigError or ResourceError and leaves nothing open.
 */

import type { ContentSource, DeliveryAgent } from "./agent.ts";
import { Bounce } from "./bounce/bounce.ts";
import { Cleanup } from "./cleanup/cleanup.ts";
import { openRewriting } from "./cleanup/rewriting.ts";
import type { Config, Loaded, Service } from "./config/config.ts";
import { Resolver } from "./dns/dns.ts";
import { ConfigError, messageOf, systemCode, systemWords } from "./errors.ts";
import { plainRecipient } from "./envelope.ts";
import { discardAgent, errorAgent, retryAgent } from "./error.ts";
import { latin1Decode } from "./latin1.ts";
import { listenAddresses } from "./listen.ts";
import { LocalAgent } from "./local/local.ts";
import type { Log } from "./log.ts";
import { type LookupTable, openTable } from "./maps/map.ts";
import { Pickup } from "./pickup.ts";
import type { Failed, NoticeSubject } from "./notices.ts";
import { parseFeedback } from "./qmgr/destination.ts";
import { type AgentService, Qmgr } from "./qmgr/qmgr.ts";
import { deliveryLine } from "./qmgr/report.ts";
import type { TransportRules } from "./qmgr/schedule.ts";
import { openQueue } from "./queue/open.ts";
import type { Committed, QueueStore } from "./queue/store.ts";
import type { Listener, Millis, Runtime } from "./runtime.ts";
import { Anvil } from "./smtpd/anvil.ts";
import { Smtpd } from "./smtpd/smtpd.ts";
import { GenericAgent } from "./smtp/generic.ts";
import { smtpParameters } from "./smtp/parameters.ts";
import { SmtpAgent } from "./smtp/smtp.ts";
import { AddressTables, tableWorld } from "./trivial-rewrite/address-tables.ts";
import { AddressClasses } from "./trivial-rewrite/resolve.ts";
import { AddressResolver } from "./trivial-rewrite/resolver.ts";
import { VirtualAgent } from "./virtual.ts";

const BACKLOG = 4096;

/** What the agents of a worker share. */
interface AgentWorld {
  readonly runtime: Runtime;
  readonly content: ContentSource;
  readonly resolver: Resolver;
  readonly classes: AddressClasses;
  readonly log: Log;
}

type AgentMaker = (world: AgentWorld, config: Config) => DeliveryAgent;

function smtpMaker(protocol: "smtp" | "lmtp"): AgentMaker {
  return (world, config) => {
    const { runtime, resolver, content, classes } = world;
    const log = world.log.service(protocol);
    const parameters = smtpParameters(config, protocol);
    const agent = (source: ContentSource): DeliveryAgent =>
      new SmtpAgent({ runtime, parameters, resolver, content: source, log, protocol });
    const name = protocol === "smtp" ? "smtp_generic_maps" : "lmtp_generic_maps";
    if (config[name].length === 0) return agent(content);
    const options = { warn: (text: string): void => void log.warn(text) };
    const tables = new AddressTables(name, config[name], tableWorld(config, classes, runtime, options));
    return new GenericAgent({ tables, config, log, agent, content });
  };
}

/** Agents by the command column of master.cf. */
const AGENTS: Readonly<Record<string, AgentMaker>> = {
  smtp: smtpMaker("smtp"),
  lmtp: smtpMaker("lmtp"),
  local: ({ runtime, content, log }, config) => new LocalAgent({ runtime, config, content, log: log.service("local") }),
  virtual: ({ runtime, content, log }, config) =>
    new VirtualAgent({ runtime, config, content, log: log.service("virtual") }),
  error: (_world, _config) => errorAgent(),
  discard: (_world, _config) => discardAgent(),
};

/** "retry" runs the error(8) program under another name, and defers. */
function makerOf(service: Service): AgentMaker | undefined {
  if (service.command === "error" && service.name === "retry") return () => retryAgent();
  return Object.hasOwn(AGENTS, service.command) ? AGENTS[service.command] : undefined;
}

export class Mta {
  readonly store: QueueStore;
  readonly qmgr: Qmgr;
  readonly pickup: Pickup;
  readonly #runtime: Runtime;
  readonly #loaded: Loaded;
  readonly #log: Log;
  readonly #resolver: Resolver;
  readonly #cleanup: Cleanup;
  readonly #listeners: Listener[] = [];
  readonly #anvil: Anvil;
  readonly #smtpds: Smtpd[] = [];
  readonly #sessionRoom: number;
  readonly #queued = (committed: Committed): void => this.qmgr.wake(committed);

  private constructor(runtime: Runtime, loaded: Loaded, log: Log, store: QueueStore) {
    this.#runtime = runtime;
    this.#loaded = loaded;
    this.#log = log;
    this.store = store;
    const { main } = loaded;
    const { clock } = runtime;
    this.#sessionRoom = sessionRoom(runtime);
    this.#anvil = new Anvil(clock, {
      unit: main.anvil_rate_time_unit,
      prefix4: main.smtpd_client_ipv4_prefix_length,
      prefix6: main.smtpd_client_ipv6_prefix_length,
    });
    const servers = main.postrider_dns_servers;
    this.#resolver = new Resolver({ runtime, ...servers.length > 0 ? { servers } : {} });
    const cleanupLogger = log.service("cleanup");
    const warn = (text: string): void => void cleanupLogger.warn(text);
    const openCleanup = (name: string, place: string): LookupTable => openTable(name, runtime, { warn, place });
    const classes = new AddressClasses(main, runtime, this.#tableOptions());
    const rewriting = openRewriting(main, classes, runtime, { warn });
    this.#cleanup = new Cleanup({ config: main, store, log, clock, openTable: openCleanup, rewriting });
    const bounce = new Bounce({
      config: main,
      cleanup: this.#cleanup,
      content: store,
      log,
      clock,
      queued: this.#queued,
    });
    const resolver = new AddressResolver(main, classes, runtime, this.#tableOptions());
    this.qmgr = new Qmgr({
      config: main,
      store,
      clock,
      log,
      resolve: (recipient, envelope) => resolver.resolve(recipient, envelope),
      agents: this.#agents(classes),
      notices: bounce,
    });
    this.pickup = new Pickup({
      runtime,
      config: main,
      cleanup: this.#cleanup,
      log,
      giveBack: (message, failed) => this.#giveBack(bounce, message, failed),
      queued: this.#queued,
    });
  }

  static async open(runtime: Runtime, loaded: Loaded, log: Log): Promise<Mta> {
    const { main } = loaded;
    const logger = log.service("queue");
    const store = await openQueue(main.queue_storage, {
      runtime,
      log: logger,
      longQueueIds: main.enable_long_queue_ids,
    });
    try {
      return new Mta(runtime, loaded, log, store);
    } catch (caught) {
      await store.close();
      throw caught;
    }
  }

  /** Listens first, so that a taken port stops the start before any mail moves. */
  async start(): Promise<void> {
    try {
      for (const service of this.#loaded.services) {
        if (service.type === "inet" && service.command === "smtpd") await this.#listen(service);
      }
    } catch (caught) {
      await this.stop(0);
      throw caught;
    }
    this.qmgr.start();
    this.pickup.start();
  }

  /** host:port of each listener, for messages to people. */
  get addresses(): readonly string[] {
    return this.#places;
  }

  readonly #places: string[] = [];

  /** Sessions and deliveries under way may end within the time. */
  async stop(within: Millis): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    await Promise.all(this.#smtpds.map((smtpd) => smtpd.drain(within)));
    await this.pickup.stop();
    await this.qmgr.stop(within);
    this.#resolver.close();
    await this.store.close();
  }

  #tableOptions(): { warn: (text: string) => void; note: (text: string) => void } {
    const logger = this.#log.service("trivial-rewrite");
    return { warn: (text) => logger.warn(text), note: (text) => logger.info(text) };
  }

  #open(name: string): LookupTable {
    return openTable(name, this.#runtime, this.#tableOptions());
  }

  /** Mail of this host that cleanup refused, with log lines as Postfix's cleanup writes them. */
  #giveBack(bounce: Bounce, message: NoticeSubject, failed: readonly Failed[]): Promise<void> {
    const logger = this.#log.service("cleanup");
    const now = this.#runtime.clock.now();
    const times = { arrived: message.envelope.arrived, activeAt: now, startedAt: now, now };
    for (const { waiting, result } of failed) logger.info(deliveryLine(message.id, waiting.recipient, result, times));
    return bounce.undeliverable(message, failed);
  }

  async #listen(service: Service): Promise<void> {
    const config = this.#loaded.configFor(service);
    const classes = new AddressClasses(config, this.#runtime, this.#tableOptions());
    const resolver = new AddressResolver(config, classes, this.#runtime, this.#tableOptions());
    const smtpd = new Smtpd({
      runtime: this.#runtime,
      config,
      log: this.#log,
      cleanup: this.#cleanup,
      classes,
      resolver: this.#resolver,
      openTable: (name) => this.#open(name),
      route: (address) => resolver.resolve(plainRecipient(address), {}),
      queued: this.#queued,
      events: { anvil: this.#anvil, service: service.name },
      sessionLimit: service.maxproc ?? config.default_process_limit,
      roomForSession: () => this.#smtpds.reduce((sum, one) => sum + one.sessions, 0) < this.#sessionRoom,
    });
    this.#smtpds.push(smtpd);
    const logger = this.#log.service("master");
    for (const { host, port } of listenAddresses(service, config, this.#runtime)) {
      try {
        const accept = smtpd.accept.bind(smtpd);
        const failed = (error: Error): void => logger.error(`${host}:${port}: ${messageOf(error)}`);
        this.#listeners.push(await this.#runtime.network!.listen({ host, port }, BACKLOG, accept, failed));
        this.#places.push(host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
      } catch (caught) {
        const code = systemCode(caught);
        const why = code === "" ? messageOf(caught) : systemWords(code);
        throw new ConfigError([`fatal: bind ${host} port ${port}: ${why}`]);
      }
    }
  }

  #agents(classes: AddressClasses): ReadonlyMap<string, AgentService> {
    const agents = new Map<string, AgentService>();
    const world = { runtime: this.#runtime, content: this.store, resolver: this.#resolver, classes, log: this.#log };
    for (const service of this.#loaded.services) {
      const make = service.type === "unix" ? makerOf(service) : undefined;
      if (make === undefined) continue;
      const config = this.#loaded.configFor(service);
      agents.set(service.name, {
        rules: transportRules(service, config),
        agent: make(world, config),
        logName: service.command,
        perRecipient: service.command === "local" || service.command === "virtual",
      });
    }
    return agents;
  }
}

/** Half of the descriptors that the process may have, less what it needs for itself; the others serve deliveries. */
function sessionRoom(runtime: Runtime): number {
  try {
    const limits = latin1Decode(runtime.files!.readSync("/proc/self/limits"));
    const found = /^Max open files\s+(\d+)/m.exec(limits);
    return found === null ? Number.POSITIVE_INFINITY : Math.max(8, Math.floor((Number(found[1]) - 32) / 2));
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function transportRules(service: Service, config: Config): TransportRules {
  const { name } = service;
  const feedback = (
    suffix: "destination_concurrency_positive_feedback" | "destination_concurrency_negative_feedback",
  ) => {
    const text = config.forTransport(name, suffix);
    const parsed = parseFeedback(text);
    if (parsed === null) throw new ConfigError([`fatal: ${name}_${suffix}: bad feedback "${text}"`]);
    return parsed;
  };
  return {
    name,
    processLimit: service.maxproc ?? config.default_process_limit,
    recipientLimit: config.forTransport(name, "destination_recipient_limit"),
    retryTime: config.transport_retry_time,
    window: {
      initial: config.forTransport(name, "initial_destination_concurrency"),
      limit: config.forTransport(name, "destination_concurrency_limit"),
      positive: feedback("destination_concurrency_positive_feedback"),
      negative: feedback("destination_concurrency_negative_feedback"),
      failedCohortLimit: config.forTransport(name, "destination_concurrency_failed_cohort_limit"),
      rest: config.minimal_backoff_time,
    },
  };
}
