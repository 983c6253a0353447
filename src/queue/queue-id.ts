/**
 * Queue ids in Postfix's two forms (its global/mail_queue.h); log parsers know their alphabets.
 *   short  five hex digits of microseconds, then a number in upper-case hex
 *   long   six digits of seconds and four of microseconds in base 52, "z", a number in base 51 (digits and consonants)
 * Where Postfix has the inode, the number holds a sequence, the shard and the node: two makers never give the same
 * number. The sequence starts at another place at each start (the storage's epoch), and an id that a living message
 * bears is passed over, so an id is never given twice while its mail exists.
 */

import type { QueueId } from "../envelope.ts";
import type { Clock } from "../runtime.ts";

const ALPHABET = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
const SHORT = /^[0-9A-F]{6,}$/;
const LONG = /^[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{10,}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]+$/;

export const NODE_LIMIT = 64;
export const SHARD_LIMIT = 64;
/** Sequences start this far apart from one start to the next. */
const SEQUENCES_AN_EPOCH = 1 << 14;
const SEQUENCE_LIMIT = 2 ** 32;

export interface QueueIdOptions {
  readonly clock: Clock;
  /** enable_long_queue_ids */
  readonly long: boolean;
  /** In [0, NODE_LIMIT): which of the nodes that share the storage. */
  readonly node: number;
  /** In [0, SHARD_LIMIT) */
  readonly shard: number;
  /** Another number at each start. */
  readonly epoch: number;
  /** Whether a message bears that id. */
  readonly taken: (id: QueueId) => boolean;
}

export function isQueueId(text: string): boolean {
  return SHORT.test(text) || LONG.test(text);
}

/** What Postfix's commands take for an id: no name of a file elsewhere, and none that is too long for one. */
export function mayBeQueueId(text: string): boolean {
  return /^[0-9A-Za-z_]{1,255}$/.test(text);
}

/** Base-52 digits; the last letter, "z", only ends the time of a long id and gives way to its neighbour. */
function base52(value: number, digits: number): string {
  let text = "";
  for (let digit = 0; digit < digits; digit++) {
    text = ALPHABET[Math.min(value % 52, 50)] + text;
    value = Math.floor(value / 52);
  }
  return text;
}

function base51(value: number): string {
  let text = "";
  do {
    text = ALPHABET[value % 51] + text;
    value = Math.floor(value / 51);
  } while (value > 0);
  return text;
}

export class QueueIds {
  readonly #options: QueueIdOptions;
  readonly #place: number;
  #sequence: number;

  constructor(options: QueueIdOptions) {
    this.#options = options;
    this.#place = options.node % NODE_LIMIT * SHARD_LIMIT + options.shard % SHARD_LIMIT;
    this.#sequence = options.epoch * SEQUENCES_AN_EPOCH % SEQUENCE_LIMIT;
  }

  next(): QueueId {
    for (;;) {
      const id = this.#make();
      if (!this.#options.taken(id)) return id;
    }
  }

  #make(): QueueId {
    const now = this.#options.clock.now();
    const seconds = Math.floor(now / 1000);
    const micros = Math.floor((now - seconds * 1000) * 1000);
    const number = this.#sequence * NODE_LIMIT * SHARD_LIMIT + this.#place;
    this.#sequence = (this.#sequence + 1) % SEQUENCE_LIMIT;
    if (this.#options.long) return `${base52(seconds, 6)}${base52(micros, 4)}z${base51(number)}`;
    return (micros + 0x100000).toString(16).slice(1).toUpperCase() + number.toString(16).toUpperCase();
  }
}
