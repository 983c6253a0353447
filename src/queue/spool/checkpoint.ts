/**
 * The checkpoint: the index at some position of the log, so that a start reads it and the log behind it alone.
 * Written as "checkpoint.new", synced, renamed over "checkpoint". It may show changes behind its position: reading the
 * log from there brings them again, to the same end. One that is damaged anywhere is not used (all is scanned then).
 *   head: magic (8), version (4), epoch (4), segment number (8), offset (8), rows to come, about (4), checksum (4)
 *   sections: rows (4), bytes of keys and texts (4), which section (4), checksum (4), then for each row ROW_NUMBERS
 *     numbers (slots.ts), then for each row its key and its text (of a large file: its name)
 *   the last section has neither rows nor bytes
 * Numbers are little-endian: the index takes them over as they are.
 */

import { messageOf, systemCode } from "../../errors.ts";
import { latin1EncodeInto } from "../../latin1.ts";
import type { OpenFile } from "../../runtime.ts";
import { startsWith } from "../key-rows.ts";
import { AheadReader } from "./ahead-reader.ts";
import type { SpoolContext } from "./context.ts";
import { type Crc32, Segment } from "./segment.ts";
import { ROW_NUMBERS, type RowImage, type Slots } from "./slots.ts";

const NAME = "checkpoint";
const MAGIC = "PRINDEX\n";
/** What it began with when its items were records like those of the log. */
const FORMER_MAGIC = "PRSPOOL\n";
const VERSION = 1;
const HEAD = 40;
const SECTION_HEAD = 16;
/** Rows of a section, and bytes of keys and texts behind which it ends: what is done in one turn of the event loop. */
const SECTION_ROWS = 1024;
const SECTION_BYTES = 256 * 1024;
const ROW_BYTES = ROW_NUMBERS * 4;

export interface Position {
  readonly segment: number;
  readonly offset: number;
  readonly epoch: number;
}

export interface Loaded extends Position {
  /** Some item was in a segment that is gone: the log must have told where it went. */
  readonly missing: boolean;
}

function pause(context: SpoolContext): Promise<void> {
  return new Promise((resolve) => context.clock.soon(resolve));
}

function headOf(crc32: Crc32, { segment, offset, epoch }: Position, rows: number): Uint8Array {
  const head = new Uint8Array(HEAD);
  const view = new DataView(head.buffer);
  latin1EncodeInto(MAGIC, head, 0);
  view.setUint32(8, VERSION, true);
  view.setUint32(12, epoch, true);
  view.setFloat64(16, segment, true);
  view.setFloat64(24, offset, true);
  view.setUint32(32, rows, true);
  view.setUint32(36, crc32(head.subarray(0, 36)), true);
  return head;
}

/** Rows of the index on their way into a file. */
class SectionWriter {
  readonly #slots: Slots;
  readonly #crc32: Crc32;
  readonly #file: OpenFile;
  readonly #head = new Uint8Array(SECTION_HEAD);
  readonly #numbers = new Uint32Array(SECTION_ROWS * ROW_NUMBERS);
  #text = new Uint8Array(SECTION_BYTES * 2);
  #rows = 0;
  #used = 0;
  #number = 0;
  /** Where the next section goes. */
  at = HEAD;

  constructor(slots: Slots, crc32: Crc32, file: OpenFile) {
    this.#slots = slots;
    this.#crc32 = crc32;
    this.#file = file;
  }

  get isFull(): boolean {
    return this.#rows === SECTION_ROWS || this.#used >= SECTION_BYTES;
  }

  add(row: number): void {
    const length = this.#slots.rowInto(row, this.#numbers, this.#rows * ROW_NUMBERS);
    if (length === 0) return;
    if (this.#used + length > this.#text.length) {
      const former = this.#text;
      this.#text = new Uint8Array((this.#used + length) * 2);
      this.#text.set(former.subarray(0, this.#used));
    }
    this.#slots.rowBytesInto(row, this.#text, this.#used);
    this.#used += length;
    this.#rows++;
  }

  async write(): Promise<void> {
    if (this.#rows === 0) return;
    const numbers = new Uint8Array(this.#numbers.buffer, 0, this.#rows * ROW_BYTES);
    await this.#write(this.#rows, [numbers, this.#text.subarray(0, this.#used)]);
    this.#rows = this.#used = 0;
  }

  end(): Promise<void> {
    return this.#write(0, []);
  }

  async #write(rows: number, pieces: readonly Uint8Array[]): Promise<void> {
    const head = this.#head;
    const view = new DataView(head.buffer);
    view.setUint32(0, rows, true);
    view.setUint32(4, this.#used, true);
    view.setUint32(8, this.#number++, true);
    view.setUint32(12, checksum(this.#crc32, head, pieces), true);
    await this.#file.write([head, ...pieces], this.at);
    this.at += pieces.reduce((sum, piece) => sum + piece.length, SECTION_HEAD);
  }
}

function checksum(crc32: Crc32, head: Uint8Array, pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => crc32(piece, sum), crc32(head.subarray(0, 12)));
}

async function writeRows(context: SpoolContext, file: OpenFile, position: Position): Promise<number> {
  const { slots, crc32 } = context;
  await file.write([headOf(crc32, position, slots.size)], 0);
  const sections = new SectionWriter(slots, crc32, file);
  for (let row = 0; row < slots.rows; row++) {
    sections.add(row);
    if (!sections.isFull) continue;
    await sections.write();
    await pause(context);
  }
  await sections.write();
  await sections.end();
  return sections.at;
}

/** The bytes it took; null: it could not be written, which only makes the next start longer. */
export async function writeCheckpoint(context: SpoolContext, position: Position): Promise<number | null> {
  const { files, folder } = context;
  try {
    const file = await files.open(`${folder}/${NAME}.new`, "write", 0o600);
    let bytes: number;
    try {
      bytes = await writeRows(context, file, position);
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

/** Reads a checkpoint into the index. */
class Loader {
  readonly #context: SpoolContext;
  readonly #reader: AheadReader;
  readonly #segments: Map<number, Segment>;
  readonly #head = new Uint8Array(HEAD);
  readonly #view = new DataView(this.#head.buffer);
  readonly #numbers = new Uint32Array(SECTION_ROWS * ROW_NUMBERS);
  /** Bytes that may still come. */
  #left: number;
  /** Some item is in a segment that is gone. */
  missing = false;

  constructor(context: SpoolContext, reader: AheadReader, size: number) {
    this.#context = context;
    this.#reader = reader;
    this.#left = size;
    this.#segments = new Map(context.segments.map((segment) => [segment.number, segment]));
  }

  /** null: damaged; "other": in a form of another time. */
  async head(): Promise<Position | "other" | null> {
    const view = this.#view;
    const head = this.#head;
    const whole = await this.#reader.take(head);
    const part = { bytes: head, start: 0, end: HEAD };
    if (startsWith(part, FORMER_MAGIC)) return "other";
    const sound = whole && startsWith(part, MAGIC) &&
      view.getUint32(36, true) === this.#context.crc32(head.subarray(0, 36));
    if (!sound) return null;
    if (view.getUint32(8, true) !== VERSION) return "other";
    this.#context.slots.expect(Math.min(view.getUint32(32, true), this.#left / ROW_BYTES));
    return {
      segment: view.getFloat64(16, true),
      offset: view.getFloat64(24, true),
      epoch: view.getUint32(12, true),
    };
  }

  /** False: something is damaged, or missing. */
  async sections(): Promise<boolean> {
    const head = this.#head.subarray(0, SECTION_HEAD);
    const view = this.#view;
    for (let number = 0; await this.#reader.take(head); number++) {
      const rows = view.getUint32(0, true);
      const bytes = view.getUint32(4, true);
      if (view.getUint32(8, true) !== number) return false;
      if (bytes === 0) return this.#isSound([]) && this.#reader.isOver;
      if (!await this.#section(rows, bytes)) return false;
    }
    return false;
  }

  async #section(rows: number, bytes: number): Promise<boolean> {
    this.#left -= bytes;
    if (rows > SECTION_ROWS || this.#left < 0) return false;
    const numbers = new Uint8Array(this.#numbers.buffer, 0, rows * ROW_BYTES);
    const text = new Uint8Array(bytes);
    const whole = await this.#reader.take(numbers) && await this.#reader.take(text);
    if (!whole || !this.#isSound([numbers, text])) return false;
    const image: RowImage = { rows, numbers: this.#numbers, text };
    return this.#context.slots.adopt(image, (segment) => this.#segment(segment));
  }

  #isSound(pieces: readonly Uint8Array[]): boolean {
    return this.#view.getUint32(12, true) === checksum(this.#context.crc32, this.#head, pieces);
  }

  /** A segment that is gone: what it held was moved, as the log behind the checkpoint tells. */
  #segment(number: number): Segment {
    let segment = this.#segments.get(number);
    if (segment === undefined) {
      this.missing = true;
      segment = new Segment(Segment.nameOf(number, 0, new Uint8Array(4)), this.#context.crc32);
      this.#segments.set(number, segment);
    }
    return segment;
  }
}

/** Fills the index and tells where to go on; null: there is no usable checkpoint, the index is as it was (empty). */
export async function loadCheckpoint(context: SpoolContext): Promise<Loaded | null> {
  const { files, folder, slots } = context;
  let file: OpenFile;
  try {
    file = await files.open(`${folder}/${NAME}`, "read");
  } catch (error) {
    if (systemCode(error) !== "ENOENT") context.log.warn(`queue checkpoint not read: ${messageOf(error)}`);
    return null;
  }
  const { size } = await file.stat();
  const reader = new AheadReader(file, 0, size);
  try {
    const loader = new Loader(context, reader, size);
    const head = await loader.head();
    if (head !== "other") {
      if (head !== null && await loader.sections()) return { ...head, missing: loader.missing };
      context.log.warn("queue checkpoint is damaged: reading all of the queue");
    }
  } finally {
    await reader.close();
    await file.close();
  }
  slots.clear();
  return null;
}
