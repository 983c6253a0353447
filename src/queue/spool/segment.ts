/**
 * Segments: append-only files "<number>-<epoch>-<salt>.log", ordered by their number.
 *   active (its writer appends) --full, or a write failed--> sealed (read only) --nothing in it lives--> removed
 * The name seeds every checksum in the file (the salt is random: content that looks like a record is none), so that a
 * damaged header loses nothing. The header holds the format version; a newer one than ours is a ConfigError.
 */

import { ConfigError } from "../../errors.ts";
import { latin1Encode } from "../../latin1.ts";
import type { Files, OpenFile, Runtime } from "../../runtime.ts";
import { readFully } from "./context.ts";

export type Crc32 = Runtime["crc32"];

export const FORMAT_VERSION = 1;
export const SEGMENT_HEAD = 64;
/** Numbers of segments are below this. */
export const SEGMENT_LIMIT = 2 ** 40;
const MAGIC = latin1Encode("PRSPOOL\n");
const NAME = /^([0-9a-f]{10})-([0-9a-f]{8})-([0-9a-f]{8})\.log$/;

/** Checksum seeds by fragment type (framing.ts). */
export type Seeds = readonly number[];

export function seedsOf(crc32: Crc32, name: string): Seeds {
  const seed = crc32(latin1Encode(name));
  return [0, 1, 2, 3, 4].map((type) => crc32(Uint8Array.of(type), seed));
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, "0");

export class Segment {
  readonly name: string;
  readonly number: number;
  readonly epoch: number;
  readonly seeds: Seeds;
  /** Bytes that are known to be stored. */
  size = 0;
  /** What stands behind this was never acknowledged, as a later segment says. */
  limit = Infinity;
  /** Slots of the index that point here, and their bytes. */
  live = 0;
  liveBytes = 0;
  /** Open while active; else while somebody reads. */
  file: OpenFile | null = null;
  readers = 0;
  /** To be closed by the last reader. */
  closing = false;

  constructor(name: string, crc32: Crc32) {
    const parts = NAME.exec(name);
    if (parts === null) throw new ConfigError([`${name} is not the name of a segment`]);
    this.name = name;
    this.number = parseInt(parts[1]!, 16);
    this.epoch = parseInt(parts[2]!, 16);
    this.seeds = seedsOf(crc32, name);
  }

  static nameOf(number: number, epoch: number, salt: Uint8Array): string {
    const random = new DataView(salt.buffer, salt.byteOffset).getUint32(0);
    return `${hex(number, 10)}-${hex(epoch, 8)}-${hex(random, 8)}.log`;
  }

  static isName(name: string): boolean {
    return NAME.test(name);
  }
}

/** Where a segment whose write failed ends, for readers: its next one says so in its head. */
export interface Limit {
  readonly number: number;
  readonly end: number;
}

/** So many limits find room in a head. */
export const LIMITS = 3;
const LIMITS_AT = 16;
const LIMIT_BYTES = 12;

/** The first bytes of a file of the spool: magic (8), version (4), number of limits (4), limits, …, checksum (4). */
export function headOf(
  crc32: Crc32,
  seeds: Seeds,
  limits: readonly Limit[] = [],
): Uint8Array {
  const head = new Uint8Array(SEGMENT_HEAD);
  const view = new DataView(head.buffer);
  head.set(MAGIC);
  view.setUint32(8, FORMAT_VERSION, true);
  view.setUint32(12, limits.length, true);
  for (const [index, { number, end }] of limits.entries()) {
    view.setFloat64(LIMITS_AT + index * LIMIT_BYTES, number, true);
    view.setUint32(LIMITS_AT + index * LIMIT_BYTES + 8, end, true);
  }
  view.setUint32(60, crc32(head.subarray(0, 60), seeds[0]), true);
  return head;
}

export interface Head {
  readonly version: number;
  readonly limits: readonly Limit[];
}

/** What a file's header says; null: it is damaged. */
export function readHead(crc32: Crc32, seeds: Seeds, head: Uint8Array): Head | null {
  if (head.length < SEGMENT_HEAD) return null;
  const view = new DataView(head.buffer, head.byteOffset, SEGMENT_HEAD);
  if (view.getUint32(60, true) !== crc32(head.subarray(0, 60), seeds[0])) return null;
  const version = view.getUint32(8, true);
  if (version > FORMAT_VERSION) {
    throw new ConfigError([`the queue was written by a newer Postrider (format ${version}, here ${FORMAT_VERSION})`]);
  }
  const limits: Limit[] = [];
  for (let index = 0; index < Math.min(LIMITS, view.getUint32(12, true)); index++) {
    const at = LIMITS_AT + index * LIMIT_BYTES;
    limits.push({ number: view.getFloat64(at, true), end: view.getUint32(at + 8, true) });
  }
  return { version, limits };
}

/** Open files of sealed segments, a few at a time. */
export class SegmentReader {
  readonly #files: Files;
  readonly #folder: string;
  readonly #limit: number;
  readonly #open = new Set<Segment>();

  constructor(files: Files, folder: string, limit: number) {
    this.#files = files;
    this.#folder = folder;
    this.#limit = limit;
  }

  async read(segment: Segment, into: Uint8Array, position: number): Promise<number> {
    segment.readers++;
    try {
      if (segment.file === null) await this.#openFile(segment);
      return await readFully(segment.file!, into, position);
    } finally {
      segment.readers--;
      if (segment.closing && segment.readers === 0) await this.#closeFile(segment);
    }
  }

  /** Closes a segment's file as soon as nobody reads it. */
  async release(segment: Segment): Promise<void> {
    segment.closing = true;
    if (segment.readers === 0) await this.#closeFile(segment);
  }

  async #openFile(segment: Segment): Promise<void> {
    const file = await this.#files.open(`${this.#folder}/${segment.name}`, "read");
    if (segment.file !== null) return file.close();
    segment.file = file;
    segment.closing = false;
    this.#open.add(segment);
    for (const other of this.#open) {
      if (this.#open.size <= this.#limit) break;
      if (other !== segment) {
        this.#open.delete(other);
        await this.release(other);
      }
    }
  }

  async #closeFile(segment: Segment): Promise<void> {
    const file = segment.file;
    segment.file = null;
    segment.closing = false;
    this.#open.delete(segment);
    await file?.close();
  }
}
