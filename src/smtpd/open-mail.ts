/**
 * A mail transaction between MAIL and the end of data: sender, recipients, and the message once there is one. A
 * recipient that comes again with the same options counts once.
 */

import { autodetected, type UnicodeRule } from "../cleanup/unicode.ts";
import type { Config } from "../config/config.ts";
import type { Recipient } from "../envelope.ts";
import type { Millis } from "../runtime.ts";
import type { MessageSink } from "./host.ts";
import type { MailCommand, RcptCommand } from "./transaction.ts";

/** The queue id of what goes to a filter. */
export const FILTERED = "NOQUEUE";

export class OpenMail {
  readonly command: MailCommand;
  readonly arrived: Millis;
  /** MAIL as it came. */
  readonly line: string;
  readonly recipients: Recipient[] = [];
  /** As they were given, every RCPT that was taken. */
  readonly accepted: string[] = [];
  readonly #seen = new Set<string>();
  message: MessageSink | null = null;
  overshoot = 0;

  constructor(command: MailCommand, arrived: Millis, line: string) {
    this.command = command;
    this.arrived = arrived;
    this.line = line;
  }

  /** `address`: the recipient rewritten. */
  add({ recipient, originalRecipient, notify }: RcptCommand, address: string): void {
    this.accepted.push(recipient);
    const key = `${address}\0${recipient}\0${originalRecipient}\0${notify.join()}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.recipients.push({ address, original: address === recipient ? "" : recipient, originalRecipient, notify });
  }
}

/** For cleanup: SMTPUTF8 was asked for, or may be found (smtputf8_autodetect_classes). */
export function unicodeOf(command: MailCommand, config: Config): { readonly smtputf8?: UnicodeRule } {
  return command.smtputf8 ? { smtputf8: "requested" } : autodetected(config, "smtpd");
}
