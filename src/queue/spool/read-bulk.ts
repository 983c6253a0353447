/**
 * Reads part of a bulk value from its segment. Every fragment that it touches is checked.
 * Throws ResourceError: EIO when the bytes are damaged, else the system's code.
 */

import { ResourceError } from "../../errors.ts";
import { resourceError, type SpoolContext } from "./context.ts";
import { BLOCK, FRAGMENT_HEAD, soundFragment } from "./framing.ts";
import type { Segment } from "./segment.ts";
import type { Slot } from "./slots.ts";

/** Every fragment of a record but its last fills its block. */
interface Place {
  /** Of the fragment's head, in the file. */
  position: number;
  /** Of its first byte, in the record. */
  start: number;
}

function next(place: Place): void {
  place.start += BLOCK - place.position % BLOCK - FRAGMENT_HEAD;
  place.position += BLOCK - place.position % BLOCK;
}

function roomEnd(place: Place): number {
  return place.start + BLOCK - place.position % BLOCK - FRAGMENT_HEAD;
}

/** Bytes of the segment from the start of the value's record to the end of the value, fragments' heads included. */
export function storedLength(slot: Slot): number {
  const place: Place = { position: slot.offset, start: 0 };
  while (roomEnd(place) < slot.start + slot.length) next(place);
  return place.position + FRAGMENT_HEAD + slot.start + slot.length - place.start - slot.offset;
}

/** Fewer bytes at the end of the segment. */
export interface BytesOfSegments {
  read(segment: Segment, into: Uint8Array, position: number): Promise<number>;
}

const WINDOW = 256 * 1024;

/** Reads much at once: for who reads one small value after the other, nearly in the order of the segment. */
export class ReadAhead implements BytesOfSegments {
  readonly #from: BytesOfSegments;
  readonly #window = new Uint8Array(WINDOW);
  #segment: Segment | null = null;
  #start = 0;
  #end = 0;

  constructor(from: BytesOfSegments) {
    this.#from = from;
  }

  async read(segment: Segment, into: Uint8Array, position: number): Promise<number> {
    if (into.length > WINDOW) return this.#from.read(segment, into, position);
    const end = position + into.length;
    if (segment !== this.#segment || position < this.#start || end > this.#end) {
      this.#segment = null;
      this.#end = position + await this.#from.read(segment, this.#window, position);
      this.#start = position;
      this.#segment = segment;
    }
    const found = this.#window.subarray(position - this.#start, Math.min(end, this.#end) - this.#start);
    into.set(found);
    return found.length;
  }
}

export async function readBulk(
  context: SpoolContext,
  slot: Slot,
  offset: number,
  length: number,
  source: BytesOfSegments = context.reader,
): Promise<Uint8Array> {
  const from = slot.start + offset;
  const to = Math.min(from + length, slot.start + slot.length);
  if (from >= to) return new Uint8Array(0);
  const place: Place = { position: slot.offset, start: 0 };
  while (roomEnd(place) <= from) next(place);
  const first = { ...place };
  while (roomEnd(place) < to) next(place);
  // The last fragment may be longer than what is asked of it; its whole is needed for the check.
  const lastEnd = place.position + BLOCK - place.position % BLOCK;
  const wanted = place.position + FRAGMENT_HEAD + to - place.start;
  let end = slot.start + slot.length === to ? wanted : lastEnd;
  for (;;) {
    const bytes = new Uint8Array(end - first.position);
    try {
      const got = await source.read(slot.segment, bytes, first.position);
      const found = gather(context, slot, bytes.subarray(0, got), first, from, to);
      if (found !== null) return found;
    } catch (error) {
      throw resourceError(error, "queue file read");
    }
    if (end === lastEnd) break;
    end = lastEnd;
  }
  throw new ResourceError("EIO", `damaged queue data in ${slot.segment.name} at ${slot.offset}`, true);
}

/** The bytes [from, to) of the record out of the fragments in `bytes`; null: one is damaged or not all there. */
function gather(
  context: SpoolContext,
  slot: Slot,
  bytes: Uint8Array,
  first: Place,
  from: number,
  to: number,
): Uint8Array | null {
  const place = { ...first };
  const result = new Uint8Array(to - from);
  while (place.start < to) {
    const at = place.position - first.position;
    const blockEnd = at + BLOCK - place.position % BLOCK;
    const length = soundFragment(context.crc32, slot.segment.seeds, bytes, at, Math.min(blockEnd, bytes.length));
    if (length < 0) return null;
    const begin = Math.max(from, place.start);
    const end = Math.min(to, place.start + length);
    const fragment = at + FRAGMENT_HEAD - place.start;
    if (end > begin) result.set(bytes.subarray(fragment + begin, fragment + end), begin - from);
    if (place.start + length < Math.min(to, roomEnd(place))) return null;
    next(place);
  }
  return result;
}
