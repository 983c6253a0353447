/**
 * Work in the background of the spool, one thing at a time and a bounded step at each turn of the event loop:
 *   - segments in which nothing lives are removed, oldest first and each durably before the next: a segment outlives
 *     every older one, so that its deletions stand as long as what they delete;
 *   - a checkpoint is written when enough was written since the last;
 *   - the oldest segment is compacted (what lives in it is written again) when more is dead than lives.
 * Failures are left for the next time: nothing here is needed for safety.
 */

import { messageOf, ResourceError } from "../../errors.ts";
import type { Millis } from "../../runtime.ts";
import type { Operation } from "../engine.ts";
import { type Position, writeCheckpoint } from "./checkpoint.ts";
import { removeDurably, saveCorrupt, type SpoolContext } from "./context.ts";
import { removeLarge } from "./large.ts";
import { ReadAhead, readBulk, storedLength } from "./read-bulk.ts";
import { type Segment, SEGMENT_HEAD } from "./segment.ts";
import type { Slot } from "./slots.ts";
import type { Writer } from "./writer.ts";

/** Index entries looked at, and bytes copied, in one step: mail that comes meanwhile shares its write with them. */
const LOOK_STEP = 1000;
const COPY_STEP = 128 * 1024;
/** Between two steps, unless much more is dead than needs be. */
const COPY_PAUSE: Millis = 5;
/** Segments beyond what their living bytes need, before they are compacted. */
const SPARE_SEGMENTS = 32;

export class Housekeeper {
  readonly #context: SpoolContext;
  readonly #writer: Writer;
  #sinceCheckpoint = 0;
  #checkpointSize = 0;
  #running: Promise<void> | null = null;
  #again = false;
  #closing = false;

  constructor(context: SpoolContext, writer: Writer) {
    this.#context = context;
    this.#writer = writer;
  }

  /** The spool is open; so many bytes are behind its last checkpoint. */
  start(replayed: number): void {
    this.#sinceCheckpoint += replayed;
    this.#wake();
  }

  /** After a batch. */
  written(bytes: number): void {
    this.#sinceCheckpoint += bytes;
    const { slots, segments, tuning } = this.#context;
    const dropped = slots.takeDropped();
    for (const name of dropped) void removeLarge(this.#context, name);
    const oldest = segments[0];
    const work = this.#sinceCheckpoint >= tuning.checkpointBytes ||
      segments.length > 1 && oldest !== undefined && (oldest.live === 0 || segments.length > SPARE_SEGMENTS);
    if (work) this.#wake();
  }

  #wake(): void {
    if (this.#closing) return;
    this.#again = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
  }

  /** Ends the work and writes the last checkpoint, unless reading the log is as good for the next start. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#running;
    if (this.#sinceCheckpoint >= this.#context.tuning.closingBytes) await this.#checkpoint();
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#closing) {
      this.#again = false;
      try {
        await this.#removeDead();
        if (this.#checkpointDue()) await this.#checkpoint();
        if (this.#compactionDue() && await this.#compact(this.#context.segments[0]!)) this.#again = true;
      } catch (error) {
        this.#context.log.warn(`queue housekeeping: ${messageOf(error)}`);
      }
    }
  }

  async #removeDead(): Promise<void> {
    const { segments, files, folder, reader, slots } = this.#context;
    for (;;) {
      const oldest = segments[0];
      // The newest one keeps the epoch.
      if (oldest === undefined || segments.length < 2 || oldest.live > 0 || oldest === this.#writer.active) return;
      await reader.release(oldest);
      await removeDurably(files, folder, oldest.name);
      segments.shift();
      slots.forget(oldest);
    }
  }

  #checkpointDue(): boolean {
    return this.#sinceCheckpoint >= Math.max(this.#context.tuning.checkpointBytes, 2 * this.#checkpointSize);
  }

  async #checkpoint(): Promise<void> {
    const newest = this.#context.segments.at(-1);
    if (newest === undefined) return;
    // The first write of a new segment may be under way: its records start behind the head all the same.
    const offset = Math.max(newest.size, SEGMENT_HEAD);
    const position: Position = { segment: newest.number, offset, epoch: this.#writer.epoch };
    const written = this.#sinceCheckpoint;
    const size = await writeCheckpoint(this.#context, position);
    if (size !== null) this.#checkpointSize = size;
    this.#sinceCheckpoint -= written;
  }

  #compactionDue(): boolean {
    const { segments, tuning } = this.#context;
    if (segments.length < 2 || segments[0] === this.#writer.active) return false;
    const { live, dead } = this.#bytes();
    if (segments.length > SPARE_SEGMENTS + 2 * Math.ceil(live / tuning.segmentBytes)) return true;
    return dead > Math.max(live, tuning.compactBytes);
  }

  #bytes(): { live: number; dead: number } {
    let live = 0;
    let total = 0;
    for (const segment of this.#context.segments) {
      live += segment.liveBytes;
      total += segment.size;
    }
    return { live, dead: total - live };
  }

  /** In no hurry, unless what is dead grows faster than what is moved. */
  async #pause(): Promise<void> {
    const { clock, tuning } = this.#context;
    const { live, dead } = this.#bytes();
    if (dead > 2 * Math.max(live, tuning.compactBytes)) return;
    await new Promise<void>((resolve) => clock.after(COPY_PAUSE, resolve));
  }

  /** True: nothing lives in the segment any more. */
  async #compact(segment: Segment): Promise<boolean> {
    let operations: Operation[] = [];
    let copied: Slot[] = [];
    let bytes = 0;
    let looked = 0;
    const { slots, reader } = this.#context;
    const ahead = new ReadAhead(reader);
    for (let row = 0; row < slots.rows; row++) {
      if (this.#closing) return false;
      if (++looked % LOOK_STEP === 0) await new Promise<void>((resolve) => this.#context.clock.soon(resolve));
      const slot = slots.slotAt(row);
      if (slot?.segment !== segment) continue;
      const operation = await this.#copyOf(slots.keyAt(row)!, slot, slots.textAt(row), ahead);
      if (operation === null) continue;
      operations.push(operation);
      copied.push(slot);
      bytes += slot.bytes;
      if (bytes < COPY_STEP) continue;
      await this.#writer.copy(operations, copied);
      await this.#pause();
      operations = [];
      copied = [];
      bytes = 0;
    }
    if (operations.length > 0) await this.#writer.copy(operations, copied);
    return segment.live === 0;
  }

  async #copyOf(key: string, slot: Slot, text: string | null, from: ReadAhead): Promise<Operation | null> {
    if (text !== null) return { kind: "put", key, value: text };
    if (slot.file !== null) return { kind: "put", key, value: { file: slot.file, size: slot.length } };
    try {
      return { kind: "put", key, value: [await readBulk(this.#context, slot, 0, slot.length, from)] };
    } catch (error) {
      if (!this.#context.slots.holds(key, slot)) return null;
      if (error instanceof ResourceError && error.damaged) return await this.#giveUp(key, slot, error.message);
      this.#context.log.warn(`queue data of ${key} cannot be moved: ${messageOf(error)}`);
      return null;
    }
  }

  /**
   * A value that is damaged is saved for the operator, and goes: if it stayed, so would its segment, and all that come
   * after that. Its message is reported when somebody reads it.
   */
  async #giveUp(key: string, slot: Slot, why: string): Promise<Operation> {
    const { reader, log, folder } = this.#context;
    const { segment, offset } = slot;
    const bytes = new Uint8Array(storedLength(slot));
    const got = await reader.read(segment, bytes, offset);
    const name = `${segment.name}.${offset}`;
    await saveCorrupt(this.#context, name, bytes.subarray(0, got));
    log.error(`queue data of ${key} cannot be moved: ${why}; saved as ${folder}/corrupt/${name}`);
    return { kind: "delete", key };
  }
}
