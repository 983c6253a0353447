/**
 * Delivery to a mailbox file (mbox): the message is appended and made durable while the file is locked.
 *   queued behind this process's other deliveries -> opened -> locked -> appended -> fdatasync -> unlocked
 * A write that fails is undone (the file gets its old length back); the fault is returned, nothing is thrown.
 * Locks (mailbox_delivery_lock): "dotlock" is `FILE.lock`, made with link(2); one older than stale_lock_time is
 * nobody's any more and goes. "flock" where the runtime has it. fcntl(2) locks no runtime offers: "fcntl" beside other
 * locks counts for nothing, and alone it means dotlock. A crash leaves at most a dotlock.
 */

import type { ContentSource } from "./agent.ts";
import { systemCode } from "./errors.ts";
import { copyFault, copyMessage, leadingLines, type Letter, mailboxStatus, Ownership, systemWords } from "./mailbox.ts";
import { type StoreFault, SystemFault, UniqueNames } from "./mailbox.ts";
import type { Clock, Files, FileStat, Millis, OpenFile, Runtime } from "./runtime.ts";

export interface MboxRules {
  /** mailbox_delivery_lock, virtual_mailbox_lock */
  readonly locks: readonly string[];
  readonly lockAttempts: number;
  readonly lockDelay: Millis;
  readonly staleLockTime: Millis;
  /** strict_mailbox_ownership */
  readonly strictOwnership: boolean;
  /** Status of faults that have none of their own. */
  readonly otherwise: string;
}

interface Existing {
  readonly file: OpenFile;
  readonly stat: FileStat;
}

/** A delivery that ended before the message was copied. */
class Refused extends Error {
  readonly fault: NonNullable<StoreFault>;
  constructor(status: string, code: string, reason: string) {
    super(reason);
    this.fault = { status, code, reason };
  }
}

export class Mboxes {
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #content: ContentSource;
  readonly #ownership: Ownership;
  readonly #rules: MboxRules;
  readonly #dotlock: boolean;
  readonly #names: UniqueNames;
  /** The last delivery to each mailbox of this process. */
  readonly #tails = new Map<string, Promise<unknown>>();

  constructor(runtime: Runtime, files: Files, content: ContentSource, rules: MboxRules) {
    this.#files = files;
    this.#clock = runtime.clock;
    this.#content = content;
    this.#ownership = new Ownership(runtime, files);
    this.#rules = rules;
    this.#dotlock = rules.locks.includes("dotlock") || !rules.locks.includes("flock");
    this.#names = new UniqueNames(runtime);
  }

  async store(path: string, letter: Letter): Promise<StoreFault> {
    const before = this.#tails.get(path) ?? Promise.resolve();
    const mine = before.then(() => this.#store(path, letter));
    this.#tails.set(path, mine);
    try {
      return await mine;
    } finally {
      if (this.#tails.get(path) === mine) this.#tails.delete(path);
    }
  }

  async #store(path: string, letter: Letter): Promise<StoreFault> {
    let file: OpenFile | null = null;
    let dotlocked = false;
    try {
      const existing = await this.#openExisting(path, letter);
      file = existing?.file ?? null;
      // Devices and the like are not locked.
      if (this.#dotlock && (existing === null || existing.stat.kind === "file")) {
        await this.#lockName(path, letter);
        dotlocked = true;
      }
      // Somebody else may have made it before we had the lock.
      file ??= (await this.#openExisting(path, letter))?.file ?? await this.#create(path, letter);
      return await this.#append(path, file, letter);
    } catch (caught) {
      if (caught instanceof Refused) return caught.fault;
      const code = systemCode(caught);
      return { status: mailboxStatus(code, this.#rules.otherwise), code, reason: systemWords(caught) };
    } finally {
      // Closed first: the lock by name covers the lock on the file.
      await file?.close().catch(() => {});
      if (dotlocked) await this.#files.remove(`${path}.lock`).catch(() => {});
    }
  }

  #refuse(caught: unknown, words: string): Refused {
    const code = systemCode(caught);
    return new Refused(mailboxStatus(code, this.#rules.otherwise), code, `${words}: ${systemWords(caught)}`);
  }

  /** null when there is no such file. */
  async #openExisting(path: string, letter: Letter): Promise<Existing | null> {
    const { otherwise } = this.#rules;
    try {
      const named = await this.#files.statLink(path);
      if (named.kind === "link" && named.uid !== 0) throw new Refused(otherwise, "ELOOP", "file is a symbolic link");
      const file = await this.#files.open(path, "read-write");
      const stat = await file.stat();
      const same = named.kind === "link" || (stat.inode === named.inode && stat.device === named.device);
      const mine = this.#ownership.owns(stat, letter.owner) || this.#ownership.mayWriteFile(stat, letter.owner);
      if (same && mine) return { file, stat };
      await file.close();
      throw same ? new SystemFault("EACCES") : changed();
    } catch (caught) {
      if (caught instanceof Refused) throw caught;
      if (systemCode(caught) === "ENOENT") return null;
      throw this.#refuse(caught, "cannot open file");
    }
  }

  async #create(path: string, letter: Letter): Promise<OpenFile> {
    try {
      await this.#ownership.mayCreateIn(folderOf(path), letter.creator);
      const file = await this.#files.open(path, "create", 0o600);
      await this.#ownership.give(file, letter.owner);
      await this.#files.syncFolder(folderOf(path));
      return file;
    } catch (caught) {
      throw this.#refuse(caught, "cannot create file exclusively");
    }
  }

  /** The stages under the locks. */
  async #append(path: string, file: OpenFile, letter: Letter): Promise<StoreFault> {
    const { strictOwnership, locks, otherwise } = this.#rules;
    if (locks.includes("flock")) await this.#lockFile(file, letter);
    const stat = await file.stat();
    if (stat.kind !== "file") {
      const status = otherwise[0] === "5" ? "5.2.0" : "5.3.5";
      return { status, code: "", reason: `destination ${path} is not a regular file` };
    }
    if (stat.links !== 1) return linkFault(stat);
    if (strictOwnership && !this.#ownership.owns(stat, letter.owner)) {
      return { status: "4.2.0", code: "", reason: `destination ${path} is not owned by recipient` };
    }
    const now = this.#clock.now();
    const lead = leadingLines(letter, { now, zoneMinutes: this.#clock.zoneMinutes(now) });
    try {
      await copyMessage(this.#content, letter, file, stat.size, { lead, tail: "\n", quote: true });
      await file.sync();
      return null;
    } catch (caught) {
      await file.truncate(stat.size).then(() => file.sync()).catch(() => {});
      return copyFault(caught);
    }
  }

  /** `path.lock`, by link(2) to a name of our own; deliver_lock_attempts times, deliver_lock_delay apart. */
  async #lockName(path: string, letter: Letter): Promise<void> {
    const lock = `${path}.lock`;
    const own = `${lock}.${this.#names.next()}`;
    try {
      await this.#ownership.mayCreateIn(folderOf(path), letter.creator);
      const file = await this.#files.open(own, "create", 0o444);
      await file.close();
    } catch (caught) {
      throw this.#refuse(caught, `unable to create lock file ${lock}`);
    }
    try {
      for (let attempt = 1;; attempt++) {
        try {
          return await this.#files.link(own, lock);
        } catch (caught) {
          if (systemCode(caught) !== "EEXIST") throw this.#refuse(caught, `unable to create lock file ${lock}`);
          if (await this.#removeStale(lock)) continue;
          if (attempt >= this.#rules.lockAttempts || letter.signal.aborted) {
            throw new Refused("4.2.0", "EEXIST", `unable to create lock file ${lock}: ${systemWords(caught)}`);
          }
        }
        await this.#pause();
      }
    } finally {
      await this.#files.remove(own).catch(() => {});
    }
  }

  /** True when it is worth another try at once. */
  async #removeStale(lock: string): Promise<boolean> {
    try {
      const { modified } = await this.#files.statLink(lock);
      if (this.#clock.now() < modified + this.#rules.staleLockTime) return false;
      await this.#files.remove(lock);
      return true;
    } catch (caught) {
      return systemCode(caught) === "ENOENT";
    }
  }

  async #lockFile(file: OpenFile, letter: Letter): Promise<void> {
    for (let attempt = 1;; attempt++) {
      const locked = await file.tryLock();
      // null: this runtime has no flock.
      if (locked !== false) return;
      if (attempt >= this.#rules.lockAttempts || letter.signal.aborted) {
        const reason = `unable to lock for exclusive access: ${systemWords(new SystemFault("EAGAIN"))}`;
        throw new Refused("4.2.0", "EAGAIN", reason);
      }
      await this.#pause();
    }
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => this.#clock.after(this.#rules.lockDelay, resolve));
  }
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

function changed(): Refused {
  return new Refused("4.2.0", "EAGAIN", "target file status changed unexpectedly");
}

/** Deleted while we waited for the lock, or a name of something else. */
function linkFault(stat: FileStat): StoreFault {
  if (stat.links === 0) return changed().fault;
  return { status: "4.2.0", code: "", reason: `file has ${stat.links} hard links` };
}
