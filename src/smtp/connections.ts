/**
 * Sessions kept open between deliveries to one next hop.
 *   put() -> resting --take()--> in use;  resting --smtp_connection_cache_time_limit, or the server hangs up--> gone
 * The last one put is the first one taken: the others may grow old and go. Never throws.
 */

import type { Clock } from "../runtime.ts";
import type { Session } from "./client.ts";
import type { SmtpParameters } from "./parameters.ts";

/** Sessions at rest in all. One more is closed at once. */
const RESTING_LIMIT = 500;

export class Connections {
  readonly #parameters: SmtpParameters;
  readonly #clock: Clock;
  readonly #resting: Map<string, Session[]> = new Map();
  #count = 0;

  constructor(parameters: SmtpParameters, clock: Clock) {
    this.#parameters = parameters;
    this.#clock = clock;
  }

  /** A session that can be used at once, or null. */
  take(nexthop: string): Session | null {
    const list = this.#resting.get(nexthop);
    for (let session = list?.pop(); session !== undefined; session = list?.pop()) {
      this.#count--;
      if (session.usable) return session;
      session.quit();
    }
    return null;
  }

  /**
   * After a delivery: keeps the session for the next one, or ends it. Two deliveries over it that were answered in one
   * piece both put it here: it is still one session.
   */
  put(nexthop: string, session: Session): void {
    const list = this.#resting.get(nexthop);
    if (list?.includes(session) === true) return;
    if (!this.#mayKeep(nexthop, session)) return session.quit();
    if (list === undefined) this.#resting.set(nexthop, [session]);
    else list.push(session);
    this.#count++;
    session.whenLost ??= (lost) => this.#drop(nexthop, lost);
    session.rest(this.#parameters.smtp_connection_cache_time_limit);
  }

  /** Ends all that rest. */
  close(): void {
    for (const list of this.#resting.values()) for (const session of list) session.quit();
    this.#resting.clear();
    this.#count = 0;
  }

  #mayKeep(nexthop: string, session: Session): boolean {
    return session.usable && this.#count < RESTING_LIMIT && this.mayGoOn(nexthop, session);
  }

  /** Whether a session may carry one more message when the present one is done (smtp_connection_reuse_*). */
  mayGoOn(nexthop: string, session: Session): boolean {
    const parameters = this.#parameters;
    const listed = parameters.smtp_connection_cache_destinations.includes(nexthop);
    if (!parameters.smtp_connection_cache_on_demand && !listed) return false;
    const usesLimit = parameters.smtp_connection_reuse_count_limit;
    if (usesLimit > 0 && session.uses >= usesLimit || parameters.smtp_connection_cache_time_limit <= 0) return false;
    return this.#clock.monotonic() - session.openedAt < parameters.smtp_connection_reuse_time_limit;
  }

  #drop(nexthop: string, session: Session): void {
    const list = this.#resting.get(nexthop);
    const at = list?.indexOf(session) ?? -1;
    if (list === undefined || at < 0) return;
    list.splice(at, 1);
    this.#count--;
    if (list.length === 0) this.#resting.delete(nexthop);
  }
}
