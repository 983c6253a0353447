/**
 * The smtp(8) and lmtp(8) delivery agent: one delivery is one message to some recipients of one next hop.
 *   a kept session -> the next hop's servers in order -> fallback relays;  until every recipient has a result
 * Defers for whatever peers, name servers and the store do; bounces what a server refuses for good, mail that would
 * come back to this host, and domains that do not exist or take no mail. Never throws for any of it.
 */

import type { ContentSource, DeliveryAgent, DeliveryRequest, NextFollower } from "../agent.ts";
import type { TroubleNotices } from "../bounce/transcript.ts";
import type { Resolver } from "../dns/dns.ts";
import { assert } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Network, Runtime } from "../runtime.ts";
import type { DeliveryResult } from "../status.ts";
import type { Next, Opening, SessionWorld } from "./client.ts";
import { Session } from "./client.ts";
import { Connections } from "./connections.ts";
import { Deadlines } from "./deadlines.ts";
import type { HostsWorld, ServerAddress, Servers } from "./hosts.ts";
import { findServers } from "./hosts.ts";
import { bindAddress, OwnAddresses } from "./own-addresses.ts";
import { overheard } from "./overheard.ts";
import type { Protocol, SmtpParameters } from "./parameters.ts";
import type { TransactionEnd } from "./transaction.ts";
import { Delivery, isSoft, localTrouble } from "./trouble.ts";

export interface SmtpAgentOptions {
  readonly runtime: Runtime;
  readonly parameters: SmtpParameters;
  readonly resolver: Resolver;
  readonly content: ContentSource;
  readonly log: Logger;
  readonly protocol: Protocol;
  /** Who hears of servers that do not keep to the protocol. */
  readonly troubles?: TroubleNotices;
}

/** What bind(2) fails with. */
const BIND_CODES: readonly string[] = ["EADDRNOTAVAIL", "EADDRINUSE", "EACCES", "EINVAL"];

export class SmtpAgent implements DeliveryAgent {
  readonly #options: SmtpAgentOptions;
  readonly #world: SessionWorld;
  readonly #hosts: HostsWorld;
  readonly #connections: Connections;
  /** Sessions in use, by the signal that calls them off. */
  readonly #inUse: WeakMap<AbortSignal, Set<Session>> = new WeakMap();

  constructor(options: SmtpAgentOptions) {
    const { runtime, parameters, resolver, protocol, content, log, troubles } = options;
    const plain = runtime.network as Network;
    assert(plain !== null, "the smtp agent needs a network");
    const wanted = troubles?.wants(["protocol"]) === true;
    const network = wanted ? overheard(plain, protocol, (account) => troubles.send(account)) : plain;
    const own = new OwnAddresses(parameters, network, resolver);
    this.#options = options;
    this.#world = {
      network,
      clock: runtime.clock,
      log,
      deadlines: new Deadlines(runtime.clock),
      parameters,
      protocol,
      content,
      refusesAhead: new Set(),
    };
    this.#hosts = { parameters, protocol, resolver, log, random: runtime.random, ownAddresses: () => own.all() };
    this.#connections = new Connections(parameters, runtime.clock);
  }

  async deliver(
    request: DeliveryRequest,
    signal: AbortSignal,
    next: NextFollower,
  ): Promise<readonly DeliveryResult[]> {
    const delivery = new Delivery(request, this.#options.log);
    const kept = await this.#useKept(delivery, signal, next);
    if (delivery.unsettled === 0) return delivery.finish();
    return await new Attempt(this, delivery, signal, next, kept).run();
  }

  /** A delivery whose message was sent behind another's. */
  async #follow(
    session: Session,
    end: Promise<TransactionEnd>,
    delivery: Delivery,
    signal: AbortSignal,
    next: NextFollower,
  ): Promise<readonly DeliveryResult[]> {
    const how = await end;
    this.#release(session, delivery, signal);
    if (delivery.unsettled === 0) return delivery.finish();
    const kept = how === "done" ? session.address : await this.#useKept(delivery, signal, next);
    if (delivery.unsettled === 0) return delivery.finish();
    return await new Attempt(this, delivery, signal, next, kept).run();
  }

  close(): Promise<void> {
    this.#connections.close();
    return Promise.resolve();
  }

  servers(nexthop: string): Promise<Servers> {
    return findServers(this.#hosts, nexthop);
  }

  get parameters(): SmtpParameters {
    return this.#options.parameters;
  }

  get log(): Logger {
    return this.#options.log;
  }

  /** Tries sessions that are open already; the address of the one that was used, or null. */
  async #useKept(delivery: Delivery, signal: AbortSignal, next: NextFollower): Promise<ServerAddress | null> {
    const { nexthop } = delivery.request;
    for (;;) {
      const session = signal.aborted ? null : this.#connections.take(nexthop);
      if (session === null) return null;
      delivery.finalServer = session.lastServer;
      const end = await this.#transact(session, delivery, signal, next);
      if (end === "done") return session.address;
    }
  }

  /** Runs the delivery over the session, and keeps or ends the session. */
  async #transact(
    session: Session,
    delivery: Delivery,
    signal: AbortSignal,
    next: NextFollower,
  ): Promise<TransactionEnd> {
    this.#sessionsOf(signal).add(session);
    const end = await session.transact(delivery, () => this.#nextOn(session, delivery, signal, next));
    this.#release(session, delivery, signal);
    return end;
  }

  #release(session: Session, delivery: Delivery, signal: AbortSignal): void {
    // Another message took it over.
    if (session.busy) return;
    this.#sessionsOf(signal).delete(session);
    this.#connections.put(delivery.request.nexthop, session);
  }

  /** The message that may go over the session behind that of the delivery. */
  #nextOn(session: Session, { request }: Delivery, signal: AbortSignal, next: NextFollower): Next | null {
    if (signal.aborted || !this.#connections.mayGoOn(request.nexthop, session)) return null;
    const follower = next();
    if (follower === null) return null;
    const delivery = new Delivery(follower.request, this.#options.log);
    delivery.finalServer = session.lastServer;
    return {
      delivery,
      begin: (end) => follower.begin(this.#follow(session, end, delivery, signal, next)),
      giveBack: () => follower.giveBack(),
    };
  }

  /** A new session to one address; whether somebody was there to talk to. */
  async converse(
    server: ServerAddress,
    delivery: Delivery,
    signal: AbortSignal,
    next: NextFollower,
    isLast: (talked: boolean) => boolean,
  ): Promise<boolean> {
    const { session, opening } = await this.#open(server, bindAddress(this.parameters, server.address), signal);
    if (opening.kind === "unreachable") {
      // The words hold address and port already.
      this.log.info(opening.trouble.reason);
      delivery.siteFailed(opening.trouble);
      return false;
    }
    delivery.finalServer = isLast(opening.kind === "ready");
    if (opening.kind === "refused") {
      delivery.begin(session.peer);
      delivery.serverFailed(opening.trouble);
      session.quit();
      return false;
    }
    session.lastServer = delivery.finalServer;
    await this.#transact(session, delivery, signal, next);
    return true;
  }

  /** A local address that cannot be used is overlooked, or (smtp_bind_address_enforce) a reason to wait. */
  async #open(
    server: ServerAddress,
    bind: string,
    signal: AbortSignal,
  ): Promise<{ session: Session; opening: Opening }> {
    const session = new Session(this.#world, server);
    const inUse = this.#sessionsOf(signal);
    inUse.add(session);
    const opening = await session.connect(bind);
    inUse.delete(session);
    if (opening.kind !== "unreachable" || bind === "" || !BIND_CODES.includes(opening.code)) {
      return { session, opening };
    }
    this.log.warn(`bind ${bind}: ${opening.trouble.reason.split(": ").at(-1)}`);
    if (!this.parameters.smtp_bind_address_enforce) return await this.#open(server, "", signal);
    return { session, opening: { ...opening, trouble: localTrouble("4.4.0", "server configuration error") } };
  }

  #sessionsOf(signal: AbortSignal): Set<Session> {
    const known = this.#inUse.get(signal);
    if (known !== undefined) return known;
    const sessions = new Set<Session>();
    this.#inUse.set(signal, sessions);
    signal.addEventListener("abort", () => sessions.forEach((session) => session.abort()), { once: true });
    return sessions;
  }
}

/** The walk over next hops and servers for what a kept session has left over. */
class Attempt {
  readonly #agent: SmtpAgent;
  readonly #delivery: Delivery;
  readonly #signal: AbortSignal;
  readonly #next: NextFollower;
  readonly #tried: ServerAddress | null;
  readonly #nexthops: readonly string[];
  readonly #fallbacksFrom: number;
  #sessions: number;

  constructor(
    agent: SmtpAgent,
    delivery: Delivery,
    signal: AbortSignal,
    next: NextFollower,
    tried: ServerAddress | null,
  ) {
    this.#agent = agent;
    this.#delivery = delivery;
    this.#signal = signal;
    this.#next = next;
    this.#tried = tried;
    this.#sessions = tried === null ? 0 : 1;
    const own = delivery.request.nexthop.split(/[\s,]+/).filter((word) => word !== "");
    this.#fallbacksFrom = own.length;
    this.#nexthops = [...own, ...agent.parameters.smtp_fallback_relay];
  }

  async run(): Promise<readonly DeliveryResult[]> {
    const delivery = this.#delivery;
    let at = 0;
    for (; at < this.#nexthops.length && delivery.unsettled > 0 && !this.#signal.aborted; at++) {
      const found = await this.#agent.servers(this.#nexthops[at] as string);
      if (found.kind === "trouble") {
        delivery.siteFailed(found.trouble);
        // A backup host would only send it here again.
        if (found.loop) break;
        continue;
      }
      const final = found.final || at === this.#nexthops.length - 1;
      if (at > 0) this.#sessions = 0;
      await this.#tryServers(found.servers, final);
      if (final) break;
    }
    if (delivery.unsettled > 0) this.#lastWords(Math.min(at, this.#nexthops.length - 1));
    return delivery.finish();
  }

  async #tryServers(servers: readonly ServerAddress[], finalNextHop: boolean): Promise<void> {
    const { smtp_mx_address_limit, smtp_mx_session_limit } = this.#agent.parameters;
    const usable = servers.filter((server) => !isSame(server, this.#tried));
    const list = smtp_mx_address_limit > 0 ? usable.slice(0, smtp_mx_address_limit) : usable;
    for (const [at, server] of list.entries()) {
      if (this.#delivery.unsettled === 0 || this.#signal.aborted) return;
      const atLimit = (): boolean => smtp_mx_session_limit > 0 && this.#sessions >= smtp_mx_session_limit;
      await this.#agent.converse(server, this.#delivery, this.#signal, this.#next, (talked) => {
        // Handshakes that fail do not count.
        if (talked) this.#sessions++;
        return finalNextHop && (at === list.length - 1 || atLimit());
      });
      if (atLimit()) return;
    }
  }

  /** A hard failure of what the administrator wrote down is a fault of the configuration: the mail waits. */
  #lastWords(at: number): void {
    const delivery = this.#delivery;
    if (this.#signal.aborted) return delivery.siteFailed(localTrouble("4.3.2", "delivery was interrupted"));
    const trouble = delivery.siteTrouble;
    if (trouble === null || isSoft(trouble)) return;
    const { parameters, log } = this.#agent;
    const isFallback = at >= this.#fallbacksFrom;
    if (!isFallback && !parameters.relayhost.includes(this.#nexthops[0] ?? "")) return;
    log.warn(`${isFallback ? "smtp_fallback_relay" : "relayhost"} configuration problem`);
    delivery.siteFailed({ ...trouble, status: "4.3.5" });
  }
}

function isSame(one: ServerAddress, other: ServerAddress | null): boolean {
  return other !== null && one.address === other.address && one.port === other.port;
}
