/**
 * How a notice of this system gets into the queue, whatever it says: opened, streamed, finished; with Postfix's
 * Received: header. Rejects with ResourceError when storage cannot take it; nothing is queued then.
 */

import type { Cleanup } from "../cleanup/cleanup.ts";
import type { Config } from "../config/config.ts";
import { type Envelope, NO_CLIENT, type Recipient } from "../envelope.ts";
import { localReceived } from "../header.ts";
import type { Committed } from "../queue/store.ts";
import type { Clock } from "../runtime.ts";

export interface PostServices {
  readonly config: Config;
  readonly cleanup: Cleanup;
  readonly clock: Clock;
  /** A notice is in the queue. */
  readonly queued: (committed: Committed) => void;
  /** While the queue is being opened: what a notice waits for. */
  readonly opening?: () => Promise<void> | null;
}

export interface Posted {
  readonly sender: string;
  readonly to: Recipient;
  readonly encoding: Envelope["encoding"];
  readonly notice: NonNullable<Envelope["notice"]>;
  /** The message it tells of is SMTPUTF8. */
  readonly unicode?: boolean;
  /** Its word in internal_mail_filter_classes. */
  readonly filterClass: "bounce" | "notify";
  /** Headers and body; lines end in CRLF. */
  readonly content: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

/**
 * `tell` gets the queue id when the notice is durable, before anybody delivers it. Why cleanup refuses it; null:
 * it does not.
 */
export async function post(
  services: PostServices,
  posted: Posted,
  tell: (id: string) => void,
): Promise<string | null> {
  const { config, cleanup, clock, queued, opening } = services;
  const { sender, to, encoding, notice } = posted;
  const arrived = clock.now();
  await opening?.();
  const out = cleanup.open();
  try {
    const checked = config.internal_mail_filter_classes.includes(posted.filterClass);
    const trace = localReceived(config, clock, { id: out.id, at: arrived });
    const unicode = posted.unicode === true ? { smtputf8: "requested" as const } : {};
    out.begin({ sender, arrived, complete: true, checked, internal: true, recipient: to.address, ...unicode }, trace);
    for await (const piece of posted.content) {
      const wait = out.data(piece);
      if (wait !== null) await wait;
    }
  } catch (caught) {
    await out.abort();
    throw caught;
  }
  const plain = { arrived, client: NO_CLIENT, ret: "", envid: "" } as const;
  const envelope: Envelope = { sender, recipients: [to], encoding, notice, ...plain };
  const result = await out.finish(envelope);
  if (result.kind === "refused") return result.reply.lines.join(" ");
  tell(out.id);
  if (result.kind === "queued") queued(result.committed);
  return null;
}
