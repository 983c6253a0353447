/**
 * What destinations see of the queue manager: how many deliveries at once, and whether they are left alone when they
 * do not answer. It tells of every rule that is broken; what it sees beyond that is forgotten.
 */

import type { Transport } from "../../src/agent.ts";
import type { Recipient } from "../../src/envelope.ts";
import type { Millis } from "../../src/runtime.ts";

/** Everybody's mail goes over smtp to the domain of the address. */
export const toItsDomain = ({ address }: Recipient): Transport => ({
  kind: "deliver",
  transport: "smtp",
  nexthop: address.slice(address.indexOf("@") + 1),
  recipient: address,
});

export interface SiteRules {
  /** Deliveries to one destination at once. */
  readonly limit: number;
  /** After that many failures in a row it is dead for sure, unless it has ever answered: then its window has grown. */
  readonly cohort: number;
  /** For how long a dead one is left alone. */
  readonly rest: Millis;
  readonly now: () => Millis;
  readonly breaks: (rule: string) => void;
}

interface Site {
  busy: number;
  /** Not to be asked before this time. */
  deadUntil: Millis;
  /** Failures in a row since it was left alone, and when the first of them came. */
  failures: number;
  firstFailure: Millis;
  answered: boolean;
}

export class Sites {
  readonly #rules: SiteRules;
  readonly #sites = new Map<string, Site>();

  constructor(rules: SiteRules) {
    this.#rules = rules;
  }

  begin(name: string): void {
    const { limit, now, breaks } = this.#rules;
    const site = this.#site(name);
    const begun = now();
    if (++site.busy > limit) breaks(`${site.busy} deliveries at once to ${name}`);
    if (begun < site.deadUntil) breaks(`${name} is dead until ${site.deadUntil} and asked at ${begun}`);
    if (site.deadUntil > 0 && begun >= site.deadUntil) site.failures = site.deadUntil = 0;
  }

  /** A destination for which nothing is under way or waits is forgotten, as in Postfix. */
  end(name: string, answered: boolean): void {
    const site = this.#site(name);
    site.busy--;
    if (answered) site.failures = 0;
    else this.#failed(site);
    site.answered ||= answered;
    if (site.busy === 0 && site.deadUntil === 0) site.failures = 0;
  }

  #failed(site: Site): void {
    const { rest, now } = this.#rules;
    const cohort = site.answered ? this.#rules.limit : this.#rules.cohort;
    if (++site.failures === 1) site.firstFailure = now();
    if (site.failures === cohort) site.deadUntil = site.firstFailure + rest;
  }

  #site(name: string): Site {
    let site = this.#sites.get(name);
    if (site === undefined) {
      this.#sites.set(name, site = { busy: 0, deadUntil: 0, failures: 0, firstFailure: 0, answered: false });
    }
    return site;
  }
}
