/**
 * The text of a notice: multipart/report (RFC 3462) with the words for people, message/delivery-status (RFC 3464) and
 * the original message or its headers, laid out as Postfix's bounce(8) does. Pure, but for what the content source
 * reads. Lines end in CRLF.
 */

import type { ContentSource } from "../agent.ts";
import type { Config } from "../config/config.ts";
import { mailDate } from "../header.ts";
import { latin1Encode } from "../latin1.ts";
import type { Failed, NoticeSubject } from "../notices.ts";
import type { Clock, Millis } from "../runtime.ts";

export type NoticeKind = "failure" | "delay" | "success";

export interface Notice {
  readonly kind: NoticeKind;
  readonly message: NoticeSubject;
  readonly recipients: readonly Failed[];
  /** From: and To: of the notice. */
  readonly from: string;
  readonly to: string;
  /** A copy for the postmaster: without the words of apology. */
  readonly postmaster: boolean;
  readonly headersOnly: boolean;
  readonly at: Millis;
}

export type NoticeParameters = Pick<
  Config,
  "myhostname" | "mail_name" | "smtputf8_enable" | "delay_warning_time" | "maximal_queue_lifetime"
>;

interface Words {
  readonly subject: string;
  readonly postmasterSubject: string;
  readonly lines: readonly string[];
}

const HELP = [
  "For further assistance, please send mail to postmaster.",
  "",
  "If you do so, please include this problem report. You can",
  "delete your own text from the attached returned message.",
  "",
];
const FENCE = "#".repeat(68);

function wordsOf(kind: NoticeKind, parameters: NoticeParameters): Words {
  switch (kind) {
    case "failure":
      return {
        subject: "Undelivered Mail Returned to Sender",
        postmasterSubject: "Postmaster Copy: Undelivered Mail",
        lines: [
          "I'm sorry to have to inform you that your message could not",
          "be delivered to one or more recipients. It's attached below.",
          "",
          ...HELP,
        ],
      };
    case "delay": {
      const hours = Math.floor(parameters.delay_warning_time / 3_600_000);
      const days = Math.floor(parameters.maximal_queue_lifetime / 86_400_000);
      return {
        subject: "Delayed Mail (still being retried)",
        postmasterSubject: "Postmaster Warning: Delayed Mail",
        lines: [
          FENCE,
          "# THIS IS A WARNING ONLY.  YOU DO NOT NEED TO RESEND YOUR MESSAGE. #",
          FENCE,
          "",
          `Your message could not be delivered for more than ${hours} hour(s).`,
          `It will be retried until it is ${days} day(s) old.`,
          "",
          ...HELP,
        ],
      };
    }
    case "success":
      return {
        subject: "Successful Mail Delivery Report",
        postmasterSubject: "Postmaster Copy: Successful Mail Delivery Report",
        lines: [
          "Your message was successfully delivered to the destination(s)",
          "listed below. If the message was delivered to mailbox you will",
          "receive no further notifications. Otherwise you may still receive",
          "notifications of mail delivery errors from other systems.",
          "",
        ],
      };
  }
}

const LINE_LENGTH = 79;
const INDENT = 4;

/** Breaks at white space so that no line is longer than 79; all but the first are indented by 4 (line_wrap(3)). */
export function wrapped(text: string): string[] {
  const lines: string[] = [];
  let start = 0;
  let word = 0;
  let room = LINE_LENGTH;
  const add = (end: number): void => {
    lines.push((start === 0 ? "" : " ".repeat(INDENT)) + text.slice(start, end).trimEnd());
  };
  for (;;) {
    const space = /[ \t]/.exec(text.slice(word));
    const end = space === null ? text.length : word + space.index;
    if (word > start && end - start > room) {
      add(word);
      while (text[word] === " " || text[word] === "\t") word++;
      if (start === 0) room -= INDENT;
      start = word;
    }
    if (space === null) break;
    word = Math.max(end + 1, word);
  }
  add(text.length);
  return lines;
}

// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x1f\x7f]/g;
const UTF8 = /[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[\x80-\xff]/g;

/** Text that came from elsewhere: control characters, and what is no UTF-8 or not wanted, become "?". */
function shown(text: string, utf8: boolean): string {
  const plain = text.replace(CONTROL, "?");
  return plain.replace(UTF8, (run) => utf8 && run.length > 1 ? run : "?".repeat(run.length));
}

const REMOVE_SPACE = / /g;

export class NoticeText {
  readonly #parameters: NoticeParameters;
  readonly #clock: Pick<Clock, "zoneMinutes" | "zoneName">;
  readonly #notice: Notice;
  readonly boundary: string;
  /** "8bit" where the notice may hold 8-bit text; "" when nobody knows. */
  readonly encoding: "7bit" | "8bit" | "";

  constructor(notice: Notice, parameters: NoticeParameters, clock: Pick<Clock, "zoneMinutes" | "zoneName">) {
    this.#notice = notice;
    this.#parameters = parameters;
    this.#clock = clock;
    this.boundary = `${notice.message.id}.${Math.floor(notice.at / 1000)}/${parameters.myhostname}`;
    this.encoding = parameters.smtputf8_enable ? "8bit" : notice.message.envelope.encoding;
  }

  received(id: string): string {
    const { myhostname, mail_name: mailName } = this.#parameters;
    return `Received: by ${myhostname} (${mailName})\r\n\tid ${id}; ${this.#date(this.#notice.at)}\r\n`;
  }

  /** Everything before the original message. */
  before(): string {
    const lines = [...this.#head(), ...this.#words(), ...this.#status(), ...this.#originalHead()];
    return lines.join("\r\n") + "\r\n";
  }

  /** Everything after it. */
  after(): string {
    return `\r\n--${this.boundary}--\r\n`;
  }

  #date(at: Millis): string {
    return mailDate(at, this.#clock.zoneMinutes(at), this.#clock.zoneName(at));
  }

  #head(): string[] {
    const { kind, from, to, postmaster, at } = this.#notice;
    const { subject, postmasterSubject } = wordsOf(kind, this.#parameters);
    return [
      `Date: ${this.#date(at)}`,
      `From: Mail Delivery System <${from}>`,
      `Subject: ${postmaster ? postmasterSubject : subject}`,
      `To: ${to}`,
      `Auto-Submitted: ${postmaster ? "auto-generated" : "auto-replied"}`,
      "MIME-Version: 1.0",
      "Content-Type: multipart/report; report-type=delivery-status;",
      `\tboundary="${this.boundary}"`,
      ...(this.encoding === "" ? [] : [`Content-Transfer-Encoding: ${this.encoding}`]),
      "",
      "This is a MIME-encapsulated message.",
      "",
    ];
  }

  #words(): string[] {
    const { kind, postmaster, recipients } = this.#notice;
    const { myhostname, smtputf8_enable: utf8 } = this.#parameters;
    const apology = postmaster ? [] : [
      `This is the mail system at host ${myhostname}.`,
      "",
      ...wordsOf(kind, this.#parameters).lines,
      "                   The mail system",
    ];
    const entries = recipients.flatMap((failed) => {
      const { address, original } = failed.waiting.recipient;
      const same = original === "" || original.toLowerCase() === address.toLowerCase();
      const who = same ? `<${address}>` : `<${address}> (expanded from <${original}>)`;
      return ["", ...wrapped(shown(`${who}: ${this.#reason(failed)}`, utf8))];
    });
    return [
      `--${this.boundary}`,
      "Content-Description: Notification",
      `Content-Type: text/plain; charset=${this.encoding === "8bit" ? "utf-8" : "us-ascii"}`,
      ...(this.encoding === "8bit" ? ["Content-Transfer-Encoding: 8bit"] : []),
      "",
      ...apology,
      ...entries,
      "",
    ];
  }

  #reason({ result }: Failed): string {
    return this.#notice.kind === "success" ? `delivery via ${result.relay}: ${result.reason}` : result.reason;
  }

  /** RFC 3464 §2.2, §2.3 */
  #status(): string[] {
    const { message, recipients } = this.#notice;
    const { myhostname } = this.#parameters;
    const name = this.#name();
    const { sender, envid, arrived } = message.envelope;
    return [
      `--${this.boundary}`,
      "Content-Description: Delivery report",
      "Content-Type: message/delivery-status",
      "",
      `Reporting-MTA: dns; ${myhostname}`,
      ...(envid === "" ? [] : [`Original-Envelope-Id: ${shown(envid, false)}`]),
      `X-${name}-Queue-ID: ${message.id}`,
      `X-${name}-Sender: rfc822; ${sender === "" ? `MAILER-DAEMON@${myhostname}` : sender}`,
      `Arrival-Date: ${this.#date(arrived)}`,
      ...recipients.flatMap((failed) => ["", ...this.#recipient(failed)]),
      "",
    ];
  }

  #name(): string {
    return this.#parameters.mail_name.replace(REMOVE_SPACE, "-");
  }

  #recipient(failed: Failed): string[] {
    const { kind, message } = this.#notice;
    const { smtputf8_enable: utf8, maximal_queue_lifetime: lifetime } = this.#parameters;
    const { recipient } = failed.waiting;
    const { status, remote } = failed.result;
    const asked = recipient.originalRecipient;
    const original = asked !== ""
      ? asked
      : `rfc822;${recipient.original === "" ? recipient.address : recipient.original}`;
    const said = remote !== null && remote.reply !== ""
      ? `${remote.diagnosticType}; ${remote.reply}`
      : `X-${this.#name()}; ${this.#reason(failed)}`;
    return [
      `Final-Recipient: rfc822; ${recipient.address}`,
      `Original-Recipient: ${shown(original, utf8)}`,
      `Action: ${actionOf(kind, failed)}`,
      `Status: ${status}`,
      ...(remote === null || remote.host === "" ? [] : wrapped(`Remote-MTA: dns; ${remote.host}`)),
      ...wrapped(shown(`Diagnostic-Code: ${said}`, utf8)),
      ...(kind === "delay" ? [`Will-Retry-Until: ${this.#date(message.envelope.arrived + lifetime)}`] : []),
    ];
  }

  #originalHead(): string[] {
    const { kind, message, headersOnly } = this.#notice;
    const { sender } = message.envelope;
    const description = `${kind === "success" ? "" : "Undelivered "}Message${headersOnly ? " Headers" : ""}`;
    return [
      `--${this.boundary}`,
      `Content-Description: ${description}`,
      `Content-Type: ${headersOnly ? "text/rfc822-headers" : "message/rfc822"}`,
      ...(this.encoding === "8bit" ? ["Content-Transfer-Encoding: 8bit"] : []),
      "",
      `Return-Path: <${sender === "" ? `MAILER-DAEMON@${this.#parameters.myhostname}` : sender}>`,
    ];
  }
}

/** RFC 3464 §2.3.3. A result that comes from another server means that the message went on to it. */
function actionOf(kind: NoticeKind, { result }: Failed): string {
  if (kind === "success") return result.remote === null ? "delivered" : "relayed";
  return kind === "delay" ? "delayed" : "failed";
}

const CR = 13;
const LF = 10;

/** The original message, or its headers alone, ending in a line end. Bounded memory. */
export async function* originalOf(
  content: ContentSource,
  id: string,
  headersOnly: boolean,
): AsyncGenerator<Uint8Array, void, undefined> {
  const pieces = content.pieces(id) ?? content.read(id);
  let last = LF;
  for await (const piece of headersOnly ? headersOf(pieces) : pieces) {
    if (piece.length === 0) continue;
    last = piece[piece.length - 1]!;
    yield piece;
  }
  if (last !== LF) yield latin1Encode(last === CR ? "\n" : "\r\n");
}

/** Pieces up to the first empty line. */
async function* headersOf(
  pieces: readonly Uint8Array[] | AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  let lineStart = true;
  /** A CR at the start of a line, not given out yet. */
  let held = false;
  for await (const piece of pieces) {
    let from = 0;
    for (let at = 0; at < piece.length; at++) {
      const byte = piece[at];
      if (held) {
        if (byte === LF) return;
        if (at === 0) yield Uint8Array.of(CR);
        held = false;
      }
      if (lineStart && byte === LF) return yield piece.subarray(from, at);
      if (lineStart && byte === CR) {
        held = true;
        if (at + 1 === piece.length || piece[at + 1] === LF) {
          yield piece.subarray(from, at);
          from = at + 1;
        }
      }
      lineStart = byte === LF;
    }
    yield piece.subarray(from);
  }
}
