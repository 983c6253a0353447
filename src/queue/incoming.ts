/**
 * A message on its way into the queue.
 *   small --more than LARGE_MESSAGE bytes--> large: what comes goes to storage in steps
 *   either --commit()--> committed; --abort(), or a commit that failed--> gone
 * A large content is "content:<id>" (what was put before it) and then "content:<id>:<n>": one large file where the
 * storage has files, else chunks of CHUNK bytes. When storage fails, the next append() or commit() says so.
 */

import type { Envelope, QueueId } from "../envelope.ts";
import { assert } from "../errors.ts";
import type { LargeFile, LargeWriter, Operation, QueueEngine } from "./engine.ts";
import type { MessageRecord } from "./entry.ts";
import type { Committed, Incoming } from "./store.ts";
import { LARGE_MESSAGE } from "./store.ts";

const CHUNK = 256 * 1024;
/** The sender waits while so many bytes have not reached the storage. */
const BEHIND_LIMIT = 1024 * 1024;

const CONTENT = "content:";
export const contentKey = (id: QueueId): string => `${CONTENT}${id}`;
export const chunkKey = (id: QueueId, number: number): string => `${CONTENT}${id}:${number}`;

/** What removes a message. */
export function deletionsOf({ id, key, chunks }: MessageRecord): Operation[] {
  const operations: Operation[] = [{ kind: "delete", key }, { kind: "delete", key: contentKey(id) }];
  for (let n = 0; n < chunks; n++) operations.push({ kind: "delete", key: chunkKey(id, n) });
  return operations;
}

const SCAN_PAGE = 10_000;

/** Contents whose message never came to be go away: chunks of a large message that a crash cut short. */
export async function dropOrphans(engine: QueueEngine, has: (id: QueueId) => boolean): Promise<void> {
  let after: string | null = null;
  const operations: Operation[] = [];
  for (;;) {
    const items = await engine.scan(CONTENT, after, SCAN_PAGE);
    for (const { key } of items) {
      const end = key.indexOf(":", CONTENT.length);
      const id = key.slice(CONTENT.length, end < 0 ? undefined : end);
      if (!has(id)) operations.push({ kind: "delete", key });
    }
    if (items.length < SCAN_PAGE) break;
    after = items.at(-1)!.key;
  }
  if (operations.length > 0) await engine.commit(operations, "lazy");
}

/** The part of a large content that has left memory. */
class LargeBody {
  readonly #engine: QueueEngine;
  readonly #id: QueueId;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** Never rejects. */
  #writing: Promise<void> | null = null;
  #error: Error | null = null;
  #writer: LargeWriter | null = null;
  #chunks = 0;

  constructor(engine: QueueEngine, id: QueueId) {
    this.#engine = engine;
    this.#id = id;
  }

  append(piece: Uint8Array): Promise<void> | null {
    this.#waiting.push(piece);
    this.#waitingBytes += piece.length;
    if (this.#waitingBytes >= CHUNK) this.#start();
    if (this.#waitingBytes < BEHIND_LIMIT && this.#error === null) return null;
    const settled = this.#settled();
    // Who does not wait for this piece hears of it at the end: finish() tells it again.
    settled.catch(() => {});
    return settled;
  }

  /** Everything is in storage: the operations that make it part of the queue, and how many chunks they are. */
  async finish(): Promise<{ readonly operations: Operation[]; readonly chunks: number }> {
    await this.#settled();
    if (this.#waitingBytes > 0) this.#start();
    await this.#settled();
    if (this.#writer === null) return { operations: [], chunks: this.#chunks };
    const value: LargeFile = await this.#writer.finish();
    return { operations: [{ kind: "put", key: chunkKey(this.#id, 0), value }], chunks: 1 };
  }

  async abort(): Promise<void> {
    this.#waiting = [];
    await this.#writing;
    if (this.#writer !== null) return this.#writer.abort();
    const operations: Operation[] = [];
    for (let n = 0; n < this.#chunks; n++) operations.push({ kind: "delete", key: chunkKey(this.#id, n) });
    if (operations.length > 0) await this.#engine.commit(operations, "lazy");
  }

  async #settled(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    if (this.#error !== null) throw this.#error;
  }

  #start(): void {
    if (this.#writing !== null || this.#error !== null) return;
    const pieces = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#writing = this.#write(pieces).catch((error: unknown) => {
      this.#error = error instanceof Error ? error : new Error(String(error));
    }).then(() => {
      this.#writing = null;
      if (this.#waitingBytes >= CHUNK) this.#start();
    });
  }

  async #write(pieces: readonly Uint8Array[]): Promise<void> {
    if (this.#engine.large !== undefined) {
      this.#writer ??= await this.#engine.large(this.#id);
      return this.#writer.append(pieces);
    }
    const key = chunkKey(this.#id, this.#chunks++);
    return this.#engine.commit([{ kind: "put", key, value: pieces }], "durable");
  }
}

/** What the store does with a content whose bytes are all there. */
export type Accept = (
  id: QueueId,
  envelope: Envelope,
  content: {
    /** "content:<id>" */
    readonly pieces: readonly Uint8Array[];
    readonly size: number;
    readonly chunks: number;
    /** Operations for the chunks, to be done with the entry's. */
    readonly operations: readonly Operation[];
  },
  hold: boolean,
) => Promise<Committed>;

export class IncomingMessage implements Incoming {
  readonly id: QueueId;
  readonly #engine: QueueEngine;
  readonly #accept: Accept;
  /** Small: all of it. Large: what was put before it. */
  #pieces: Uint8Array[] = [];
  #size = 0;
  #body: LargeBody | null = null;
  #over = false;

  constructor(id: QueueId, engine: QueueEngine, accept: Accept) {
    this.id = id;
    this.#engine = engine;
    this.#accept = accept;
  }

  append(piece: Uint8Array): Promise<void> | null {
    assert(!this.#over, "nothing is appended after commit or abort");
    this.#size += piece.length;
    if (this.#body !== null) return this.#body.append(piece);
    this.#pieces.push(piece);
    if (this.#size <= LARGE_MESSAGE) return null;
    this.#body = new LargeBody(this.#engine, this.id);
    const pieces = this.#pieces;
    this.#pieces = [];
    let wait: Promise<void> | null = null;
    for (const each of pieces) wait = this.#body.append(each);
    return wait;
  }

  prepend(piece: Uint8Array): void {
    assert(!this.#over, "nothing is put before a message after commit or abort");
    this.#size += piece.length;
    this.#pieces.unshift(piece);
  }

  async commit(envelope: Envelope, hold = false): Promise<Committed> {
    assert(!this.#over, "a message is committed once");
    this.#over = true;
    const content = { pieces: this.#pieces, size: this.#size };
    if (this.#body === null) {
      return this.#accept(this.id, envelope, { ...content, chunks: 0, operations: [] }, hold);
    }
    try {
      const { operations, chunks } = await this.#body.finish();
      return await this.#accept(this.id, envelope, { ...content, chunks, operations }, hold);
    } catch (error) {
      await this.#body.abort();
      throw error;
    }
  }

  async abort(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#pieces = [];
    await this.#body?.abort();
  }
}
