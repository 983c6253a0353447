/**
 * The checkpoint: the index at some position of the log, so that a start reads it and the log behind it alone.
 * Written as "checkpoint.new", synced, renamed over "checkpoint". It may show changes behind its position: reading the
 * log from there brings them again, to the same end. One that is damaged anywhere is not used (all is scanned then).
 * Records: "position" (segment number, offset, epoch), "items" (many in one text), "end" (their count). An item is
 *   <key> <segment> <offset> <start> <length> <T|F|B> <text length> and a line end, then its text (file name)
 */

import { messageOf, systemCode } from "../../errors.ts";
import type { OpenFile } from "../../runtime.ts";
import { FieldReader } from "../field-reader.ts";
import type { SpoolContext } from "./context.ts";
import { Framer } from "./framing.ts";
import { readRecord } from "./record.ts";
import { scanRecords } from "./scan.ts";
import { headOf, readHead, seedsOf, Segment, SEGMENT_HEAD } from "./segment.ts";
import { Slot } from "./slots.ts";

const NAME = "checkpoint";
/** Items written between two turns of the event loop. */
const STEP = 2000;
/** Characters of a group of items. */
const GROUP = 16 * 1024;

export interface Position {
  readonly segment: number;
  readonly offset: number;
  readonly epoch: number;
}

export interface Loaded extends Position {
  /** Some item was in a segment that is gone: the log must have told where it went. */
  readonly missing: boolean;
}

function itemText(key: string, slot: Slot): string {
  const text = slot.text ?? slot.file ?? "";
  const kind = slot.text !== null ? "T" : slot.file !== null ? "F" : "B";
  return `${key} ${slot.segment.number} ${slot.offset} ${slot.start} ${slot.length} ${kind} ${text.length}\n${text}`;
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
  for (const [key, slot] of context.slots.map) {
    group += itemText(key, slot);
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
      if (this.position === null) {
        const [segment, offset, epoch] = operation.text.split(" ").map(Number);
        if (operation.key !== "position" || segment === undefined || offset === undefined) return false;
        this.position = { segment, offset, epoch: epoch ?? 0 };
      } else if (operation.key === "end") {
        this.complete = Number(operation.text) === this.#count;
      } else if (!this.#items(operation.text)) {
        return false;
      }
    }
    return true;
  }

  #items(text: string): boolean {
    const fields = new FieldReader(text, 0);
    const { slots } = this.#context;
    while (fields.at < text.length) {
      const key = fields.word(" ");
      const segment = this.#segment(fields.number());
      const offset = fields.number();
      const start = fields.number();
      const length = fields.number();
      const kind = fields.word(" ");
      const size = fields.number();
      if (key === null || Number.isNaN(offset + start + length + size)) return false;
      const rest = fields.characters(size);
      slots.put(key, new Slot(segment, offset, start, length, kind === "T" ? rest : null, kind === "F" ? rest : null));
      this.#count++;
    }
    return true;
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
  slots.map.clear();
  slots.sorted.changed();
  for (const segment of context.segments) segment.live = segment.liveBytes = 0;
  return null;
}
