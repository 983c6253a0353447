/**
 * bounce(8): who is told what about a message (RFC 3461 §6, BEHAVIOUR 10, 14, 30).
 *   undeliverable: sender of its own -> notice to the sender, copy to the postmaster (notify_classes: bounce)
 *                  null sender (a notice) -> the postmaster, as a double bounce (2bounce or bounce)
 *                  double-bounce sender -> dropped, with a warning
 *   delayed, delivered: the sender; the postmaster gets copies of delays (delay)
 * NOTIFY=NEVER and the like keep recipients out of what senders get, not out of the postmaster's copies.
 * A notice is durable when the call resolves. Throws ResourceError when storage cannot take it or give the original;
 * then nothing is queued, and the caller keeps the message. A postmaster's copy that fails is only logged.
 */

import type { ContentSource } from "../agent.ts";
import type { Cleanup } from "../cleanup/cleanup.ts";
import type { Config } from "../config/config.ts";
import { NO_CLIENT, plainRecipient, type Recipient } from "../envelope.ts";
import { messageOf, ResourceError } from "../errors.ts";
import { latin1Encode } from "../latin1.ts";
import type { Log, Logger } from "../log.ts";
import type { Failed, Notices, NoticeSubject } from "../notices.ts";
import type { Committed } from "../queue/store.ts";
import type { Clock } from "../runtime.ts";
import { rewriteAddress } from "../trivial-rewrite/rewrite.ts";
import { type NoticeKind, NoticeText, originalOf } from "./notice.ts";
import { Postmaster } from "./postmaster.ts";

export interface BounceServices {
  readonly config: Config;
  readonly cleanup: Cleanup;
  readonly content: ContentSource;
  readonly log: Log;
  readonly clock: Clock;
  /** A notice is in the queue. */
  readonly queued: (committed: Committed) => void;
}

/** One notice that is to be sent. */
interface Order {
  readonly kind: NoticeKind;
  readonly message: NoticeSubject;
  readonly recipients: readonly Failed[];
  readonly to: Recipient;
  readonly postmaster: boolean;
  readonly full: boolean;
  /** "sender non-delivery notification", for the log. */
  readonly name: string;
}

const NAMES: Readonly<Record<NoticeKind, string>> = {
  failure: "non-delivery notification",
  delay: "delay notification",
  success: "delivery status notification",
};

/** Recipients about whom the sender wants to hear that; without NOTIFY= also of delays, as in Postfix. */
function asked(recipients: readonly Failed[], what: "failure" | "delay" | "success"): readonly Failed[] {
  return recipients.filter(({ waiting: { recipient: { notify } } }) =>
    (notify.length === 0 && what !== "success") || notify.includes(what)
  );
}

export class Bounce implements Notices {
  readonly #services: BounceServices;
  readonly #logger: Logger;
  readonly #postmaster: Postmaster;
  readonly #from: string;

  constructor(services: BounceServices) {
    this.#services = services;
    this.#logger = services.log.service("bounce");
    this.#postmaster = new Postmaster(services.config);
    this.#from = rewriteAddress("MAILER-DAEMON", services.config);
  }

  async undeliverable(message: NoticeSubject, failed: readonly Failed[]): Promise<void> {
    const { sender, ret } = message.envelope;
    if (this.#postmaster.isDoubleBounce(sender)) {
      this.#logger.warn(`${message.id}: undeliverable postmaster notification discarded`);
      return;
    }
    if (sender === "") {
      const to = this.#postmaster.ofDoubleBounce();
      if (to !== null) await this.#toPostmaster("failure", message, failed, to, true);
      return;
    }
    const told = asked(failed, "failure");
    if (told.length > 0) await this.#toSender("failure", message, told, ret !== "hdrs");
    await this.#copy("failure", message, failed, this.#postmaster.ofBounce());
  }

  async delayed(message: NoticeSubject, waiting: readonly Failed[]): Promise<void> {
    const { sender } = message.envelope;
    if (this.#postmaster.isDoubleBounce(sender)) return;
    const told = sender === "" ? [] : asked(waiting, "delay");
    if (told.length > 0) await this.#toSender("delay", message, told, false);
    await this.#copy("delay", message, waiting, this.#postmaster.ofDelay());
  }

  async delivered(message: NoticeSubject, succeeded: readonly Failed[]): Promise<void> {
    const { sender } = message.envelope;
    const isDouble = this.#postmaster.isDoubleBounce(sender);
    if (sender === "" || isDouble) {
      const word = isDouble ? "double-bounce" : "single-bounce";
      this.#logger.info(`${message.id}: not sending trace/success notification for ${word} message`);
      return;
    }
    const told = asked(succeeded, "success");
    if (told.length > 0) await this.#toSender("success", message, told, false);
  }

  #toSender(kind: NoticeKind, message: NoticeSubject, recipients: readonly Failed[], full: boolean): Promise<void> {
    const to = plainRecipient(message.envelope.sender);
    return this.#send({ kind, message, recipients, to, postmaster: false, full, name: `sender ${NAMES[kind]}` });
  }

  #toPostmaster(
    kind: NoticeKind,
    message: NoticeSubject,
    recipients: readonly Failed[],
    to: Recipient,
    full: boolean,
  ): Promise<void> {
    return this.#send({ kind, message, recipients, to, postmaster: true, full, name: `postmaster ${NAMES[kind]}` });
  }

  /** For privacy the postmaster gets headers only. */
  async #copy(
    kind: "failure" | "delay",
    message: NoticeSubject,
    recipients: readonly Failed[],
    to: Recipient | null,
  ): Promise<void> {
    if (to === null) return;
    try {
      await this.#toPostmaster(kind, message, recipients, to, false);
    } catch (caught) {
      const doing = kind === "delay" ? "warning" : "bouncing to";
      this.#logger.warn(
        `${message.id}: postmaster notice failed while ${doing} ${message.envelope.sender}: ${messageOf(caught)}`,
      );
    }
  }

  async #send(order: Order): Promise<void> {
    const { config, cleanup, content, clock } = this.#services;
    const { message, postmaster, to } = order;
    const at = clock.now();
    const headersOnly = !order.full || message.size > config.bounce_size_limit;
    const text = new NoticeText({ ...order, from: this.#from, to: to.address, headersOnly, at }, config, clock);
    const out = cleanup.open();
    const sender = postmaster ? this.#postmaster.sender : "";
    try {
      const checked = config.internal_mail_filter_classes.includes("bounce");
      const origin = { sender, arrived: at, complete: true, checked, internal: true, recipient: to.address };
      out.begin(origin, text.received(out.id));
      await out.data(latin1Encode(text.before()));
      for await (const piece of originalOf(message.content ?? content, message.id, headersOnly)) {
        const wait = out.data(piece);
        if (wait !== null) await wait;
      }
      await out.data(latin1Encode(text.after()));
    } catch (caught) {
      await out.abort();
      throw caught;
    }
    const result = await out.finish({
      sender,
      recipients: [to],
      arrived: at,
      client: NO_CLIENT,
      encoding: text.encoding,
      ret: "",
      envid: "",
      notice: !postmaster ? "bounce" : message.envelope.sender === "" ? "double-bounce" : "postmaster",
    });
    if (result.kind === "refused") throw new ResourceError("EINVAL", `notice refused: ${result.reply.lines.join(" ")}`);
    this.#logger.info(`${message.id}: ${order.name}: ${out.id}`);
    if (result.kind === "discarded") return;
    this.#services.queued(result.committed);
  }
}
