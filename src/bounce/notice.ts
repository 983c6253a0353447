/**
 * The text of a notice: multipart/report (RFC 3462) with the words for people, message/delivery-status (RFC 3464) and
 * the original message or its headers, laid out as Postfix's bounce(8) does; of a SMTPUTF8 message with the types of
 * RFC 6533. Pure, but for what the content source reads. Lines end in CRLF.
 */

import type { ContentSource } from "../agent.ts";
import type { Config } from "../config/config.ts";
import { mailDate } from "../header.ts";
import { latin1Encode, withoutControls } from "../latin1.ts";
import type { Failed, NoticeSubject } from "../notices.ts";
import type { Clock, Millis } from "../runtime.ts";
import { DAEMON, is8bit, type Template } from "./template.ts";

export type NoticeKind = "failure" | "delay" | "success" | "verify";

export interface Notice {
  readonly kind: NoticeKind;
  readonly message: NoticeSubject;
  readonly recipients: readonly Failed[];
  readonly template: Template;
  /** The template's text; none for the postmaster. */
  readonly words: readonly string[];
  /** MAILER-DAEMON of this host, and whom the notice is for. */
  readonly from: string;
  readonly to: string;
  /** In-Reply-To:, "" for none (enable_threaded_bounces). */
  readonly thread: string;
  /** A copy for the postmaster: without the words of apology. */
  readonly postmaster: boolean;
  readonly headersOnly: boolean;
  readonly at: Millis;
}

export type NoticeParameters = Pick<Config, "myhostname" | "mail_name" | "smtputf8_enable" | "maximal_queue_lifetime">;

const LINE_LENGTH = 79;
const INDENT = 4;

/** Breaks at white space so that no line is longer than that; all but the first are indented by 4 (line_wrap(3)). */
export function wrapped(text: string, length: number = LINE_LENGTH): string[] {
  const lines: string[] = [];
  let start = 0;
  let word = 0;
  let room = length;
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

const NOT_ASCII = /[\x80-\xff]/;
const UTF8 = /[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[\x80-\xff]/g;

/** Text that came from elsewhere: control characters, and what is no UTF-8 or not wanted, become "?". */
export function shown(text: string, utf8: boolean): string {
  const plain = withoutControls(text);
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
    const wide = parameters.smtputf8_enable || is8bit(notice.template);
    this.encoding = wide ? "8bit" : notice.message.envelope.encoding;
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
    const { template, from, to, postmaster, at, thread } = this.#notice;
    const { subject, postmasterSubject } = template;
    return [
      `Date: ${this.#date(at)}`,
      `From: ${template.from.replace(`<${DAEMON}>`, `<${from}>`)}`,
      `Subject: ${postmaster && postmasterSubject !== null ? postmasterSubject : subject}`,
      `To: ${to}`,
      ...(thread === "" ? [] : [`References: ${thread}`, `In-Reply-To: ${thread}`]),
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
    const { recipients, template, words } = this.#notice;
    const { smtputf8_enable: utf8 } = this.#parameters;
    const narrow = template.charset.toLowerCase() === "us-ascii";
    const charset = narrow && this.encoding === "8bit" ? "utf-8" : template.charset;
    const entries = recipients.flatMap((failed) => {
      const { address, original } = failed.waiting.recipient;
      const same = original === "" || original.toLowerCase() === address.toLowerCase();
      const who = same ? `<${address}>` : `<${address}> (expanded from <${original}>)`;
      return ["", ...wrapped(shown(`${who}: ${this.#reason(failed)}`, utf8))];
    });
    return [
      `--${this.boundary}`,
      "Content-Description: Notification",
      `Content-Type: text/plain; charset=${charset}`,
      ...(this.encoding === "8bit" ? ["Content-Transfer-Encoding: 8bit"] : []),
      "",
      ...words,
      ...entries,
      "",
    ];
  }

  #reason({ result }: Failed): string {
    const via = this.#isReport && result.relay !== "none";
    return via ? `delivery via ${result.relay}: ${result.reason}` : result.reason;
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
      `Content-Type: message/${this.#global ? "global-" : ""}delivery-status`,
      ...(this.#global && this.encoding === "8bit" ? ["Content-Transfer-Encoding: 8bit"] : []),
      "",
      `Reporting-MTA: dns; ${myhostname}`,
      ...(envid === "" ? [] : [`Original-Envelope-Id: ${shown(envid, false)}`]),
      `X-${name}-Queue-ID: ${message.id}`,
      `X-${name}-Sender: ${this.#typed(sender === "" ? `MAILER-DAEMON@${myhostname}` : sender, "; ")}`,
      `Arrival-Date: ${this.#date(arrived)}`,
      ...recipients.flatMap((failed) => ["", ...this.#recipient(failed)]),
      "",
    ];
  }

  /** Of what went well, or as it went. */
  get #isReport(): boolean {
    return this.#notice.kind === "success" || this.#notice.kind === "verify";
  }

  get #global(): boolean {
    return this.#notice.message.envelope.smtputf8 !== undefined;
  }

  /** With its type (RFC 6533 §3). */
  #typed(address: string, separator: "; " | ";"): string {
    const type = this.#global && NOT_ASCII.test(address) && shown(address, true) === address ? "utf-8" : "rfc822";
    return type + separator + address;
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
      : this.#typed(recipient.original === "" ? recipient.address : recipient.original, ";");
    const said = remote !== null && remote.reply !== ""
      ? `${remote.diagnosticType}; ${remote.reply}`
      : `X-${this.#name()}; ${this.#reason(failed)}`;
    return [
      `Final-Recipient: ${this.#typed(recipient.address, "; ")}`,
      `Original-Recipient: ${shown(original, utf8)}`,
      `Action: ${actionOf(kind, failed, message.envelope.probe !== undefined)}`,
      `Status: ${status}`,
      ...(remote === null || remote.host === "" ? [] : wrapped(`Remote-MTA: dns; ${remote.host}`)),
      ...wrapped(shown(`Diagnostic-Code: ${said}`, utf8)),
      ...(kind === "delay" ? [`Will-Retry-Until: ${this.#date(message.envelope.arrived + lifetime)}`] : []),
    ];
  }

  #originalHead(): string[] {
    const { message, headersOnly } = this.#notice;
    const { sender } = message.envelope;
    const [whole, headers] = this.#global
      ? ["message/global", "message/global-headers"]
      : ["message/rfc822", "text/rfc822-headers"];
    const description = `${this.#isReport ? "" : "Undelivered "}Message${headersOnly ? " Headers" : ""}`;
    return [
      `--${this.boundary}`,
      `Content-Description: ${description}`,
      `Content-Type: ${headersOnly ? headers : whole}`,
      ...(this.encoding === "8bit" ? ["Content-Transfer-Encoding: 8bit"] : []),
      "",
      `Return-Path: <${sender === "" ? `MAILER-DAEMON@${this.#parameters.myhostname}` : sender}>`,
    ];
  }
}

/** RFC 3464 §2.3.3. A result that comes from another server means that the message went on to it. */
function actionOf(kind: NoticeKind, { result, action }: Failed, probed: boolean): string {
  const sent = result.remote === null ? "delivered" : "relayed";
  if (kind === "success") return action ?? sent;
  if (kind !== "verify") return kind === "delay" ? "delayed" : "failed";
  // As in Postfix, what was found out has words of its own.
  if (probed) return result.outcome === "sent" ? "deliverable" : "undeliverable";
  return { sent, bounced: "failed", deferred: "delayed" }[result.outcome];
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
