/**
 * Reads the records of a segment in order. What is not sound is skipped byte by byte to the next sound fragment, inside
 * its block; so damage costs only the records it touches. Damage behind the last sound record is a torn tail: it was
 * never acknowledged, and is left out without a word. Reading errors of the system are passed on.
 */

import { BLOCK, FIRST, FRAGMENT_HEAD, LAST, MIDDLE, soundFragment, WHOLE } from "./framing.ts";
import type { Crc32, Seeds } from "./segment.ts";

export interface Region {
  readonly offset: number;
  readonly length: number;
}

export interface ScanOptions {
  readonly crc32: Crc32;
  readonly seeds: Seeds;
  /** Where the first record starts. */
  readonly from: number;
  readonly read: (into: Uint8Array, position: number) => Promise<number>;
  /** The bytes are good until it returns. False: the record makes no sense. */
  readonly record: (bytes: Uint8Array, offset: number) => boolean;
}

export interface ScanResult {
  /** Behind the last sound record. */
  readonly end: number;
  readonly damage: readonly Region[];
}

/** Blocks read at once. */
const STEP = 32 * BLOCK;

class Scanner {
  readonly #options: ScanOptions;
  readonly damage: Region[] = [];
  #suspect: Region[] = [];
  /** Start of the record being put together; -1: none. */
  #start = -1;
  /** Its bytes so far. */
  #joined = new Uint8Array(2 * BLOCK);
  #length = 0;
  end: number;

  constructor(options: ScanOptions) {
    this.#options = options;
    this.end = options.from;
  }

  /** One block or its rest: bytes [at, limit) of the buffer that starts at `base` in the file. */
  block(bytes: Uint8Array, base: number, at: number, limit: number): void {
    const { crc32, seeds } = this.#options;
    let bad = -1;
    while (at + FRAGMENT_HEAD < limit) {
      const length = soundFragment(crc32, seeds, bytes, at, limit);
      if (length < 0) {
        if (bad < 0) {
          bad = at;
          this.#drop(base + at);
          if (isZero(bytes, at, limit)) break;
        }
        at++;
        continue;
      }
      if (bad >= 0) this.#doubt(base + bad, base + at);
      bad = -1;
      const end = at + FRAGMENT_HEAD + length;
      this.#fragment(bytes[at + 6]!, bytes.subarray(at + FRAGMENT_HEAD, end), base + at, base + end);
      at = end;
    }
    if (bad >= 0) this.#doubt(base + bad, base + limit);
  }

  #fragment(type: number, bytes: Uint8Array, offset: number, end: number): void {
    if (type === WHOLE || type === FIRST) {
      this.#drop(offset);
      this.#start = offset;
      if (type === FIRST) this.#join(bytes);
      else this.#record(bytes, end);
    } else if (this.#start < 0) {
      this.#doubt(offset, end);
    } else {
      this.#join(bytes);
      if (type === LAST) this.#record(this.#joined.subarray(0, this.#length), end);
      else if (type !== MIDDLE) this.#drop(end);
    }
  }

  #join(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#joined.length) {
      const joined = new Uint8Array(2 * length);
      joined.set(this.#joined.subarray(0, this.#length));
      this.#joined = joined;
    }
    this.#joined.set(bytes, this.#length);
    this.#length = length;
  }

  #record(bytes: Uint8Array, end: number): void {
    const offset = this.#start;
    this.#start = -1;
    this.#length = 0;
    if (!this.#options.record(bytes, offset)) return this.#doubt(offset, end);
    this.end = end;
    this.damage.push(...this.#suspect);
    this.#suspect = [];
  }

  /** The record being put together has no end. */
  #drop(end: number): void {
    if (this.#start >= 0) this.#doubt(this.#start, end);
    this.#start = -1;
    this.#length = 0;
  }

  #doubt(start: number, end: number): void {
    const last = this.#suspect.at(-1);
    if (last !== undefined && last.offset + last.length >= start) {
      const from = Math.min(last.offset, start);
      this.#suspect[this.#suspect.length - 1] = {
        offset: from,
        length: Math.max(end, last.offset + last.length) - from,
      };
    } else {
      this.#suspect.push({ offset: start, length: end - start });
    }
  }
}

function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    if (bytes[at] !== 0) return false;
  }
  return true;
}

export async function scanRecords(options: ScanOptions): Promise<ScanResult> {
  const scanner = new Scanner(options);
  const buffer = new Uint8Array(STEP);
  for (let base = options.from - options.from % BLOCK;; base += STEP) {
    const got = await options.read(buffer, base);
    const first = Math.max(0, options.from - base);
    for (let block = 0; block < got; block += BLOCK) {
      if (block + BLOCK > first) scanner.block(buffer, base, Math.max(block, first), Math.min(block + BLOCK, got));
    }
    if (got < STEP) break;
  }
  return { end: scanner.end, damage: scanner.damage };
}
