/**
 * One worker: wires the roles together by what master.cf says (inet services that run smtpd, unix services that
 * deliver), and takes them down in order: no new sessions, no new deliveries, queue synced and closed.
 * start() throws ConfigError or ResourceError and leaves nothing open.
 */

import type { ContentSource, DeliveryAgent } from "./agent.ts";
import { Bounce } from "./bounce/bounce.ts";
import { openTemplates } from "./bounce/template.ts";
import { TroubleNotices } from "./bounce/transcript.ts";
import type { HandInServices } from "./cleanup/hand-in.ts";
import { Cleanup } from "./cleanup/cleanup.ts";
import { openRewriting } from "./cleanup/rewriting.ts";
import type { Config, Loaded, Service } from "./config/config.ts";
import { ownConfig, probeConfig } from "./config/own.ts";
import { untilFree } from "./control.ts";
import { Resolver } from "./dns/dns.ts";
import { ConfigError, messageOf, ResourceError, systemCode, systemWords } from "./errors.ts";
import { plainRecipient } from "./envelope.ts";
import { discardAgent, errorAgent, retryAgent } from "./error.ts";
import { listenAddresses, sessionRoom } from "./listen.ts";
import { LocalAgent } from "./local/local.ts";
import { SiteFlush } from "./flush.ts";
import type { Log } from "./log.ts";
import { type LookupTable, openTable } from "./maps/map.ts";
import { Pickup } from "./pickup.ts";
import type { Failed, Notices, NoticeSubject } from "./notices.ts";
import type { Ports } from "./ports.ts";
import type { AgentService } from "./qmgr/dispatch.ts";
import { Requeue } from "./requeue.ts";
import { Qmgr } from "./qmgr/qmgr.ts";
import { deliveryLine } from "./qmgr/report.ts";
import { transportRules } from "./qmgr/rules.ts";
import { lockQueue } from "./queue/open.ts";
import type { Committed, QueueStore } from "./queue/store.ts";
import type { Millis, Runtime, Timer } from "./runtime.ts";
import { Anvil } from "./smtpd/anvil.ts";
import { Smtpd } from "./smtpd/smtpd.ts";
import { StressedService } from "./smtpd/stress.ts";
import { GenericAgent } from "./smtp/generic.ts";
import { smtpParameters } from "./smtp/parameters.ts";
import { SmtpAgent } from "./smtp/smtp.ts";
import { AddressTables, tableWorld } from "./trivial-rewrite/address-tables.ts";
import { AddressClasses } from "./trivial-rewrite/resolve.ts";
import { AddressResolver } from "./trivial-rewrite/resolver.ts";
import { Verify } from "./verify/verify.ts";
import { VirtualAgent } from "./virtual.ts";

/** Log lines tell sessions under load from the others. */
const STRESSED_SLOTS = 1_000_000;

/** What the agents of a worker share. */
interface AgentWorld {
  readonly runtime: Runtime;
  readonly content: ContentSource;
  readonly resolver: Resolver;
  readonly classes: AddressClasses;
  readonly log: Log;
  readonly troubles: (config: Config, service: string) => TroubleNotices;
}

type AgentMaker = (world: AgentWorld, config: Config) => DeliveryAgent;

function smtpMaker(protocol: "smtp" | "lmtp"): AgentMaker {
  return (world, config) => {
    const { runtime, resolver, content, classes } = world;
    const log = world.log.service(protocol);
    const troubles = world.troubles(config, protocol);
    const parameters = smtpParameters(config, protocol);
    const agent = (source: ContentSource): DeliveryAgent =>
      new SmtpAgent({ runtime, parameters, resolver, content: source, log, protocol, troubles });
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

/** Those whose deliveries may hang for no fault of this host. */
const OVER_NETWORK: ReadonlySet<string> = new Set(["smtp", "lmtp"]);

/** "retry" runs the error(8) program under another name, and defers. */
function makerOf(service: Service): AgentMaker | undefined {
  if (service.command === "error" && service.name === "retry") return () => retryAgent();
  return Object.hasOwn(AGENTS, service.command) ? AGENTS[service.command] : undefined;
}

export class Mta {
  readonly store: QueueStore;
  readonly qmgr: Qmgr;
  readonly flush: SiteFlush;
  readonly pickup: Pickup;
  readonly #runtime: Runtime;
  readonly #loaded: Loaded;
  readonly #log: Log;
  readonly #resolver: Resolver;
  readonly #cleanup: Cleanup;
  readonly #verify: Verify;
  readonly #ports: Ports;
  readonly #anvil: Anvil;
  readonly #smtpds: StressedService[] = [];
  #statistics: Timer | null = null;
  /** Resolves when the queue is open, which it may never be. */
  #opening: Promise<void> | null = null;
  readonly #sessionRoom: number;
  readonly #queued = (committed: Committed): void => this.qmgr.wake(committed);

  private constructor(runtime: Runtime, loaded: Loaded, log: Log, store: QueueStore, ports: Ports) {
    this.#runtime = runtime;
    this.#loaded = loaded;
    this.#log = log;
    this.store = store;
    this.#ports = ports;
    const { main } = loaded;
    const { clock } = runtime;
    const own = (name: string): Config => ownConfig(loaded, name);
    this.#sessionRoom = sessionRoom(runtime);
    this.#anvil = new Anvil(clock, {
      unit: own("anvil").anvil_rate_time_unit,
      prefix4: main.smtpd_client_ipv4_prefix_length,
      prefix6: main.smtpd_client_ipv6_prefix_length,
    });
    const servers = main.postrider_dns_servers;
    this.#resolver = new Resolver({ runtime, ...servers.length > 0 ? { servers } : {} });
    const cleanupLogger = log.service("cleanup");
    const warn = (text: string): void => void cleanupLogger.warn(text);
    const openCleanup = (name: string, place: string): LookupTable => openTable(name, runtime, { warn, place });
    const classes = new AddressClasses(own("rewrite"), runtime, this.#tableOptions());
    const rewriting = openRewriting(own("cleanup"), classes, runtime, { warn });
    this.#cleanup = new Cleanup({ config: own("cleanup"), store, log, clock, openTable: openCleanup, rewriting });
    const bounce = this.#bounce(own("bounce"));
    this.#verify = new Verify({
      config: own("verify"),
      cleanup: this.#cleanup,
      clock,
      files: runtime.files,
      log: log.service("verify"),
      queued: this.#queued,
    });
    const rewrite = own("rewrite");
    const resolver = new AddressResolver(rewrite, classes, runtime, this.#tableOptions());
    const probes = probeConfig(rewrite);
    const probing = probes === rewrite ? resolver : new AddressResolver(probes, classes, runtime, this.#tableOptions());
    const pickup: HandInServices = {
      runtime,
      config: own("pickup"),
      cleanup: this.#cleanup,
      log,
      giveBack: (message, failed) => this.#giveBack(bounce, message, failed),
      queued: this.#queued,
    };
    const requeue = new Requeue(pickup, store);
    this.qmgr = new Qmgr({
      // In Postfix it is cleanup that waits for in_flow_delay.
      config: { ...own("qmgr"), in_flow_delay: own("cleanup").in_flow_delay },
      store,
      clock,
      log,
      resolve: (recipient, envelope) => (envelope.probe === "verify" ? probing : resolver).resolve(recipient, envelope),
      agents: this.#agents(classes),
      notices: this.#verify.notices(this.#notices(bounce)),
      requeue: (entry) => requeue.take(entry),
    });
    this.flush = new SiteFlush({ runtime, config: own("flush"), store, qmgr: this.qmgr, warn });
    this.pickup = new Pickup(pickup);
  }

  #bounce(config: Config): Bounce {
    const { clock, files } = this.#runtime;
    const logger = this.#log.service("bounce");
    const templates = openTemplates(config, files, (text) => void logger.warn(text));
    const [cleanup, content, log, queued] = [this.#cleanup, this.store, this.#log, this.#queued];
    return new Bounce({ config, templates, cleanup, content, log, clock, queued });
  }

  /** Delays are told by the service defer, what was delivered by trace: each may have settings of its own. */
  #notices(bounce: Bounce): Notices {
    const [shared, defer, trace] = ["bounce", "defer", "trace"].map((name) => ownConfig(this.#loaded, name)) as [
      Config,
      Config,
      Config,
    ];
    const delays = defer === shared ? bounce : this.#bounce(defer);
    const reports = trace === shared ? bounce : this.#bounce(trace);
    return {
      undeliverable: (message, failed) => bounce.undeliverable(message, failed),
      delayed: (message, waiting) => delays.delayed(message, waiting),
      delivered: (message, succeeded) => reports.delivered(message, succeeded),
      traced: (message, results) => reports.traced(message, results),
    };
  }

  /** `over`: nobody wants it any more, while another process has the queue. */
  static async open(runtime: Runtime, loaded: Loaded, log: Log, ports: Ports, over: () => boolean): Promise<Mta> {
    const { main } = loaded;
    const logger = log.service("queue");
    const store = await lockQueue(main.queue_storage, {
      runtime,
      log: logger,
      longQueueIds: main.enable_long_queue_ids,
      taken: untilFree(runtime, main.queue_directory, over),
    });
    try {
      return new Mta(runtime, loaded, log, store, ports);
    } catch (caught) {
      await store.close();
      throw caught;
    }
  }

  /**
   * Listens first, so that a taken port stops the start before any mail moves, and clients are greeted while a long
   * queue is read. Their mail transactions wait for it.
   */
  async start(): Promise<void> {
    let opened = (): void => {};
    this.#opening = new Promise((resolve) => opened = resolve);
    try {
      for (const service of this.#loaded.services) {
        if (service.type === "inet" && service.command === "smtpd") await this.#listen(service);
      }
      await this.store.load();
    } catch (caught) {
      await this.drain(0);
      await this.close();
      throw caught;
    }
    this.#opening = null;
    opened();
    this.qmgr.start();
    this.pickup.start();
    this.#watchClients();
  }

  /** anvil_status_update_time */
  #watchClients(): void {
    const { clock } = this.#runtime;
    this.#statistics = clock.after(ownConfig(this.#loaded, "anvil").anvil_status_update_time, () => {
      this.#tellStatistics();
      this.#watchClients();
    });
  }

  #tellStatistics(): void {
    const logger = this.#log.service("anvil");
    for (const line of this.#anvil.statistics()) logger.info(line);
  }

  /** host:port of each listener, for messages to people. */
  get addresses(): readonly string[] {
    return this.#places;
  }

  readonly #places: string[] = [];

  /** Sessions and deliveries under way may end within the time; new clients are for who has the ports now. */
  async drain(within: Millis): Promise<void> {
    await Promise.all(this.#smtpds.map((smtpd) => smtpd.drain(within)));
    this.#statistics?.cancel();
    this.#tellStatistics();
    await this.pickup.stop();
    await this.qmgr.stop(within);
  }

  /** After drain(). */
  async close(): Promise<void> {
    this.#resolver.close();
    await this.#verify.close();
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
  async #giveBack(bounce: Bounce, message: NoticeSubject, failed: readonly Failed[]): Promise<void> {
    const logger = this.#log.service("cleanup");
    const now = this.#runtime.clock.now();
    const { delay_logging_resolution_limit: resolution } = ownConfig(this.#loaded, "cleanup");
    const times = { arrived: message.envelope.arrived, activeAt: now, startedAt: now, now, resolution };
    for (const { waiting, result } of failed) logger.info(deliveryLine(message.id, waiting.recipient, result, times));
    const refused = await bounce.undeliverable(message, failed);
    if (refused !== null) throw new ResourceError("EINVAL", `notice refused: ${refused}`);
  }

  #troubles(config: Config, service: string): TroubleNotices {
    const { clock } = this.#runtime;
    const services = { config, cleanup: this.#cleanup, clock, queued: this.#queued, opening: () => this.#opening };
    return new TroubleNotices(services, this.#log.service(service));
  }

  #smtpd(service: Service, stressed: boolean, total: () => number): Smtpd {
    const config = stressed ? this.#loaded.stressedFor(service) : this.#loaded.configFor(service);
    const classes = new AddressClasses(config, this.#runtime, this.#tableOptions());
    const resolver = new AddressResolver(config, classes, this.#runtime, this.#tableOptions());
    return new Smtpd({
      runtime: this.#runtime,
      config,
      log: this.#log,
      cleanup: this.#cleanup,
      classes,
      resolver: this.#resolver,
      openTable: (name) => this.#open(name),
      verifier: this.#verify,
      route: (address) => resolver.resolve(plainRecipient(address), {}),
      troubles: this.#troubles(config, "smtpd"),
      queued: this.#queued,
      opening: () => this.#opening,
      turn: () => this.#inflowTurn(),
      flushSite: (site) => this.flush.send(site),
      events: { anvil: this.#anvil, service: service.name },
      sessionLimit: service.maxproc ?? config.default_process_limit,
      roomForSession: () => this.#smtpds.reduce((sum, one) => sum + one.sessions, 0) < this.#sessionRoom,
      sessions: total,
      slotsFrom: stressed ? STRESSED_SLOTS : 0,
    });
  }

  async #listen(service: Service): Promise<void> {
    const config = this.#loaded.configFor(service);
    const smtpd: StressedService = new StressedService({
      make: (stressed) => this.#smtpd(service, stressed, () => smtpd.sessions),
      limit: service.maxproc ?? config.default_process_limit,
      clock: this.#runtime.clock,
      name: `service "${service.name}"`,
      warn: (text) => this.#log.service("master").warn(text),
    });
    this.#smtpds.push(smtpd);
    const logger = this.#log.service("master");
    for (const { host, port } of listenAddresses(service, config, this.#runtime)) {
      try {
        const accept = smtpd.accept.bind(smtpd);
        const failed = (error: Error): void => logger.error(`${host}:${port}: ${messageOf(error)}`);
        await this.#ports.listen({ host, port }, accept, failed);
        this.#places.push(host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`);
      } catch (caught) {
        const code = systemCode(caught);
        const why = code === "" ? messageOf(caught) : systemWords(code);
        throw new ConfigError([`fatal: bind ${host} port ${port}: ${why}`]);
      }
    }
  }

  #inflowTurn(): Promise<void> | null {
    const pause = this.qmgr.inflowPause();
    return pause === 0 ? null : new Promise((resolve) => void this.#runtime.clock.after(pause, resolve));
  }

  #agents(classes: AddressClasses): ReadonlyMap<string, AgentService> {
    const agents = new Map<string, AgentService>();
    const logger = this.#log.service("qmgr");
    const world = {
      runtime: this.#runtime,
      content: this.store,
      resolver: this.#resolver,
      classes,
      log: this.#log,
      troubles: (config: Config, service: string) => this.#troubles(config, service),
    };
    for (const service of this.#loaded.services) {
      const make = service.type === "unix" ? makerOf(service) : undefined;
      if (make === undefined) continue;
      const config = this.#loaded.configFor(service);
      const processLimit = service.maxproc ?? config.default_process_limit;
      // Who writes down how many deliveries there may be means it.
      const mayStall = service.maxproc === null && OVER_NETWORK.has(service.command);
      const stalledLimit = mayStall ? config.postrider_stalled_delivery_limit : 0;
      agents.set(service.name, {
        rules: transportRules(service.name, processLimit, ownConfig(this.#loaded, "qmgr"), logger, stalledLimit),
        agent: make(world, config),
        logName: service.command,
        softBounce: config.soft_bounce,
        resolution: config.delay_logging_resolution_limit,
      });
    }
    return agents;
  }
}
