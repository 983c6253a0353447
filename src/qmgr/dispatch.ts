/**
 * Deliveries: starts what schedule.ts lets start, hands it to the agents, and takes their results. What is dead, or
 * in defer_transports, has its mail put off without a try. An agent that throws has its delivery deferred. Rests and
 * pauses do not know the wall clock, which somebody may set; log lines do.
 */

import type { DeliveryAgent, DeliveryRequest, Follower } from "../agent.ts";
import type { Config } from "../config/config.ts";
import { attempt, messageOf } from "../errors.ts";
import type { Log, Logger } from "../log.ts";
import type { QueueStore, Waiting } from "../queue/store.ts";
import type { Clock, Millis, Timer } from "../runtime.ts";
import type { DeliveryResult } from "../status.ts";
import type { ActiveMessage, Work } from "./active.ts";
import { clogWarnings, isClogging } from "./clog.ts";
import { deliveryLine, suspendedResult, tellsOfDelivery } from "./report.ts";
import { type Destination, type Job, type PutOff, TransportQueue } from "./schedule.ts";
import type { TransportRules } from "./schedule.ts";
import type { Settling } from "./settle.ts";

/** A master.cf service that delivers. */
export interface AgentService {
  readonly rules: TransportRules;
  readonly agent: DeliveryAgent;
  /** Its name in the log: "smtp", "local". */
  readonly logName: string;
  /** soft_bounce, of the service. */
  readonly softBounce: boolean;
  /** delay_logging_resolution_limit, of the service: who delivers writes the line. */
  readonly resolution: number;
}

export interface DispatchServices {
  readonly config: Config;
  readonly store: Pick<QueueStore, "queueOf">;
  readonly clock: Clock;
  readonly log: Log;
  readonly agents: ReadonlyMap<string, AgentService>;
  readonly work: Work;
  readonly settling: Settling;
  readonly activeCount: () => number;
}

/** Recipients of one message that were found to have the same destination, before they are cut into jobs. */
export interface Group {
  readonly transport: TransportQueue;
  readonly nexthop: string;
  /** Of the destination: queue-name.ts. */
  readonly key: string;
  readonly waiting: Waiting[];
  readonly addresses: string[];
}

/** Why mail is put off without a delivery. */
export interface Why {
  readonly status: string;
  readonly why: string;
}

/** Names of transports that do not exist, remembered so that each is reported once in a while. */
const MISSING_LIMIT = 1000;

/** How long mail is put off without a look at anything else, and how many jobs between two looks at the clock. */
const PUT_OFF_SLICE: Millis = 1;
const PUT_OFF_STEP = 16;

export class Dispatch {
  readonly #services: DispatchServices;
  readonly #logger: Logger;
  readonly #transports = new Map<string, TransportQueue>();
  /** Those in which time alone lets something start. */
  readonly #paced: readonly TransportQueue[];
  readonly #deferTransports: ReadonlySet<string>;
  readonly #missing = new Map<string, Millis>();
  readonly #stop = new AbortController();
  /** What is being put off, in the order in which it died. */
  readonly #puttingOff: PutOff[] = [];
  #timer: Timer | null = null;
  #timerAt: Millis = 0;
  #pumping = false;
  #stopping = false;
  #slot = 0;

  constructor(services: DispatchServices) {
    this.#services = services;
    this.#logger = services.log.service("qmgr");
    for (const [name, { rules }] of services.agents) this.#transports.set(name, new TransportQueue(rules));
    this.#paced = [...this.#transports.values()].filter(({ rules }) => {
      return rules.pause > 0 || rules.window.pause > 0 || rules.stalledLimit > 0;
    });
    this.#deferTransports = new Set(services.config.defer_transports);
  }

  /** Has transports whose mail waits until somebody asks for it. */
  get holdsBack(): boolean {
    return this.#deferTransports.size > 0;
  }

  /** The transport of that name; null, with the warning due for it, when there is none. */
  transport(name: string): TransportQueue | null {
    const known = this.#transports.get(name);
    if (known !== undefined) return known;
    const now = this.#services.clock.monotonic();
    if (now >= (this.#missing.get(name) ?? 0)) {
      this.#logger.warn(`connect to transport private/${name}: No such file or directory`);
      if (this.#missing.size >= MISSING_LIMIT) this.#missing.clear();
      this.#missing.set(name, now + this.#services.config.transport_retry_time);
    }
    return null;
  }

  /** A message's recipients for one destination become jobs, or are put off. */
  enqueue(message: ActiveMessage, { transport, nexthop, key, waiting, addresses }: Group): void {
    const now = this.#services.clock.monotonic();
    if (!message.urged && this.#deferTransports.has(transport.name)) {
      return this.putOff(message, waiting, { status: "4.3.2", why: "deferred transport" });
    }
    const broken = message.urged ? null : transport.dead(now);
    if (broken !== null) return this.putOff(message, waiting, broken);
    // Not before it has work, or is dead: a new one without either would never be forgotten.
    const destination = transport.destination(nexthop, key);
    if (message.urged) transport.wake(now, destination);
    const dead = destination.window.deadReason(now);
    if (dead !== null) return this.putOff(message, waiting, dead);
    const { recipientLimit } = transport.rules;
    const limit = recipientLimit > 0 ? recipientLimit : waiting.length;
    const jobs: Job[] = [];
    for (let at = 0; at < waiting.length; at += limit) {
      const part = { waiting: waiting.slice(at, at + limit), addresses: addresses.slice(at, at + limit) };
      jobs.push({ message, destination, ...part });
    }
    message.pending += jobs.length;
    if (this.#stopping) return this.#dropAll(jobs);
    transport.add(jobs, now);
    this.#warnOfClog(destination, now);
  }

  /** Recipients that are put off without a delivery: what Postfix has its retry service do. */
  putOff(message: ActiveMessage, waiting: readonly Waiting[], why: Why): void {
    const result = suspendedResult(why.status, why.why);
    const now = this.#services.clock.now();
    const logger = this.#services.log.service("error", this.#nextSlot());
    const { arrived, probe } = message.entry.envelope;
    const times = { arrived, activeAt: message.activeAt, startedAt: now, now, resolution: this.#putOffResolution };
    for (const one of waiting) {
      logger.info(deliveryLine(message.entry.id, one.recipient, result, times, probe));
      message.failed(one, result);
    }
  }

  /** The service retry puts off. */
  get #putOffResolution(): number {
    const { agents, config } = this.#services;
    return agents.get("retry")?.resolution ?? config.delay_logging_resolution_limit;
  }

  /** Forgives what is dead. */
  wake(): void {
    this.#missing.clear();
    for (const transport of this.#transports.values()) transport.wake(this.#services.clock.monotonic());
  }

  /** Starts whatever may start; transports take turns. */
  pump(): void {
    if (this.#pumping || this.#stopping) return;
    this.#pumping = true;
    const { clock } = this.#services;
    for (let started = true; started;) {
      started = false;
      for (const transport of this.#transports.values()) {
        const job = transport.next(clock.monotonic());
        if (job === null) continue;
        started = true;
        this.#deliver(job);
      }
    }
    this.#pumping = false;
    if (this.#paced.length > 0) this.#watchTime();
  }

  /** No delivery starts any more; what waits for one goes back to the queue. abort() calls off those under way. */
  stop(): void {
    this.#stopping = true;
    this.#timer?.cancel();
    for (const transport of this.#transports.values()) this.#dropAll(transport.takeAll());
  }

  #dropAll(jobs: readonly Job[]): void {
    for (const { message } of jobs) {
      message.untried = true;
      this.#services.settling.ended(message);
    }
  }

  abort(): void {
    this.#stop.abort();
  }

  /** The timer may ring early: then this looks again. */
  #watchTime(): void {
    const { clock } = this.#services;
    let first: Millis | null = null;
    for (const transport of this.#paced) {
      const at = transport.nextStart();
      if (at !== null && (first === null || at < first)) first = at;
    }
    if (first !== null && this.#timer !== null && this.#timerAt <= first) return;
    this.#timer?.cancel();
    this.#timer = null;
    if (first === null) return;
    this.#timerAt = first;
    this.#timer = clock.after(Math.max(1, first - clock.monotonic()), () => {
      this.#timer = null;
      this.pump();
    });
  }

  #deliver(job: Job): void {
    if (this.#isWithdrawn(job)) return this.#withdraw(job);
    const { agent } = this.#serviceOf(job);
    const next = (): Follower | null => this.#follower(job.destination);
    this.#await(job, attempt(() => agent.deliver(requestOf(job), this.#stop.signal, next)));
  }

  /** An operator held or removed the message while the job waited. */
  #isWithdrawn({ message }: Job): boolean {
    const queue = this.#services.store.queueOf(message.entry.id);
    return queue === null || queue === "hold" || queue === "corrupt";
  }

  /** Its slot is for the next one; not in this turn, since it may be one of thousands. */
  #withdraw({ message, destination }: Job): void {
    const { clock, settling, work } = this.#services;
    message.untried = true;
    work.begin();
    clock.soon(() => {
      destination.transport.ended(destination, null, clock.monotonic());
      settling.ended(message);
      this.pump();
      work.end();
    });
  }

  #warnOfClog(destination: Destination, now: Millis): void {
    const { config, activeCount } = this.#services;
    const { transport, nexthop, window, line } = destination;
    const activeLimit = config.qmgr_message_active_limit;
    const deliveries = line.size + window.busy;
    if (!isClogging(deliveries, activeLimit) || !config.helpful_warnings || config.qmgr_clog_warn_time === 0) return;
    if (now < destination.warnAgain) return;
    destination.warnAgain = now + config.qmgr_clog_warn_time;
    const warnings = clogWarnings({
      transport: transport.name,
      nexthop,
      deliveries,
      busy: window.busy,
      window: window.window,
      limit: transport.rules.window.limit,
      others: transport.destinationCount > 1,
      active: activeCount(),
      activeLimit,
    });
    for (const warning of warnings) this.#logger.warn(warning);
  }

  #serviceOf({ destination }: Job): AgentService {
    return this.#services.agents.get(destination.transport.name) as AgentService;
  }

  #await(job: Job, results: Promise<readonly DeliveryResult[]>): void {
    const service = this.#serviceOf(job);
    const startedAt = this.#services.clock.now();
    this.#services.work.begin();
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
    const job = this.#stopping ? null : transport.takeFollower(destination, this.#services.clock.monotonic());
    if (job === null) return null;
    if (this.#isWithdrawn(job)) {
      this.#takeBack(job);
      return null;
    }
    return {
      request: requestOf(job),
      begin: (results) => {
        transport.handOn(destination);
        this.#await(job, results);
      },
      giveBack: () => this.#takeBack(job),
    };
  }

  /** Nothing else may happen that would start it: the delivery before it can be over by now, its destination dead. */
  #takeBack(job: Job): void {
    const { transport } = job.destination;
    const dead = transport.giveBack(job, this.#services.clock.monotonic());
    if (this.#stopping && dead === null) this.#dropAll(transport.takeAll());
    else if (dead !== null) this.#putOffAll({ dead, jobs: [job] });
    this.pump();
  }

  #delivered(job: Job, service: AgentService, results: readonly DeliveryResult[], startedAt: Millis): void {
    const { message, destination, waiting } = job;
    const { clock, log, config, settling, work } = this.#services;
    const now = clock.now();
    const suspended = destination.transport.ended(destination, results, clock.monotonic());
    const logger = log.service(service.logName, this.#nextSlot());
    const done: number[] = [];
    const { arrived, probe } = message.entry.envelope;
    const times = { arrived, activeAt: message.activeAt, startedAt, now, resolution: service.resolution };
    waiting.forEach((one, at) => {
      const given = results[at] ?? suspendedResult("4.3.0", "delivery agent gave no result");
      const softened = service.softBounce && given.outcome === "bounced" && probe === undefined;
      const result = softened ? softenedResult(given) : given;
      logger.info(deliveryLine(message.entry.id, one.recipient, result, times, probe, softened));
      if (result.outcome !== "sent" || probe !== undefined) return message.failed(one, result);
      done.push(one.index);
      message.trace(one, result);
      if (tellsOfDelivery(one.recipient, result, message.entry.warned && config.confirm_delay_cleared)) {
        message.succeeded.push({ waiting: one, result });
      }
    });
    if (suspended !== null) this.#putOffAll(suspended);
    settling.note(message, done);
    this.pump();
    work.end();
  }

  /** All further mail for what is dead is deferred without a try: there may be tens of thousands, so in slices. */
  #putOffAll(putOff: PutOff): void {
    if (this.#puttingOff.push(putOff) > 1) return;
    this.#services.work.begin();
    this.#putOffSlice(0);
  }

  /** `first`: how far it came with the first of them. */
  #putOffSlice(first: number): void {
    const { clock, settling, work } = this.#services;
    const end = clock.monotonic() + PUT_OFF_SLICE;
    let at = first;
    for (let now = this.#puttingOff[0]; now !== undefined; now = this.#puttingOff[0]) {
      for (const { message, waiting } of now.jobs.slice(at, at + PUT_OFF_STEP)) {
        this.putOff(message, waiting, now.dead);
        settling.ended(message);
      }
      at += PUT_OFF_STEP;
      if (at >= now.jobs.length) {
        this.#puttingOff.shift();
        at = 0;
      }
      if (clock.monotonic() < end || this.#puttingOff.length === 0) continue;
      return clock.soon(() => this.#putOffSlice(at));
    }
    work.end();
  }

  #nextSlot(): number {
    return ++this.#slot % 100_000 + 1;
  }
}

/** What soft_bounce makes of a result. */
function softenedResult(result: DeliveryResult): DeliveryResult {
  return { ...result, outcome: "deferred", status: result.status.replace(/^5/, "4") };
}

function requestOf({ message, destination, waiting, addresses }: Job): DeliveryRequest {
  return {
    queueId: message.entry.id,
    transport: destination.transport.name,
    nexthop: destination.nexthop,
    envelope: message.entry.envelope,
    recipients: waiting.map(({ recipient }, at) => {
      const address = addresses[at] as string;
      return address === recipient.address ? recipient : { ...recipient, address };
    }),
    size: message.entry.size,
    activeAt: message.activeAt,
  };
}
