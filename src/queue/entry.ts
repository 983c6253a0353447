/**
 * A queue entry as it is stored, one Latin-1 text of three lines:
 *   1 <queue letter> <arrived> <due> <size> <attempts> <flags: see FLAG> <chunks>
 *   <waiting: JSON list of [index, reason, status]; 0: every recipient, none tried yet>
 *   <envelope: JSON>
 * The first line is read at the start for every entry, the JSON only when somebody asks for the entry. A change writes
 * the first two lines anew and keeps the envelope's text.
 * Reading never throws: null means that the text cannot be understood.
 */

import type { Envelope, QueueId, Recipient } from "../envelope.ts";
import type { Millis } from "../runtime.ts";
import { latin1EncodeInto } from "../latin1.ts";
import type { LinesOperation } from "./engine.ts";
import { FieldReader } from "./field-reader.ts";
import type { Part } from "./key-rows.ts";
import type { Progress, QueueEntry, QueueName, Waiting } from "./store.ts";

export interface EntryParts {
  readonly envelope: Envelope;
  waiting: readonly Waiting[];
}

export const ENTRY = "entry:";

/** The engine's key of a message's entry. */
export function entryKey(id: QueueId): string {
  return ENTRY + id;
}

/** One message in the store's index. */
export class MessageRecord {
  readonly id: QueueId;
  /** entryKey(id): who has it once has its hash. */
  readonly key: string;
  queue: QueueName;
  /** What a crash would make of an active message. */
  origin: "incoming" | "deferred" = "incoming";
  arrived: Millis = 0;
  due: Millis = 0;
  size = 0;
  attempts = 0;
  warned = false;
  /** The message is to be returned whatever its age (postsuper -e). */
  expired = false;
  /** The message is to go through cleanup again (postsuper -r). */
  requeued = false;
  /** Values "content:<id>:<n>" after "content:<id>". */
  chunks = 0;
  /** Kept while the message is incoming or active. */
  parts: EntryParts | null = null;
  /** Where the engine has the entry; -1: nobody has looked yet. */
  row = -1;

  constructor(id: QueueId, queue: QueueName, key: string = entryKey(id)) {
    this.id = id;
    this.key = key;
    this.queue = queue;
  }
}

const LETTERS = { incoming: "I", deferred: "D", hold: "H", corrupt: "C" } as const;
const QUEUES: Readonly<Record<string, keyof typeof LETTERS>> = {
  I: "incoming",
  D: "deferred",
  H: "hold",
  C: "corrupt",
};
const VERSION = "1";

/** Added up in one number. */
const FLAG = { warned: 1, expired: 2, requeued: 4 } as const;

const whole = (time: Millis): number => Math.max(0, Math.floor(time));

function flagsOf({ warned, expired, requeued }: MessageRecord): number {
  return (warned ? FLAG.warned : 0) + (expired ? FLAG.expired : 0) + (requeued ? FLAG.requeued : 0);
}

/** The first line of the text, with the record's present state. */
export function headOf(record: MessageRecord): string {
  const queue = record.queue === "active" ? record.origin : record.queue;
  return `${VERSION} ${LETTERS[queue]} ${whole(record.arrived)} ${whole(record.due)} ${record.size} ` +
    `${record.attempts} ${flagsOf(record)} ${record.chunks}\n`;
}

/** The text of a message that was never tried. */
export function freshText(record: MessageRecord, envelope: Envelope): string {
  return `${headOf(record)}0\n${JSON.stringify(envelope)}`;
}

/** The second line: who waits now. */
export function waitingLine(waiting: readonly Waiting[]): string {
  return `${JSON.stringify(waiting.map(({ index, reason, status }) => [index, reason, status]))}\n`;
}

/** The record's present state over what is stored. */
export function headLine(record: MessageRecord): LinesOperation {
  return { kind: "lines", key: record.key, count: 1, lines: headOf(record) };
}

/** And who waits, put down when it is written: of a long list it changes often meanwhile. */
export function headLines(record: MessageRecord, waiting: readonly Waiting[]): LinesOperation {
  const head = headOf(record);
  return { kind: "lines", key: record.key, count: 2, lines: () => head + waitingLine(waiting) };
}

const SPACE = 32;
const LINE_END = 10;

/** Reads the first line into the record; in the queue "corrupt" when it cannot be understood. */
function readHead(record: MessageRecord, { bytes, start, end }: Part): MessageRecord {
  record.queue = "corrupt";
  const queue = QUEUES[String.fromCharCode(bytes[start + 2]!)];
  const sound = end - start > 4 && bytes[start] === VERSION.charCodeAt(0) && bytes[start + 1] === SPACE;
  if (!sound || queue === undefined || bytes[start + 3] !== SPACE) return record;
  const fields = new FieldReader(bytes, start + 4, end);
  record.arrived = fields.number();
  record.due = fields.number();
  record.size = fields.number();
  record.attempts = fields.number();
  const flags = fields.number();
  record.warned = (flags & FLAG.warned) !== 0;
  record.expired = (flags & FLAG.expired) !== 0;
  record.requeued = (flags & FLAG.requeued) !== 0;
  record.chunks = fields.number();
  const sum = record.arrived + record.due + record.size + record.attempts + record.chunks;
  if (Number.isNaN(sum) || bytes[fields.at - 1] !== LINE_END) return record;
  record.queue = queue;
  record.origin = queue === "incoming" ? "incoming" : "deferred";
  return record;
}

export function readRecord(id: QueueId, text: Part, key?: string): MessageRecord {
  return readHead(new MessageRecord(id, "corrupt", key), text);
}

const scratch = new MessageRecord("", "corrupt");

/** Queue and due time, good until the next call. */
export function glanceAt(text: Part): Pick<MessageRecord, "queue" | "due"> {
  return readHead(scratch, text);
}

/** Longer first lines are nonsense. */
const HEAD_ROOM = 256;
const headBytes = new Uint8Array(HEAD_ROOM);

/** The record of a message whose text has that first line. */
export function recordOf(id: QueueId, head: string | Part, key?: string): MessageRecord {
  if (typeof head !== "string") return readRecord(id, head, key);
  const end = Math.min(head.length, HEAD_ROOM);
  latin1EncodeInto(end < head.length ? head.slice(0, end) : head, headBytes, 0);
  return readRecord(id, { bytes: headBytes, start: 0, end }, key);
}

export function freshWaiting(recipients: readonly Recipient[]): readonly Waiting[] {
  return recipients.map((recipient, index) => ({ recipient, index, reason: "", status: "" }));
}

/** Parses what an entry's text holds. */
export function readParts(text: string): EntryParts | null {
  const first = text.indexOf("\n") + 1;
  const second = text.indexOf("\n", first) + 1;
  if (first === 0 || second === 0) return null;
  try {
    return partsOf(JSON.parse(text.slice(first, second)), JSON.parse(text.slice(second)));
  } catch {
    return null;
  }
}

/** Both as they were parsed. */
function partsOf(list: unknown, stored: unknown): EntryParts | null {
  const envelope = stored as Envelope | null;
  if (!Array.isArray(envelope?.recipients) || typeof envelope.sender !== "string") return null;
  if (list === 0) return { envelope, waiting: freshWaiting(envelope.recipients) };
  if (!Array.isArray(list)) return null;
  const waiting: Waiting[] = [];
  for (const one of list) {
    if (!Array.isArray(one)) return null;
    const [index, reason, status] = one as [number, string, string];
    const recipient = envelope.recipients[index];
    if (recipient === undefined || typeof reason !== "string" || typeof status !== "string") return null;
    waiting.push({ recipient, index, reason, status });
  }
  return { envelope, waiting };
}

/** An entry from its three lines, the second and third parsed; null when they cannot be understood. */
export function readStored(
  id: QueueId,
  head: string,
  waiting: unknown,
  envelope: unknown,
): { readonly record: MessageRecord; readonly parts: EntryParts } | null {
  const record = recordOf(id, `${head}\n`);
  const parts = record.queue === "corrupt" ? null : partsOf(waiting, envelope);
  return parts === null ? null : { record, parts };
}

/** Nobody is done, and nothing is known that the entry does not say. */
export function saysNothing({ done, deferred }: Progress): boolean {
  return done.length === 0 && deferred.length === 0;
}

/** Who still waits, with what is known now; in the order of the recipients, as before. */
export function waitingAfter(former: readonly Waiting[], { done, deferred }: Progress): readonly Waiting[] {
  if (done.length === 1 && deferred.length === 0) return changed(former, done[0]!, null);
  if (done.length === 0 && deferred.length === 1) return changed(former, deferred[0]!.index, deferred[0]!);
  const waiting: Waiting[] = [];
  const gone = new Set(done);
  const told = new Map(deferred.map((result) => [result.index, result]));
  for (const one of former) {
    if (gone.has(one.index)) continue;
    const news = told.get(one.index);
    waiting.push(news === undefined ? one : { ...one, reason: news.reason, status: news.status });
  }
  return waiting;
}

/** One of them gone, or with news. */
function changed(
  former: readonly Waiting[],
  index: number,
  news: Progress["deferred"][number] | null,
): readonly Waiting[] {
  let [low, high] = [0, former.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (former[middle]!.index < index) low = middle + 1;
    else high = middle;
  }
  const one = former[low];
  if (one?.index !== index) return former;
  if (news === null) return former.toSpliced(low, 1);
  return former.with(low, { ...one, reason: news.reason, status: news.status });
}

export function queueEntry(record: MessageRecord, parts: EntryParts): QueueEntry {
  return {
    id: record.id,
    queue: record.queue,
    envelope: parts.envelope,
    size: record.size,
    due: record.due,
    waiting: parts.waiting,
    attempts: record.attempts,
    warned: record.warned,
    expired: record.expired,
    requeued: record.requeued,
  };
}
