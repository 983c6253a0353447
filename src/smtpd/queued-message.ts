/**
 * A message on its way into the queue; the queue manager hears of it when it is durable. Throws ResourceError where the
 * storage cannot take it.
 */

import type { Cleanup, CleanupMessage, Origin } from "../cleanup/cleanup.ts";
import type { Envelope } from "../envelope.ts";
import type { Committed } from "../queue/store.ts";
import type { Reply } from "../reply.ts";
import type { MessageSink } from "./host.ts";
import type { MessageActions } from "./judging.ts";

export interface QueueServices {
  readonly cleanup: Cleanup;
  /** A message is durable in the queue. */
  readonly queued: (committed: Committed) => void;
  /** What a message waits for before it is put into the queue (in_flow_delay); null: for nothing. */
  readonly turn?: () => Promise<void> | null;
}

export class QueuedMessage implements MessageSink {
  readonly #message: CleanupMessage;
  readonly #queued: (committed: Committed) => void;
  readonly #turn: () => Promise<void> | null;

  constructor({ cleanup, queued, turn }: QueueServices) {
    this.#message = cleanup.open();
    this.#queued = queued;
    this.#turn = turn ?? ((): null => null);
  }

  get id(): string {
    return this.#message.id;
  }

  get size(): number {
    return this.#message.size;
  }

  begin(origin: Origin, trace: string): void {
    this.#message.begin(origin, trace);
  }

  data(piece: Uint8Array): Promise<void> | null {
    return this.#message.data(piece);
  }

  async finish(
    envelope: Envelope,
    actions: MessageActions,
  ): Promise<{ readonly queuedAs: string } | { readonly refused: Reply }> {
    const turn = this.#turn();
    if (turn !== null) await turn;
    const result = await this.#message.finish(envelope, actions);
    if (result.kind === "refused") return { refused: result.reply };
    if (result.kind === "discarded") return { queuedAs: this.#message.id };
    this.#queued(result.committed);
    return { queuedAs: result.committed.entry.id };
  }

  abort(): Promise<void> {
    return this.#message.abort();
  }
}
