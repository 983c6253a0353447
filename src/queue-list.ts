/**
 * A queue entry as the tools list it (postqueue -p and -j): plain data, the same from the control socket and from a
 * store that a tool opens itself.
 */

import type { QueueEntry, QueueName } from "./queue/store.ts";

export interface ListedRecipient {
  readonly address: string;
  /** "" before the first attempt. */
  readonly reason: string;
}

export interface ListedEntry {
  readonly queue: QueueName | "maildrop";
  readonly id: string;
  readonly arrived: number;
  readonly size: number;
  readonly sender: string;
  /** Those that still wait. */
  readonly recipients: readonly ListedRecipient[];
}

export function listEntry(entry: QueueEntry): ListedEntry {
  return {
    queue: entry.queue,
    id: entry.id,
    arrived: entry.envelope.arrived,
    size: entry.size,
    sender: entry.envelope.sender,
    recipients: entry.waiting.map(({ recipient, reason }) => ({ address: recipient.address, reason })),
  };
}
