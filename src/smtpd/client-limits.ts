/**
 * smtpd_client_connection_count_limit, smtpd_client_{connection,message,recipient}_rate_limit for one session; 0 sets
 * no limit. Clients of smtpd_client_event_limit_exceptions and those that may use XCLIENT have none.
 */

import type { Config } from "../config/config.ts";
import type { Logger } from "../log.ts";
import { REPLY, type Reply } from "../reply.ts";
import type { Anvil } from "./anvil.ts";
import { type ClientState, namaddr } from "./outcome.ts";

export interface ClientEvents {
  readonly anvil: Anvil;
  /** master.cf name of the service, such as "smtp" or "127.0.0.1:2525". */
  readonly service: string;
}

export class ClientLimits {
  readonly #config: Config;
  readonly #events: ClientEvents;
  readonly #client: ClientState;
  readonly #logger: Logger;
  /** Under this address the connection was counted. */
  #counted: string | null = null;

  constructor(config: Config, events: ClientEvents, client: ClientState, logger: Logger) {
    this.#config = config;
    this.#events = events;
    this.#client = client;
    this.#logger = logger;
  }

  /** Each gives the refusal, or null. */
  connected(): Reply | null {
    const { smtpd_client_connection_count_limit: most, smtpd_client_connection_rate_limit: rate } = this.#config;
    if (!this.#client.rules.limited || most === 0 && rate === 0) return null;
    const { anvil, service } = this.#events;
    const { address } = this.#client;
    const counts = anvil.connect(service, address);
    this.#counted = address;
    const over = most > 0 && counts.open > most
      ? this.#exceeded("Connection concurrency", counts.open)
      : rate > 0 && counts.rate > rate && this.#exceeded("Connection rate", counts.rate);
    return over ? REPLY.tooManyConnectionsFrom(this.#config.myhostname, address) : null;
  }

  message(): Reply | null {
    const over = this.#over("messages", this.#config.smtpd_client_message_rate_limit, "Message delivery request rate");
    return over ? REPLY.tooMuchMail(this.#client.address) : null;
  }

  recipient(): Reply | null {
    const over = this.#over("recipients", this.#config.smtpd_client_recipient_rate_limit, "Recipient address rate");
    return over ? REPLY.tooManyRecipientsFrom(this.#client.address) : null;
  }

  gone(): void {
    if (this.#counted !== null) this.#events.anvil.disconnect(this.#events.service, this.#counted);
    this.#counted = null;
  }

  #over(event: "messages" | "recipients", limit: number, what: string): boolean {
    if (limit === 0 || !this.#client.rules.limited) return false;
    const count = this.#events.anvil.event(this.#events.service, this.#client.address, event);
    return count > limit && this.#exceeded(what, count);
  }

  #exceeded(what: string, count: number): true {
    this.#logger.warn(
      `${what} limit exceeded: ${count} from ${namaddr(this.#client)} for service ${this.#events.service}`,
    );
    return true;
  }
}
