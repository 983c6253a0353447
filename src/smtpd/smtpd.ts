/**
 * The smtpd(8) service: one for each line of master.cf that runs smtpd. Accepts sockets, makes a Session of each, and
 * holds what all sessions of the service share. Refuses to start (ConfigError) without relay control.
 */

import type { Transport } from "../agent.ts";
import type { TroubleNotices } from "../bounce/transcript.ts";
import type { Config } from "../config/config.ts";
import type { Resolver } from "../dns/dns.ts";
import { ConfigError, systemCode } from "../errors.ts";
import type { Log, Logger } from "../log.ts";
import type { LookupTable } from "../maps/map.ts";
import { matchAddress, type MatchList, matchString, parseMatchList } from "../match-list.ts";
import type { Verifier } from "../probe.ts";
import { rowOf } from "../params.ts";
import { REPLY, type Reply, replyText } from "../reply.ts";
import type { Clock, Millis, Runtime, Socket, Timer } from "../runtime.ts";
import type { AddressClasses } from "../trivial-rewrite/resolve.ts";
import { rewriteAddress } from "../trivial-rewrite/rewrite.ts";
import type { ClientEvents } from "./client-limits.ts";
import { Clients, withKeywords } from "./clients.ts";
import type { Dialogue, Peer } from "./dialogue.ts";
import { addressJudge } from "./envelope-address.ts";
import { FilteredMessage, type FilterFacts, type FilterSettings } from "./filter.ts";
import { filterAddress } from "./filter-connection.ts";
import { Engine } from "./engine/server.ts";
import type { Families } from "./haproxy.ts";
import type { ClientRules, MessageSink, SessionHost } from "./host.ts";
import { NAMELESS, type PeerName, PeerNames } from "./peer.ts";
import { after, type SessionFacts, type Verdict } from "./facts.ts";
import type { PolicyMemory } from "./judging.ts";
import { QueuedMessage, type QueueServices } from "./queued-message.ts";
import { Session } from "./session.ts";
import { type Stage, Stages } from "./stages.ts";
import type { Resolves, SyntaxOptions } from "./transaction.ts";
import { Transcribed } from "./transcribed.ts";
import { SESSION_TROUBLES } from "./trouble.ts";
import { UpstreamHeader } from "./upstream.ts";
import { XCLIENT_LINE, XFORWARD_LINE } from "./xclient.ts";

const FORBIDDEN = "smtpd_forbidden_commands";

export interface SmtpdServices extends QueueServices {
  readonly runtime: Runtime;
  readonly config: Config;
  readonly log: Log;
  readonly classes: AddressClasses;
  readonly resolver: Resolver;
  readonly openTable: (table: string) => LookupTable;
  /** Where mail for an address goes (transport_maps, relocated_maps). */
  readonly route: (address: string) => Transport | Promise<Transport>;
  readonly verifier?: Verifier;
  /** Who hears of sessions that went wrong; without it nothing is written down. */
  readonly troubles?: TroubleNotices;
  /** What sessions wait for before a mail transaction: the queue is being opened; null: for nothing. */
  readonly opening?: () => Promise<void> | null;
  /** "denied": fast_flush_domains does not list the site. */
  readonly flushSite: (site: string) => Promise<"started" | "denied" | "failed">;
  readonly events: ClientEvents;
  /** Sessions at most (master.cf maxproc); 0: no limit. */
  readonly sessionLimit: number;
  /** Sessions of all services for which the process has descriptors: more are turned away at once. */
  readonly roomForSession: () => boolean;
  /** Sessions of the whole service, where it is more than this object. */
  readonly sessions?: () => number;
  /** Slots begin behind this number. */
  readonly slotsFrom?: number;
}

const DISK_CHECK_EVERY: Millis = 1_000;
const OVER_CHECK_EVERY: Millis = 200;

export class Smtpd implements SessionHost {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly syntax: SyntaxOptions;
  readonly ipv6: boolean;
  readonly noop: ReadonlySet<string>;
  readonly events: ClientEvents;
  readonly opening: () => Promise<void> | null;
  readonly resolves: Resolves;
  readonly #services: SmtpdServices;
  readonly #stages: Stages;
  readonly #engine: Engine;
  readonly #peers: PeerNames;
  readonly #keywords: readonly string[];
  readonly #clients: Clients;
  #forbidden: MatchList | null = null;
  readonly #ownClients: (address: string) => boolean;
  readonly #slots: number[] = [];
  #slotsMade: number;
  readonly #families: Families;
  readonly #filter: FilterSettings | null;
  /** Connections whose PROXY header is being read. */
  readonly #upstream = new Set<UpstreamHeader>();
  #draining = false;
  #freeBytes = Number.POSITIVE_INFINITY;
  #diskTimer: Timer | null = null;

  constructor(services: SmtpdServices) {
    const { config, runtime } = services;
    this.#services = services;
    this.config = config;
    this.events = services.events;
    this.opening = services.opening ?? ((): null => null);
    this.resolves = addressJudge((address) => this.rewrite(address), services.route);
    this.#slotsMade = services.slotsFrom ?? 0;
    this.clock = runtime.clock;
    this.logger = services.log.service("smtpd");
    const networks = { runtime, parents: false, addresses: true, place: "mynetworks" };
    const myNetworks = parseMatchList(config.mynetworks, networks);
    this.#stages = new Stages({
      config,
      runtime,
      classes: services.classes,
      myNetworks,
      resolver: services.resolver,
      open: services.openTable,
      route: services.route,
      ...services.verifier === undefined ? {} : { verifier: services.verifier },
      warn: (text) => this.logger.warn(text),
    });
    this.#clients = new Clients(config, runtime, services.openTable);
    this.#ownClients = localClients(config, services.classes, myNetworks);
    this.syntax = syntaxRules(config);
    this.#keywords = ehloKeywords(config);
    this.noop = upperSet(config.smtpd_noop_commands);
    // The default has no fault, and its pattern needs no engine until a client says what is no command.
    if (config.raw(FORBIDDEN) !== rowOf(FORBIDDEN)?.default) this.#forbiddenCommands();
    const speaks = (family: string): boolean => config.inet_protocols.some((name) => name === "all" || name === family);
    this.#families = { ipv4: speaks("ipv4"), ipv6: speaks("ipv6") };
    this.ipv6 = this.#families.ipv6;
    this.#peers = new PeerNames(services.resolver, this.clock);
    this.#engine = new Engine({
      timeout: config.smtpd_timeout,
      lineLengthLimit: config.line_length_limit,
      replaceStrayCr: config.cleanup_replace_stray_cr_lf,
    }, this.clock);
    this.#filter = filterSettings(config, runtime, this.logger);
    this.#watchDisk();
  }

  #forbiddenCommands(): MatchList {
    const { config } = this;
    const { runtime } = this.#services;
    const options = { runtime, parents: false, addresses: false, place: FORBIDDEN };
    return this.#forbidden ??= parseMatchList(config[FORBIDDEN], options);
  }

  get sessions(): number {
    return this.#engine.size;
  }

  accept(socket: Socket): void {
    const peer = {
      address: plainAddress(socket.remoteAddress ?? ""),
      port: socket.remotePort ?? 0,
      localAddress: plainAddress(socket.localAddress ?? ""),
      localPort: socket.localPort ?? 0,
    };
    if (peer.address === "") return void socket.destroy();
    if (!this.#services.roomForSession()) return this.#turnAway(socket);
    if (this.config.smtpd_upstream_proxy_protocol === "") return this.#begin(socket, peer);
    const header = new UpstreamHeader(socket, this.#families, this.clock, this.config.smtpd_upstream_proxy_timeout, {
      found: (found, rest) => this.#begin(socket, found ?? peer, rest),
      failed: (why) => {
        this.logger.warn(`haproxy read: ${why}`);
        this.#begin(socket, peer, undefined, REPLY.localError(this.config.myhostname));
      },
      over: () => this.#upstream.delete(header),
    });
    this.#upstream.add(header);
  }

  /** `input`: what came already. `refusal`: all that the client hears. */
  #begin(socket: Socket, peer: Peer, input?: Uint8Array, refusal?: Reply): void {
    const session = new Session(this, peer, this.#slots.pop() ?? ++this.#slotsMade, refusal ?? null);
    this.#engine.connect(socket, this.#transcribed(session), input);
  }

  /** Writes down what is said where the postmaster may want to hear of it (notify_classes). */
  #transcribed(session: Session): Dialogue {
    const { troubles } = this.#services;
    if (troubles?.wants(SESSION_TROUBLES) !== true) return session;
    const flushAfter = this.config.smtpd_history_flush_threshold;
    return new Transcribed(session, { flushAfter, tell: (account) => troubles.send(account) });
  }

  /** Gives the descriptor back before the next connection is accepted. */
  #turnAway(socket: Socket): void {
    socket.on("error", () => {});
    socket.write(replyText(REPLY.overloaded(this.config.myhostname)), "latin1");
    this.clock.soon(() => socket.destroy());
  }

  /** A session's slot is free again. */
  gone(slot: number): void {
    this.#slots.push(slot);
  }

  flushSite(site: string): Promise<"started" | "denied" | "failed"> {
    return this.#services.flushSite(site);
  }

  openMessage(facts: FilterFacts): MessageSink {
    return this.#filter === null ? new QueuedMessage(this.#services) : new FilteredMessage(this.#filter, facts);
  }

  judge(stage: Stage, facts: SessionFacts, memory: PolicyMemory): Verdict | Promise<Verdict> {
    return this.#stages.at(stage, facts, memory);
  }

  peerName(address: string): PeerName | Promise<PeerName> {
    return this.config.smtpd_peername_lookup ? this.#peers.of(address) : NAMELESS;
  }

  clientRules(name: string, address: string): ClientRules | Promise<ClientRules> {
    return this.#clients.of(name, address);
  }

  keywords(rules: ClientRules): readonly string[] {
    const own = [...rules.xclient ? [XCLIENT_LINE] : [], ...rules.xforward ? [XFORWARD_LINE] : []];
    const all = own.length === 0 ? this.#keywords : withKeywords(this.#keywords, own);
    const { discarded } = rules;
    if (discarded === undefined || discarded.size === 0) return all;
    return all.filter((line) => !discarded.has(line.split(" ")[0] as string));
  }

  forbids(command: string): boolean | Promise<boolean> {
    return after(matchString(this.#forbiddenCommands(), command), ({ kind }) => kind === "found");
  }

  rewrite(address: string): string {
    return rewriteAddress(address, this.config);
  }

  /** Whether missing headers are added for that client (local_header_rewrite_clients). */
  completesFor(address: string): boolean {
    return this.#ownClients(address);
  }

  refuseConnection(): Reply | null {
    if (this.#draining) return REPLY.shuttingDown(this.config.myhostname);
    const limit = this.#services.sessionLimit;
    const sessions = this.#services.sessions?.() ?? this.#engine.size;
    return limit > 0 && sessions > limit ? REPLY.tooManyConnections(this.config.myhostname) : null;
  }

  /** queue_minfree, and room for 1.5 times message_size_limit, as smtpd(8) wants. */
  diskFull(size: number): boolean {
    const { queue_minfree: least, message_size_limit: limit } = this.config;
    const free = this.#freeBytes;
    return least >= free || size >= free || limit >= free / 1.5;
  }

  /** Resolves when all sessions have ended by themselves: who connects now must be sent elsewhere. */
  async over(): Promise<void> {
    while (this.#engine.size + this.#upstream.size > 0) {
      await new Promise<void>((resolve) => void this.clock.after(OVER_CHECK_EVERY, resolve));
    }
  }

  /** Sessions between messages end now, the others when their message is done or the time is over. */
  async drain(within: Millis): Promise<void> {
    this.#draining = true;
    this.#diskTimer?.cancel();
    for (const header of this.#upstream) header.close();
    const text = replyText(REPLY.shuttingDown(this.config.myhostname));
    for (const end = this.clock.monotonic() + within; this.#engine.size > 0;) {
      const over = this.clock.monotonic() >= end;
      this.#engine.dismissAll(text, !over);
      if (over) break;
      await new Promise<void>((resolve) => void this.clock.after(20, resolve));
    }
  }

  #watchDisk(): void {
    const { files } = this.#services.runtime;
    if (files === null) return;
    const look = (): void => {
      files.free(this.config.queue_directory).then(
        (bytes) => this.#freeBytes = bytes,
        (caught: unknown) => {
          if (systemCode(caught) !== "ENOENT") this.#freeBytes = 0;
        },
      ).finally(() => {
        if (!this.#draining) this.#diskTimer = this.clock.after(DISK_CHECK_EVERY, look);
      });
    };
    look();
  }
}

/** smtpd_proxy_filter; null: none. Throws ConfigError. */
function filterSettings(config: Config, runtime: Runtime, logger: Logger): FilterSettings | null {
  const { smtpd_proxy_filter: name, smtpd_proxy_options: options, queue_directory: folder } = config;
  if (name === "") return null;
  const address = filterAddress(name, folder);
  const unknown = options.filter((word) => word !== "speed_adjust");
  if (address === null) throw new ConfigError([`fatal: smtpd_proxy_filter: bad service "${name}"`]);
  if (unknown.length > 0) throw new ConfigError([`fatal: smtpd_proxy_options: unknown option "${unknown.join()}"`]);
  const { network, clock } = runtime;
  if (network === null) throw new ConfigError(["fatal: smtpd_proxy_filter: this runtime has no network"]);
  return {
    network,
    clock,
    address,
    name,
    timeout: config.smtpd_proxy_timeout,
    logger,
    config,
    late: options.length > 0,
  };
}

/** smtpd_peername etc. see IPv4 clients of a dual-stack socket by their IPv4 address. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

export function upperSet(words: readonly string[]): ReadonlySet<string> {
  return new Set(words.map((word) => word.toUpperCase()));
}

export function syntaxRules(config: Config): SyntaxOptions {
  const utf8 = !config.smtputf8_enable ? "no" : config.strict_smtputf8 ? "strict" : "yes";
  return { strict: config.strict_rfc821_envelopes, noDsn: false, utf8 };
}

/** Lines of the EHLO reply after the host name. */
export function ehloKeywords(config: Config): string[] {
  const size = config.message_size_limit > 0 ? `SIZE ${config.message_size_limit}` : "SIZE";
  const utf8 = config.smtputf8_enable ? ["SMTPUTF8"] : [];
  const verify = config.disable_vrfy_command ? [] : ["VRFY"];
  return ["PIPELINING", size, ...verify, "ETRN", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", ...utf8, "CHUNKING"];
}

/** local_header_rewrite_clients: permit_inet_interfaces, permit_mynetworks, permit_sasl_authenticated. */
export function localClients(
  config: Config,
  classes: AddressClasses,
  myNetworks: MatchList,
): (address: string) => boolean {
  const words = config.local_header_rewrite_clients;
  const interfaces = classes.ownAddresses;
  const inNetworks = (address: string): boolean => {
    const answer = matchAddress(myNetworks, address);
    return !(answer instanceof Promise) && answer.kind === "found";
  };
  return (address) =>
    (words.includes("permit_inet_interfaces") && interfaces.has(address)) ||
    (words.includes("permit_mynetworks") && inNetworks(address));
}
