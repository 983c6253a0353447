/**
 * Delivery to a maildir: the message is written to tmp/, made durable, renamed to new/, and the name made durable.
 *   open tmp/ -> write -> fdatasync -> rename to new/ -> fsync of new/ -> stored
 * Names have Postfix's form, `<sec>.V<device>I<inode>M<microseconds>.<host>`. Folders that are missing are made (0700).
 * Deliveries to one maildir run side by side and share the fsyncs of new/. A failure at any step removes the file and
 * returns the fault; nothing is thrown. What a crash leaves is in tmp/, where readers of maildirs clear it away.
 */

import type { Logger } from "./log.ts";
import type { ContentSource } from "./agent.ts";
import { systemCode } from "./errors.ts";
import { copyFault, copyMessage, leadingLines, type Letter, mailboxStatus, Ownership, systemWords } from "./mailbox.ts";
import { type StoreFault, UniqueNames } from "./mailbox.ts";
import type { Clock, Files, OpenFile, Runtime } from "./runtime.ts";

/** One fsync of a folder serves everybody who asked before it began. */
class FolderSync {
  readonly #files: Files;
  readonly #running = new Map<string, Promise<void>>();
  readonly #next = new Map<string, Promise<void>>();

  constructor(files: Files) {
    this.#files = files;
  }

  sync(path: string): Promise<void> {
    const waiting = this.#next.get(path);
    if (waiting !== undefined) return waiting;
    const running = this.#running.get(path);
    if (running === undefined) return this.#start(path);
    const next = running.then(() => {}, () => {}).then(() => {
      this.#next.delete(path);
      return this.#start(path);
    });
    this.#next.set(path, next);
    return next;
  }

  #start(path: string): Promise<void> {
    const sync = this.#files.syncFolder(path).finally(() => this.#running.delete(path));
    this.#running.set(path, sync);
    return sync;
  }
}

interface Draft {
  readonly file: OpenFile;
  readonly path: string;
}

export class Maildirs {
  readonly #files: Files;
  readonly #clock: Clock;
  readonly #content: ContentSource;
  readonly #ownership: Ownership;
  readonly #syncs: FolderSync;
  readonly #names: UniqueNames;
  readonly #host: string;
  /** Maildirs that are being made: nobody uses them before their names are durable. */
  readonly #making = new Map<string, Promise<void>>();

  constructor(runtime: Runtime, files: Files, content: ContentSource) {
    this.#files = files;
    this.#clock = runtime.clock;
    this.#content = content;
    this.#ownership = new Ownership(runtime, files);
    this.#syncs = new FolderSync(files);
    this.#names = new UniqueNames(runtime);
    this.#host = (runtime.processes?.hostname ?? "localhost").replaceAll("/", "\\057").replaceAll(":", "\\072");
  }

  /** `maildir` ends in "/". `otherwise`: the status of faults that have none of their own. */
  async store(maildir: string, letter: Letter, otherwise: string): Promise<StoreFault> {
    const now = this.#clock.now();
    const second = Math.floor(now / 1000);
    const path = `${maildir}tmp/${second}.${this.#names.next()}.${this.#host}`;
    let draft: Draft;
    try {
      draft = { path, file: await this.#create(maildir, path, letter) };
    } catch (caught) {
      return createFault(path, caught, otherwise);
    }
    try {
      return await this.#fill(draft, maildir, letter, { now, second, otherwise });
    } finally {
      await draft.file.close().catch(() => {});
    }
  }

  async #create(maildir: string, path: string, letter: Letter): Promise<OpenFile> {
    const open = async (): Promise<OpenFile> => {
      await this.#ownership.mayCreateIn(`${maildir}tmp`, letter.creator);
      return this.#files.open(path, "create", 0o600);
    };
    await this.#making.get(maildir);
    try {
      return await open();
    } catch (caught) {
      if (systemCode(caught) !== "ENOENT") throw caught;
    }
    let making = this.#making.get(maildir);
    if (making === undefined) {
      making = this.#make(maildir, letter).finally(() => this.#making.delete(maildir));
      this.#making.set(maildir, making);
    }
    await making;
    return open();
  }

  async #make(maildir: string, letter: Letter): Promise<void> {
    for (const name of ["tmp", "new", "cur"]) await this.#makeFolders(`${maildir}${name}`, letter);
  }

  /** Writes and publishes the draft; removes it when that fails. */
  async #fill(
    draft: Draft,
    maildir: string,
    letter: Letter,
    time: { readonly now: number; readonly second: number; readonly otherwise: string },
  ): Promise<StoreFault> {
    const { file, path } = draft;
    let fault: StoreFault;
    try {
      await this.#ownership.give(file, letter.owner);
      const { device, inode } = await file.stat();
      const micros = Math.floor((time.now - time.second * 1000) * 1000);
      const unique = `V${device.toString(16)}I${inode.toString(16)}M${micros}`;
      await copyMessage(this.#content, letter, file, 0, { lead: leadingLines(letter, null), tail: "", quote: false });
      await file.sync();
      fault = await this.#publish(path, maildir, `${time.second}.${unique}.${this.#host}`, letter, time.otherwise);
    } catch (caught) {
      fault = copyFault(caught);
    }
    if (fault !== null) await this.#files.remove(path).catch(() => {});
    return fault;
  }

  async #publish(
    path: string,
    maildir: string,
    name: string,
    letter: Letter,
    otherwise: string,
  ): Promise<StoreFault> {
    const target = `${maildir}new/${name}`;
    const rename = async (): Promise<void> => {
      await this.#ownership.mayCreateIn(`${maildir}new`, letter.creator);
      await this.#files.rename(path, target);
    };
    try {
      try {
        await rename();
      } catch (caught) {
        if (systemCode(caught) !== "ENOENT") throw caught;
        for (const folder of ["cur", "new"]) await this.#makeFolders(`${maildir}${folder}`, letter);
        await rename();
      }
    } catch (caught) {
      return createFault(target, caught, otherwise);
    }
    try {
      await this.#syncs.sync(`${maildir}new`);
      return null;
    } catch (caught) {
      // The name may be gone after a power cut: not delivered. Taken back, so that a second try is no duplicate.
      await this.#files.remove(target).catch(() => {});
      return copyFault(caught);
    }
  }

  /** A folder with those above it that are missing, each durable in the one above. */
  async #makeFolders(path: string, letter: Letter): Promise<void> {
    const parent = path.slice(0, path.lastIndexOf("/"));
    const make = async (): Promise<void> => {
      await this.#ownership.mayCreateIn(parent === "" ? "/" : parent, letter.creator);
      await this.#files.makeFolder(path, 0o700);
      await this.#ownership.giveFolder(path, letter.owner);
      await this.#syncs.sync(parent === "" ? "/" : parent);
    };
    try {
      await make();
    } catch (caught) {
      const code = systemCode(caught);
      if (code === "EEXIST") return;
      if (code !== "ENOENT" || parent === "") throw caught;
      await this.#makeFolders(parent, letter);
      await make().catch((again: unknown) => {
        if (systemCode(again) !== "EEXIST") throw again;
      });
    }
  }
}

function createFault(path: string, caught: unknown, otherwise: string): StoreFault {
  const code = systemCode(caught);
  return {
    status: mailboxStatus(code, otherwise),
    code,
    reason: `create maildir file ${path}: ${systemWords(caught)}`,
  };
}

/** A Maildir whose folders the owner of the mailbox may not write: what the operator can do about it. */
export function warnOfAccess(log: Logger, letter: Letter, fault: NonNullable<StoreFault>): void {
  if (fault.code !== "EACCES") return;
  const { uid, gid } = letter.owner;
  log.warn(`maildir access problem for UID/GID=${uid}/${gid}: ${fault.reason}`);
  log.warn("perhaps you need to create the maildirs in advance");
}
