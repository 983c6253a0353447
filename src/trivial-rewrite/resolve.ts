/**
 * Which class of domain an address belongs to (ADDRESS_CLASS_README). A table that cannot answer makes it "unsure".
 * Answers come at once as long as no table takes time.
 */

import { splitAddress } from "../address.ts";
import type { Config } from "../config/config.ts";
import type { Lookup } from "../lookup.ts";
import type { OpenOptions } from "../maps/map.ts";
import { matchDomain, type MatchList, matchString, parseMatchList } from "../match-list.ts";
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
    return domain === "" ? "local" : this.ofDomain(domain);
  }

  ofDomain(domain: string): ClassAnswer | Promise<ClassAnswer> {
    return this.#isOwnLiteral(domain) ? "local" : this.#search(domain, 0);
  }

  /** Of a domain that is not local. */
  ofForeignDomain(domain: string): ClassAnswer | Promise<ClassAnswer> {
    return this.#search(domain, 1);
  }

  /** mydestination, or an address of this host in brackets. */
  isLocal(domain: string): boolean | "unsure" | Promise<boolean | "unsure"> {
    const name = domain.endsWith(".") ? domain.slice(0, -1) : domain;
    if (name === "" || name.endsWith(".")) return false;
    const tell = ({ kind }: Lookup): boolean | "unsure" =>
      kind === "unsure" ? kind : kind === "found" || this.#isOwnLiteral(name);
    const answer = matchString(this.#lists[0]!.list, name);
    return answer instanceof Promise ? answer.then(tell) : tell(answer);
  }

  #isOwnLiteral(domain: string): boolean {
    if (!domain.startsWith("[") || !domain.endsWith("]")) return false;
    return this.ownAddresses.has(domain.slice(1, -1).replace(/^ipv6:/i, "").toLowerCase());
  }

  #search(domain: string, first: number): ClassAnswer | Promise<ClassAnswer> {
    for (let at = first; at < this.#lists.length; at++) {
      const { domainClass, list } = this.#lists[at] as DomainList;
      // Only relay_domains may match parents.
      const answer = domainClass === "relay" ? matchDomain(list, domain) : matchString(list, domain);
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
