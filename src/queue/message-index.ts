/**
 * Which message is in which queue. Messages that rest (deferred, hold) are rows of the engine in heaps by due time, and
 * records only while somebody works on them; all others are records. Never throws but for faults of the program.
 */

import type { QueueId } from "../envelope.ts";
import { assert } from "../errors.ts";
import { latin1Decode } from "../latin1.ts";
import type { Millis } from "../runtime.ts";
import { DueRows } from "./due-rows.ts";
import type { QueueEngine } from "./engine.ts";
import { ENTRY, entryKey, glanceAt, type MessageRecord, readRecord, recordOf } from "./entry.ts";
import { startsWith } from "./key-rows.ts";
import type { QueueName, StoredEntry } from "./store.ts";

export type RestingQueue = "deferred" | "hold";

export function rests(queue: QueueName): queue is RestingQueue {
  return queue === "deferred" || queue === "hold";
}

export class MessageIndex {
  readonly #engine: QueueEngine;
  readonly #resting: Readonly<Record<RestingQueue, DueRows>> = { deferred: new DueRows(), hold: new DueRows() };
  readonly #records = new Map<QueueId, MessageRecord>();
  readonly #queues: Readonly<Record<Exclude<QueueName, RestingQueue>, Set<MessageRecord>>> = {
    incoming: new Set(),
    active: new Set(),
    corrupt: new Set(),
  };

  constructor(engine: QueueEngine) {
    this.#engine = engine;
  }

  /** Takes over what the engine has loaded; `corrupt` is told of entries that cannot be understood. */
  load(corrupt: (record: MessageRecord) => void): void {
    const records: MessageRecord[] = [];
    this.#engine.eachText((key, text, row) => {
      if (!startsWith(key, ENTRY)) return;
      const { queue, due } = glanceAt(text);
      if (rests(queue)) return this.#resting[queue].add(row, due);
      const record = readRecord(latin1Decode(key.bytes, key.start + ENTRY.length, key.end), text);
      if (record.queue === "corrupt") corrupt(record);
      records.push(record);
    });
    records.sort((a, b) => a.arrived - b.arrived);
    for (const record of records) this.enter(record);
  }

  has(id: QueueId): boolean {
    return this.queueOf(id) !== null;
  }

  stored(id: QueueId): StoredEntry | null {
    const key = entryKey(id);
    const queue = this.#records.get(id)?.queue ?? this.#restingIn(this.#engine.rowOf(key));
    return queue === null ? null : { id, queue, text: this.#textOf(key) };
  }

  queueOf(id: QueueId): QueueName | null {
    return this.#records.get(id)?.queue ?? this.#restingIn(this.#engine.rowOf(entryKey(id)));
  }

  *list(queue: QueueName): Iterable<QueueId> {
    if (!rests(queue)) {
      for (const record of this.#queues[queue]) yield record.id;
      return;
    }
    const rows = this.#resting[queue];
    for (const row of rows.sorted()) if (rows.has(row)) yield this.#idAt(row);
  }

  count(queue: QueueName): number {
    return rests(queue) ? this.#resting[queue].size : this.#queues[queue].size;
  }

  due(now: Millis, limit: number): readonly QueueId[] {
    return this.#resting.deferred.due(now, limit).map((row) => this.#idAt(row));
  }

  nextDue(): Millis | null {
    return this.#resting.deferred.firstDue();
  }

  /** Deferred messages that are due later are due then. */
  allBy(due: Millis): void {
    this.#resting.deferred.allBy(due);
  }

  /** Of a message that rests: good for what is done to it now. */
  record(id: QueueId): MessageRecord | null {
    const found = this.#records.get(id);
    if (found !== undefined) return found;
    const key = entryKey(id);
    const row = this.#engine.rowOf(key);
    const queue = this.#restingIn(row);
    if (queue === null) return null;
    const head = this.#engine.firstLine(key);
    assert(head !== null, "an entry in the index has its text");
    const record = recordOf(id, head, key);
    record.queue = queue;
    record.origin = "deferred";
    record.due = this.#resting[queue].dueOf(row);
    record.row = row;
    return record;
  }

  /** The entry as it is stored, or is about to be. */
  text({ key }: MessageRecord): string {
    return this.#textOf(key);
  }

  /** In its queue, from now on; a resting one: due when it says. */
  enter(record: MessageRecord): void {
    const { id, queue } = record;
    if (rests(queue)) return this.#resting[queue].add(this.#row(record), record.due);
    this.#records.set(id, record);
    this.#queues[queue].add(record);
  }

  leave(record: MessageRecord): void {
    const { id, queue } = record;
    if (rests(queue)) return void this.#resting[queue].remove(this.#row(record));
    const known = this.#records.get(id);
    this.#records.delete(id);
    if (known !== undefined) this.#queues[queue].delete(known);
  }

  move(record: MessageRecord, queue: QueueName): void {
    assert(record.queue !== "corrupt", "nothing leaves the corrupt queue but by removal");
    this.leave(record);
    record.queue = queue;
    if (queue !== "active" && queue !== "incoming") record.parts = null;
    this.enter(record);
  }

  defer(record: MessageRecord, due: Millis): void {
    this.leave(record);
    record.due = due;
    record.queue = "deferred";
    record.origin = "deferred";
    record.parts = null;
    this.enter(record);
  }

  /** As long as the entry is there. */
  #row(record: MessageRecord): number {
    if (record.row < 0) record.row = this.#engine.rowOf(record.key);
    assert(record.row >= 0, "a message that rests has its entry");
    return record.row;
  }

  #restingIn(row: number): RestingQueue | null {
    if (this.#resting.deferred.has(row)) return "deferred";
    return this.#resting.hold.has(row) ? "hold" : null;
  }

  #idAt(row: number): QueueId {
    const key = this.#engine.keyAt(row);
    assert(key !== null, "a message that rests has its entry");
    return key.slice(ENTRY.length);
  }

  #textOf(key: string): string {
    const text = this.#engine.text(key);
    assert(text !== null, "an entry in the index has its text");
    return text;
  }
}
