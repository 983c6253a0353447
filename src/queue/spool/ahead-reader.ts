/**
 * Reads a file from left to right, some blocks ahead of who takes its bytes: the system reads while they are used.
 * Errors of the system are passed on to take().
 */

import type { OpenFile } from "../../runtime.ts";
import { readFully } from "./context.ts";

const BLOCK = 256 * 1024;
const BLOCKS = 4;

export class AheadReader {
  readonly #file: OpenFile;
  /** Where the next block to be asked for starts, and the file ends. */
  #next: number;
  readonly #end: number;
  readonly #coming: Promise<Uint8Array>[] = [];
  #block: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(file: OpenFile, from: number, end: number) {
    this.#file = file;
    this.#next = from;
    this.#end = end;
    for (let count = 0; count < BLOCKS; count++) this.#ask(new Uint8Array(BLOCK));
  }

  /** All bytes are taken. */
  get isOver(): boolean {
    return this.#at === this.#block.length && this.#coming.length === 0;
  }

  /** Fills the place with the next bytes. False: there are not so many left. */
  async take(into: Uint8Array): Promise<boolean> {
    for (let got = 0; got < into.length;) {
      if (this.#at === this.#block.length && !await this.#advance()) return false;
      const piece = this.#block.subarray(this.#at, this.#at + into.length - got);
      into.set(piece, got);
      got += piece.length;
      this.#at += piece.length;
    }
    return true;
  }

  /** The file may be closed when it resolves. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#coming);
  }

  #ask(place: Uint8Array): void {
    if (this.#next >= this.#end) return;
    const into = place.subarray(0, Math.min(BLOCK, this.#end - this.#next));
    const coming = readFully(this.#file, into, this.#next).then((got) => into.subarray(0, got));
    // take() tells of an error.
    coming.catch(() => {});
    this.#coming.push(coming);
    this.#next += into.length;
  }

  async #advance(): Promise<boolean> {
    const [first] = this.#coming;
    if (first === undefined) return false;
    const former = this.#block;
    this.#block = await first;
    this.#at = 0;
    void this.#coming.shift();
    if (former.length > 0) this.#ask(new Uint8Array(former.buffer));
    return this.#block.length > 0;
  }
}
