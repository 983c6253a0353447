/**
 * The names of a client (smtpd_peername_lookup): the reverse name that its address points to, and its name, which is
 * the reverse name if that points back to the address and "unknown" otherwise. /etc/hosts counts like DNS. Answers are
 * kept for KEPT and the number of them is bounded.
 */

import type { Resolver } from "../dns/dns.ts";
import type { Clock, Millis } from "../runtime.ts";

const KEPT: Millis = 60_000;
const LIMIT = 10_000;
export const UNKNOWN = "unknown";

/** How a look-up of a name ended: "forged" is a reverse name that does not point back. */
export type NameStatus = "ok" | "temporary" | "permanent" | "forged";

export interface PeerName {
  /** "unknown" unless its status is "ok". */
  readonly name: string;
  readonly nameStatus: NameStatus;
  /** Unverified; "unknown" unless its status is "ok". */
  readonly reverseName: string;
  readonly reverseStatus: Exclude<NameStatus, "forged">;
}

export const NAMELESS: PeerName = {
  name: UNKNOWN,
  nameStatus: "permanent",
  reverseName: UNKNOWN,
  reverseStatus: "permanent",
};

export class PeerNames {
  readonly #resolver: Resolver;
  readonly #clock: Clock;
  readonly #known = new Map<string, { readonly found: PeerName; readonly until: Millis }>();

  constructor(resolver: Resolver, clock: Clock) {
    this.#resolver = resolver;
    this.#clock = clock;
  }

  of(address: string): PeerName | Promise<PeerName> {
    const known = this.#known.get(address);
    if (known !== undefined && known.until > this.#clock.monotonic()) return known.found;
    return this.#find(address).then((found) => {
      if (this.#known.size >= LIMIT) this.#known.clear();
      this.#known.set(address, { found, until: this.#clock.monotonic() + KEPT });
      return found;
    });
  }

  async #find(address: string): Promise<PeerName> {
    const pointed = await this.#resolver.nativeNames(address);
    if (pointed.kind === "unsure") return { ...NAMELESS, nameStatus: "temporary", reverseStatus: "temporary" };
    const reverse = pointed.kind === "found" ? pointed.records[0] : undefined;
    if (reverse === undefined || !/^[A-Za-z0-9_.-]+$/.test(reverse)) return NAMELESS;
    const reverseName = reverse.replace(/\.$/, "");
    const back = await this.#resolver.nativeAddresses(reverse, address.includes(":") ? 6 : 4);
    const reversed = { reverseName, reverseStatus: "ok" } as const;
    if (back.kind === "unsure") return { name: UNKNOWN, nameStatus: "temporary", ...reversed };
    if (back.kind === "none") return { name: UNKNOWN, nameStatus: "permanent", ...reversed };
    if (!back.records.includes(address)) return { name: UNKNOWN, nameStatus: "forged", ...reversed };
    return { name: reverseName, nameStatus: "ok", ...reversed };
  }
}
