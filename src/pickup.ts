/**
 * pickup(8): takes what sendmail(1) left in the maildrop folder and hands it to cleanup. A file is complete when it has
 * the execute bit; its owner is the submitter. Format: see maildrop.ts. A file is removed only after its message, or
 * the notice that it was refused, is durable. One that cannot be understood is moved to corrupt/; one that cannot be
 * taken now stays for another round.
 */

import { handedIn, type HandInServices } from "./cleanup/hand-in.ts";
import { autodetected } from "./cleanup/unicode.ts";
import { userNumbered } from "./config/passwd.ts";
import { type Envelope, NO_CLIENT, plainRecipient, type Recipient } from "./envelope.ts";
import { messageOf, systemCode } from "./errors.ts";
import { localReceived } from "./header.ts";
import type { Logger } from "./log.ts";
import { contentPieces, type Dropped, readDropped } from "./maildrop.ts";
import type { FileStat, Millis, OpenFile, Timer } from "./runtime.ts";
import { rewriteAddress } from "./trivial-rewrite/rewrite.ts";

/** Looks at the folder this often by itself; sendmail also knocks on the control socket. */
const LOOK_EVERY: Millis = 1_000;
/** A file without the execute bit that is older than this was left by a sendmail that died. */
const ABANDONED: Millis = 24 * 3600_000;
/** After a refusal that may pass (REJECT 4.7.1, a table that cannot answer). */
const TRIED_AGAIN: Millis = 60_000;

export class Pickup {
  readonly #services: HandInServices;
  readonly #logger: Logger;
  readonly #folder: string;
  #timer: Timer | null = null;
  #looking: Promise<void> | null = null;
  #again = false;
  #stopped = false;
  /** Files that were refused for now -> not before that time. */
  readonly #waiting = new Map<string, Millis>();

  constructor(services: HandInServices) {
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
    const names = new Set(await files.list(this.#folder));
    for (const name of this.#waiting.keys()) if (!names.has(name)) this.#waiting.delete(name);
    for (const name of names) {
      if (this.#stopped) return;
      if ((this.#waiting.get(name) ?? 0) > this.#services.runtime.clock.monotonic()) continue;
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
      if (!await this.#queue(file, dropped, stat)) {
        this.#waiting.set(name, runtime.clock.monotonic() + TRIED_AGAIN);
        return;
      }
    } finally {
      await file.close();
    }
    await files.remove(path);
  }

  async #refuse(path: string, name: string, why: string): Promise<void> {
    this.#logger.warn(`maildrop/${name}: ${why}: moved to corrupt`);
    await this.#services.runtime.files!.rename(path, `${this.#services.config.queue_directory}/corrupt/${name}`);
  }

  /** True when nothing is left to do for the file: false, its message may be taken later. */
  async #queue(file: OpenFile, dropped: Dropped, stat: FileStat): Promise<boolean> {
    const { runtime, config, cleanup } = this.#services;
    const { clock } = runtime;
    const arrived = stat.modified;
    const message = cleanup.open();
    try {
      const owner = userNumbered(runtime, stat.uid);
      const sender = dropped.sender ?? owner?.name ?? `uid${stat.uid}`;
      const rewritten = rewriteAddress(sender, config);
      this.#logger.info(`${message.id}: uid=${stat.uid} from=<${sender}>`);
      const recipients = this.#recipients(dropped);
      const checked = !config.receive_override_options.includes("no_header_body_checks");
      const unmapped = config.receive_override_options.includes("no_address_mappings");
      const recipient = recipients.at(-1)?.address ?? "";
      const fullName = dropped.fullName ?? owner?.fullName.split(",")[0] ?? "";
      const utf8 = autodetected(config, "sendmail");
      message.begin(
        { sender: rewritten, arrived, complete: true, fullName, checked, unmapped, recipient, returned: true, ...utf8 },
        localReceived(config, clock, { id: message.id, at: arrived, from: `, from userid ${stat.uid}` }),
      );
      for await (const piece of contentPieces(file, dropped)) await message.data(piece);
      const envelope: Envelope = {
        sender: rewritten,
        recipients,
        arrived,
        client: NO_CLIENT,
        encoding: dropped.encoding,
        ret: dropped.ret,
        envid: dropped.envid,
        ...dropped.report === "deliverability" ? { probe: "report" as const } : {},
        ...dropped.report === "attempt" ? { traced: true as const } : {},
        ...config.content_filter === "" ? {} : { filter: config.content_filter },
      };
      return await handedIn(this.#services, message.id, envelope, await message.finish(envelope));
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
