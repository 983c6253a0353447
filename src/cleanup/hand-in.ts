/**
 * Mail that is handed to cleanup while nobody waits for an answer: pickup's, and what is requeued.
 */

import type { Config } from "../config/config.ts";
import type { Envelope } from "../envelope.ts";
import type { Log } from "../log.ts";
import type { Failed, NoticeSubject } from "../notices.ts";
import type { Committed } from "../queue/store.ts";
import type { Runtime } from "../runtime.ts";
import type { Cleanup, CleanupResult } from "./cleanup.ts";

export interface HandInServices {
  readonly runtime: Runtime;
  readonly config: Config;
  readonly cleanup: Cleanup;
  readonly log: Log;
  /** Refused mail goes back to its sender; durable when it resolves. */
  readonly giveBack: (message: NoticeSubject, failed: readonly Failed[]) => Promise<void>;
  readonly queued: (committed: Committed) => void;
}

/**
 * What is left to do when cleanup has a message that nobody waits for: refused for good, it goes back to its sender.
 * False: it was refused for now, and is to be handed in again.
 */
export async function handedIn(
  { queued, giveBack }: Pick<HandInServices, "queued" | "giveBack">,
  id: string,
  envelope: Envelope,
  result: CleanupResult,
): Promise<boolean> {
  if (result.kind === "queued") queued(result.committed);
  if (result.kind !== "refused") return true;
  const { reply, returned } = result;
  if (reply.code < 500) return false;
  const outcome = {
    outcome: "bounced" as const,
    scope: "message" as const,
    status: reply.status,
    reason: reply.lines.join(" ").replace(/^Error: /, ""),
    remote: null,
    relay: "none",
    connectionUse: 0,
    connectedAt: 0,
  };
  const failed = envelope.recipients.map((recipient, index) => ({ waiting: { recipient, index }, result: outcome }));
  // As in Postfix only the headers go back.
  await giveBack({ id, envelope: { ...envelope, ret: "hdrs" }, ...returned }, failed);
  return true;
}
