/**
 * One worker: wires the roles together by what master.cf says (inet services that run smtpd, unix services that
 * deliver). The queue is its master's, and outlives it:
 *   made --start()--> serves --retire()--> sessions and deliveries under way go on --over()--> close()
 * The worker that comes after takes over ports and queue, and hears of what those sessions and deliveries bring.
 * Throws ConfigError when it is made or started.
 */

import { openAgents } from "./agents.ts";
import { Bounce } from "./bounce/bounce.ts";
import { openTemplates } from "./bounce/template.ts";
import { TroubleNotices } from "./bounce/transcript.ts";
import type { HandInServices } from "./cleanup/hand-in.ts";
import { Cleanup } from "./cleanup/cleanup.ts";
import { openRewriting } from "./cleanup/rewriting.ts";
import type { Config, Loaded, Service } from "./config/config.ts";
import { ownConfig, probeConfig } from "./config/own.ts";
import { Resolver } from "./dns/dns.ts";
import { ConfigError, messageOf, ResourceError, systemCode, systemWords } from "./errors.ts";
import { plainRecipient } from "./envelope.ts";
import { listenAddresses, sessionRoom } from "./listen.ts";
import { SiteFlush } from "./flush.ts";
import type { Log } from "./log.ts";
import { type LookupTable, openTable } from "./maps/map.ts";
import { Pickup } from "./pickup.ts";
import type { Failed, Notices, NoticeSubject } from "./notices.ts";
import type { Ports } from "./ports.ts";
import { Requeue } from "./requeue.ts";
import { Qmgr } from "./qmgr/qmgr.ts";
import { deliveryLine } from "./qmgr/report.ts";
import type { Committed, QueueStore } from "./queue/store.ts";
import type { Millis, Runtime, Timer } from "./runtime.ts";
import { Anvil, type AnvilRules } from "./smtpd/anvil.ts";
import { Smtpd } from "./smtpd/smtpd.ts";
import { StressedService } from "./smtpd/stress.ts";
import { AddressClasses } from "./trivial-rewrite/resolve.ts";
import { AddressResolver } from "./trivial-rewrite/resolver.ts";
import { Verify } from "./verify/verify.ts";

/** Log lines tell sessions under load from the others, */
const STRESSED_SLOTS = 1_000_000;
/** and those of one worker from those of the one before. */
const WORKER_SLOTS = 2_000_000;

/** What a worker has of its master. */
export interface WorkerWorld {
  readonly runtime: Runtime;
  readonly loaded: Loaded;
  readonly log: Log;
  readonly store: QueueStore;
  readonly ports: Ports;
  /** Workers before this one whose sessions or deliveries have not ended. */
  readonly retiring: ReadonlySet<Mta>;
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
  readonly #smtpds = new Map<string, StressedService>();
  readonly #retiring: ReadonlySet<Mta>;
  readonly #slotsFrom: number;
  #statistics: Timer | null = null;
  /** Resolves when the queue is open, which it may never be. */
  #opening: Promise<void> | null = null;
  readonly #sessionRoom: number;
  #over: Promise<void> | null = null;
  /** The one that serves after this one, as far as it knows: once it is over, nobody tells it of those after that. */
  #successor: Mta | null = null;
  readonly #queued = (committed: Committed): void => this.#newest.qmgr.wake(committed);

  constructor({ runtime, loaded, log, store, ports, retiring }: WorkerWorld) {
    this.#runtime = runtime;
    this.#retiring = retiring;
    this.#slotsFrom = freeSlots([...retiring].map((one) => one.#slotsFrom));
    this.#loaded = loaded;
    this.#log = log;
    this.store = store;
    this.#ports = ports;
    const { main } = loaded;
    const { clock } = runtime;
    const own = (name: string): Config => ownConfig(loaded, name);
    this.#sessionRoom = sessionRoom(runtime);
    this.#anvil = this.#openAnvil();
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
      others: () =>
        [...new Set([...this.#others, this.#newest])].filter((one) => one !== this).map((one) => one.#verify),
    });
    const pickup: HandInServices = {
      runtime,
      config: own("pickup"),
      cleanup: this.#cleanup,
      log,
      giveBack: (message, failed) => this.#giveBack(bounce, message, failed),
      queued: this.#queued,
    };
    this.qmgr = this.#openQmgr(classes, bounce, new Requeue(pickup, store));
    const qmgr = { flush: (ids: readonly string[] | "all"): void => this.#newest.qmgr.flush(ids) };
    this.flush = new SiteFlush({ runtime, config: own("flush"), store, qmgr, warn });
    this.pickup = new Pickup(pickup);
  }

  get #newest(): Mta {
    return this.#successor === null ? this : this.#successor.#newest;
  }

  get #others(): readonly Mta[] {
    return [...this.#retiring].filter((one) => one !== this);
  }

  #openAnvil(): Anvil {
    const { main } = this.#loaded;
    const rules: AnvilRules = {
      unit: ownConfig(this.#loaded, "anvil").anvil_rate_time_unit,
      prefix4: main.smtpd_client_ipv4_prefix_length,
      prefix6: main.smtpd_client_ipv6_prefix_length,
    };
    // The former one knows whose sessions go on.
    const former = this.#others.find((one) => one.#anvil.follows(rules));
    return former === undefined ? new Anvil(this.#runtime.clock, rules) : former.#anvil;
  }

  #openQmgr(classes: AddressClasses, bounce: Bounce, requeue: Requeue): Qmgr {
    const [runtime, loaded, log] = [this.#runtime, this.#loaded, this.#log];
    const own = (name: string): Config => ownConfig(loaded, name);
    const rewrite = own("rewrite");
    const resolver = new AddressResolver(rewrite, classes, runtime, this.#tableOptions());
    const probes = probeConfig(rewrite);
    const probing = probes === rewrite ? resolver : new AddressResolver(probes, classes, runtime, this.#tableOptions());
    return new Qmgr({
      // In Postfix it is cleanup that waits for in_flow_delay.
      config: { ...own("qmgr"), in_flow_delay: own("cleanup").in_flow_delay },
      store: this.store,
      clock: runtime.clock,
      log,
      resolve: (recipient, envelope) => (envelope.probe === "verify" ? probing : resolver).resolve(recipient, envelope),
      agents: openAgents(loaded, {
        runtime,
        content: this.store,
        resolver: this.#resolver,
        classes,
        log,
        troubles: (config, service) => this.#troubles(config, service),
      }),
      notices: this.#verify.notices(this.#notices(bounce)),
      requeue: (entry) => requeue.take(entry),
      elsewhere: (id) => this.#retiring.size > 0 && this.#others.some((one) => one.qmgr.isActive(id)),
      handedBack: () => this.#newest.qmgr.look(),
    });
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

  /**
   * Listens first, so that a taken port stops the start before any mail moves, and clients are greeted while a long
   * queue is read (`load`). Their mail transactions wait for it. From then on it has what others hand back; where it
   * fails, its clients are sent away.
   */
  async start(load: () => Promise<void>): Promise<void> {
    let opened = (): void => {};
    this.#opening = new Promise((resolve) => opened = resolve);
    try {
      for (const service of this.#loaded.services) {
        if (service.type === "inet" && service.command === "smtpd") await this.#listen(service);
      }
      await load();
    } catch (caught) {
      await Promise.all([...this.#smtpds.values()].map((smtpd) => smtpd.drain(0)));
      throw caught;
    }
    this.#opening = null;
    opened();
    for (const former of this.#others) former.#successor = this;
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

  /** Sessions and deliveries under way go on; new ones are for the next worker. */
  async retire(): Promise<void> {
    this.#statistics?.cancel();
    this.#tellStatistics();
    void this.qmgr.retire();
    await this.pickup.stop();
    await this.#verify.close();
  }

  /** After retire(): resolves when the last session and delivery has ended. */
  over(): Promise<void> {
    if (this.#over !== null) return this.#over;
    const all = [...[...this.#smtpds.values()].map((smtpd) => smtpd.over()), this.qmgr.retire()];
    return this.#over = Promise.all(all).then(() => {});
  }

  /** After retire(): sessions and then deliveries may end within the time, each. */
  async close(within: Millis): Promise<void> {
    await Promise.all([...this.#smtpds.values()].map((smtpd) => smtpd.drain(within)));
    await this.qmgr.stop(within);
    this.#resolver.close();
    this.#log.flush();
  }

  /** Those of all workers, of one service or of all. */
  #sessions(service?: string): number {
    let sum = this.#ownSessions(service);
    for (const one of this.#retiring) if (one !== this) sum += one.#ownSessions(service);
    return sum;
  }

  #ownSessions(service?: string): number {
    if (service !== undefined) return this.#smtpds.get(service)?.sessions ?? 0;
    let sum = 0;
    for (const smtpd of this.#smtpds.values()) sum += smtpd.sessions;
    return sum;
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

  #smtpd(service: Service, stressed: boolean): Smtpd {
    const config = stressed ? this.#loaded.stressedFor(service) : this.#loaded.configFor(service);
    const classes = new AddressClasses(config, this.#runtime, this.#tableOptions());
    const { smtputf8_enable } = ownConfig(this.#loaded, "rewrite");
    const resolving = { ...config, smtputf8_enable };
    const resolver = new AddressResolver(resolving, classes, this.#runtime, this.#tableOptions());
    return new Smtpd({
      runtime: this.#runtime,
      config,
      log: this.#log,
      cleanup: this.#cleanup,
      classes,
      resolver: this.#resolver,
      openTable: (name) => this.#open(name),
      verifier: { wait: (address, within) => this.#newest.#verify.wait(address, within) },
      route: (address) => resolver.resolve(plainRecipient(address), {}),
      troubles: this.#troubles(config, "smtpd"),
      queued: this.#queued,
      opening: () => this.#opening,
      turn: () => this.#newest.#inflowTurn(),
      flushSite: (site) => this.#newest.flush.send(site),
      events: { anvil: this.#anvil, service: service.name },
      sessionLimit: service.maxproc ?? config.default_process_limit,
      roomForSession: () => this.#sessions() < this.#sessionRoom,
      sessions: () => this.#sessions(service.name),
      slotsFrom: this.#slotsFrom + (stressed ? STRESSED_SLOTS : 0),
    });
  }

  async #listen(service: Service): Promise<void> {
    const config = this.#loaded.configFor(service);
    const smtpd = new StressedService({
      make: (stressed) => this.#smtpd(service, stressed),
      limit: service.maxproc ?? config.default_process_limit,
      clock: this.#runtime.clock,
      name: `service "${service.name}"`,
      warn: (text) => this.#log.service("master").warn(text),
    });
    this.#smtpds.set(service.name, smtpd);
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
}

/** Where the slots of a worker begin, beside those. */
function freeSlots(taken: readonly number[]): number {
  for (let from = 0;; from += WORKER_SLOTS) if (!taken.includes(from)) return from;
}
