/**
 * Message content on the wire (RFC 5321 §4.5.2): finds the end of data, undoes dot-stuffing and makes every line end
 * CRLF, in one pass and by reference: only what must change is cut out.
 *   line start --"."--> dot --CR--> carriage return --LF--> end of data
 *   text --CR--> carriage return --LF--> line start
 * Only CRLF.CRLF ends a message, unless `lenient`. Never fails.
 */

import { SMTPStream } from "smtp-server/lib/smtp-stream.js";
import type { DataFacts } from "../dialogue.ts";

const CR = 13;
const LF = 10;
const DOT = 46;
const CRLF: Uint8Array = Uint8Array.of(CR, LF);
const SPACE: Uint8Array = Uint8Array.of(32);
const STRAY_CR: Uint8Array = Uint8Array.of(CR);

const TEXT = 0;
const LINE_START = 1;
const AFTER_DOT = 2;
const AFTER_CR = 3;

export class DataScanner {
  readonly #dots: boolean;
  readonly #lenient: boolean;
  readonly #stray: Uint8Array;
  #state = LINE_START;
  /** The line before this one ended with LF alone. */
  #afterBare = false;
  /** Nothing but a dot stands in this line. */
  #loneDot = false;
  /** CRs at the end of the former chunk that are not emitted yet. */
  #heldCrs = 0;
  #bareNewline = false;

  /** `dots`: a message ends with a dot and is dot-stuffed (DATA); without, nothing ends it (BDAT). */
  constructor(dots: boolean, lenient: boolean, replaceStrayCr: boolean) {
    this.#dots = dots;
    this.#lenient = lenient;
    this.#stray = replaceStrayCr ? SPACE : STRAY_CR;
  }

  get facts(): DataFacts {
    return { bareNewline: this.#bareNewline };
  }

  /** Reads from `start`; the index after the end of data, or -1 when the whole chunk was content. */
  push(chunk: Uint8Array, start: number, emit: (piece: Uint8Array) => void): number {
    let from = start;
    let crAt = start;
    const length = chunk.length;
    for (let at = start; at < length; at++) {
      const byte = chunk[at] as number;
      if (this.#state === TEXT) {
        at = skipText(chunk, at, length);
        if (at === length) break;
        if (chunk[at] === CR) this.#state = AFTER_CR;
        else from = this.#bare(chunk, from, at, emit);
        crAt = at;
      } else if (this.#state === AFTER_CR) {
        if (byte === CR) continue;
        if (byte === LF) {
          if (this.#loneDot && (this.#lenient || (!this.#afterBare && this.#crs(start, crAt, at) === 1))) return at + 1;
          from = this.#crlf(chunk, from, crAt, at, emit);
          continue;
        }
        from = this.#strayCrs(chunk, from, crAt, at, emit);
        at--;
      } else if (byte === DOT && this.#state === LINE_START && this.#dots) {
        if (at > from) emit(chunk.subarray(from, at));
        from = at + 1;
        this.#state = AFTER_DOT;
      } else {
        this.#loneDot = this.#state === AFTER_DOT && (byte === CR || byte === LF);
        if (this.#loneDot && byte === LF && this.#lenient) return at + 1;
        this.#state = TEXT;
        at--;
      }
    }
    const stop = this.#state === AFTER_CR ? Math.max(from, crAt) : length;
    if (stop > from) emit(chunk.subarray(from, stop));
    if (this.#state === AFTER_CR) this.#heldCrs += length - Math.max(start, crAt);
    return -1;
  }

  /** BDAT: the message is over. A last line without its end gets one. */
  finish(emit: (piece: Uint8Array) => void): void {
    if (this.#state === LINE_START) return;
    for (let count = this.#heldCrs; count > 1; count--) emit(this.#stray);
    emit(CRLF);
    this.#state = LINE_START;
  }

  /** LF without CR: becomes CRLF. */
  #bare(chunk: Uint8Array, from: number, at: number, emit: (piece: Uint8Array) => void): number {
    if (at > from) emit(chunk.subarray(from, at));
    emit(CRLF);
    this.#bareNewline = true;
    this.#afterBare = true;
    this.#loneDot = false;
    this.#state = LINE_START;
    return at + 1;
  }

  /** How many CRs stand before the LF at `at`. */
  #crs(start: number, crAt: number, at: number): number {
    return this.#heldCrs + at - Math.max(start, crAt);
  }

  /** CRs and LF: one line end, further CRs before it are dropped. */
  #crlf(chunk: Uint8Array, from: number, crAt: number, at: number, emit: (piece: Uint8Array) => void): number {
    this.#afterBare = false;
    this.#loneDot = false;
    this.#state = LINE_START;
    const held = this.#heldCrs;
    this.#heldCrs = 0;
    if (held === 0 && at - crAt === 1) return from;
    if (crAt > from) emit(chunk.subarray(from, crAt));
    emit(CRLF);
    return at + 1;
  }

  #strayCrs(chunk: Uint8Array, from: number, crAt: number, at: number, emit: (piece: Uint8Array) => void): number {
    const first = Math.max(from, crAt);
    if (first > from) emit(chunk.subarray(from, first));
    for (let count = this.#heldCrs + at - first; count > 0; count--) emit(this.#stray);
    this.#heldCrs = 0;
    this.#loneDot = false;
    this.#state = TEXT;
    return at;
  }
}

/** The first CR or LF at or after `at`. */
function skipText(chunk: Uint8Array, at: number, length: number): number {
  while (at < length) {
    const byte = chunk[at] as number;
    if (byte <= CR && (byte === CR || byte === LF)) return at;
    at++;
  }
  return at;
}

/** smtp-server's parser object; input comes from the socket's data event instead (engine/connection.ts). */
export class Stream extends SMTPStream {
  override _write(_chunk: Uint8Array, _encoding: unknown, next: () => void): void {
    next();
  }
}
