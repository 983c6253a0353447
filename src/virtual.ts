/**
 * virtual(8): delivery to mailboxes that tables name, without accounts. The recipient is looked up in
 * virtual_mailbox_maps as user+ext@domain, user@domain, @domain; the result is below virtual_mailbox_base, a maildir
 * when it ends in "/", else a file. virtual_uid_maps and virtual_gid_maps say whose it is, by the same keys.
 * Recipients of one request are served side by side. A recipient that no table knows bounces (5.1.1); a table that
 * cannot answer and a configuration that makes no sense defer (4.3.5). Throws ConfigError when a table cannot be
 * opened.
 */

import { splitAddress, splitExtension } from "./address.ts";
import type { ContentSource, DeliveryAgent, DeliveryRequest } from "./agent.ts";
import type { Config } from "./config/config.ts";
import type { Recipient } from "./envelope.ts";
import type { Logger } from "./log.ts";
import type { Lookup } from "./lookup.ts";
import type { Letter, Owner, StoreFault } from "./mailbox.ts";
import { Maildirs, warnOfAccess } from "./maildir.ts";
import { type LookupTable, openTable } from "./maps/map.ts";
import { Mboxes } from "./mbox.ts";
import type { Clock, Runtime } from "./runtime.ts";
import type { DeliveryResult, Outcome } from "./status.ts";
import { foldCase } from "./maps/fold.ts";

export interface VirtualServices {
  readonly runtime: Runtime;
  readonly config: Config;
  readonly content: ContentSource;
  readonly log: Logger;
}

type TableName = "virtual_mailbox_maps" | "virtual_uid_maps" | "virtual_gid_maps";

type Answer = { readonly value: string } | { readonly result: DeliveryResult };

/** The keys under which an address is looked up, the closest first. */
export function addressKeys(address: string, delimiters: string): string[] {
  const { local, domain } = splitAddress(address);
  const split = splitExtension(local, delimiters);
  const keys = split === null ? [address] : [address, `${split.user}@${domain}`];
  return domain === "" ? keys : [...keys, `@${domain}`];
}

export class VirtualAgent implements DeliveryAgent {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #tables: Readonly<Record<TableName, readonly LookupTable[]>>;
  readonly #maildirs: Maildirs | null;
  readonly #mboxes: Mboxes | null;

  constructor(services: VirtualServices) {
    const { runtime, config, content, log } = services;
    this.#config = config;
    this.#log = log;
    this.#clock = runtime.clock;
    const open = (name: TableName): LookupTable[] =>
      config[name].map((table) => openTable(table, runtime, { place: name, warn: (text) => log.warn(text) }));
    this.#tables = {
      virtual_mailbox_maps: open("virtual_mailbox_maps"),
      virtual_uid_maps: open("virtual_uid_maps"),
      virtual_gid_maps: open("virtual_gid_maps"),
    };
    const { files } = runtime;
    this.#maildirs = files === null ? null : new Maildirs(runtime, files, content);
    this.#mboxes = files === null ? null : new Mboxes(runtime, files, content, {
      locks: config.virtual_mailbox_lock,
      lockAttempts: config.deliver_lock_attempts,
      lockDelay: config.deliver_lock_delay,
      staleLockTime: config.stale_lock_time,
      strictOwnership: config.strict_mailbox_ownership,
      otherwise: "4.2.0",
    });
  }

  deliver(request: DeliveryRequest, signal: AbortSignal): Promise<readonly DeliveryResult[]> {
    // There is no connection to wait for: all the time counts as transmission.
    const connectedAt = this.#clock.now();
    return Promise.all(request.recipients.map(async (recipient) => {
      const result = await this.#deliver(request, recipient, signal);
      return { ...result, connectedAt };
    }));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #deliver(request: DeliveryRequest, recipient: Recipient, signal: AbortSignal): Promise<DeliveryResult> {
    if (signal.aborted) return result("deferred", "4.3.2", "delivery was interrupted");
    const base = this.#config.virtual_mailbox_base;
    const user = foldCase(recipient.address);
    if (!base.startsWith("/")) {
      return this.#misconfigured(`do not specify relative pathname: virtual_mailbox_base = ${base}`);
    }
    const found = await this.#find("virtual_mailbox_maps", user);
    if (found === null) return result("bounced", "5.1.1", `unknown user: "${user}"`);
    if ("result" in found) return found.result;
    const owner = await this.#owner(user);
    if ("outcome" in owner) return owner;
    const sizeLimit = this.#config.virtual_mailbox_limit;
    const letter: Letter = { request, recipient, showDelivered: true, owner, creator: owner, sizeLimit, signal };
    return this.#store(`${base}/${found.value}`, letter);
  }

  async #store(path: string, letter: Letter): Promise<DeliveryResult> {
    if (this.#maildirs === null || this.#mboxes === null) return this.#misconfigured("this runtime has no files");
    if (letter.request.envelope.probe !== undefined) {
      return result("sent", "2.0.0", `delivers to ${path.endsWith("/") ? "maildir" : "mailbox"}`);
    }
    if (!path.endsWith("/")) {
      const fault = await this.#mboxes.store(path, letter);
      return fault === null
        ? result("sent", "2.0.0", "delivered to mailbox")
        : faultResult(fault, `delivery failed to mailbox ${path}: `);
    }
    const fault = await this.#maildirs.store(path, letter, "4.2.0");
    if (fault === null) return result("sent", "2.0.0", "delivered to maildir");
    warnOfAccess(this.#log, letter, fault);
    return faultResult(fault, "maildir delivery failed: ");
  }

  /** Whose mailbox it is, or why nobody knows. */
  async #owner(user: string): Promise<Owner | DeliveryResult> {
    const uid = await this.#number("virtual_uid_maps", user, "uid", this.#config.virtual_minimum_uid);
    if (typeof uid !== "number") return uid;
    const gid = await this.#number("virtual_gid_maps", user, "gid", 1);
    return typeof gid === "number" ? { uid, gid } : gid;
  }

  async #number(table: TableName, user: string, word: string, least: number): Promise<number | DeliveryResult> {
    const found = await this.#find(table, user);
    if (found === null) return this.#misconfigured(`recipient ${user}: not found in ${table}`);
    if ("result" in found) return found.result;
    const id = /^[0-9]{1,10}$/.test(found.value) ? Number(found.value) : -1;
    return id >= least ? id : this.#misconfigured(`recipient ${user}: bad ${word} ${found.value} in ${table}`);
  }

  /** null: no table knows the address. */
  async #find(name: TableName, user: string): Promise<Answer | null> {
    for (const key of addressKeys(user, this.#config.recipient_delimiter)) {
      for (const table of this.#tables[name]) {
        const answer = table.get(key);
        const lookup: Lookup = answer instanceof Promise ? await answer : answer;
        if (lookup.kind === "found") return { value: lookup.value };
        if (lookup.kind === "unsure") {
          return { result: this.#misconfigured(`table ${table.name}: lookup ${user}: ${lookup.why}`) };
        }
      }
    }
    return null;
  }

  #misconfigured(warning: string): DeliveryResult {
    this.#log.warn(warning);
    return result("deferred", "4.3.5", "mail system configuration error");
  }
}

function faultResult(fault: NonNullable<StoreFault>, prefix: string): DeliveryResult {
  return result(fault.status[0] === "4" ? "deferred" : "bounced", fault.status, prefix + fault.reason);
}

function result(outcome: Outcome, status: string, reason: string): DeliveryResult {
  return {
    outcome,
    scope: "recipient",
    status,
    reason,
    remote: null,
    relay: "virtual",
    connectionUse: 0,
    connectedAt: 0,
  };
}
