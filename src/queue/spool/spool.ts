/**
 * The spool: the queue in a local folder, one append-only log for each shard.
 *   <folder>/shard-<n>/{lock, checkpoint, <segments>, large/, corrupt/}
 *   locked --load(): recovery (checkpoint + log)--> open --close(): checkpoint, if it is worth while--> closed
 * An acknowledged commit survives a power cut at any moment. Opening throws ResourceError EBUSY when another process
 * has the shard, load() ConfigError when its format is newer; both ResourceError when the folder cannot be read. See
 * writer.ts for a disk that fails.
 */

import { ResourceError } from "../../errors.ts";
import { latin1Encode } from "../../latin1.ts";
import type { Runtime } from "../../runtime.ts";
import type { Durability, EngineLog, Item, LargeWriter, Operation, QueueEngine, TextVisitor } from "../engine.ts";
import {
  DEFAULT_TUNING,
  ensureFolder,
  resourceError,
  setAside,
  type SpoolContext,
  type SpoolTuning,
} from "./context.ts";
import type { Part } from "../key-rows.ts";
import { Housekeeper } from "./housekeeping.ts";
import { openLarge, prepareLarge, readLarge } from "./large.ts";
import { type FolderLock, lockFolder } from "./lock.ts";
import { readBulk } from "./read-bulk.ts";
import { recover } from "./recovery.ts";
import { SegmentReader } from "./segment.ts";
import { type Slot, Slots } from "./slots.ts";
import { Writer } from "./writer.ts";

export type { SpoolTuning } from "./context.ts";

export interface SpoolOptions {
  readonly runtime: Runtime;
  readonly log: EngineLog;
  readonly folder: string;
  readonly shard: number;
  readonly tuning: Partial<SpoolTuning>;
}

class SpoolEngine implements QueueEngine {
  readonly kind = "spool";
  readonly #context: SpoolContext;
  readonly #lock: FolderLock;
  readonly #writer: Writer;
  readonly #housekeeper: Housekeeper;
  #loaded = false;
  #closed: Promise<void> | null = null;

  constructor(context: SpoolContext, lock: FolderLock) {
    this.#context = context;
    this.#lock = lock;
    this.#writer = new Writer(context, (bytes) => this.#housekeeper.written(bytes));
    this.#housekeeper = new Housekeeper(context, this.#writer);
  }

  get epoch(): number {
    return this.#writer.epoch;
  }

  async load(): Promise<void> {
    const { files, folder } = this.#context;
    try {
      const { epoch, number, replayed } = await recover(this.#context);
      await prepareLarge(this.#context);
      await files.syncFolder(folder);
      await this.#writer.announce(epoch, number);
      this.#housekeeper.start(replayed);
    } catch (error) {
      throw openingError(error, folder);
    }
    this.#loaded = true;
  }

  commit(operations: readonly Operation[], durability: Durability): Promise<void> {
    return this.#writer.commit(operations, durability);
  }

  scan(prefix: string, after: string | null, limit: number): Promise<readonly Item[]> {
    const { slots } = this.#context;
    const { sorted } = slots;
    let index = sorted.startOf(slots.keys(), prefix, after);
    const keys = sorted.list();
    const items: Item[] = [];
    for (; index < keys.length && items.length < limit; index++) {
      const key = keys[index]!;
      const slot = slots.get(key);
      if (slot !== null) items.push({ key, size: slot.length, text: slots.text(key) });
    }
    if (items.length > 0) sorted.pageEndedAt(items.at(-1)!.key, index);
    return Promise.resolve(items);
  }

  async readRange(key: string, offset: number, length: number): Promise<Uint8Array> {
    const { slots } = this.#context;
    for (;;) {
      const slot = slots.get(key);
      if (slot === null) throw new ResourceError("ENOENT", `${key} is not in the queue`, true);
      try {
        const text = slots.text(key);
        if (text !== null) return latin1Encode(text).subarray(offset, offset + length);
        return await this.#readSlot(slot, offset, length);
      } catch (error) {
        // Compaction may have moved the value and removed its segment meanwhile.
        if (slots.holds(key, slot)) throw resourceError(error, "queue file read");
      }
    }
  }

  async #readSlot(slot: Slot, offset: number, length: number): Promise<Uint8Array> {
    if (slot.file === null) return readBulk(this.#context, slot, offset, length);
    const into = new Uint8Array(Math.max(0, Math.min(length, slot.length - offset)));
    const got = await readLarge(this.#context, slot.file, into, offset);
    if (got < into.length) throw new ResourceError("EIO", `queue file ${slot.file} is too short`, true);
    return into;
  }

  text(key: string): string | null {
    return this.#writer.text(key);
  }

  firstLine(key: string): string | Part | null {
    return this.#writer.firstLine(key);
  }

  eachText(visit: TextVisitor): void {
    this.#context.slots.eachText(visit);
  }

  rowOf(key: string): number {
    return this.#context.slots.rowOf(key);
  }

  keyAt(row: number): string | null {
    return this.#context.slots.keyAt(row);
  }

  sync(): Promise<void> {
    return this.#writer.sync();
  }

  large(name: string): Promise<LargeWriter> {
    return openLarge(this.#context, name);
  }

  setAside(name: string, bytes: Uint8Array): Promise<void> {
    return setAside(this.#context, name, bytes);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    try {
      if (!this.#loaded) return;
      await this.#writer.sync();
      await this.#housekeeper.close();
      await this.#writer.close();
    } finally {
      for (const segment of this.#context.segments) await this.#context.reader.release(segment);
      await this.#lock.release();
    }
  }
}

function openingError(error: unknown, folder: string): Error {
  if (error instanceof Error && error.name === "ConfigError") return error;
  return resourceError(error, `cannot open the queue in ${folder}`);
}

/** Has the lock; load() is next. */
export async function openSpool(options: SpoolOptions): Promise<QueueEngine> {
  const { runtime, log, folder, shard } = options;
  const files = runtime.files;
  if (files === null) throw new ResourceError("ENOSYS", "this runtime has no files; choose another queue_storage");
  const path = `${folder}/shard-${shard}`;
  let lock: FolderLock | null = null;
  try {
    if (await ensureFolder(files, path)) await files.syncFolder(folder);
    const tuning = { ...DEFAULT_TUNING, ...options.tuning };
    lock = await lockFolder(files, runtime.network, path, shard);
    const context: SpoolContext = {
      files,
      clock: runtime.clock,
      random: runtime.random,
      crc32: (bytes, former) => runtime.crc32(bytes, former),
      log,
      tuning,
      folder: path,
      shard,
      slots: new Slots(),
      reader: new SegmentReader(files, path, tuning.openSegments),
      segments: [],
    };
    return new SpoolEngine(context, lock);
  } catch (error) {
    await lock?.release();
    throw openingError(error, folder);
  }
}
