/**
 * The contract between the queue manager and what delivers mail. A request is plain data, so that an agent can run in
 * another process; the content is read from the store by queue id.
 * An agent never throws for anything the peer, the disk or the configuration does: it defers, with the reason.
 */

import type { Envelope, QueueId, Recipient } from "./envelope.ts";
import type { Millis } from "./runtime.ts";
import type { DeliveryResult } from "./status.ts";

export interface DeliveryRequest {
  readonly queueId: QueueId;
  /** master.cf service that delivers: "smtp", "local", "virtual", … */
  readonly transport: string;
  readonly nexthop: string;
  readonly envelope: Omit<Envelope, "recipients">;
  readonly recipients: readonly Recipient[];
  /** Content bytes, lines ended by CRLF. */
  readonly size: number;
  /** When it entered the active queue. */
  readonly activeAt: Millis;
}

/** Content as stored: lines ended by CRLF, no dot-stuffing, no envelope. */
export interface ContentSource {
  /** All of the content when it is in memory, in order; null: read() it. */
  pieces(id: QueueId): readonly Uint8Array[] | null;
  /** Throws ResourceError when it cannot be read. */
  read(id: QueueId): AsyncIterable<Uint8Array>;
}

/**
 * A delivery that waits for the slot of one that is under way. The agent may send it behind that one's content over
 * the same connection; then either begin() or giveBack() is called once.
 */
export interface Follower {
  readonly request: DeliveryRequest;
  /** The delivery before it has all its results: this one takes its slot. */
  begin(results: Promise<readonly DeliveryResult[]>): void;
  /** Nothing came of it: it waits as before. */
  giveBack(): void;
}

/** The next delivery for the same destination that has no slot of its own; null: none waits. */
export type NextFollower = () => Follower | null;

export interface DeliveryAgent {
  /** One result for each recipient, in their order. */
  deliver(request: DeliveryRequest, signal: AbortSignal, next: NextFollower): Promise<readonly DeliveryResult[]>;
  /** Closes what is kept open between deliveries (cached connections). */
  close(): Promise<void>;
}

/** Where trivial-rewrite sends an address. */
export type Transport =
  | {
    readonly kind: "deliver";
    readonly transport: string;
    readonly nexthop: string;
    /** The recipient in the form the agent gets. */
    readonly recipient: string;
  }
  /** A table or DNS could not answer: defer. */
  | { readonly kind: "unsure"; readonly why: string };
