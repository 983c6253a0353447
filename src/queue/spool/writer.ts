/**
 * The one writer of a shard: group commit.
 *   idle --commit()--> kicked --clock.soon--> writing (one writev, one fdatasync) --> idle or writing again
 * Everything collected while a batch is being written goes into the next one. The segment: none --> active --full-->
 * none; a write or sync that failed seals it for good, and the batch is tried once more in a new segment. When that
 * fails too, its durable commits are rejected with ResourceError and have not happened; lazy ones are kept and tried
 * again. What a failed write left behind is void: the head of the next segment says where the failed one ends.
 * A writer that sees the segment of a newer epoch stops for good.
 */

import { assert, messageOf, ResourceError } from "../../errors.ts";
import type { Timer } from "../../runtime.ts";
import { type Durability, type Operation, textOfLines } from "../engine.ts";
import type { Part } from "../key-rows.ts";
import { removeDurably, resourceError, type SpoolContext } from "./context.ts";
import { type FramedOperation, Framer } from "./framing.ts";
import { headOf, type Limit, LIMITS, Segment, SEGMENT_HEAD } from "./segment.ts";
import { lineEnd, type Slot } from "./slots.ts";
import { UnwrittenTexts } from "./unwritten.ts";

const DONE: Promise<void> = Promise.resolve();

/** One commit on its way to the log. */
class Pending {
  operations: readonly Operation[];
  readonly lazy: boolean;
  /** A copy by compaction: only as long as the index still says this. */
  readonly copied: Slot | null;
  /** As they were written. */
  framed: readonly FramedOperation[] = [];
  offset = 0;
  bulk = 0;

  constructor(operations: readonly Operation[], lazy: boolean, copied: Slot | null) {
    this.operations = operations;
    this.lazy = lazy;
    this.copied = copied;
  }
}

interface Waiting {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: ResourceError) => void;
}

function makeWaiting(): Waiting {
  let resolve = (): void => {};
  let reject = (_: ResourceError): void => {};
  const promise = new Promise<void>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

export class Writer {
  readonly #context: SpoolContext;
  readonly #framer: Framer;
  readonly #written: (bytes: number) => void;
  #epoch = 0;
  #number = 0;
  #active: Segment | null = null;
  #records: Pending[] = [];
  /** Those of them that are lazy lines of a text, by its key, as long as nothing else of it has come. */
  readonly #lines = new Map<string, Pending>();
  readonly #texts: UnwrittenTexts;
  #copies: Pending[] = [];
  #waiting: Waiting | null = null;
  /** Somebody waits, or lazy operations are old enough. */
  #urgent = false;
  #kicked = false;
  #running = false;
  #timer: Timer | null = null;
  #stopped: ResourceError | null = null;
  #failing = false;
  /** For the head of the next segment. */
  #limits: Limit[] = [];

  constructor(context: SpoolContext, written: (bytes: number) => void) {
    this.#context = context;
    this.#framer = new Framer(context.crc32);
    this.#texts = new UnwrittenTexts(context.slots);
    this.#written = written;
  }

  get active(): Segment | null {
    return this.#active;
  }

  get epoch(): number {
    return this.#epoch;
  }

  commit(operations: readonly Operation[], durability: Durability): Promise<void> {
    if (this.#stopped !== null) return Promise.reject(this.#stopped);
    const whole = this.#texts.add(operations);
    this.#push(new Pending(whole, durability === "lazy", null));
    if (durability === "durable") return this.#request();
    this.#arm(this.#context.tuning.lazyDelay);
    return DONE;
  }

  /** Lazy lines of a text take the place of such that wait: a message of many recipients has one for each. */
  #push(pending: Pending): void {
    const { operations, lazy } = pending;
    const only = lazy && operations.length === 1 ? operations[0]! : null;
    const lines = only?.kind === "lines" ? only.key : null;
    const former = lines === null ? undefined : this.#lines.get(lines);
    if (former !== undefined) {
      former.operations = operations;
      return;
    }
    this.#records.push(pending);
    if (this.#lines.size > 0) { for (const { key } of operations) this.#lines.delete(key); }
    if (lines !== null) this.#lines.set(lines, pending);
  }

  /** The key's text as it was put last, in the index or on the way to it. */
  text(key: string): string | null {
    return this.#texts.text(key);
  }

  firstLine(key: string): string | Part | null {
    return this.#texts.firstLine(key);
  }

  /** Writes living values of an old segment again; those that changed meanwhile are passed over. */
  copy(operations: readonly Operation[], copied: readonly Slot[]): Promise<void> {
    if (this.#stopped !== null) return Promise.reject(this.#stopped);
    operations.forEach((operation, index) => this.#copies.push(new Pending([operation], false, copied[index]!)));
    return this.#request();
  }

  sync(): Promise<void> {
    if (this.#stopped !== null) return Promise.reject(this.#stopped);
    if (!this.#running && !this.#unfinished()) return DONE;
    return this.#request();
  }

  /** Opens the first segment, which shows this epoch to others: before anything else. */
  async announce(epoch: number, number: number): Promise<void> {
    this.#epoch = epoch;
    this.#number = number;
    try {
      const segment = await this.#open();
      await segment.file!.write([headOf(this.#context.crc32, segment.seeds)], 0);
      await segment.file!.sync();
      segment.size = SEGMENT_HEAD;
    } catch (error) {
      if (this.#stopped !== null) throw this.#stopped;
      this.#context.log.warn(`queue segment not opened: ${messageOf(error)}`);
      await this.#abandon();
    }
  }

  async close(): Promise<void> {
    this.#disarm();
    try {
      await this.sync();
    } finally {
      this.#disarm();
      this.#stopped ??= new ResourceError("EBADF", "the queue is closed");
      if (this.#active !== null) await this.#context.reader.release(this.#active);
    }
  }

  #request(): Promise<void> {
    this.#urgent = true;
    if (!this.#running && !this.#kicked) {
      this.#kicked = true;
      this.#context.clock.soon(() => {
        this.#kicked = false;
        if (!this.#running) void this.#run();
      });
    }
    this.#waiting ??= makeWaiting();
    return this.#waiting.promise;
  }

  #arm(delay: number): void {
    this.#timer ??= this.#context.clock.after(delay, () => {
      this.#timer = null;
      if (this.#unfinished()) this.#request().catch(() => {});
    });
  }

  /** Something is to be written although nobody waits for it. */
  #unfinished(): boolean {
    return this.#records.length > 0 || this.#limits.length > 0;
  }

  #disarm(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** Never throws. */
  async #run(): Promise<void> {
    this.#running = true;
    while (this.#urgent) {
      this.#urgent = false;
      const waiting = this.#waiting;
      this.#waiting = null;
      const records = this.#take();
      const idle = records.length === 0 && this.#limits.length === 0;
      const error = idle ? this.#stopped : await this.#store(records);
      if (error === null) waiting?.resolve();
      else waiting?.reject(error);
    }
    this.#running = false;
  }

  #take(): Pending[] {
    let records = this.#records;
    this.#records = [];
    this.#lines.clear();
    if (this.#copies.length > 0) {
      const { slots } = this.#context;
      const current = this.#copies.filter(({ operations, copied }) => slots.holds(operations[0]!.key, copied!));
      records = [...current, ...records];
      this.#copies = [];
    }
    return records;
  }

  async #store(records: readonly Pending[]): Promise<ResourceError | null> {
    let last: unknown = null;
    for (let attempt = 0; attempt < 2 && this.#stopped === null; attempt++) {
      try {
        const segment = this.#active ?? await this.#open();
        const bytes = await this.#write(segment, records);
        this.#apply(segment, records);
        if (this.#failing) this.#context.log.warn("queue storage takes mail again");
        this.#failing = false;
        this.#written(bytes);
        return null;
      } catch (error) {
        last = error;
        await this.#abandon();
      }
    }
    const error = this.#stopped ?? resourceError(last, "queue write");
    if (!this.#failing) this.#context.log.error(`queue storage takes no mail: ${error.message}`);
    this.#failing = true;
    this.#keepLazy(records);
    return error;
  }

  async #write(segment: Segment, records: readonly Pending[]): Promise<number> {
    const framer = this.#framer;
    const start = segment.size;
    framer.begin(start, segment.seeds);
    if (start === 0) framer.raw(headOf(this.#context.crc32, segment.seeds, this.#limits));
    for (const record of records) {
      record.framed = this.#framed(record.operations);
      record.offset = framer.add(record.framed);
      record.bulk = framer.tableBytes;
    }
    await segment.file!.write(framer.finish(), start);
    await segment.file!.sync();
    segment.size = framer.position;
    if (start === 0) this.#limits = [];
    return segment.size - start;
  }

  /** Of texts of which lines are changed the rest is what the index has. */
  #framed(operations: readonly Operation[]): readonly FramedOperation[] {
    if (!operations.some(({ kind }) => kind === "lines")) return operations as readonly FramedOperation[];
    return operations.map((operation) => {
      if (operation.kind !== "lines") return operation;
      const { key, count, lines } = operation;
      const part = this.#context.slots.textPart(key);
      assert(part !== null, "lines are changed of a text");
      const { bytes, end } = part;
      let { start } = part;
      for (let at = 0; at < count; at++) start = lineEnd(bytes, start, end);
      return { kind: "lines", key, lines: textOfLines(lines), rest: { bytes, start, end } };
    });
  }

  #apply(segment: Segment, records: readonly Pending[]): void {
    const { slots, tuning } = this.#context;
    for (const { operations, framed, offset, bulk } of records) {
      slots.apply(framed, segment, offset, bulk);
      this.#texts.settle(operations);
    }
    if (segment.size >= tuning.segmentBytes) this.#seal();
  }

  #seal(): void {
    const segment = this.#active;
    this.#active = null;
    if (segment === null) return;
    this.#context.reader.release(segment).catch((error: unknown) => {
      this.#context.log.warn(`queue segment ${segment.name} not closed: ${messageOf(error)}`);
    });
  }

  async #open(): Promise<Segment> {
    const { files, folder, crc32, random, segments } = this.#context;
    for (const name of await files.list(folder)) {
      if (Segment.isName(name) && new Segment(name, crc32).epoch > this.#epoch) {
        this.#stopped = new ResourceError("ESTALE", `${folder}: another process has taken this queue over`);
        this.#context.log.error(this.#stopped.message);
        throw this.#stopped;
      }
    }
    if (this.#limits.length >= LIMITS) await this.#removeVoid();
    const segment = new Segment(Segment.nameOf(this.#number++, this.#epoch, random.bytes(4)), crc32);
    segment.file = await files.open(`${folder}/${segment.name}`, "create", 0o600);
    this.#active = segment;
    segments.push(segment);
    await files.syncFolder(folder);
    return segment;
  }

  /**
   * The active segment is never written again. One in which no write ever succeeded goes away, if it can; another stays
   * although it may hold a head alone, for the limits that its head names.
   */
  async #abandon(): Promise<void> {
    const segment = this.#active;
    if (segment === null) return;
    this.#seal();
    const { files, folder, segments } = this.#context;
    if (segment.size === 0) {
      try {
        await removeDurably(files, folder, segment.name);
        segments.splice(segments.indexOf(segment), 1);
        return;
      } catch {
        // It is void all the same.
      }
    }
    this.#limits.push({ number: segment.number, end: Math.max(segment.size, SEGMENT_HEAD) });
  }

  /**
   * Segments that could not be removed when they failed: with one more, the next head could not name them all. Throws
   * when there is still no room.
   */
  async #removeVoid(): Promise<void> {
    const { files, folder, segments } = this.#context;
    for (const limit of [...this.#limits]) {
      const segment = segments.find(({ number }) => number === limit.number);
      if (segment !== undefined) {
        if (segment.size > 0) continue;
        await removeDurably(files, folder, segment.name);
        segments.splice(segments.indexOf(segment), 1);
      }
      this.#limits.splice(this.#limits.indexOf(limit), 1);
    }
  }

  /** After a failure: lazy records are tried again, before all that came later. */
  #keepLazy(records: readonly Pending[]): void {
    const later = this.#records;
    this.#records = [];
    this.#lines.clear();
    for (const record of [...records.filter(({ lazy }) => lazy), ...later]) this.#push(record);
    this.#texts.reset(this.#records.map(({ operations }) => operations));
    if (!this.#unfinished()) return;
    this.#disarm();
    this.#arm(this.#context.tuning.retryDelay);
  }
}
