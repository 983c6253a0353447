/**
 * What the queue manager tells bounce(8): which message, which recipients, with what result. Plain data and one
 * interface; nothing here can fail.
 */

import type { ContentSource } from "./agent.ts";
import type { Envelope, QueueId, Recipient } from "./envelope.ts";
import type { DeliveryResult } from "./status.ts";

/** The message that a notice is about. */
export interface NoticeSubject {
  readonly id: QueueId;
  readonly envelope: Envelope;
  /** Content bytes with CRLF line ends. */
  readonly size: number;
  /** Of a message that is not in the queue. */
  readonly content?: ContentSource;
}

/** A recipient with what became of its last delivery. */
export interface Failed {
  readonly waiting: {
    readonly recipient: Recipient;
    /** Index in Envelope.recipients. */
    readonly index: number;
  };
  readonly result: DeliveryResult;
  /** Of success: nothing was delivered to it, aliases took its place. */
  readonly action?: "expanded";
}

/**
 * Notices to senders (bounce(8)). Each resolves when its notices are durable in the queue, also when there was none to
 * send; it rejects when storage could not take them: the message must stay, and is tried again.
 */
export interface Notices {
  /**
   * These recipients will not get the message. Results may be "deferred": the message has expired. A text: cleanup
   * refuses the notice, for this reason.
   */
  undeliverable(message: NoticeSubject, failed: readonly Failed[]): Promise<string | null>;
  /** These recipients wait longer than delay_warning_time. */
  delayed(message: NoticeSubject, waiting: readonly Failed[]): Promise<void>;
  /** Delivered, and the sender is to know it: NOTIFY=SUCCESS, or after a warning (confirm_delay_cleared). */
  delivered(message: NoticeSubject, succeeded: readonly Failed[]): Promise<void>;
  /** What became of the first attempt, or would: the sender asked for a report (sendmail -v, -bv). */
  traced(message: NoticeSubject, results: readonly Failed[]): Promise<void>;
}
