/**
 * Content on its way into DATA: a dot at the start of a line is doubled (RFC 5321 §4.5.2), a line longer than the limit
 * is broken with CRLF SPACE as Postfix does, the end is CRLF "." CRLF.
 * Content comes with CRLF line ends; its last line may lack one. Pure; cannot fail.
 */

const LF = 10;
const CR = 13;
const SPACE = 32;
const DOT = 46;

export interface Encoded {
  readonly bytes: Uint8Array;
  /** A line was longer than the limit. */
  readonly broken: boolean;
}

const NOTHING = new Uint8Array(0);

/** The whole content, the final dot and what comes behind it in one array. */
export function encodeContent(pieces: readonly Uint8Array[], lineLimit: number, behind: Uint8Array = NOTHING): Encoded {
  let size = 0;
  for (const piece of pieces) size += piece.length;
  const bytes = new Uint8Array(size + 5 + behind.length);
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  const content = bytes.subarray(0, size);
  if (!passes(content, 0, lineLimit)) {
    const encoder = new ContentEncoder(lineLimit);
    const whole = joined(encoder.encode(content), encoder.finish());
    return { bytes: behind.length === 0 ? whole : joined(whole, behind), broken: encoder.broken };
  }
  if (size > 0 && !(size > 1 && bytes[size - 1] === LF && bytes[size - 2] === CR)) {
    if (bytes[size - 1] !== CR) bytes[at++] = CR;
    bytes[at++] = LF;
  }
  bytes[at++] = DOT;
  bytes[at++] = CR;
  bytes[at++] = LF;
  bytes.set(behind, at);
  return { bytes: bytes.subarray(0, at + behind.length), broken: false };
}

/** Content in chunks of any size. */
export class ContentEncoder {
  readonly #limit: number;
  /** Bytes of the present line that went out, a doubled dot not counted. */
  #column = 0;
  /** A CR waits for what follows: it ends the line, or is part of it. */
  #heldReturn = false;
  /** A line was longer than the limit. */
  broken = false;

  /** 0: no limit. */
  constructor(lineLimit: number) {
    this.#limit = lineLimit > 0 ? lineLimit : Infinity;
  }

  /** May give back the chunk itself. */
  encode(chunk: Uint8Array): Uint8Array {
    if (chunk.length === 0) return chunk;
    if (!this.#heldReturn && chunk[chunk.length - 1] !== CR && passes(chunk, this.#column, this.#limit)) {
      const newline = chunk.lastIndexOf(LF);
      this.#column = newline < 0 ? this.#column + chunk.length : chunk.length - 1 - newline;
      return chunk;
    }
    return this.#rewrite(chunk);
  }

  /** What ends the content. */
  finish(): Uint8Array {
    if (this.#column === 0 && !this.#heldReturn) return Uint8Array.of(DOT, CR, LF);
    return Uint8Array.of(CR, LF, DOT, CR, LF);
  }

  #rewrite(chunk: Uint8Array): Uint8Array {
    // Every byte may gain a dot before it, and a line break of three every `limit` bytes (a held CR comes on top).
    const breaks = this.#limit === Infinity ? 0 : Math.ceil((chunk.length + 1) / Math.max(1, this.#limit - 1)) + 1;
    const out = new Uint8Array(chunk.length * 2 + breaks * 3 + 4);
    let at = 0;
    const put = (byte: number): void => {
      if (this.#column === 0 && byte === DOT) out[at++] = DOT;
      if (this.#column >= this.#limit) {
        out[at++] = CR;
        out[at++] = LF;
        out[at++] = SPACE;
        this.#column = 1;
        this.broken = true;
      }
      out[at++] = byte;
      this.#column++;
    };
    for (const byte of chunk) {
      if (byte === LF) {
        if (this.#heldReturn) out[at++] = CR;
        this.#heldReturn = false;
        out[at++] = LF;
        this.#column = 0;
        continue;
      }
      if (this.#heldReturn) put(CR);
      this.#heldReturn = byte === CR;
      if (byte !== CR) put(byte);
    }
    return out.subarray(0, at);
  }
}

/** Whether bytes can go out as they are: no dot opens a line, and no line is longer than the limit. */
function passes(bytes: Uint8Array, column: number, lineLimit: number): boolean {
  for (let dot = bytes.indexOf(DOT); dot >= 0; dot = bytes.indexOf(DOT, dot + 1)) {
    if (dot === 0 ? column === 0 : bytes[dot - 1] === LF) return false;
  }
  if (lineLimit <= 0 || lineLimit === Infinity) return true;
  // Leaps from the last line end that is near enough to the next: few steps however short the lines are.
  let start = -column;
  while (bytes.length - start > lineLimit) {
    const newline = bytes.lastIndexOf(LF, start + lineLimit + 1);
    if (newline < 0 || newline < start) return false;
    start = newline + 1;
  }
  return true;
}

function joined(one: Uint8Array, other: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(one.length + other.length);
  bytes.set(one);
  bytes.set(other, one.length);
  return bytes;
}
