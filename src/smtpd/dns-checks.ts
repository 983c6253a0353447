/**
 * Restrictions that ask name servers: whether a name exists, whose servers it has, whether this host is its backup.
 * What a server cannot say now never refuses for good: the request is put off (defer_if_permit) or spared
 * (defer_if_reject), as Postfix does.
 */

import type { Config } from "../config/config.ts";
import type { DnsAnswer, MxRecord } from "../dns/answer.ts";
import type { Resolver } from "../dns/dns.ts";
import type { LookupTable } from "../maps/map.ts";
import { matchClient, type MatchList } from "../match-list.ts";
import { unquoted } from "../trivial-rewrite/tokens.ts";
import { accessAnswer, type AccessQuery, type AccessServices, domainKeys, type Key, networkKeys } from "./access.ts";
import type { Subject, Verdict } from "./facts.ts";
import { literalAddress } from "../ip-address.ts";
import { validHostAddress } from "./host-name.ts";
import type { Judging } from "./judging.ts";

export interface DnsServices extends AccessServices {
  readonly config: Config;
  readonly resolver: Resolver;
  readonly ownAddresses: ReadonlySet<string>;
  readonly permitMxBackupNetworks: MatchList;
  readonly accessParents: boolean;
  /** Whether the domain is one of mydestination, inet_interfaces or proxy_interfaces. */
  readonly isLocal: (domain: string) => boolean | Promise<boolean>;
}

type Status = "found" | "none" | "unsure" | "malformed" | "null-mx";

function statusOf(answer: DnsAnswer<unknown>): Status {
  if (answer.kind !== "unsure") return answer.kind;
  return answer.fault === undefined ? "unsure" : answer.fault === "loop" ? "none" : "malformed";
}

/** RFC 7505: one record of preference 0 without a name. */
function mxStatus(answer: DnsAnswer<MxRecord>): Status {
  if (answer.kind !== "found") return statusOf(answer);
  return answer.records.length === 1 && answer.records[0]!.exchange === "" ? "null-mx" : "found";
}

/** Asks in turn until one is found, or ends the search; one that may be found later outweighs the others. */
async function firstStatus(asks: readonly (() => Promise<Status>)[], ends: readonly Status[]): Promise<Status> {
  let last: Status = "none";
  let unsure = false;
  for (const ask of asks) {
    last = await ask();
    if (last === "found" || ends.includes(last)) return last;
    unsure ||= last === "unsure";
  }
  return unsure ? "unsure" : last;
}

const mxOf = (resolver: Resolver, name: string) => async (): Promise<Status> => mxStatus(await resolver.mx(name));
const addressOf = (resolver: Resolver, name: string, family: 4 | 6) => async (): Promise<Status> =>
  statusOf(await resolver.lookup(name, family === 4 ? "A" : "AAAA"));

/** reject_unknown_helo_hostname: an address or an MX record, even one that takes no mail. */
export async function unknownHostname(judging: Judging, { config, resolver }: DnsServices): Promise<Verdict> {
  const { helo } = judging.facts;
  const asks = [addressOf(resolver, helo, 4), addressOf(resolver, helo, 6), mxOf(resolver, helo)];
  const status = await firstStatus(asks, []);
  if (status === "found" || status === "null-mx") return "dunno";
  const why = status === "malformed" ? "Malformed DNS server reply" : "Host not found";
  const subject = "Helo command";
  if (status !== "unsure") return judging.refuse(config.unknown_hostname_reject_code, "4.7.1", why, helo, subject);
  const action = config.unknown_helo_hostname_tempfail_action;
  return judging.putOff(450, "4.7.1", `<${helo}>: ${subject} rejected: ${why}`, action);
}

/** reject_unknown_sender_domain and reject_unknown_recipient_domain: somewhere that mail could go. */
export async function unknownMailHost(
  judging: Judging,
  services: DnsServices,
  { domain, name, subject }: { readonly domain: string; readonly name: string; readonly subject: Subject },
): Promise<Verdict> {
  const { config, resolver } = services;
  const asks = [mxOf(resolver, domain), addressOf(resolver, domain, 4), addressOf(resolver, domain, 6)];
  const status = await firstStatus(asks, ["malformed", "null-mx"]);
  if (status === "found") return "dunno";
  const sender = subject === "Sender address";
  if (status === "null-mx") {
    const words = `Domain ${domain} does not accept mail (nullMX)`;
    return judging.refuse(sender ? 550 : 556, sender ? "4.7.27" : "4.1.10", words, name, subject);
  }
  const code = sender ? "4.1.8" : "4.1.2";
  const why = status === "malformed" ? "Malformed DNS server reply" : "Domain not found";
  if (status !== "unsure") return judging.refuse(config.unknown_address_reject_code, code, why, name, subject);
  const action = config.unknown_address_tempfail_action;
  return judging.putOff(450, code, `<${name}>: ${subject} rejected: ${why}`, action);
}

/** All addresses of a name as the C library finds them; null: none, or not now. */
async function nativeAddresses({ resolver, config }: DnsServices, name: string): Promise<readonly string[] | null> {
  const found: string[] = [];
  for (const family of familiesOf(config)) {
    const answer = await resolver.nativeAddresses(name, family);
    if (answer.kind === "found") found.push(...answer.records);
  }
  return found.length === 0 ? null : found;
}

export function familiesOf({ inet_protocols: protocols }: Pick<Config, "inet_protocols">): readonly (4 | 6)[] {
  const all = protocols.includes("all");
  return [
    ...all || protocols.includes("ipv4") ? [4 as const] : [],
    ...all || protocols.includes("ipv6") ? [6 as const] : [],
  ];
}

export type ServerKind = "A" | "MX" | "NS";

export interface ServerQuery {
  readonly kind: ServerKind;
  readonly table: LookupTable;
  /** A domain or an address at one. */
  readonly of: string;
  readonly name: string;
  readonly subject: Subject;
}

/** Names of the servers in the order of their records; null: no restriction applies. */
async function serversOf(
  query: ServerQuery,
  domain: string,
  judging: Judging,
  { resolver }: DnsServices,
): Promise<readonly string[] | null> {
  if (query.kind === "A") return [domain];
  if (query.kind === "MX") {
    const answer = await resolver.mx(domain);
    if (answer.kind === "none") return [domain];
    if (answer.kind === "found") {
      return mxStatus(answer) === "null-mx" ? null : answer.records.map(({ exchange }) => exchange);
    }
    judging.warn(`Unable to look up MX host for ${domain}: Host not found, try again`);
    return null;
  }
  let at = domain;
  for (;;) {
    const answer = await resolver.ns(at);
    if (answer.kind === "found") return answer.records;
    const dot = at.indexOf(".");
    if (answer.kind === "unsure" || dot < 0 || dot === at.length - 1) break;
    at = at.slice(dot + 1);
  }
  judging.warn(`Unable to look up NS host for ${at}: Host not found`);
  return null;
}

/** check_*_{a,mx,ns}_access: the servers' names, then their addresses. */
export async function serverAccess(query: ServerQuery, judging: Judging, services: DnsServices): Promise<Verdict> {
  const { table, kind, name, subject } = query;
  const domain = query.of.slice(query.of.lastIndexOf("@") + 1);
  const asked = (keys: readonly Key[], key: string): Verdict | null | Promise<Verdict | null> => {
    const access: AccessQuery = { keys, key, name, subject };
    return accessAnswer(table, access, judging, services);
  };
  if (domain.startsWith("[")) {
    const address = kind !== "NS" && domain.endsWith("]") ? literalAddress(domain.slice(1, -1)) : null;
    return address === null ? "dunno" : await asked(networkKeys(address), address) ?? "dunno";
  }
  for (const server of await serversOf(query, domain, judging, services) ?? []) {
    if (validHostAddress(server)) {
      const verdict = await asked(networkKeys(server), server);
      if (verdict !== null) return verdict;
      continue;
    }
    const named = kind === "A" ? null : await asked(domainKeys(server, services.accessParents), server);
    if (named !== null) return named;
    const addresses = await nativeAddresses(services, server);
    if (addresses === null && kind !== "A") {
      judging.warn(`Unable to look up ${kind} host ${server} for ${subject} ${name}: Name or service not known`);
    }
    for (const address of addresses ?? []) {
      const verdict = await asked(networkKeys(address), address);
      if (verdict !== null) return verdict;
    }
  }
  return "dunno";
}

const recipientOf = ({ facts }: Judging): string => unquoted(facts.recipient ?? "");

const HOST_WORDS: Readonly<Record<string, string>> = {
  none: "Host not found",
  unsure: "Host not found, try again",
};

/** Whether one of the hosts is this one, by name or by address. */
async function amAmong(hosts: readonly string[], judging: Judging, services: DnsServices): Promise<boolean> {
  for (const host of hosts) if (await services.isLocal(host)) return true;
  for (const host of hosts) {
    const addresses = await nativeAddresses(services, host);
    if (addresses === null) {
      const words = `Unable to look up mail exchanger host ${host}: Name or service not known`;
      judging.spare(450, "4.4.4", `<${recipientOf(judging)}>: Recipient address rejected: ${words}`);
    } else if (addresses.some((address) => services.ownAddresses.has(address))) return true;
  }
  return false;
}

/** Whether all addresses of the hosts are in permit_mx_backup_networks. */
async function inNetworks(hosts: readonly string[], judging: Judging, services: DnsServices): Promise<boolean> {
  const refused = (words: string): false => {
    judging.spare(450, "4.4.4", `<${recipientOf(judging)}>: Recipient address rejected: ${words}`);
    return false;
  };
  for (const host of hosts) {
    const addresses: string[] = [];
    let kind = "none";
    for (const family of familiesOf(services.config)) {
      const answer = await services.resolver.addresses(host, family);
      if (answer.kind === "found") addresses.push(...answer.records);
      else if (answer.kind === "unsure") kind = "unsure";
    }
    if (addresses.length === 0) {
      return refused(`Unable to look up host ${host} as mail exchanger: ${HOST_WORDS[kind]}`);
    }
    for (const address of addresses) {
      const answer = await matchClient(services.permitMxBackupNetworks, host, address);
      if (answer.kind === "none") return false;
      if (answer.kind === "unsure") return refused(`Unable to verify host ${host} as mail exchanger`);
    }
  }
  return true;
}

/** permit_mx_backup for a domain that is not ours: this host is an MX, but not the best one. */
export async function mxBackup(domain: string, judging: Judging, services: DnsServices): Promise<Verdict> {
  const answer = await services.resolver.mx(domain);
  if (answer.kind === "unsure") {
    const words = `Unable to look up mail exchanger information: ${HOST_WORDS.unsure}`;
    return judging.spare(450, "4.4.4", `<${recipientOf(judging)}>: Recipient address rejected: ${words}`);
  }
  if (answer.kind === "none" || mxStatus(answer) === "null-mx") return "dunno";
  const best = Math.min(...answer.records.map(({ preference }) => preference));
  const hosts = (primary: boolean): string[] =>
    answer.records.filter(({ preference }) => (preference === best) === primary).map(({ exchange }) => exchange);
  const primaries = hosts(true);
  if (await amAmong(primaries, judging, services)) return "dunno";
  const backups = hosts(false);
  if (backups.length === 0 || !await amAmong(backups, judging, services)) return "dunno";
  const restricted = services.config.permit_mx_backup_networks.length > 0;
  if (restricted && !await inNetworks(primaries, judging, services)) return "dunno";
  return judging.permit("permit_mx_backup", "Recipient address", recipientOf(judging));
}
