/**
 * Records in a segment. A record is all operations of one commit, so that a commit is atomic:
 *   table length (4), then for each operation: kind (1), key length (2), value length (4), key, text; then bulk values.
 * It is cut into fragments that never cross a 32 KiB block of the file, so that a reader finds its way after damage:
 *   checksum (4), length (2), type (1: whole, 2: first, 3: middle, 4: last), bytes. Numbers are little-endian.
 * Seven bytes or fewer at the end of a block stay zero.
 * Bulk values of long records are passed on by reference; everything else is written into one buffer that is used again
 * for the next batch: the pieces of a batch must be written before begin() is called again.
 */

import { latin1EncodeInto } from "../../latin1.ts";
import type { LinesOperation, Operation, Value } from "../engine.ts";
import type { Part } from "../key-rows.ts";
import type { Crc32, Seeds } from "./segment.ts";

export const BLOCK = 32768;
export const FRAGMENT_HEAD = 7;
export const WHOLE = 1;
export const FIRST = 2;
export const MIDDLE = 3;
export const LAST = 4;
export const KIND = { delete: 0, text: 1, bulk: 2, file: 3 } as const;

const OPERATION_HEAD = 7;
const BUFFER = 512 * 1024;
/** A record up to here is put together in the buffer: one long piece is written faster than many short ones. */
const COPIED = 64 * 1024;

/** Put down, with what else is to be in the record of an operation that tells of a part alone. */
export type FramedOperation =
  | Exclude<Operation, LinesOperation>
  | FramedLines;

export interface FramedLines {
  readonly kind: "lines";
  readonly key: string;
  readonly lines: string;
  readonly rest: Part;
}

/** What of a value stands in the table. */
function tableText(value: Value): string {
  if (typeof value === "string") return value;
  return "file" in value ? `${value.size} ${value.file}` : "";
}

export class Framer {
  readonly #crc32: Crc32;
  #buffer = new Uint8Array(BUFFER);
  #used = 0;
  /** Bytes of the buffer from here to #used are not among the pieces yet. */
  #runStart = 0;
  #pieces: Uint8Array[] = [];
  #bulk: Uint8Array[] = [];
  #seeds: Seeds = [];
  #position = 0;
  /** Table bytes (its length field included) of the record added last: where its bulk values start. */
  tableBytes = 0;

  constructor(crc32: Crc32) {
    this.#crc32 = crc32;
  }

  get position(): number {
    return this.#position;
  }

  begin(position: number, seeds: Seeds): void {
    this.#used = 0;
    this.#runStart = 0;
    this.#pieces = [];
    this.#position = position;
    this.#seeds = seeds;
  }

  /** The pieces to write, in order. */
  finish(): Uint8Array[] {
    this.#endRun();
    return this.#pieces;
  }

  /** Bytes as they are, such as a file's header. */
  raw(bytes: Uint8Array): void {
    this.#endRun();
    this.#pieces.push(bytes);
    this.#position += bytes.length;
  }

  /** Where in the file the record starts. */
  add(operations: readonly FramedOperation[]): number {
    let table = 4;
    let bulk = 0;
    for (const operation of operations) {
      table += OPERATION_HEAD + operation.key.length;
      if (operation.kind === "delete") continue;
      if (operation.kind === "lines") {
        table += operation.lines.length + operation.rest.end - operation.rest.start;
        continue;
      }
      const value = operation.value;
      if (typeof value === "string") table += value.length;
      else if ("file" in value) table += tableText(value).length;
      else for (const piece of value) bulk += piece.length;
    }
    this.tableBytes = table;
    const total = table + bulk;
    const copied = total <= COPIED;
    this.#reserve(copied ? total + 2 * FRAGMENT_HEAD + headsOf(total) : table + 2 * FRAGMENT_HEAD);
    const room = BLOCK - this.#position % BLOCK;
    if (room <= FRAGMENT_HEAD) this.#pad(room);
    const start = this.#position;
    const head = this.#used;
    this.#used += FRAGMENT_HEAD;
    this.#writeTable(operations, table);
    if (copied) {
      this.#copyBulk();
      this.#frame(head, total);
    } else this.#fragments(head, total);
    return start;
  }

  #copyBulk(): void {
    const bulk = this.#bulk;
    for (const piece of bulk) {
      this.#buffer.set(piece, this.#used);
      this.#used += piece.length;
    }
    bulk.length = 0;
  }

  #writeTable(operations: readonly FramedOperation[], table: number): void {
    const buffer = this.#buffer;
    const bulk = this.#bulk;
    bulk.length = 0;
    let at = writeUint32(buffer, this.#used, table - 4);
    for (const operation of operations) {
      const { key } = operation;
      let text = "";
      let rest: Part | null = null;
      let kind: number = KIND.delete;
      let length = 0;
      if (operation.kind === "lines") {
        text = operation.lines;
        rest = operation.rest;
        kind = KIND.text;
        length = text.length + rest.end - rest.start;
      } else if (operation.kind === "put") {
        const value = operation.value;
        text = tableText(value);
        length = text.length;
        kind = typeof value === "string" ? KIND.text : KIND.file;
        if (typeof value === "object" && !("file" in value)) {
          kind = KIND.bulk;
          for (const piece of value) {
            if (piece.length === 0) continue;
            bulk.push(piece);
            length += piece.length;
          }
        }
      }
      buffer[at] = kind;
      buffer[at + 1] = key.length;
      buffer[at + 2] = key.length >>> 8;
      at = writeUint32(buffer, at + 3, length);
      at = writeText(buffer, at, key);
      at = writeText(buffer, at, text);
      if (rest !== null) at = copyPart(buffer, at, rest);
    }
    this.#used = at;
  }

  /** The record stands in the buffer; where it goes on in another block, the rest makes room for a fragment's head. */
  #frame(head: number, total: number): void {
    const buffer = this.#buffer;
    for (let left = total; left > 0;) {
      const take = Math.min(left, BLOCK - this.#position % BLOCK - FRAGMENT_HEAD);
      const type = take < left ? (left === total ? FIRST : MIDDLE) : (left === total ? WHOLE : LAST);
      const start = head + FRAGMENT_HEAD;
      const end = start + take;
      const crc = this.#crc32(buffer.subarray(start, end), this.#seeds[type]);
      writeHead(buffer, head, crc, take, type);
      if (take < left) {
        buffer.copyWithin(end + FRAGMENT_HEAD, end, this.#used);
        this.#used += FRAGMENT_HEAD;
      }
      left -= take;
      head = end;
      this.#position += FRAGMENT_HEAD + take;
    }
  }

  /** The record is longer than a block: in fragments, its bulk by reference. */
  #fragments(head: number, total: number): void {
    const table = this.#buffer.subarray(head + FRAGMENT_HEAD, this.#used);
    const parts = [table, ...this.#bulk];
    const used = this.#used;
    this.#used = head;
    this.#endRun();
    this.#used = used;
    this.#runStart = used;
    let part = 0;
    let offset = 0;
    for (let left = total; left > 0;) {
      const room = BLOCK - this.#position % BLOCK;
      const take = Math.min(left, room - FRAGMENT_HEAD);
      const type = left === total ? FIRST : take === left ? LAST : MIDDLE;
      const headBytes = new Uint8Array(FRAGMENT_HEAD);
      this.#pieces.push(headBytes);
      let crc = this.#seeds[type]!;
      for (let need = take; need > 0;) {
        const from = parts[part]!;
        const count = Math.min(need, from.length - offset);
        const piece = count === from.length ? from : from.subarray(offset, offset + count);
        crc = this.#crc32(piece, crc);
        this.#pieces.push(piece);
        need -= count;
        offset += count;
        if (offset === from.length) {
          part++;
          offset = 0;
        }
      }
      writeHead(headBytes, 0, crc, take, type);
      left -= take;
      this.#position += FRAGMENT_HEAD + take;
    }
  }

  #pad(count: number): void {
    this.#buffer.fill(0, this.#used, this.#used + count);
    this.#used += count;
    this.#position += count;
  }

  #reserve(bytes: number): void {
    if (this.#used + bytes <= this.#buffer.length) return;
    this.#endRun();
    this.#buffer = new Uint8Array(Math.max(BUFFER, bytes));
    this.#used = 0;
    this.#runStart = 0;
  }

  #endRun(): void {
    if (this.#used > this.#runStart) this.#pieces.push(this.#buffer.subarray(this.#runStart, this.#used));
    this.#runStart = this.#used;
  }
}

/** Room for the heads of a record's fragments. */
function headsOf(length: number): number {
  return (Math.ceil(length / (BLOCK - FRAGMENT_HEAD)) + 1) * FRAGMENT_HEAD;
}

function writeUint32(buffer: Uint8Array, at: number, value: number): number {
  buffer[at] = value;
  buffer[at + 1] = value >>> 8;
  buffer[at + 2] = value >>> 16;
  buffer[at + 3] = value >>> 24;
  return at + 4;
}

function writeText(buffer: Uint8Array, at: number, text: string): number {
  latin1EncodeInto(text, buffer, at);
  return at + text.length;
}

function copyPart(buffer: Uint8Array, at: number, { bytes, start, end }: Part): number {
  buffer.set(bytes.subarray(start, end), at);
  return at + end - start;
}

function writeHead(buffer: Uint8Array, at: number, crc: number, length: number, type: number): void {
  writeUint32(buffer, at, crc);
  buffer[at + 4] = length;
  buffer[at + 5] = length >>> 8;
  buffer[at + 6] = type;
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24) >>> 0;
}

/** The length of the sound fragment at `at`, or -1; `end` is the end of its block or of the bytes. */
export function soundFragment(crc32: Crc32, seeds: Seeds, bytes: Uint8Array, at: number, end: number): number {
  if (at + FRAGMENT_HEAD >= end) return -1;
  const type = bytes[at + 6]!;
  if (type < WHOLE || type > LAST) return -1;
  const length = bytes[at + 4]! | bytes[at + 5]! << 8;
  const start = at + FRAGMENT_HEAD;
  if (length === 0 || start + length > end) return -1;
  return crc32(bytes.subarray(start, start + length), seeds[type]) === readUint32(bytes, at) ? length : -1;
}
