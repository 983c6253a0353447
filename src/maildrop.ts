/**
 * Files of the maildrop folder: what sendmail(1) writes and pickup reads. Lines of JSON would not carry every byte, so
 * a file is: a first line "postrider-maildrop 1", one line of JSON (the envelope), then the content with LF line ends.
 * The folder is world-writable: whatever is read here is a stranger's word, checked before it is used.
 */

import type { Notify } from "./envelope.ts";
import { messageOf } from "./errors.ts";
import { latin1Decode, latin1Encode } from "./latin1.ts";
import type { OpenFile } from "./runtime.ts";

const REPORTS = ["deliverability", "attempt"] as const;
export type Report = (typeof REPORTS)[number];

/** What a submitter may say about a message. */
export interface Submission {
  /** null: the submitter's own name. */
  readonly sender: string | null;
  readonly fullName: string | null;
  readonly recipients: readonly string[];
  readonly encoding: "7bit" | "8bit" | "";
  readonly notify: Notify;
  readonly ret: "full" | "hdrs" | "";
  readonly envid: string;
  /** What the submitter wants a report of: whether it could be delivered (-bv), or the first attempt (-v). */
  readonly report?: Report;
}

export interface Dropped extends Submission {
  /** Where the content begins in the file. */
  readonly contentAt: number;
}

/** An open file, or what is read like one. */
export type Readable = Pick<OpenFile, "read">;

const MAGIC = "postrider-maildrop 1\n";
const PREFACE_LIMIT = 16 * 1024 * 1024;
const READ_SIZE = 256 * 1024;
const LF = 10;
const CR = 13;

export function maildropPreface(submission: Submission): Uint8Array {
  return latin1Encode(`${MAGIC}${JSON.stringify(submission)}\n`);
}

/** The envelope of a maildrop file, or why it is none. */
export async function readDropped(file: Readable): Promise<Dropped | string> {
  let text = "";
  const buffer = new Uint8Array(READ_SIZE);
  for (let at = 0; at < PREFACE_LIMIT;) {
    const got = await file.read(buffer, at);
    if (got === 0) break;
    text += latin1Decode(buffer, 0, got);
    at += got;
    if (!text.startsWith(MAGIC.slice(0, text.length))) return "not a maildrop file";
    const end = text.indexOf("\n", MAGIC.length);
    if (end >= 0) return parsePreface(text.slice(MAGIC.length, end), end + 1);
  }
  return "the envelope does not end";
}

// deno-lint-ignore no-control-regex
const CONTROL = /[\x00-\x1f\x7f]/;

const isText = (value: unknown): value is string => typeof value === "string" && !CONTROL.test(value);

function parsePreface(json: string, contentAt: number): Dropped | string {
  let value: Partial<Record<keyof Submission, unknown>> | null;
  try {
    value = JSON.parse(json) as typeof value;
  } catch (caught) {
    return `bad envelope: ${messageOf(caught)}`;
  }
  const { sender = null, fullName = null, envid = "", recipients = [], notify = [], encoding, ret, report } = value ??
    {};
  if (!Array.isArray(recipients) || recipients.length === 0) return "no recipients";
  if (!recipients.every(isText) || !isText(envid)) return "bad envelope";
  if (sender !== null && !isText(sender) || fullName !== null && !isText(fullName)) return "bad envelope";
  const words = (["never", "success", "failure", "delay"] as const).filter((word) =>
    Array.isArray(notify) && notify.includes(word)
  );
  return {
    sender,
    fullName,
    recipients,
    encoding: encoding === "8bit" || encoding === "7bit" ? encoding : "",
    notify: words,
    ret: ret === "full" || ret === "hdrs" ? ret : "",
    envid,
    ...known(report),
    contentAt,
  };
}

function known(report: unknown): { readonly report?: Report } {
  const found = REPORTS.find((word) => word === report);
  return found === undefined ? {} : { report: found };
}

/** The content with CRLF line ends. */
export async function* contentPieces(file: Readable, dropped: Dropped): AsyncIterable<Uint8Array> {
  const lines = new LineEnds();
  for (let at = dropped.contentAt;;) {
    const buffer = new Uint8Array(READ_SIZE);
    const got = await file.read(buffer, at);
    if (got === 0) break;
    at += got;
    yield lines.convert(buffer.subarray(0, got));
  }
  yield lines.end();
}

/** LF or CRLF line ends in, CRLF out; a last line without its end gets one. */
export class LineEnds {
  #last = LF;

  convert(piece: Uint8Array): Uint8Array {
    let bare = 0;
    let former = this.#last;
    for (const byte of piece) {
      if (byte === LF && former !== CR) bare++;
      former = byte;
    }
    if (bare === 0) {
      this.#last = former;
      return piece;
    }
    const out = new Uint8Array(piece.length + bare);
    let to = 0;
    former = this.#last;
    for (const byte of piece) {
      if (byte === LF && former !== CR) out[to++] = CR;
      out[to++] = byte;
      former = byte;
    }
    this.#last = former;
    return out;
  }

  end(): Uint8Array {
    if (this.#last === LF) return new Uint8Array(0);
    return this.#last === CR ? Uint8Array.of(LF) : Uint8Array.of(CR, LF);
  }
}
