/**
 * The name of a client (smtpd_peername_lookup): the name its address points to, if that name points back to the
 * address; otherwise "unknown". /etc/hosts counts like DNS. Answers are kept for KEPT and the number of them is
 * bounded.
 */

import type { Resolver } from "../dns/dns.ts";
import type { Clock, Millis } from "../runtime.ts";

const KEPT: Millis = 60_000;
const LIMIT = 10_000;
export const UNKNOWN = "unknown";

export class PeerNames {
  readonly #resolver: Resolver;
  readonly #clock: Clock;
  readonly #known = new Map<string, { readonly name: string; readonly until: Millis }>();

  constructor(resolver: Resolver, clock: Clock) {
    this.#resolver = resolver;
    this.#clock = clock;
  }

  of(address: string): string | Promise<string> {
    const known = this.#known.get(address);
    if (known !== undefined && known.until > this.#clock.monotonic()) return known.name;
    return this.#find(address).then((name) => {
      if (this.#known.size >= LIMIT) this.#known.clear();
      this.#known.set(address, { name, until: this.#clock.monotonic() + KEPT });
      return name;
    });
  }

  async #find(address: string): Promise<string> {
    const pointed = await this.#resolver.nativeNames(address);
    if (pointed.kind !== "found") return UNKNOWN;
    const name = pointed.records[0];
    if (name === undefined || !/^[A-Za-z0-9_.-]+$/.test(name)) return UNKNOWN;
    const back = await this.#resolver.nativeAddresses(name, address.includes(":") ? 6 : 4);
    return back.kind === "found" && back.records.includes(address) ? name.replace(/\.$/, "") : UNKNOWN;
  }
}
