/**
 * bounce(8): who is told what about a message (RFC 3461 §6, BEHAVIOUR 10, 14, 30).
 *   undeliverable: sender of its own -> notice to the sender, copy to the postmaster (notify_classes: bounce)
 *                  null sender (a notice) -> the postmaster, as a double bounce (2bounce or bounce)
 *                  double-bounce sender -> dropped, with a warning
 *   delayed, delivered, traced: the sender; the postmaster gets copies of delays (delay), and what a null sender asked
 *                  for (2bounce)
 * NOTIFY=NEVER and the like keep recipients out of what senders get, not out of the postmaster's copies.
 * A notice is durable when the call resolves. Throws ResourceError when storage cannot take it or give the original;
 * then nothing is queued, and the caller keeps the message. A postmaster's copy that fails is only logged.
 */

import type { ContentSource } from "../agent.ts";
import { plainRecipient, type Recipient } from "../envelope.ts";
import { messageOf } from "../errors.ts";
import { latin1Encode } from "../latin1.ts";
import type { Log, Logger } from "../log.ts";
import type { Failed, Notices, NoticeSubject } from "../notices.ts";
import { rewriteAddress } from "../trivial-rewrite/rewrite.ts";
import { type NoticeKind, NoticeText, originalOf } from "./notice.ts";
import { post, type PostServices } from "./post.ts";
import { Postmaster } from "./postmaster.ts";
import { BUILT_IN, expandTemplate, type Templates } from "./template.ts";
import { messageIdOf } from "./thread.ts";

export interface BounceServices extends PostServices {
  readonly content: ContentSource;
  readonly log: Log;
  /** Absent: the built-in texts. */
  readonly templates?: Templates;
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
  verify: "delivery status notification",
};

/** Recipients about whom the sender wants to hear that; without NOTIFY= also of delays, as in Postfix. */
function asked(recipients: readonly Failed[], what: "failure" | "delay"): readonly Failed[] {
  return recipients.filter(({ waiting: { recipient: { notify } } }) => notify.length === 0 || notify.includes(what));
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

  async undeliverable(message: NoticeSubject, failed: readonly Failed[]): Promise<string | null> {
    const { sender, ret } = message.envelope;
    if (this.#postmaster.isDoubleBounce(sender)) return this.#drop(message);
    if (sender === "") {
      const to = this.#postmaster.ofDoubleBounce();
      return to === null ? null : await this.#toPostmaster("failure", message, failed, to, true);
    }
    const told = asked(failed, "failure");
    const refused = told.length > 0 ? await this.#toSender("failure", message, told, ret !== "hdrs") : null;
    if (refused === null) await this.#copy("failure", message, failed, this.#postmaster.ofBounce());
    return refused;
  }

  async delayed(message: NoticeSubject, waiting: readonly Failed[]): Promise<void> {
    if (this.#postmaster.isDoubleBounce(message.envelope.sender)) return void this.#drop(message);
    const told = asked(waiting, "delay");
    if (told.length > 0) this.#mind(message, await this.#toSender("delay", message, told, false));
    await this.#copy("delay", message, waiting, this.#postmaster.ofDelay());
  }

  delivered(message: NoticeSubject, succeeded: readonly Failed[]): Promise<void> {
    return this.#report("success", message, succeeded);
  }

  traced(message: NoticeSubject, results: readonly Failed[]): Promise<void> {
    return this.#report("verify", message, results);
  }

  async #report(kind: "success" | "verify", message: NoticeSubject, results: readonly Failed[]): Promise<void> {
    const { sender } = message.envelope;
    const isDouble = this.#postmaster.isDoubleBounce(sender);
    const to = sender === "" ? this.#postmaster.ofReport() : plainRecipient(sender);
    if (isDouble || to === null) {
      const word = isDouble ? "double-bounce" : "single-bounce";
      this.#logger.info(`${message.id}: not sending trace/success notification for ${word} message`);
      return;
    }
    this.#mind(message, await this.#toSender(kind, message, results, false, to));
  }

  #drop({ id }: NoticeSubject): null {
    this.#logger.warn(`${id}: undeliverable postmaster notification discarded`);
    return null;
  }

  /** Mail may do without this notice. */
  #mind({ id }: NoticeSubject, refused: string | null): void {
    if (refused !== null) this.#logger.warn(`${id}: notice refused: ${refused}`);
  }

  #toSender(
    kind: NoticeKind,
    message: NoticeSubject,
    recipients: readonly Failed[],
    full: boolean,
    to: Recipient = plainRecipient(message.envelope.sender),
  ): Promise<string | null> {
    return this.#send({ kind, message, recipients, to, postmaster: false, full, name: `sender ${NAMES[kind]}` });
  }

  #toPostmaster(
    kind: NoticeKind,
    message: NoticeSubject,
    recipients: readonly Failed[],
    to: Recipient,
    full: boolean,
  ): Promise<string | null> {
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
      this.#mind(message, await this.#toPostmaster(kind, message, recipients, to, false));
    } catch (caught) {
      const doing = kind === "delay" ? "warning" : "bouncing to";
      this.#logger.warn(
        `${message.id}: postmaster notice failed while ${doing} ${message.envelope.sender}: ${messageOf(caught)}`,
      );
    }
  }

  #original(message: NoticeSubject, headersOnly: boolean): AsyncGenerator<Uint8Array, void> {
    return originalOf(message.content ?? this.#services.content, message.id, headersOnly);
  }

  async #send(order: Order): Promise<string | null> {
    const { config, clock } = this.#services;
    const { message, postmaster, to } = order;
    const headersOnly = !order.full || message.size > config.bounce_size_limit;
    const template = (this.#services.templates ?? BUILT_IN)[order.kind];
    const warn = (line: string): void => void this.#logger.warn(line);
    const notice = {
      ...order,
      template,
      words: postmaster ? [] : expandTemplate(template, config, warn),
      from: this.#from,
      to: to.address,
      thread: config.enable_threaded_bounces ? await messageIdOf(this.#original(message, true)) : "",
      headersOnly,
      at: clock.now(),
    };
    const text = new NoticeText(notice, config, clock);
    return await post(this.#services, {
      sender: postmaster || message.envelope.sender === "" ? this.#postmaster.sender : "",
      to,
      encoding: text.encoding,
      notice: !postmaster ? "bounce" : message.envelope.sender === "" ? "double-bounce" : "postmaster",
      unicode: message.envelope.smtputf8 !== undefined,
      filterClass: "bounce",
      content: framed(text, this.#original(message, headersOnly)),
    }, (id) => this.#logger.info(`${message.id}: ${order.name}: ${id}`));
  }
}

async function* framed(text: NoticeText, original: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  yield latin1Encode(text.before());
  yield* original;
  yield latin1Encode(text.after());
}
