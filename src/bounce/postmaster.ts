/**
 * What the postmaster is told about mail that was not delivered and sessions that went wrong: notify_classes says which
 * notices, one parameter each says to whom, double_bounce_sender is their sender. Pure.
 */

import type { Config } from "../config/config.ts";
import { plainRecipient, type Recipient } from "../envelope.ts";
import { rewriteAddress } from "../trivial-rewrite/rewrite.ts";

/** The words of notify_classes that sessions can be blamed for. */
export type Trouble = "bounce" | "data" | "policy" | "protocol" | "resource" | "software";

export class Postmaster {
  readonly #config: Config;
  readonly #classes: ReadonlySet<string>;
  /** Envelope sender of all that goes to the postmaster. */
  readonly sender: string;

  constructor(config: Config) {
    this.#config = config;
    this.#classes = new Set<string>(config.notify_classes);
    const name = config.double_bounce_sender;
    this.sender = name.includes("@") ? name : `${name}@${config.myhostname}`;
  }

  isDoubleBounce(sender: string): boolean {
    return sender.toLowerCase() === this.sender.toLowerCase();
  }

  wants(trouble: Trouble): boolean {
    return this.#classes.has(trouble);
  }

  get bounceRecipient(): Recipient {
    return this.#recipient(this.#config.bounce_notice_recipient);
  }

  get errorRecipient(): Recipient {
    return this.#recipient(this.#config.error_notice_recipient);
  }

  /** A copy of a notice to a sender; null where none is wanted. */
  ofBounce(): Recipient | null {
    return this.wants("bounce") ? this.bounceRecipient : null;
  }

  /** A notice that could not be delivered itself. */
  ofDoubleBounce(): Recipient | null {
    const wanted = this.#classes.has("2bounce") || this.#classes.has("bounce");
    return wanted ? this.#recipient(this.#config["2bounce_notice_recipient"]) : null;
  }

  /** A report of a success or a delivery attempt that a notice asked for; null where none is wanted. */
  ofReport(): Recipient | null {
    return this.#classes.has("2bounce") ? this.#recipient(this.#config["2bounce_notice_recipient"]) : null;
  }

  ofDelay(): Recipient | null {
    return this.#classes.has("delay") ? this.#recipient(this.#config.delay_notice_recipient) : null;
  }

  #recipient(name: string): Recipient {
    const address = rewriteAddress(name, this.#config);
    return { ...plainRecipient(address), original: address === name ? "" : name };
  }
}
