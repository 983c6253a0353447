/**
 * Address resolution of trivial-rewrite(8): which class of domain an address belongs to (ADDRESS_CLASS_README), and
 * with that which transport and next hop deliver it. A table that cannot answer makes the recipient wait ("unsure").
 * Answers come at once as long as no table takes time.
 */

import type { Transport } from "../agent.ts";
import { splitAddress } from "../address.ts";
import type { Config } from "../config/config.ts";
import type { Recipient } from "../envelope.ts";
import type { Lookup } from "../lookup.ts";
import { type LookupTable, type OpenOptions, openTable } from "../maps/map.ts";
import { matchDomain, type MatchList, parseMatchList } from "../match-list.ts";
import type { Runtime } from "../runtime.ts";

export type AddressClass = "local" | "virtual-alias" | "virtual" | "relay" | "default";
export type ClassAnswer = AddressClass | "unsure";

/** Interfaces that Postfix listens on: mail to user@[address] is for this host. */
export function ownAddresses(config: Config, runtime: Runtime): ReadonlySet<string> {
  const words = config.inet_interfaces;
  const own = new Set(config.proxy_interfaces);
  for (const { address } of runtime.network?.interfaces() ?? []) {
    const loopback = address === "::1" || address.startsWith("127.");
    if (words.includes("all") || words.includes(address) || (words.includes("loopback-only") && loopback)) {
      own.add(address);
    }
    if (loopback && words.includes("localhost")) own.add(address);
  }
  for (const word of words) if (/^[0-9.]+$|:/.test(word)) own.add(word.replace(/^\[|\]$/g, ""));
  return own;
}

interface DomainList {
  readonly domainClass: AddressClass;
  readonly list: MatchList;
}

export class AddressClasses {
  readonly ownAddresses: ReadonlySet<string>;
  readonly #lists: readonly DomainList[];

  constructor(config: Config, runtime: Runtime, options: OpenOptions = {}) {
    this.ownAddresses = ownAddresses(config, runtime);
    const parents = config.parent_domain_matches_subdomains;
    const parse = (words: readonly string[], name: string): MatchList =>
      parseMatchList(words, { ...options, runtime, parents: parents.includes(name), addresses: false, place: name });
    this.#lists = [
      { domainClass: "local", list: parse(config.mydestination, "mydestination") },
      { domainClass: "virtual-alias", list: parse(config.virtual_alias_domains, "virtual_alias_domains") },
      { domainClass: "virtual", list: parse(config.virtual_mailbox_domains, "virtual_mailbox_domains") },
      { domainClass: "relay", list: parse(config.relay_domains, "relay_domains") },
    ];
  }

  /** An address without a domain is local. */
  of(address: string): ClassAnswer | Promise<ClassAnswer> {
    const { domain } = splitAddress(address);
    if (domain === "") return "local";
    if (domain.startsWith("[")) {
      return this.ownAddresses.has(domain.slice(1, -1).replace(/^ipv6:/i, "").toLowerCase()) ? "local" : "default";
    }
    return this.#search(domain, 0);
  }

  #search(domain: string, first: number): ClassAnswer | Promise<ClassAnswer> {
    for (let at = first; at < this.#lists.length; at++) {
      const { domainClass, list } = this.#lists[at] as DomainList;
      const answer = matchDomain(list, domain);
      if (answer instanceof Promise) {
        return answer.then((value) => decided(value, domainClass) ?? this.#search(domain, at + 1));
      }
      const result = decided(answer, domainClass);
      if (result !== null) return result;
    }
    return "default";
  }
}

function decided(answer: Lookup, domainClass: AddressClass): ClassAnswer | null {
  return answer.kind === "found" ? domainClass : answer.kind === "unsure" ? "unsure" : null;
}

/** "smtp:[host]:25" -> transport "smtp", next hop "[host]:25". */
function splitTransport(text: string): { readonly transport: string; readonly nexthop: string } {
  const colon = text.indexOf(":");
  return colon < 0
    ? { transport: text, nexthop: "" }
    : { transport: text.slice(0, colon), nexthop: text.slice(colon + 1) };
}

export class AddressResolver {
  readonly #config: Config;
  readonly #classes: AddressClasses;
  readonly #maps: readonly LookupTable[];

  constructor(config: Config, classes: AddressClasses, runtime: Runtime, options: OpenOptions = {}) {
    this.#config = config;
    this.#classes = classes;
    this.#maps = config.transport_maps.map((name) => openTable(name, runtime, { ...options, place: "transport_maps" }));
  }

  resolve(recipient: Recipient, _sender: string): Transport | Promise<Transport> {
    const { address } = recipient;
    const domainClass = this.#classes.of(address);
    if (domainClass instanceof Promise) return domainClass.then((value) => this.#byTable(address, value));
    return this.#byTable(address, domainClass);
  }

  /** transport(5): the address, the domain, its parents as ".domain", "*". */
  #byTable(address: string, domainClass: ClassAnswer): Transport | Promise<Transport> {
    if (domainClass === "unsure") return { kind: "unsure", why: "domain class lookup error" };
    const standard = this.#byClass(address, domainClass);
    return this.#maps.length === 0 ? standard : this.#lookUp(address, standard);
  }

  async #lookUp(address: string, standard: Transport): Promise<Transport> {
    const { domain } = splitAddress(address);
    const keys = [address, domain];
    for (let dot = domain.indexOf("."); dot >= 0; dot = domain.indexOf(".", dot + 1)) keys.push(domain.slice(dot));
    for (const key of [...keys, "*"]) {
      for (const table of this.#maps) {
        const answer = await table.get(key);
        if (answer.kind === "unsure") return { kind: "unsure", why: `transport table ${table.name} lookup error` };
        if (answer.kind === "found") return overlaid(answer.value, standard, domain);
      }
    }
    return standard;
  }

  #byClass(address: string, domainClass: AddressClass): Transport {
    const config = this.#config;
    const { domain } = splitAddress(address);
    const to = (text: string, otherwise: string): Transport => {
      const { transport, nexthop } = splitTransport(text);
      return { kind: "deliver", transport, nexthop: nexthop === "" ? otherwise : nexthop, recipient: address };
    };
    const onward = config.relayhost.length === 0 ? domain : config.relayhost.join(", ");
    switch (domainClass) {
      case "local":
        return to(config.local_transport, config.myhostname);
      case "virtual-alias":
        return to("error:5.1.1 User unknown in virtual alias table", "");
      case "virtual":
        return to(config.virtual_transport, domain);
      case "relay":
        return to(config.relay_transport, onward);
      case "default":
        return to(config.default_transport, onward);
    }
  }
}

/** A table's "transport:nexthop": what it leaves out stays as it was, but a new transport goes to the domain itself. */
function overlaid(text: string, standard: Transport, domain: string): Transport {
  if (standard.kind !== "deliver") return standard;
  const { transport, nexthop } = splitTransport(text.trim());
  const here = transport === "" ? standard.transport : transport;
  const there = nexthop !== "" ? nexthop : transport === "" ? standard.nexthop : domain;
  return { ...standard, transport: here, nexthop: there };
}
