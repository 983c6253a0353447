/**
 * QueueStore over any QueueEngine. "entry:<id>" holds envelope and state (entry.ts), "content:<id>" the bytes.
 * The index of all messages is in memory; states and their transitions are those of store.ts. An entry that cannot be
 * understood is in the queue "corrupt", is reported, and leaves the others alone.
 */

import type { Envelope, QueueId } from "../envelope.ts";
import { assert } from "../errors.ts";
import { latin1Decode } from "../latin1.ts";
import type { Clock, Millis } from "../runtime.ts";
import { ContentCache } from "./content-cache.ts";
import { DueRows } from "./due-rows.ts";
import type { Durability, EngineLog, Operation, QueueEngine } from "./engine.ts";
import {
  changedText,
  deferredDue,
  deferredRecord,
  type EntryParts,
  freshText,
  freshWaiting,
  MessageRecord,
  queueEntry,
  readParts,
  readRecord,
  waitingAfter,
} from "./entry.ts";
import { type Accept, chunkKey, contentKey, dropOrphans, IncomingMessage } from "./incoming.ts";
import { startsWith } from "./key-rows.ts";
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

const READ_STEP = 256 * 1024;
const ENTRY = "entry:";
const DONE: Promise<void> = Promise.resolve();

export class MessageStore implements QueueStore {
  readonly kind: string;
  readonly #engine: QueueEngine;
  readonly #options: StoreOptions;
  #ids: QueueIds | null = null;
  /** All but deferred ones: those are records only while somebody works on them. */
  readonly #records = new Map<QueueId, MessageRecord>();
  readonly #deferred = new DueRows();
  readonly #queues: Readonly<Record<Exclude<QueueName, "deferred">, Set<MessageRecord>>> = {
    incoming: new Set(),
    active: new Set(),
    hold: new Set(),
    corrupt: new Set(),
  };
  readonly #contents: ContentCache;

  constructor(engine: QueueEngine, options: StoreOptions) {
    this.kind = engine.kind;
    this.#engine = engine;
    this.#options = options;
    this.#contents = new ContentCache(options.contentMemory);
  }

  async load(): Promise<void> {
    await this.#engine.load();
    const { clock, longQueueIds, node, shard } = this.#options;
    const { epoch } = this.#engine;
    this.#ids = new QueueIds({ clock, long: longQueueIds, node, shard, epoch, taken: (id) => this.#has(id) });
    const records: MessageRecord[] = [];
    this.#engine.eachText((key, text, row) => {
      if (!startsWith(key, ENTRY)) return;
      const due = deferredDue(text);
      if (due !== null) return this.#deferred.add(row, due);
      const record = readRecord(latin1Decode(key.bytes, key.start + ENTRY.length, key.end), text);
      if (record.queue === "corrupt") this.#report(record);
      records.push(record);
    });
    records.sort((a, b) => a.arrived - b.arrived);
    for (const record of records) this.#enter(record);
    if (this.#engine.claim === undefined && this.#engine.large === undefined) {
      await dropOrphans(this.#engine, (id) => this.#has(id));
    }
  }

  begin(): Incoming {
    assert(this.#ids !== null, "the queue is loaded");
    return new IncomingMessage(this.#ids.next(), this.#engine, this.#accept);
  }

  get(id: QueueId): QueueEntry | null {
    const record = this.#record(id);
    if (record === null) return null;
    const parts = this.#parts(record);
    return parts === null ? null : queueEntry(record, parts);
  }

  stored(id: QueueId): StoredEntry | null {
    const queue = this.queueOf(id);
    return queue === null ? null : { id, queue, text: this.#text(id) };
  }

  queueOf(id: QueueId): QueueName | null {
    return this.#records.get(id)?.queue ?? (this.#deferred.has(this.#row(id)) ? "deferred" : null);
  }

  *list(queue: QueueName): Iterable<QueueId> {
    if (queue !== "deferred") {
      for (const record of this.#queues[queue]) yield record.id;
      return;
    }
    for (const row of this.#deferred.sorted()) if (this.#deferred.has(row)) yield this.#idAt(row);
  }

  count(queue: QueueName): number {
    return queue === "deferred" ? this.#deferred.size : this.#queues[queue].size;
  }

  due(now: Millis, limit: number): readonly QueueId[] {
    return this.#deferred.due(now, limit).map((row) => this.#idAt(row));
  }

  nextDue(): Millis | null {
    return this.#deferred.firstDue();
  }

  activate(id: QueueId): boolean {
    const record = this.#record(id);
    if (record === null || record.queue !== "incoming" && record.queue !== "deferred") return false;
    if (this.#parts(record) === null) return false;
    this.#move(record, "active");
    return true;
  }

  mark(id: QueueId, progress: Progress, durability: Durability): Promise<void> {
    const record = this.#record(id);
    const parts = record === null ? null : this.#parts(record);
    if (record === null || parts === null) return DONE;
    const waiting = waitingAfter(parts.waiting, progress);
    if (waiting.length === 0) return this.#remove(record, durability);
    if (record.parts !== null) record.parts.waiting = waiting;
    return this.#rewrite(record, durability, waiting);
  }

  defer(id: QueueId, due: Millis, progress?: Progress): Promise<void> {
    const record = this.#record(id);
    if (record === null || record.queue === "corrupt") return DONE;
    const parts = progress === undefined ? null : this.#parts(record);
    const waiting = parts === null ? null : waitingAfter(parts.waiting, progress!);
    if (waiting?.length === 0) return this.#remove(record, "lazy");
    record.attempts++;
    if (record.queue === "hold") record.due = due;
    else this.#defer(record, due);
    this.#contents.remove(id);
    return this.#rewrite(record, "lazy", waiting);
  }

  warned(id: QueueId): Promise<void> {
    const record = this.#record(id);
    if (record === null || record.queue === "corrupt") return DONE;
    record.warned = true;
    return this.#rewrite(record, "lazy");
  }

  async remove(id: QueueId): Promise<boolean> {
    const record = this.#record(id);
    if (record === null) return false;
    // First: a delivery that is under way must not write the entry again behind its deletion.
    this.#forget(record);
    try {
      await this.#engine.commit(this.#deletions(record), "durable");
    } catch (error) {
      this.#enter(record);
      throw error;
    }
    return true;
  }

  async hold(id: QueueId): Promise<boolean> {
    const record = this.#record(id);
    if (record === null || record.queue === "corrupt") return false;
    const former = record.queue;
    if (former !== "hold") this.#move(record, "hold");
    try {
      await this.#rewrite(record, "durable");
    } catch (error) {
      if (this.#records.get(id) === record && former !== "hold") this.#move(record, former);
      throw error;
    }
    return true;
  }

  async release(id: QueueId): Promise<boolean> {
    const record = this.#records.get(id);
    if (record === undefined || record.queue !== "hold") return false;
    this.#defer(record, this.#options.clock.now());
    try {
      await this.#rewrite(record, "durable");
    } catch (error) {
      if (this.#deferred.has(this.#row(id))) this.#move(record, "hold");
      throw error;
    }
    return true;
  }

  /** One message: written down (lazy). All of them: in memory alone, a crash brings the old times back. */
  async flush(id?: QueueId): Promise<number> {
    const now = this.#options.clock.now();
    if (id === undefined) {
      this.#deferred.allBy(now);
      return this.#deferred.size;
    }
    const record = this.#record(id);
    if (record?.queue !== "deferred") return 0;
    if (record.due > now) this.#defer(record, now);
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
    const chunks = this.#record(id)?.chunks ?? 0;
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
      { kind: "put", key: ENTRY + id, value: freshText(record, envelope) },
      { kind: "put", key: contentKey(id), value: content.pieces },
    ];
    if (content.operations.length > 0) operations.push(...content.operations);
    await this.#engine.commit(operations, "durable");
    return this.#accepted(record, envelope, content.pieces);
  };

  #accepted(record: MessageRecord, envelope: Envelope, pieces: readonly Uint8Array[]): Committed {
    const parts: EntryParts = { envelope, waiting: freshWaiting(envelope.recipients) };
    this.#enter(record);
    if (record.queue === "incoming") {
      record.parts = parts;
      if (record.chunks === 0) this.#contents.add(record.id, pieces, record.size);
    }
    return { entry: queueEntry(record, parts) };
  }

  #parts(record: MessageRecord): EntryParts | null {
    if (record.parts !== null) return record.parts;
    if (record.queue === "corrupt") return null;
    const parts = readParts(this.#text(record.id));
    if (parts === null) {
      this.#move(record, "corrupt");
      this.#report(record);
    } else if (record.queue === "active" || record.queue === "incoming") {
      record.parts = parts;
    }
    return parts;
  }

  #report(record: MessageRecord): void {
    this.#options.log.error(`queue entry ${record.id} cannot be understood; it stays in the corrupt queue`);
  }

  #has(id: QueueId): boolean {
    return this.queueOf(id) !== null;
  }

  /** Where the engine has the entry: as long as it is there. */
  #row(id: QueueId): number {
    return this.#engine.rowOf(ENTRY + id);
  }

  #idAt(row: number): QueueId {
    const key = this.#engine.keyAt(row);
    assert(key !== null, "a deferred message has its entry");
    return key.slice(ENTRY.length);
  }

  #record(id: QueueId): MessageRecord | null {
    const record = this.#records.get(id);
    if (record !== undefined) return record;
    const row = this.#row(id);
    return this.#deferred.has(row) ? deferredRecord(id, this.#deferred.dueOf(row), this.#text(id)) : null;
  }

  #text(id: QueueId): string {
    const text = this.#engine.text(ENTRY + id);
    assert(text !== null, "an entry in the index has its text");
    return text;
  }

  #enter(record: MessageRecord): void {
    const { id, queue } = record;
    if (queue === "deferred") return this.#deferred.add(this.#row(id), record.due);
    this.#records.set(id, record);
    this.#queues[queue].add(record);
  }

  #leave({ id, queue }: MessageRecord): void {
    if (queue === "deferred") return void this.#deferred.remove(this.#row(id));
    const record = this.#records.get(id);
    this.#records.delete(id);
    if (record !== undefined) this.#queues[queue].delete(record);
  }

  #move(record: MessageRecord, queue: QueueName): void {
    assert(record.queue !== "corrupt", "nothing leaves the corrupt queue but by removal");
    this.#leave(record);
    record.queue = queue;
    if (queue !== "active" && queue !== "incoming") record.parts = null;
    this.#enter(record);
  }

  #defer(record: MessageRecord, due: Millis): void {
    this.#leave(record);
    record.due = due;
    record.queue = "deferred";
    record.origin = "deferred";
    record.parts = null;
    this.#enter(record);
  }

  #rewrite(record: MessageRecord, durability: Durability, waiting: readonly Waiting[] | null = null): Promise<void> {
    const value = changedText(this.#text(record.id), record, waiting);
    return this.#engine.commit([{ kind: "put", key: ENTRY + record.id, value }], durability);
  }

  #deletions(record: MessageRecord): Operation[] {
    const operations: Operation[] = [
      { kind: "delete", key: ENTRY + record.id },
      { kind: "delete", key: contentKey(record.id) },
    ];
    for (let n = 0; n < record.chunks; n++) operations.push({ kind: "delete", key: chunkKey(record.id, n) });
    return operations;
  }

  #remove(record: MessageRecord, durability: Durability): Promise<void> {
    this.#forget(record);
    return this.#engine.commit(this.#deletions(record), durability);
  }

  #forget(record: MessageRecord): void {
    this.#leave(record);
    this.#contents.remove(record.id);
  }
}
