/**
 * local(8): delivery to accounts of this host.
 *   recipient -> loop? -> [aliases] -> account, without its extension -> [.forward, command] -> mailbox
 *                                        \-> none: [luser_relay] -> unknown user
 * What stands in brackets is not built yet; `#deliver` is the place for it.
 * The local part is taken in lower case. An account list that cannot be read defers; nothing is thrown.
 */

import { splitAddress, splitExtension, unquoteLocal } from "../address.ts";
import type { ContentSource, DeliveryAgent, DeliveryRequest } from "../agent.ts";
import type { Config } from "../config/config.ts";
import { parsePasswd } from "../config/passwd.ts";
import type { Recipient } from "../envelope.ts";
import { messageOf } from "../errors.ts";
import { latin1Decode } from "../latin1.ts";
import type { Logger } from "../log.ts";
import { systemWords } from "../mailbox.ts";
import type { Millis, Runtime, User } from "../runtime.ts";
import type { DeliveryResult } from "../status.ts";
import { deliveredBefore } from "./delivered-to.ts";
import { localResult, UserMailboxes } from "./mailbox.ts";
import { foldCase } from "../maps/fold.ts";

export interface LocalServices {
  readonly runtime: Runtime;
  readonly config: Config;
  readonly content: ContentSource;
  readonly log: Logger;
}

/** /etc/passwd is read again after this time. */
const ACCOUNTS_LIFE: Millis = 1_000;

export class LocalAgent implements DeliveryAgent {
  readonly #services: LocalServices;
  readonly #mailboxes: UserMailboxes | null;
  #accounts: Promise<ReadonlyMap<string, User>> | null = null;
  #accountsReadAt: Millis = 0;

  constructor(services: LocalServices) {
    const { runtime, config, content, log } = services;
    this.#services = services;
    this.#mailboxes = runtime.files === null ? null : new UserMailboxes(runtime, runtime.files, content, config, log);
  }

  deliver(request: DeliveryRequest, signal: AbortSignal): Promise<readonly DeliveryResult[]> {
    // There is no connection to wait for: all the time counts as transmission.
    const connectedAt = this.#services.runtime.clock.now();
    return Promise.all(request.recipients.map(async (recipient) => {
      const result = await this.#deliver(request, recipient, signal);
      return { ...result, connectedAt };
    }));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #deliver(request: DeliveryRequest, recipient: Recipient, signal: AbortSignal): Promise<DeliveryResult> {
    const { content, config, log } = this.#services;
    if (signal.aborted) return localResult("deferred", "4.3.2", "delivery was interrupted");
    if (this.#mailboxes === null) return localResult("deferred", "4.3.5", "mail system configuration error");
    const { address } = recipient;
    const name = foldCase(unquoteLocal(splitAddress(address).local));
    if (name === "") return localResult("bounced", "5.1.3", `null username in "${address}"`);
    try {
      if (await deliveredBefore(content, request.queueId, address)) {
        return localResult("bounced", "5.4.6", `mail forwarding loop for ${address}`);
      }
    } catch (caught) {
      return localResult("deferred", "4.3.0", `error reading message: ${messageOf(caught)}`);
    }
    const base = splitExtension(name, config.recipient_delimiter)?.user ?? name;
    let accounts: ReadonlyMap<string, User>;
    try {
      accounts = await this.#allAccounts();
    } catch (caught) {
      log.warn(`error looking up passwd info for ${base}: ${systemWords(caught)}`);
      return localResult("deferred", "4.0.0", "user lookup error");
    }
    const user = accounts.get(name) ?? accounts.get(base);
    if (user === undefined) return localResult("bounced", "5.1.1", `unknown user: "${base}"`);
    return this.#mailboxes.deliver(request, recipient, user, signal);
  }

  #allAccounts(): Promise<ReadonlyMap<string, User>> {
    const { clock, files } = this.#services.runtime;
    const now = clock.monotonic();
    if (this.#accounts !== null && now - this.#accountsReadAt < ACCOUNTS_LIFE) return this.#accounts;
    this.#accountsReadAt = now;
    const accounts = files!.read("/etc/passwd").then((bytes) =>
      new Map(parsePasswd(latin1Decode(bytes)).reverse().map((user) => [user.name, user]))
    );
    // A failure is not remembered.
    accounts.catch(() => this.#accounts = null);
    this.#accounts = accounts;
    return accounts;
  }
}
