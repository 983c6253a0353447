/**
 * Delivery to an account's mailbox: home_mailbox below its home folder, else its name in mail_spool_directory; a
 * maildir when the path ends in "/", else a file. The rights are the account's own; in a spool folder that only root
 * may write, root makes the file and gives it away (local(8), "DELIVERY RIGHTS"). Faults come back as results; nothing
 * is thrown.
 */

import type { ContentSource, DeliveryRequest } from "../agent.ts";
import type { Config } from "../config/config.ts";
import type { Recipient } from "../envelope.ts";
import type { Logger } from "../log.ts";
import { type Letter, type Owner, type StoreFault, systemWords } from "../mailbox.ts";
import { Maildirs, warnOfAccess } from "../maildir.ts";
import { Mboxes } from "../mbox.ts";
import type { Files, Runtime, User } from "../runtime.ts";
import type { DeliveryResult, Outcome } from "../status.ts";

export class UserMailboxes {
  readonly #config: Config;
  readonly #log: Logger;
  readonly #files: Files;
  readonly #maildirs: Maildirs;
  readonly #mboxes: Mboxes;

  constructor(runtime: Runtime, files: Files, content: ContentSource, config: Config, log: Logger) {
    this.#config = config;
    this.#log = log;
    this.#files = files;
    this.#maildirs = new Maildirs(runtime, files, content);
    this.#mboxes = new Mboxes(runtime, files, content, {
      locks: config.mailbox_delivery_lock,
      lockAttempts: config.deliver_lock_attempts,
      lockDelay: config.deliver_lock_delay,
      staleLockTime: config.stale_lock_time,
      strictOwnership: config.strict_mailbox_ownership,
      otherwise: "5.2.0",
    });
  }

  async deliver(
    request: DeliveryRequest,
    recipient: Recipient,
    user: User,
    signal: AbortSignal,
  ): Promise<DeliveryResult> {
    const { home_mailbox: homeMailbox, mail_spool_directory: spool } = this.#config;
    if (this.#config.require_home_directory) {
      try {
        await this.#files.stat(user.home);
      } catch (caught) {
        return localResult("deferred", "4.3.0", `cannot access home directory ${user.home}: ${systemWords(caught)}`);
      }
    }
    const owner = { uid: user.uid, gid: user.gid };
    const letter: Letter = {
      request,
      recipient,
      showDelivered: this.#config.prepend_delivered_header.includes("file"),
      owner,
      creator: owner,
      sizeLimit: this.#config.mailbox_size_limit,
      signal,
    };
    if (request.envelope.probe !== undefined) {
      const path = homeMailbox === "" ? spool : homeMailbox;
      return localResult("sent", "2.0.0", `delivers to ${path.endsWith("/") ? "maildir" : "mailbox"}`);
    }
    if (homeMailbox.endsWith("/")) return this.#toMaildir(`${user.home}/${homeMailbox}`, letter);
    if (homeMailbox !== "") return this.#toFile(`${user.home}/${homeMailbox}`, user, letter);
    if (spool.endsWith("/")) return this.#toMaildir(`${spool}${user.name}/`, letter);
    return this.#toFile(`${spool}/${user.name}`, user, { ...letter, ...await this.#spoolRights(spool, owner) });
  }

  /** Who writes in the spool folder: the user where all may, the user with the folder's group, else root. */
  async #spoolRights(spool: string, user: Owner): Promise<{ readonly owner: Owner; readonly creator: Owner }> {
    const stat = await this.#files.stat(spool).catch(() => null);
    if (stat === null || (stat.mode & 0o002) !== 0) return { owner: user, creator: user };
    const grouped = { uid: user.uid, gid: stat.gid };
    if ((stat.mode & 0o020) !== 0) return { owner: grouped, creator: grouped };
    return { owner: user, creator: { uid: 0, gid: 0 } };
  }

  async #toMaildir(path: string, letter: Letter): Promise<DeliveryResult> {
    const fault = await this.#maildirs.store(path, letter, "5.2.0");
    if (fault === null) return localResult("sent", "2.0.0", "delivered to maildir");
    warnOfAccess(this.#log, letter, fault);
    return faultResult(fault, "maildir delivery failed: ");
  }

  async #toFile(path: string, user: User, letter: Letter): Promise<DeliveryResult> {
    const fault = await this.#mboxes.store(path, letter);
    if (fault === null) return localResult("sent", "2.0.0", "delivered to mailbox");
    if (fault.reason.endsWith(" is not owned by recipient")) {
      this.#log.warn('specify "strict_mailbox_ownership = no" to ignore mailbox ownership mismatch');
    }
    return faultResult(fault, `cannot update mailbox ${path} for user ${user.name}. `);
  }
}

function faultResult(fault: NonNullable<StoreFault>, prefix: string): DeliveryResult {
  return localResult(fault.status[0] === "4" ? "deferred" : "bounced", fault.status, prefix + fault.reason);
}

export function localResult(outcome: Outcome, status: string, reason: string): DeliveryResult {
  return {
    outcome,
    scope: "recipient",
    status,
    reason,
    remote: null,
    relay: "local",
    connectionUse: 0,
    connectedAt: 0,
  };
}
