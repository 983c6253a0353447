/**
 * Delivery on demand for one site (flush(8), ETRN_README): all deferred mail with a recipient in that domain becomes
 * due, and is tried whatever is dead or in defer_transports. Only for the domains of fast_flush_domains. The queue is
 * looked through in slices, so that a long one keeps nobody waiting; there are no log files by site to keep.
 * Throws ConfigError when the list cannot be read.
 */

import { splitAddress } from "./address.ts";
import type { Config } from "./config/config.ts";
import type { Lookup } from "./lookup.ts";
import { matchDomain, type MatchList, parseMatchList } from "./match-list.ts";
import type { Qmgr } from "./qmgr/qmgr.ts";
import type { QueueStore } from "./queue/store.ts";
import type { Runtime } from "./runtime.ts";

/** "denied": fast_flush_domains does not list the site; "failed": nobody can say whether it does. */
export type FlushAnswer = "started" | "denied" | "failed";

export interface FlushWorld {
  readonly runtime: Runtime;
  readonly config: Config;
  readonly store: QueueStore;
  readonly qmgr: Pick<Qmgr, "flush">;
  readonly warn: (text: string) => void;
}

/** Messages that are looked at in one go. */
const STEP = 200;

export class SiteFlush {
  readonly #world: FlushWorld;
  readonly #domains: MatchList;

  constructor(world: FlushWorld) {
    const { config, runtime, warn } = world;
    const place = "fast_flush_domains";
    const parents = config.parent_domain_matches_subdomains.includes(place);
    this.#world = world;
    this.#domains = parseMatchList(config.fast_flush_domains, { runtime, parents, addresses: false, place, warn });
  }

  /** `started` is called when all the site's mail is on its way. */
  async send(site: string, started: (count: number) => void = () => {}): Promise<FlushAnswer> {
    const served: Lookup = await matchDomain(this.#domains, site);
    if (served.kind !== "found") return served.kind === "none" ? "denied" : "failed";
    this.#collect(site.toLowerCase()).then(started, () => started(0));
    return "started";
  }

  async #collect(site: string): Promise<number> {
    const { store, qmgr, runtime: { clock } } = this.#world;
    let count = 0;
    let looked = 0;
    let due: string[] = [];
    const send = async (): Promise<void> => {
      for (const id of due) await store.flush(id);
      if (due.length > 0) qmgr.flush(due);
      count += due.length;
      due = [];
    };
    for (const id of store.list("deferred")) {
      if (this.#isFor(id, site)) due.push(id);
      if (++looked % STEP > 0) continue;
      await send();
      await new Promise<void>((resolve) => clock.soon(resolve));
    }
    await send();
    return count;
  }

  #isFor(id: string, site: string): boolean {
    const entry = this.#world.store.get(id);
    return entry?.waiting.some(({ recipient }) => splitAddress(recipient.address).domain.toLowerCase() === site) ===
      true;
  }
}
