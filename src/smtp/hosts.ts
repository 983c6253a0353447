/**
 * From a next hop to the servers to try, in order (RFC 5321 §5.1; Postfix's smtp_addr(3)).
 *   found: addresses by MX preference, equal ones in random order;  trouble: why there are none
 * A name server that cannot say is a soft trouble, and never a reason to bounce. Mail that would come back to this
 * host is stopped here. Never throws.
 */

import type { DnsAnswer, MxRecord } from "../dns/answer.ts";
import { failureWords } from "../dns/answer.ts";
import type { Resolver } from "../dns/dns.ts";
import { addressFamily, plainAddress } from "../dns/literal.ts";
import type { Logger } from "../log.ts";
import type { Random } from "../runtime.ts";
import type { Status } from "../status.ts";
import { balanced, byPreference, shuffle } from "./order.ts";
import type { Protocol, SmtpParameters } from "./parameters.ts";
import { parseNextHop } from "./nexthop.ts";
import type { Trouble } from "./trouble.ts";
import { isSoft, localTrouble } from "./trouble.ts";

/** One server to try. */
export interface ServerAddress {
  /** Name as looked up. */
  readonly host: string;
  /** IP address; the path of a unix socket when the port is 0. */
  readonly address: string;
  readonly port: number;
  readonly preference: number;
  /** It has the best preference of its domain. */
  readonly best: boolean;
  readonly nexthop: string;
}

export type Servers =
  | {
    readonly kind: "found";
    readonly servers: readonly ServerAddress[];
    /** This host is itself an MX of the domain: mail must not go to a fallback relay. */
    readonly final: boolean;
  }
  | { readonly kind: "trouble"; readonly trouble: Trouble; readonly loop: boolean };

export interface HostsWorld {
  readonly parameters: SmtpParameters;
  readonly protocol: Protocol;
  readonly resolver: Resolver;
  readonly random: Random;
  readonly log: Logger;
  /** Addresses at which this host takes mail. */
  ownAddresses(): Promise<ReadonlySet<string>>;
}

interface Candidate {
  readonly host: string;
  readonly address: string;
  readonly preference: number;
}

const SMTP_PORT = 25;

export async function findServers(world: HostsWorld, nexthop: string): Promise<Servers> {
  const { parameters, protocol } = world;
  const parsed = parseNextHop(nexthop, protocol, parameters.smtp_tcp_port);
  if ("fault" in parsed) return none("4.3.5", parsed.fault);
  if (parsed.kind === "unix") {
    const server = { host: parameters.myhostname, address: parsed.path, port: 0, preference: 0, best: false, nexthop };
    return { kind: "found", servers: [server], final: false };
  }
  const { host, port, bracketed } = parsed;
  const search = new Search(world, protocol === "smtp" && port === SMTP_PORT ? await world.ownAddresses() : new Set());
  const lookupMx = protocol === "smtp" && !bracketed && !dnsDisabled(parameters) && addressFamily(host) === null;
  const found = lookupMx ? await search.domain(host) : await search.host(host);
  if (found.kind === "trouble") return found;
  const servers = found.candidates.map(({ host, address, preference }) => {
    return { host, address, port, preference, best: preference === found.bestPreference, nexthop: parsed.host };
  });
  return { kind: "found", servers, final: found.final };
}

function dnsDisabled(parameters: SmtpParameters): boolean {
  return parameters.disable_dns_lookups || parameters.smtp_dns_support_level === "disabled";
}

function none(status: Status, reason: string, loop = false): Servers & { kind: "trouble" } {
  return { kind: "trouble", trouble: localTrouble(status, reason), loop };
}

type Found =
  | {
    readonly kind: "found";
    readonly candidates: readonly Candidate[];
    readonly bestPreference: number;
    readonly final: boolean;
  }
  | (Servers & { kind: "trouble" });

/** One search; keeps the words of the last failure, of which a soft one outweighs hard ones. */
class Search {
  readonly #world: HostsWorld;
  readonly #own: ReadonlySet<string>;
  #trouble: Trouble | null = null;

  constructor(world: HostsWorld, own: ReadonlySet<string>) {
    this.#world = world;
    this.#own = own;
  }

  /** RFC 5321 §5.1: MX, or the domain's own address when it has none. */
  async domain(domain: string): Promise<Found> {
    const { parameters, resolver } = this.#world;
    const answer = await resolver.mx(domain);
    if (answer.kind === "none") return this.host(domain);
    if (answer.kind === "unsure") {
      return parameters.ignore_mx_lookup_error ? this.host(domain) : none("4.4.3", answer.why);
    }
    // RFC 7505 §3: a lone "." says that the domain takes no mail.
    if (answer.records.length === 1 && answer.records[0]?.exchange === "") {
      return none("5.1.0", `Domain ${domain} does not accept mail (nullMX)`);
    }
    return this.#exchanges(domain, answer.records.filter((record) => record.exchange !== ""));
  }

  async #exchanges(domain: string, records: readonly MxRecord[]): Promise<Found> {
    const { parameters } = this.#world;
    const sorted = [...records].sort((one, other) => one.preference - other.preference);
    const best = sorted[0]?.preference ?? 0;
    const lists = await Promise.all(sorted.map((record) => this.#addresses(record.exchange, record.preference)));
    const all = lists.flatMap((list) => this.#noted(list));
    if (all.length === 0) {
      this.#world.log.warn(`no MX host for ${domain} has a valid address record`);
      const trouble = this.#trouble ?? localTrouble("5.4.4", `no mail exchanger of ${domain} has an address`);
      return none(
        parameters.smtp_defer_if_no_mx_address_found ? `4${trouble.status.slice(1)}` : trouble.status,
        trouble.reason,
      );
    }
    // RFC 5321 §5.1: where this host is an exchanger itself, only better ones may be tried.
    const self = all.find((candidate) => this.#own.has(plainAddress(candidate.address)));
    const usable = self === undefined ? all : all.filter((candidate) => candidate.preference < self.preference);
    if (usable.length === 0) {
      if (all[0]?.preference !== best) return none("4.4.4", `unable to find primary relay for ${domain}`);
      return none("5.4.6", `mail for ${domain} loops back to myself`, true);
    }
    return { kind: "found", candidates: this.#ordered(usable), bestPreference: best, final: self !== undefined };
  }

  async host(host: string): Promise<Found> {
    const found = this.#noted(await this.#addresses(host, 0));
    if (found.length === 0) return { kind: "trouble", trouble: this.#trouble ?? noFamily(host), loop: false };
    if (found.some((candidate) => this.#own.has(plainAddress(candidate.address)))) {
      return none("5.4.6", `mail for ${host} loops back to myself`, true);
    }
    return { kind: "found", candidates: this.#ordered(found), bestPreference: 0, final: false };
  }

  #ordered(candidates: readonly Candidate[]): Candidate[] {
    const { parameters, random } = this.#world;
    const list = [...candidates];
    if (parameters.smtp_randomize_addresses) shuffle(list, random);
    const sorted = byPreference(list, parameters.smtp_address_preference);
    if (!parameters.smtp_balance_inet_protocols) return sorted;
    return balanced(sorted, parameters.smtp_mx_address_limit);
  }

  /** Addresses of one host, or why there are none. */
  async #addresses(host: string, preference: number): Promise<Candidate[] | Trouble> {
    const families = familiesOf(this.#world.parameters);
    const literal = addressFamily(host);
    if (literal !== null) return families.includes(literal) ? [{ host, address: host, preference }] : noFamily(host);
    const { smtp_host_lookup } = this.#world.parameters;
    const disabled = dnsDisabled(this.#world.parameters);
    let found: string[] | Trouble = noFamily(host);
    if (!disabled && smtp_host_lookup.includes("dns")) found = await this.#ask(host, families, false);
    if (!Array.isArray(found) && !isSoft(found) && (disabled || smtp_host_lookup.includes("native"))) {
      found = await this.#ask(host, families, true);
    }
    return Array.isArray(found) ? found.map((address) => ({ host, address, preference })) : found;
  }

  async #ask(host: string, families: readonly (4 | 6)[], native: boolean): Promise<string[] | Trouble> {
    const { resolver } = this.#world;
    const answers = await Promise.all(families.map((family): Promise<DnsAnswer<string>> => {
      return native ? resolver.nativeAddresses(host, family) : resolver.addresses(host, family);
    }));
    const found: string[] = [];
    for (const answer of answers) if (answer.kind === "found") found.push(...answer.records);
    if (found.length > 0) return found;
    const troubles = answers.map((answer, at) => {
      return native ? nativeTrouble(host, answer) : dnsTrouble(host, families[at] ?? 4, answer);
    });
    // What cannot be said of one family outweighs that the other has nothing.
    return troubles.findLast(isSoft) ?? troubles.at(-1) ?? noFamily(host);
  }

  #noted(list: Candidate[] | Trouble): Candidate[] {
    if (Array.isArray(list)) return list;
    this.#failed(list);
    return [];
  }

  /** The last words count; a soft failure stays soft, whatever hard ones follow. */
  #failed(trouble: Trouble): void {
    const soft = this.#trouble !== null && isSoft(this.#trouble);
    this.#trouble = soft && !isSoft(trouble) ? { ...trouble, status: "4.4.4" } : trouble;
  }
}

function dnsTrouble(host: string, family: 4 | 6, answer: DnsAnswer<string>): Trouble {
  const reason = failureWords(host, family === 4 ? "A" : "AAAA", answer);
  return localTrouble(answer.kind === "unsure" ? "4.4.3" : "5.4.4", reason);
}

/** The words of getaddrinfo(3). */
function nativeTrouble(host: string, answer: DnsAnswer<string>): Trouble {
  if (answer.kind === "unsure") {
    return localTrouble("4.4.3", `unable to look up host ${host}: Temporary failure in name resolution`);
  }
  const nodata = answer.kind === "none" && answer.why === "nodata";
  const words = nodata ? "No address associated with hostname" : "Name or service not known";
  return localTrouble("5.4.4", `unable to look up host ${host}: ${words}`);
}

function noFamily(host: string): Trouble {
  return localTrouble("5.4.4", `unable to look up host ${host}: Address family for hostname not supported`);
}

/** inet_protocols: "all", "ipv4", "ipv6". */
export function familiesOf(parameters: SmtpParameters): (4 | 6)[] {
  const names = parameters.inet_protocols;
  const families: (4 | 6)[] = [];
  if (names.includes("all") || names.includes("ipv4")) families.push(4);
  if (names.includes("all") || names.includes("ipv6")) families.push(6);
  return families;
}
