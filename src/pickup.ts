/**
 * pickup(8): takes what sendmail(1) left in the maildrop folder and hands it to cleanup. A file is complete when it has
 * the execute bit; its owner is the submitter. Format: see maildrop.ts. A file is removed only after its message is
 * durable; one that cannot be understood is moved to corrupt/, one that cannot be taken now stays for the next round.
 */

import type { Cleanup } from "./cleanup/cleanup.ts";
import { userNumbered } from "./config/passwd.ts";
import type { Config } from "./config/config.ts";
import { NO_CLIENT, plainRecipient, type Recipient } from "./envelope.ts";
import { messageOf, systemCode } from "./errors.ts";
import { mailDate } from "./header.ts";
import type { Log, Logger } from "./log.ts";
import { contentPieces, type Dropped, readDropped } from "./maildrop.ts";
import type { Committed } from "./queue/store.ts";
import type { FileStat, Millis, OpenFile, Runtime, Timer } from "./runtime.ts";
import { rewriteAddress } from "./trivial-rewrite/rewrite.ts";

export interface PickupServices {
  readonly runtime: Runtime;
  readonly config: Config;
  readonly cleanup: Cleanup;
  readonly log: Log;
  readonly queued: (committed: Committed) => void;
}

/** Looks at the folder this often by itself; sendmail also knocks on the control socket. */
const LOOK_EVERY: Millis = 1_000;
/** A file without the execute bit that is older than this was left by a sendmail that died. */
const ABANDONED: Millis = 24 * 3600_000;

export class Pickup {
  readonly #services: PickupServices;
  readonly #logger: Logger;
  readonly #folder: string;
  #timer: Timer | null = null;
  #looking: Promise<void> | null = null;
  #again = false;
  #stopped = false;

  constructor(services: PickupServices) {
    this.#services = services;
    this.#logger = services.log.service("pickup");
    this.#folder = `${services.config.queue_directory}/maildrop`;
  }

  start(): void {
    this.look();
  }

  /** Looks now; a look under way is followed by another. */
  look(): void {
    if (this.#stopped || this.#services.runtime.files === null) return;
    if (this.#looking !== null) {
      this.#again = true;
      return;
    }
    this.#timer?.cancel();
    this.#looking = this.#round().catch((caught: unknown) => {
      if (systemCode(caught) !== "ENOENT") this.#logger.warn(`${this.#folder}: ${messageOf(caught)}`);
    }).finally(() => {
      this.#looking = null;
      if (this.#stopped) return;
      const again = this.#again;
      this.#again = false;
      if (again) this.look();
      else this.#timer = this.#services.runtime.clock.after(LOOK_EVERY, () => this.look());
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#looking;
  }

  async #round(): Promise<void> {
    const files = this.#services.runtime.files!;
    for (const name of await files.list(this.#folder)) {
      if (this.#stopped) return;
      const path = `${this.#folder}/${name}`;
      try {
        await this.#take(path, name);
      } catch (caught) {
        if (systemCode(caught) !== "ENOENT") this.#logger.warn(`maildrop/${name}: ${messageOf(caught)}`);
      }
    }
  }

  async #take(path: string, name: string): Promise<void> {
    const { runtime } = this.#services;
    const files = runtime.files!;
    const stat = await files.statLink(path);
    if (stat.kind !== "file" || stat.links !== 1) return await this.#refuse(path, name, "not a regular file");
    if ((stat.mode & 0o100) === 0) {
      if (runtime.clock.now() - stat.modified > ABANDONED) await files.remove(path);
      return;
    }
    const file = await files.open(path, "read");
    try {
      const opened = await file.stat();
      if (opened.inode !== stat.inode) return;
      const dropped = await readDropped(file);
      if (typeof dropped === "string") return await this.#refuse(path, name, dropped);
      const refused = await this.#queue(file, dropped, stat);
      if (refused !== null) return await this.#refuse(path, name, refused);
    } finally {
      await file.close();
    }
    await files.remove(path);
  }

  async #refuse(path: string, name: string, why: string): Promise<void> {
    this.#logger.warn(`maildrop/${name}: ${why}: moved to corrupt`);
    await this.#services.runtime.files!.rename(path, `${this.#services.config.queue_directory}/corrupt/${name}`);
  }

  /** Why the message cannot be taken, now or ever; null: it is in the queue. */
  async #queue(file: OpenFile, dropped: Dropped, stat: FileStat): Promise<string | null> {
    const { runtime, config, cleanup } = this.#services;
    const { clock } = runtime;
    const arrived = stat.modified;
    const message = cleanup.open();
    try {
      const owner = userNumbered(runtime, stat.uid);
      const sender = dropped.sender ?? owner?.name ?? `uid${stat.uid}`;
      const rewritten = rewriteAddress(sender, config);
      this.#logger.info(`${message.id}: uid=${stat.uid} from=<${sender}>`);
      const date = mailDate(arrived, clock.zoneMinutes(arrived), clock.zoneName(arrived));
      const fullName = dropped.fullName ?? owner?.fullName.split(",")[0] ?? "";
      message.begin(
        { sender: rewritten, arrived, complete: true, fullName },
        `Received: by ${config.myhostname} (${config.mail_name}, from userid ${stat.uid})\r\n` +
          `\tid ${message.id}; ${date}\r\n`,
      );
      for await (const piece of contentPieces(file, dropped)) await message.data(piece);
      const result = await message.finish({
        sender: rewritten,
        recipients: this.#recipients(dropped),
        arrived,
        client: NO_CLIENT,
        encoding: dropped.encoding,
        ret: dropped.ret,
        envid: dropped.envid,
      });
      if (result.kind !== "queued") return result.reply.lines.join(" ");
      this.#services.queued(result.committed);
      return null;
    } catch (caught) {
      await message.abort();
      throw caught;
    }
  }

  #recipients(dropped: Dropped): readonly Recipient[] {
    const recipients = new Map<string, Recipient>();
    for (const given of dropped.recipients) {
      const address = rewriteAddress(given, this.#services.config);
      const original = address === given ? "" : given;
      if (!recipients.has(address)) {
        recipients.set(address, { ...plainRecipient(address), original, notify: dropped.notify });
      }
    }
    return [...recipients.values()];
  }
}
