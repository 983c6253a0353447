/**
 * Address masquerading: subdomains below the domains of masquerade_domains are cut off; "!" before a domain leaves it
 * and what is below it alone; users of masquerade_exceptions keep theirs (ADDRESS_REWRITING_README).
 * The list is searched in its order. A table of exceptions that cannot answer makes it "unsure".
 */

import type { Config } from "../config/config.ts";
import { type MatchList, matchString } from "../match-list.ts";
import { foldCase } from "../maps/fold.ts";

interface Domain {
  readonly name: string;
  readonly cut: boolean;
}

export class Masquerade {
  readonly #domains: readonly Domain[];
  readonly #exceptions: MatchList | null;

  constructor(config: Pick<Config, "masquerade_domains">, exceptions: MatchList | null) {
    this.#domains = config.masquerade_domains.map((word) => {
      const name = word.replace(/^!*/, "");
      return { name, cut: (word.length - name.length) % 2 === 0 };
    }).filter(({ name }) => name !== "");
    this.#exceptions = exceptions;
  }

  /** `address` in external form. */
  async apply(address: string): Promise<string | "unsure"> {
    const at = address.lastIndexOf("@");
    if (at < 0) return address;
    if (this.#exceptions !== null) {
      const answer = await matchString(this.#exceptions, address.slice(0, at));
      if (answer.kind === "unsure") return answer.kind;
      if (answer.kind === "found") return address;
    }
    const domain = foldCase(address.slice(at + 1));
    for (const { name, cut } of this.#domains) {
      const lower = foldCase(name);
      if (lower === domain) break;
      if (domain.endsWith(`.${lower}`)) return cut ? address.slice(0, at + 1) + name : address;
    }
    return address;
  }
}
