/**
 * Delivered-To: loop detection (RFC 9228; local(8)): whether a message has been delivered to an address before.
 * Reads the header block only. Throws what the content source throws.
 */

import type { ContentSource } from "../agent.ts";
import type { QueueId } from "../envelope.ts";
import { headerNameLength, headerValue } from "../header.ts";
import { latin1Decode } from "../latin1.ts";

const LF = 10;
const NAME = "delivered-to";

/** Logical headers as they stream by. */
class HeaderWalk {
  readonly #wanted: string;
  #held: Uint8Array = new Uint8Array(0);
  found = false;

  constructor(address: string) {
    this.#wanted = address.toLowerCase();
  }

  /** True when nothing more needs to be read. */
  push(piece: Uint8Array): boolean {
    let bytes = piece;
    if (this.#held.length > 0) {
      bytes = new Uint8Array(this.#held.length + piece.length);
      bytes.set(this.#held);
      bytes.set(piece, this.#held.length);
    }
    let start = 0;
    while (true) {
      let end = bytes.indexOf(LF, start) + 1;
      while (end > 0 && (bytes[end] === 32 || bytes[end] === 9)) end = bytes.indexOf(LF, end) + 1;
      // A continuation line may follow in the next piece.
      if (end === 0 || end === bytes.length) break;
      if (this.#header(bytes, start, end)) return true;
      start = end;
    }
    this.#held = bytes.subarray(start);
    return false;
  }

  end(): void {
    if (this.#held.length > 0) this.#header(this.#held, 0, this.#held.length);
  }

  /** True at the end of the headers, and when the address was found. */
  #header(bytes: Uint8Array, start: number, end: number): boolean {
    const length = headerNameLength(bytes, start, end);
    if (length === 0) return true;
    if (length !== NAME.length || (bytes[start]! | 32) !== 100) return false;
    if (latin1Decode(bytes, start, start + length).toLowerCase() !== NAME) return false;
    this.found = headerValue(bytes, start, end).toLowerCase() === this.#wanted;
    return this.found;
  }
}

export async function deliveredBefore(content: ContentSource, id: QueueId, address: string): Promise<boolean> {
  const walk = new HeaderWalk(address);
  const pieces = content.pieces(id);
  if (pieces !== null) {
    if (pieces.some((piece) => walk.push(piece))) return walk.found;
  } else {
    for await (const piece of content.read(id)) if (walk.push(piece)) return walk.found;
  }
  walk.end();
  return walk.found;
}
