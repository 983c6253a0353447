/**
 * The checkpoint: the index at some position of the log, so that a start reads it and the log behind it alone.
 * Written as "checkpoint.new", synced, renamed over "checkpoint". It may show changes behind its position: reading the
 * log from there brings them again, to the same end. One that is damaged anywhere is not used (all is scanned then).
 * Records: "position" (segment number, offset, epoch), items in groups, "end" (their count).
 */

import { messageOf, systemCode } from "../../errors.ts";
import type { OpenFile } from "../../runtime.ts";
import type { Operation } from "../engine.ts";
import type { SpoolContext } from "./context.ts";
import { Framer } from "./framing.ts";
import { readRecord } from "./record.ts";
import { scanRecords } from "./scan.ts";
import { headOf, readHead, seedsOf, Segment, SEGMENT_HEAD } from "./segment.ts";
import { Slot } from "./slots.ts";

const NAME = "checkpoint";
/** Items written between two turns of the event loop. */
const STEP = 2000;
const GROUP = 50;

export interface Position {
  readonly segment: number;
  readonly offset: number;
  readonly epoch: number;
}

function itemText(slot: Slot): string {
  const place = `${slot.segment.number} ${slot.offset} ${slot.start} ${slot.length} `;
  return place + (slot.text !== null ? `T${slot.text}` : slot.file !== null ? `F${slot.file}` : "B");
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
  let group: Operation[] = [];
  const write = async (): Promise<void> => {
    const end = framer.position;
    await file.write(framer.finish(), at);
    at = end;
    framer.begin(at, seeds);
  };
  for (const [key, slot] of context.slots.map) {
    group.push({ kind: "put", key, value: itemText(slot) });
    if (group.length === GROUP) {
      framer.add(group);
      group = [];
    }
    if (++count % STEP === 0) {
      await write();
      await pause(context);
    }
  }
  if (group.length > 0) framer.add(group);
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
  complete = false;

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
      } else {
        this.#count++;
        this.#item(operation.key, operation.text);
      }
    }
    return true;
  }

  /** "segment offset start length T…" */
  #item(key: string, text: string): void {
    const one = text.indexOf(" ");
    const two = text.indexOf(" ", one + 1);
    const three = text.indexOf(" ", two + 1);
    const four = text.indexOf(" ", three + 1);
    const segment = this.#segment(Number(text.slice(0, one)));
    const kind = text[four + 1];
    const rest = kind === "B" ? null : text.slice(four + 2);
    this.#context.slots.put(
      key,
      new Slot(
        segment,
        Number(text.slice(one + 1, two)),
        Number(text.slice(two + 1, three)),
        Number(text.slice(three + 1, four)),
        kind === "T" ? rest : null,
        kind === "F" ? rest : null,
      ),
    );
  }

  /** A segment that is gone: what it held was moved, as the log behind the checkpoint tells. */
  #segment(number: number): Segment {
    let segment = this.#segments.get(number);
    if (segment === undefined) {
      segment = new Segment(Segment.nameOf(number, 0, new Uint8Array(4)), this.#context.crc32);
      this.#segments.set(number, segment);
    }
    return segment;
  }
}

/** Fills the index and tells where to go on; null: there is no usable checkpoint, the index is as it was (empty). */
export async function loadCheckpoint(context: SpoolContext): Promise<Position | null> {
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
    if (sound && damage.length === 0 && loader.complete) return loader.position;
    context.log.warn("queue checkpoint is damaged: reading all of the queue");
  } finally {
    await file.close();
  }
  slots.map.clear();
  slots.sorted.changed();
  for (const segment of context.segments) segment.live = segment.liveBytes = 0;
  return null;
}
