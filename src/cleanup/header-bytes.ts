/**
 * The bytes of headers that are being put together: they grow until they are taken. Memory: twice what is in them.
 */

const NOTHING = new Uint8Array(0);
/** What there is room for at first. */
const FIRST_SIZE = 1024;

export class HeaderBytes {
  /** Of which `length` count; replaced when it grows. */
  bytes: Uint8Array = NOTHING;
  length = 0;

  add(piece: Uint8Array): void {
    const needed = this.length + piece.length;
    if (needed > this.bytes.length) {
      const larger = new Uint8Array(Math.max(2 * needed, FIRST_SIZE));
      if (this.length > 0) larger.set(this.bytes.subarray(0, this.length));
      this.bytes = larger;
    }
    this.bytes.set(piece, this.length);
    this.length = needed;
  }

  /** All of them, which belong to the caller; there is nothing afterwards. */
  take(): Uint8Array {
    const taken = this.bytes.subarray(0, this.length);
    this.bytes = NOTHING;
    this.length = 0;
    return taken;
  }
}
