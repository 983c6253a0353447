/**
 * The checkpoint: the index at some position of the log, so that a start reads it and the log behind it alone.
 * Written as "checkpoint.new", synced, renamed over "checkpoint". It may show changes behind its position: reading the
 * log from there brings them again, to the same end. One that is damaged anywhere is not used (all is scanned then).
 * Records: "position" (segment number, offset, epoch), "items" (many in one text), "end" (their count). An item is
 *   <key> <segment> <offset> <start> <length> <T|F|B> <text length> and a line end, then its text (file name)
 */

import { messageOf, systemCode } from "../../errors.ts";
import { latin1Decode } from "../../latin1.ts";
import type { OpenFile } from "../../runtime.ts";
import { FieldReader } from "../field-reader.ts";
import type { Part } from "../key-rows.ts";
import type { SpoolContext } from "./context.ts";
import { Framer } from "./framing.ts";
import { readRecord } from "./record.ts";
import { scanRecords } from "./scan.ts";
import { headOf, readHead, seedsOf, Segment, SEGMENT_HEAD, SEGMENT_LIMIT } from "./segment.ts";
import type { SlotKind, SlotPlace, Slots } from "./slots.ts";

const NAME = "checkpoint";
/** Items written between two turns of the event loop. */
const STEP = 500;
/** Characters of a group of items. */
const GROUP = 16 * 1024;
const TWO_32 = 2 ** 32;
const SPACE = 32;
/** Bytes of an item, half of which have a text. */
const USUAL_ITEM = 220;

export interface Position {
  readonly segment: number;
  readonly offset: number;
  readonly epoch: number;
}

export interface Loaded extends Position {
  /** Some item was in a segment that is gone: the log must have told where it went. */
  readonly missing: boolean;
}

const LETTERS: Readonly<Record<SlotKind, string>> = { text: "T", file: "F", bulk: "B" };
const KINDS = new Map<number, SlotKind>();
for (const kind of ["text", "file", "bulk"] as const) KINDS.set(LETTERS[kind].charCodeAt(0), kind);

/** "": the row is free. */
function itemText(slots: Slots, row: number): string {
  const slot = slots.slotAt(row);
  if (slot === null) return "";
  const { kind, segment, offset, start, length, file } = slot;
  const text = file ?? slots.textAt(row) ?? "";
  const place = `${segment.number} ${offset} ${start} ${length}`;
  return `${slots.keyAt(row)} ${place} ${LETTERS[kind]} ${text.length}\n${text}`;
}

function pause(context: SpoolContext): Promise<void> {
  return new Promise((resolve) => context.clock.soon(resolve));
}

async function writeItems(context: SpoolContext, file: OpenFile, position: Position): Promise<number> {
  const framer = new Framer(context.crc32);
  const seeds = seedsOf(context.crc32, NAME);
  const text = `${position.segment} ${position.offset} ${position.epoch}`;
  let at = 0;
  framer.begin(0, seeds);
  framer.raw(headOf(context.crc32, seeds));
  framer.add([{ kind: "put", key: "position", value: text }]);
  let count = 0;
  let group = "";
  const write = async (): Promise<void> => {
    const end = framer.position;
    await file.write(framer.finish(), at);
    at = end;
    framer.begin(at, seeds);
  };
  const { slots } = context;
  for (let row = 0; row < slots.rows; row++) {
    const item = itemText(slots, row);
    if (item === "") continue;
    group += item;
    if (group.length >= GROUP) {
      framer.add([{ kind: "put", key: "items", value: group }]);
      group = "";
    }
    if (++count % STEP === 0) {
      await write();
      await pause(context);
    }
  }
  if (group !== "") framer.add([{ kind: "put", key: "items", value: group }]);
  framer.add([{ kind: "put", key: "end", value: String(count) }]);
  await write();
  return at;
}

/** The bytes it took; null: it could not be written, which only makes the next start longer. */
export async function writeCheckpoint(context: SpoolContext, position: Position): Promise<number | null> {
  const { files, folder } = context;
  try {
    const file = await files.open(`${folder}/${NAME}.new`, "write", 0o600);
    let bytes: number;
    try {
      bytes = await writeItems(context, file, position);
      await file.sync();
    } finally {
      await file.close();
    }
    await files.rename(`${folder}/${NAME}.new`, `${folder}/${NAME}`);
    await files.syncFolder(folder);
    return bytes;
  } catch (error) {
    context.log.warn(`queue checkpoint not written: ${messageOf(error)}`);
    return null;
  }
}

/** Reads the items of a group one after the other, without an object for each: there are hundreds of thousands. */
class Item {
  readonly #fields: FieldReader;
  readonly key: { bytes: Uint8Array; start: number; end: number };
  readonly text: { bytes: Uint8Array; start: number; end: number };
  readonly place: { segment: Segment | null; offset: number; start: number; length: number };
  kind: SlotKind = "text";
  segment = 0;

  constructor(bytes: Uint8Array) {
    this.#fields = new FieldReader(bytes);
    this.key = { bytes, start: 0, end: 0 };
    this.text = { bytes, start: 0, end: 0 };
    this.place = { segment: null, offset: 0, start: 0, length: 0 };
  }

  get atEnd(): boolean {
    return this.#fields.at === this.#fields.end;
  }

  /** False: there is none any more, or it cannot be understood. */
  next(): boolean {
    const { key, text, place } = this;
    const fields = this.#fields;
    if (this.atEnd) return false;
    key.start = fields.at;
    key.end = fields.wordEnd();
    this.segment = fields.number();
    place.offset = fields.number();
    place.start = fields.number();
    place.length = fields.number();
    const kind = KINDS.get(fields.byte());
    const space = fields.byte();
    const size = fields.number();
    text.start = fields.at;
    text.end = fields.at + size;
    const sound = key.end >= 0 && space === SPACE && this.segment < SEGMENT_LIMIT && place.length >= 0 &&
      place.offset < TWO_32 && place.start < TWO_32 && text.end <= fields.end;
    if (kind === undefined || !sound) return false;
    fields.at = text.end;
    this.kind = kind;
    return true;
  }
}

class Loader {
  readonly #context: SpoolContext;
  readonly #segments: Map<number, Segment>;
  position: Position | null = null;
  #count = 0;
  #last: Segment | null = null;
  complete = false;
  /** Some item is in a segment that is gone. */
  missing = false;

  constructor(context: SpoolContext) {
    this.#context = context;
    this.#segments = new Map(context.segments.map((segment) => [segment.number, segment]));
  }

  record(bytes: Uint8Array): boolean {
    const operations = readRecord(bytes);
    if (operations === null) return false;
    for (const operation of operations) {
      if (operation.kind !== "text" || this.complete) return false;
      const name = latin1Decode(bytes, operation.key.start, operation.key.end);
      const { start, end } = operation.text;
      if (name === "items") {
        if (this.position === null || !this.#items(operation.text)) return false;
        continue;
      }
      const numbers = latin1Decode(bytes, start, end).split(" ").map(Number);
      if (numbers.some(Number.isNaN)) return false;
      const [first = NaN, offset = NaN, epoch = 0] = numbers;
      if (name === "position" && this.position === null) this.position = { segment: first, offset, epoch };
      else if (name === "end" && this.position !== null) this.complete = first === this.#count;
      else return false;
    }
    return true;
  }

  /** The index keeps the group as it is: keys and texts stay where they stand. */
  #items(group: Part): boolean {
    const { slots } = this.#context;
    const bytes = group.bytes.slice(group.start, group.end);
    const item = new Item(bytes);
    slots.adopt(bytes);
    while (item.next()) {
      item.place.segment = this.#segment(item.segment);
      slots.putPart(item.key, item.kind, item.place as SlotPlace, item.text);
      this.#count++;
    }
    return item.atEnd;
  }

  /** A segment that is gone: what it held was moved, as the log behind the checkpoint tells. */
  #segment(number: number): Segment {
    if (number === this.#last?.number) return this.#last;
    let segment = this.#segments.get(number);
    if (segment === undefined) {
      this.missing = true;
      segment = new Segment(Segment.nameOf(number, 0, new Uint8Array(4)), this.#context.crc32);
      this.#segments.set(number, segment);
    }
    this.#last = segment;
    return segment;
  }
}

/** Fills the index and tells where to go on; null: there is no usable checkpoint, the index is as it was (empty). */
export async function loadCheckpoint(context: SpoolContext): Promise<Loaded | null> {
  const { files, folder, crc32, slots } = context;
  let file: OpenFile;
  try {
    file = await files.open(`${folder}/${NAME}`, "read");
  } catch (error) {
    if (systemCode(error) !== "ENOENT") context.log.warn(`queue checkpoint not read: ${messageOf(error)}`);
    return null;
  }
  try {
    const seeds = seedsOf(crc32, NAME);
    const head = new Uint8Array(SEGMENT_HEAD);
    await file.read(head, 0);
    slots.expect(Math.floor((await file.stat()).size / USUAL_ITEM));
    const loader = new Loader(context);
    const sound = readHead(crc32, seeds, head) !== null;
    const { damage } = sound
      ? await scanRecords({
        crc32,
        seeds,
        from: SEGMENT_HEAD,
        read: (into, position) => file.read(into, position),
        record: (bytes) => loader.record(bytes),
      })
      : { damage: [] };
    const { position, missing } = loader;
    if (sound && damage.length === 0 && loader.complete && position !== null) return { ...position, missing };
    context.log.warn("queue checkpoint is damaged: reading all of the queue");
  } finally {
    await file.close();
  }
  slots.clear();
  return null;
}
