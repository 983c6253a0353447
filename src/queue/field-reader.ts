/**
 * Reads fields that are parted by single characters out of Latin-1 bytes, from left to right, without making strings of
 * them: a queue that opens reads some hundred thousand. Never throws.
 */

export class FieldReader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end: number = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  /** Digits up to the next space or line end, which is passed; NaN when there are other characters, or none. */
  number(): number {
    const { bytes, end } = this;
    const start = this.at;
    let value = 0;
    let at = start;
    for (; at < end; at++) {
      const code = bytes[at]!;
      if (code < 48 || code > 57) break;
      value = value * 10 + code - 48;
    }
    this.at = at + 1;
    if (at === start || at >= end) return NaN;
    const last = bytes[at];
    return last === 32 || last === 10 ? value : NaN;
  }
}
