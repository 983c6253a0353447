/**
 * A message in the active queue: what of it is still under way, and what has to be done when the last delivery ends.
 * Plain bookkeeping for qmgr.ts.
 */

import type { Failed } from "../notices.ts";
import type { QueueEntry } from "../queue/store.ts";
import type { Millis } from "../runtime.ts";

export class ActiveMessage {
  readonly entry: QueueEntry;
  readonly activeAt: Millis;
  /** Jobs that have not ended. */
  pending = 0;
  readonly bounced: Failed[] = [];
  readonly deferred: Failed[] = [];
  /** Delivered, and the sender asked to know (NOTIFY=SUCCESS). */
  readonly succeeded: Failed[] = [];

  constructor(entry: QueueEntry, activeAt: Millis) {
    this.entry = entry;
    this.activeAt = activeAt;
  }
}
