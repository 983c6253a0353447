/**
 * QueueStore over any QueueEngine. "entry:<id>" holds envelope and state (entry.ts), "content:<id>" the bytes.
 * The index of all messages (message-index.ts) is in memory; states and their transitions are those of store.ts. An
 * entry that cannot be understood is in the queue "corrupt", is reported, and leaves the others alone.
 */

import type { Envelope, QueueId } from "../envelope.ts";
import { assert, ResourceError } from "../errors.ts";
import type { Clock, Millis } from "../runtime.ts";
import { ContentCache } from "./content-cache.ts";
import type { Durability, EngineLog, Operation, QueueEngine } from "./engine.ts";
import {
  type EntryParts,
  freshText,
  freshWaiting,
  headLine,
  headLines,
  MessageRecord,
  queueEntry,
  readParts,
  saysNothing,
  waitingAfter,
} from "./entry.ts";
import { type Accept, chunkKey, contentKey, deletionsOf, dropOrphans, IncomingMessage } from "./incoming.ts";
import { MessageIndex, rests } from "./message-index.ts";
import { QueueIds } from "./queue-id.ts";
import type {
  Committed,
  Incoming,
  Progress,
  QueueEntry,
  QueueName,
  QueueStore,
  StoredEntry,
  Waiting,
} from "./store.ts";

export interface StoreOptions {
  readonly clock: Clock;
  readonly log: EngineLog;
  /** enable_long_queue_ids */
  readonly longQueueIds: boolean;
  readonly node: number;
  readonly shard: number;
  /** Contents of fresh messages kept in memory, in bytes. */
  readonly contentMemory: number;
}

const EVERYWHERE: readonly QueueName[] = ["incoming", "active", "deferred", "hold", "corrupt"];

/** A message that an operator changes, and what it was; `removed`: it has left the index. */
interface Change extends Pick<MessageRecord, "origin" | "requeued"> {
  readonly record: MessageRecord;
  readonly former: QueueName;
  readonly removed: boolean;
  /** What came of it after it had left. */
  readonly late: Progress[];
}

const READ_STEP = 256 * 1024;
const DONE: Promise<void> = Promise.resolve();

export class MessageStore implements QueueStore {
  readonly kind: string;
  readonly #engine: QueueEngine;
  readonly #options: StoreOptions;
  #ids: QueueIds | null = null;
  readonly #index: MessageIndex;
  readonly #contents: ContentCache;
  /** Operators' wishes that are being written; `over` does not reject. */
  readonly #wishes = new Map<QueueId, { readonly over: Promise<void>; readonly late: Progress[] }>();

  constructor(engine: QueueEngine, options: StoreOptions) {
    this.kind = engine.kind;
    this.#engine = engine;
    this.#options = options;
    this.#index = new MessageIndex(engine);
    this.#contents = new ContentCache(options.contentMemory);
  }

  async load(): Promise<void> {
    await this.#engine.load();
    const { clock, longQueueIds, node, shard } = this.#options;
    const { epoch } = this.#engine;
    this.#ids = new QueueIds({ clock, long: longQueueIds, node, shard, epoch, taken: (id) => this.#index.has(id) });
    this.#index.load((record) => this.#report(record));
    if (this.#engine.claim === undefined && this.#engine.large === undefined) {
      await dropOrphans(this.#engine, (id) => this.#index.has(id));
    }
  }

  begin(): Incoming {
    assert(this.#ids !== null, "the queue is loaded");
    return new IncomingMessage(this.#ids.next(), this.#engine, this.#accept);
  }

  get(id: QueueId): QueueEntry | null {
    const record = this.#index.record(id);
    if (record === null) return null;
    const parts = record.queue === "corrupt" ? readParts(this.#index.text(record)) : this.#parts(record);
    return parts === null ? null : queueEntry(record, parts);
  }

  stored(id: QueueId): StoredEntry | null {
    return this.#index.stored(id);
  }

  queueOf(id: QueueId): QueueName | null {
    return this.#index.queueOf(id);
  }

  list(queue: QueueName): Iterable<QueueId> {
    return this.#index.list(queue);
  }

  count(queue: QueueName): number {
    return this.#index.count(queue);
  }

  due(now: Millis, limit: number): readonly QueueId[] {
    return this.#index.due(now, limit);
  }

  nextDue(): Millis | null {
    return this.#index.nextDue();
  }

  activate(id: QueueId): boolean {
    const record = this.#index.record(id);
    if (record === null || record.queue !== "incoming" && record.queue !== "deferred") return false;
    if (this.#parts(record) === null) return false;
    this.#index.move(record, "active");
    return true;
  }

  deactivate(id: QueueId): void {
    const record = this.#index.record(id);
    if (record?.queue !== "active") return;
    if (record.origin === "incoming") this.#index.move(record, "incoming");
    else this.#index.defer(record, record.due);
  }

  mark(id: QueueId, progress: Progress, durability: Durability): Promise<void> {
    const record = this.#index.record(id);
    const parts = record === null ? null : this.#parts(record);
    if (record === null) this.#wishes.get(id)?.late.push(progress);
    if (record === null || parts === null) return DONE;
    const waiting = waitingAfter(parts.waiting, progress);
    if (waiting.length === 0) return this.#remove(record, durability);
    if (record.parts !== null) record.parts.waiting = waiting;
    return this.#rewrite(record, durability, waiting);
  }

  defer(id: QueueId, due: Millis, progress?: Progress): Promise<void> {
    const record = this.#index.record(id);
    if (record === null && progress !== undefined) this.#wishes.get(id)?.late.push(progress);
    if (record === null || record.queue === "corrupt") return DONE;
    const parts = progress === undefined || saysNothing(progress) ? null : this.#parts(record);
    const waiting = parts === null ? null : waitingAfter(parts.waiting, progress!);
    if (waiting?.length === 0) return this.#remove(record, "lazy");
    record.attempts++;
    if (record.queue === "hold") this.#index.enter(Object.assign(record, { due }));
    else this.#index.defer(record, due);
    this.#contents.remove(id);
    return this.#rewrite(record, "lazy", waiting);
  }

  warned(id: QueueId): Promise<void> {
    const record = this.#index.record(id);
    if (record === null || record.queue === "corrupt") return DONE;
    record.warned = true;
    return this.#rewrite(record, "lazy");
  }

  remove(ids: readonly QueueId[], within = EVERYWHERE): Promise<readonly QueueId[]> {
    return this.#change(ids, within, (record) => {
      // First: a delivery that is under way must not write the entry again behind its deletion.
      this.#forget(record);
      return deletionsOf(record);
    }, (record, { former }) => former === "active" ? this.#backFromActive(record) : this.#index.enter(record));
  }

  hold(ids: readonly QueueId[], within = EVERYWHERE): Promise<readonly QueueId[]> {
    return this.#change(ids, within, (record) => {
      if (record.queue === "corrupt") return null;
      if (record.queue !== "hold") this.#index.move(record, "hold");
      return [headLine(record)];
    }, (record, { former, origin }) => {
      if (former === "hold" || record.queue !== "hold") return;
      record.origin = origin;
      if (former === "active") this.#backFromActive(record);
      else this.#index.move(record, former);
    });
  }

  release(ids: readonly QueueId[], within = EVERYWHERE): Promise<readonly QueueId[]> {
    const now = this.#options.clock.now();
    return this.#change(ids, within, (record) => {
      if (record.queue !== "hold") return null;
      this.#index.defer(record, now);
      return [headLine(record)];
    }, (record) => {
      if (record.queue === "deferred") this.#index.move(record, "hold");
    });
  }

  requeue(ids: readonly QueueId[], within = EVERYWHERE): Promise<readonly QueueId[]> {
    const now = this.#options.clock.now();
    return this.#change(ids, within, (record) => {
      if (record.queue === "corrupt" || record.requeued && !rests(record.queue)) return null;
      record.requeued = true;
      if (rests(record.queue)) this.#index.defer(record, now);
      return [headLine(record)];
    }, (record, { former, requeued }) => {
      record.requeued = requeued;
      if (former === "hold" && record.queue === "deferred") this.#index.move(record, former);
    });
  }

  expire(ids: readonly QueueId[], within = EVERYWHERE): Promise<readonly QueueId[]> {
    return this.#change(ids, within, (record) => {
      if (record.queue === "corrupt" || record.expired) return null;
      record.expired = true;
      return [headLine(record)];
    }, (record) => {
      record.expired = false;
    });
  }

  /**
   * `act` changes the index and tells what the storage is to do; null: nothing. All happens or, if it fails, none.
   * Wishes for one message come one after the other: what undoes one would undo those after it.
   */
  async #change(
    ids: readonly QueueId[],
    within: readonly QueueName[],
    act: (record: MessageRecord) => readonly Operation[] | null,
    undo: (record: MessageRecord, change: Change) => void,
  ): Promise<readonly QueueId[]> {
    for (let other = this.#wishFor(ids); other !== null; other = this.#wishFor(ids)) await other;
    const changes: Change[] = [];
    const operations: Operation[] = [];
    for (const id of ids) {
      const record = this.#index.record(id);
      if (record === null || !within.includes(record.queue)) continue;
      const { queue: former, origin, requeued } = record;
      const own = act(record);
      if (own === null) continue;
      operations.push(...own);
      changes.push({ record, former, origin, requeued, removed: !this.#index.has(id), late: [] });
    }
    if (changes.length === 0) return [];
    const written = this.#engine.commit(operations, "durable").catch((caught: unknown) => {
      for (const change of changes.reverse()) this.#undo(change, undo);
      throw caught;
    }).finally(() => changes.forEach(({ record: { id } }) => this.#wishes.delete(id)));
    const over = written.catch(() => {});
    for (const { record: { id }, late } of changes) this.#wishes.set(id, { over, late });
    await written;
    return changes.map(({ record }) => record.id);
  }

  #wishFor(ids: readonly QueueId[]): Promise<void> | null {
    const id = this.#wishes.size === 0 ? undefined : ids.find((one) => this.#wishes.has(one));
    return id === undefined ? null : this.#wishes.get(id)!.over;
  }

  /** What was noted of it meanwhile is still to be written, and tells of what has not happened. */
  #undo(change: Change, undo: (record: MessageRecord, change: Change) => void): void {
    const record = change.removed ? change.record : this.#index.record(change.record.id);
    if (record === null) return;
    undo(record, change);
    if (record.queue !== "corrupt") this.#rewrite(record, "lazy").catch(() => {});
    for (const progress of change.late.splice(0)) this.mark(record.id, progress, "lazy").catch(() => {});
  }

  /** Its delivery may have ended meanwhile, and nobody would try it again: as if it were released. */
  #backFromActive(record: MessageRecord): void {
    this.#index.defer(record, this.#options.clock.now());
  }

  /** One message: written down (lazy). All of them: in memory alone, a crash brings the old times back. */
  async flush(id?: QueueId): Promise<number> {
    const now = this.#options.clock.now();
    if (id === undefined) {
      this.#index.allBy(now);
      return this.#index.count("deferred");
    }
    const record = this.#index.record(id);
    if (record?.queue !== "deferred") return 0;
    if (record.due > now) this.#index.defer(record, now);
    await this.#rewrite(record, "lazy");
    return 1;
  }

  pieces(id: QueueId): readonly Uint8Array[] | null {
    return this.#contents.get(id);
  }

  async *read(id: QueueId): AsyncIterable<Uint8Array> {
    const kept = this.#contents.get(id);
    if (kept !== null) {
      yield* kept;
      return;
    }
    try {
      yield* this.#stored(id);
    } catch (caught) {
      if (caught instanceof ResourceError && caught.damaged) this.#setAside(id, caught.message);
      throw caught;
    }
  }

  async *#stored(id: QueueId): AsyncIterable<Uint8Array> {
    const chunks = this.#index.record(id)?.chunks ?? 0;
    for (let n = -1; n < chunks; n++) {
      const key = n < 0 ? contentKey(id) : chunkKey(id, n);
      for (let offset = 0;;) {
        const bytes = await this.#engine.readRange(key, offset, READ_STEP);
        if (bytes.length > 0) yield bytes;
        if (bytes.length < READ_STEP) break;
        offset += bytes.length;
      }
    }
  }

  sync(): Promise<void> {
    return this.#engine.sync();
  }

  close(): Promise<void> {
    return this.#engine.close();
  }

  readonly #accept: Accept = async (id, envelope, content, hold): Promise<Committed> => {
    const record = new MessageRecord(id, hold ? "hold" : "incoming");
    record.arrived = envelope.arrived;
    record.due = envelope.arrived;
    record.size = content.size;
    record.chunks = content.chunks;
    const operations: Operation[] = [
      { kind: "put", key: record.key, value: freshText(record, envelope) },
      { kind: "put", key: contentKey(id), value: content.pieces },
    ];
    if (content.operations.length > 0) operations.push(...content.operations);
    await this.#engine.commit(operations, "durable");
    return this.#accepted(record, envelope, content.pieces);
  };

  #accepted(record: MessageRecord, envelope: Envelope, pieces: readonly Uint8Array[]): Committed {
    const parts: EntryParts = { envelope, waiting: freshWaiting(envelope.recipients) };
    this.#index.enter(record);
    if (record.queue === "incoming") {
      record.parts = parts;
      if (record.chunks === 0) this.#contents.add(record.id, pieces, record.size);
    }
    return { entry: queueEntry(record, parts) };
  }

  #parts(record: MessageRecord): EntryParts | null {
    if (record.parts !== null) return record.parts;
    if (record.queue === "corrupt") return null;
    const parts = readParts(this.#index.text(record));
    if (parts === null) {
      this.#index.move(record, "corrupt");
      this.#report(record);
    } else if (record.queue === "active" || record.queue === "incoming") {
      record.parts = parts;
    }
    return parts;
  }

  #report(record: MessageRecord): void {
    const fault = readParts(this.#index.text(record)) === null ? "cannot be understood" : "is of damaged content";
    this.#options.log.error(`queue entry ${record.id} ${fault}; it stays in the corrupt queue`);
  }

  /** A message whose content is damaged is tried no more: whoever works on it finds that it cannot be changed. */
  #setAside(id: QueueId, why: string): void {
    const record = this.#index.record(id);
    if (record === null || record.queue === "corrupt") return;
    this.#index.move(record, "corrupt");
    this.#options.log.error(`message ${id}: ${why}; it stays in the corrupt queue`);
    this.#rewrite(record, "lazy").catch(() => {});
  }

  #rewrite(record: MessageRecord, durability: Durability, waiting: readonly Waiting[] | null = null): Promise<void> {
    return this.#engine.commit([waiting === null ? headLine(record) : headLines(record, waiting)], durability);
  }

  #remove(record: MessageRecord, durability: Durability): Promise<void> {
    this.#forget(record);
    return this.#engine.commit(deletionsOf(record), durability);
  }

  #forget(record: MessageRecord): void {
    this.#index.leave(record);
    this.#contents.remove(record.id);
  }
}
