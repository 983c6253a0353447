/**
 * Contents of freshly accepted messages, so that their first delivery reads no disk. Bounded: the oldest go first.
 */

import type { QueueId } from "../envelope.ts";

interface Content {
  readonly pieces: readonly Uint8Array[];
  readonly size: number;
}

export class ContentCache {
  readonly #limit: number;
  readonly #contents = new Map<QueueId, Content>();
  #bytes = 0;

  constructor(limitBytes: number) {
    this.#limit = limitBytes;
  }

  get(id: QueueId): readonly Uint8Array[] | null {
    return this.#contents.get(id)?.pieces ?? null;
  }

  add(id: QueueId, pieces: readonly Uint8Array[], size: number): void {
    if (size > this.#limit) return;
    this.#contents.set(id, { pieces, size });
    this.#bytes += size;
    while (this.#bytes > this.#limit) this.remove(this.#contents.keys().next().value!);
  }

  remove(id: QueueId): void {
    const content = this.#contents.get(id);
    if (content === undefined) return;
    this.#contents.delete(id);
    this.#bytes -= content.size;
  }
}
