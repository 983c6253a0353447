/**
 * QueueStore: the only thing other roles see of the queue. The four queues are states of an entry:
 *   incoming --qmgr takes it--> active --> removed
 *                                 |  --some recipients left--> deferred (due) --due--> active
 *   any --postsuper -h--> hold --postsuper -H--> deferred (due at once)
 *   unreadable --> corrupt
 * "active" is kept in memory only: after a crash an active entry is what it was before.
 * Nothing is acknowledged before it is durable: accept() resolves with the Committed token after the group commit.
 * Throws ResourceError when the storage cannot take or give the data.
 */

import type { ContentSource } from "../agent.ts";
import type { Envelope, QueueId, Recipient } from "../envelope.ts";
import type { Millis } from "../runtime.ts";

export type QueueName = "incoming" | "active" | "deferred" | "hold" | "corrupt";

/** A recipient that still waits, and why. */
export interface Waiting {
  readonly recipient: Recipient;
  /** Index in Envelope.recipients. */
  readonly index: number;
  /** Why it was deferred last ("" before the first attempt), as mailq shows it; status as "4.4.1". */
  readonly reason: string;
  readonly status: string;
}

/** One message in the queue, as the index holds it. */
export interface QueueEntry {
  readonly id: QueueId;
  readonly queue: QueueName;
  /** What stays the same for the life of the message. */
  readonly envelope: Envelope;
  /** Content bytes with CRLF line ends: size= of the log, SIZE= to the next hop. */
  readonly size: number;
  /** Deferred: not before this time. */
  readonly due: Millis;
  readonly waiting: readonly Waiting[];
  /** Delivery attempts so far. */
  readonly attempts: number;
  /** The delay warning (delay_warning_time) went out. */
  readonly warned: boolean;
  /** The next attempt returns it to its sender, whatever its age (postsuper -e). */
  readonly expired: boolean;
  /** It goes through cleanup again in the place of its next attempt (postsuper -r). */
  readonly requeued: boolean;
}

/** An entry as it is stored (entry.ts): text that nobody has read. */
export interface StoredEntry {
  readonly id: QueueId;
  readonly queue: QueueName;
  readonly text: string;
}

/** Proof that a message is durable; only QueueStore makes it. The 250 after DATA needs it. */
export interface Committed {
  readonly entry: QueueEntry;
}

/**
 * A message on its way in. Pieces are taken by reference (callers do not change them afterwards). Past
 * LARGE_MESSAGE bytes they go to storage as they come.
 */
export interface Incoming {
  readonly id: QueueId;
  /** null: go on; a promise: wait for it before the next piece (storage is behind). */
  append(piece: Uint8Array): Promise<void> | null;
  /** Puts bytes before everything appended so far (header lines that are known last). */
  prepend(piece: Uint8Array): void;
  /** Durable when it resolves. hold: goes to the hold queue. */
  commit(envelope: Envelope, hold?: boolean): Promise<Committed>;
  /** Drops everything; safe at any moment before commit(). */
  abort(): Promise<void>;
}

/** What became of an entry's recipients after an attempt. */
export interface Progress {
  /** Indexes (Waiting.index) that are done with: sent or bounced. */
  readonly done: readonly number[];
  readonly deferred: readonly { readonly index: number; readonly reason: string; readonly status: string }[];
}

export interface QueueStore extends ContentSource {
  readonly kind: string;
  /** Reads the queue, with pauses for others: before anything else but close(). ConfigError, ResourceError. */
  load(): Promise<void>;
  begin(): Incoming;
  get(id: QueueId): QueueEntry | null;
  /** The same unread, for who hands it on. */
  stored(id: QueueId): StoredEntry | null;
  queueOf(id: QueueId): QueueName | null;
  /** Ids in that state, oldest first (deferred, hold: by due time). What comes or goes meanwhile may be missing. */
  list(queue: QueueName): Iterable<QueueId>;
  count(queue: QueueName): number;
  /** Deferred entries whose due time has come, earliest first. */
  due(now: Millis, limit: number): readonly QueueId[];
  /** The due time of the first deferred entry; null when there is none. */
  nextDue(): Millis | null;
  /** incoming or deferred -> active, in memory. False when the entry is gone, held or active already. */
  activate(id: QueueId): boolean;
  /** active -> what it was, in memory: nobody has tried to deliver it. Nothing where it is not active. */
  deactivate(id: QueueId): void;
  /**
   * Notes results. Lazy (durable within 100 ms) unless durable is asked for. When nothing is left waiting the entry
   * is removed with its content.
   */
  mark(id: QueueId, progress: Progress, durability: "lazy" | "durable"): Promise<void>;
  /** active -> deferred, with what mark() would note of it. Lazy: after a crash it is tried again at once. */
  defer(id: QueueId, due: Millis, progress?: Progress): Promise<void>;
  /** Notes that the delay warning went out. */
  warned(id: QueueId): Promise<void>;
  /**
   * Operator actions on those of the messages that are in one of the queues: durable when they resolve, with the ids
   * of those that were changed. When the storage fails, none are.
   */
  remove(ids: readonly QueueId[], within?: readonly QueueName[]): Promise<readonly QueueId[]>;
  hold(ids: readonly QueueId[], within?: readonly QueueName[]): Promise<readonly QueueId[]>;
  release(ids: readonly QueueId[], within?: readonly QueueName[]): Promise<readonly QueueId[]>;
  /** Out of hold, and through cleanup again instead of the next attempt. */
  requeue(ids: readonly QueueId[], within?: readonly QueueName[]): Promise<readonly QueueId[]>;
  /** They are returned to their senders when they are tried the next time. */
  expire(ids: readonly QueueId[], within?: readonly QueueName[]): Promise<readonly QueueId[]>;
  /** Deferred entries become due now; all of them without an id. */
  flush(id?: QueueId): Promise<number>;
  /** Everything lazy is durable when it resolves. */
  sync(): Promise<void>;
  /**
   * Another process may have the queue. What this one knew of it can still be asked (list, count, stored, get), and
   * read as long as the other does not move it.
   */
  close(): Promise<void>;
}

/** Contents above this many bytes are streamed, never held whole in memory. */
export const LARGE_MESSAGE: number = 256 * 1024;
