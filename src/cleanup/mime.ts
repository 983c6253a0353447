/**
 * The structure of a message as it streams in (RFC 2045, RFC 2046 §5): which bytes are headers of the message, of a
 * body part or of an enclosed message, and which are body. In Postfix's reading: structure that is broken is body.
 *   headers --empty line--> body | headers of the enclosed message --empty line--> …
 *           --a line that is no header--> body
 *   body --boundary of an enclosing multipart--> headers; --its closing boundary--> body
 * Memory: a line (line_length_limit), a block of headers (BLOCK_SIZE and a header), mime_nesting_limit + 2 boundaries.
 * Time: linear, times the boundaries for lines that begin with "--". Never fails.
 */

import { headerNameLength, headerText } from "../header.ts";
import { latin1Decode, latin1Encode } from "../latin1.ts";
import { contentType, domainOf, type Encoding, transferEncoding } from "./content-type.ts";
import type { Fault, HeaderPlace, LogicalHeader, MimeError, MimeOptions, Part } from "./mime-part.ts";

type State = "primary" | "part" | "nested" | "body";

interface Boundary {
  readonly text: string;
  /** Of all of it; lines are compared with many boundaries by sums first. */
  readonly sum: number;
  /** Parts are enclosed messages unless they say otherwise (multipart/digest). */
  readonly digest: boolean;
}

interface Entity {
  readonly kind: "text" | "message" | "multipart" | "other";
  readonly subtype: string;
}

const LF = 10;
const CR = 13;
const CRLF: Uint8Array = Uint8Array.of(CR, LF);
const NOTHING = new Uint8Array(0);
const PLAIN: Entity = { kind: "text", subtype: "plain" };
const ENCLOSED: Entity = { kind: "message", subtype: "rfc822" };
const MULTIPART_BODY: Entity = { kind: "other", subtype: "" };
/** Blocks of headers and runs of body lines are handed on when they are this long. */
const BLOCK_SIZE = 32 * 1024;
const MIME_HEADERS = new Set(
  ["content-description", "content-disposition", "content-id", "content-transfer-encoding", "content-type"]
    .concat("mime-version"),
);
const PLACES: Readonly<Record<State, HeaderPlace>> = {
  primary: "primary",
  part: "mime",
  nested: "nested",
  body: "mime",
};
const LONGEST_NAME = 32;
/** As many boundaries are compared one by one. */
const FEW = 4;
const FROM_LINE = /^>*From /;

export class MimeScanner {
  readonly #options: MimeOptions;
  readonly #give: (part: Part) => void;
  #state: State = "primary";
  #entity: Entity = PLAIN;
  #encoding: Encoding = "7bit";
  /** The innermost last. */
  readonly #stack: Boundary[] = [];
  readonly #reported = new Set<MimeError>();
  #held: Uint8Array = NOTHING;
  /** The record before was a piece of a longer line. */
  #inLine = false;
  #first = true;
  #block = new Uint8Array(4096);
  #blockEnd = 0;
  #headers: LogicalHeader[] = [];
  /** Where the header begins that lines are still added to; -1: none. */
  #headerAt = -1;
  #headerLength = 0;
  #bodyOffset = 0;
  #run: { bytes: Uint8Array; start: number; end: number; inLimit: boolean } | null = null;

  constructor(options: MimeOptions, give: (part: Part) => void) {
    this.#options = options;
    this.#give = give;
  }

  /** Headers that come before what the sender wrote: whole lines ended by CRLF. */
  trace(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const end = bytes.indexOf(LF, at) + 1;
      this.#record(bytes, at, end - 2, end, false);
      at = end;
    }
  }

  /** Content with CRLF line ends, by reference. */
  push(piece: Uint8Array): void {
    const most = this.#options.lineLimit + 3;
    let rest = piece;
    while (this.#held.length > 0 && rest.length > 0) {
      const room = rest.subarray(0, most - this.#held.length);
      const taken = room.indexOf(LF) + 1 || room.length;
      const joined = new Uint8Array(this.#held.length + taken);
      joined.set(this.#held);
      joined.set(rest.subarray(0, taken), this.#held.length);
      this.#held = NOTHING;
      rest = rest.subarray(taken);
      this.#records(joined);
    }
    if (rest.length > 0) this.#records(rest);
    this.#flushBody();
  }

  end(): void {
    const rest = this.#held;
    this.#held = NOTHING;
    if (rest.length > 0) {
      const line = new Uint8Array(rest.length + 2);
      line.set(rest);
      line.set(CRLF, rest.length);
      this.#content(line, 0, rest.length, line.length, false);
    }
    if (this.#state !== "body") this.#endHeaders();
    this.#flushBody();
  }

  #records(bytes: Uint8Array): void {
    const { lineLimit } = this.#options;
    let at = 0;
    let lf = -1;
    let last = false;
    while (at < bytes.length) {
      if (this.#passes()) {
        this.#body(bytes, at, bytes.length, bytes.length - at);
        return;
      }
      if (lf < at && !last) {
        lf = bytes.indexOf(LF, at);
        last = lf < 0;
      }
      const whole = lf >= at;
      const left = whole ? lf + 1 - at : bytes.length - at;
      const end = lf > at && bytes[lf - 1] === CR ? lf - 1 : lf;
      if (whole && end - at <= lineLimit) {
        this.#content(bytes, at, end, lf + 1, false);
        at = lf + 1;
      } else if (left >= lineLimit + 2) {
        this.#content(bytes, at, at + lineLimit, at + lineLimit, true);
        at += lineLimit;
      } else {
        this.#held = bytes.slice(at);
        return;
      }
    }
  }

  /** Nothing can change any more and nobody looks at the lines. */
  #passes(): boolean {
    return this.#state === "body" && this.#stack.length === 0 && this.#bodyOffset >= this.#options.bodyLimit &&
      !this.#options.report.has("body8bit");
  }

  /** A record of the sender's. */
  #content(bytes: Uint8Array, start: number, end: number, next: number, more: boolean): void {
    if (this.#first) {
      if (FROM_LINE.test(latin1Decode(bytes, start, Math.min(end, start + 32)))) {
        const line = latin1Encode(`X-Mailbox-Line: ${latin1Decode(bytes, start, end)}\r\n`);
        return this.#record(line, 0, line.length - 2, line.length, more);
      }
      this.#first = false;
      if (bytes[start] === 32 || bytes[start] === 9) this.#record(CRLF, 0, 0, 2, false);
    }
    this.#record(bytes, start, end, next, more);
  }

  /** [start, end) without the line end, which is before `next`; `more`: the line goes on. */
  #record(bytes: Uint8Array, start: number, end: number, next: number, more: boolean): void {
    const within = this.#inLine;
    this.#inLine = more;
    if (this.#state !== "body") {
      if (this.#headerAt >= 0 && (within || bytes[start] === 32 || bytes[start] === 9)) {
        return this.#addToHeader(bytes, start, end, within);
      }
      this.#endHeader();
      const length = headerNameLength(bytes, start, end);
      if (length > 0) return this.#beginHeader(bytes, start, end, length);
      if (this.#endsHeaders(end === start)) this.#body(CRLF, 0, 2, 0);
    }
    this.#bodyRecord(bytes, start, end, next, within);
  }

  #bodyRecord(bytes: Uint8Array, start: number, end: number, next: number, within: boolean): void {
    if (this.#encoding === "7bit" && this.#wants("body8bit") && has8bit(bytes, start, end)) {
      const fault = this.#fault("body8bit", latin1Decode(bytes, start, Math.min(end, start + 100)));
      this.#flushBody();
      this.#give({ kind: "fault", fault });
    }
    if (this.#stack.length > 0 && !within && end - start > 2 && bytes[start] === 45 && bytes[start + 1] === 45) {
      this.#boundary(latin1Decode(bytes, start + 2, end));
    }
    this.#body(bytes, start, next, end - start + 1);
  }

  #boundary(line: string): void {
    const sums = this.#stack.length > FEW ? prefixSums(line, this.#options.boundaryLimit) : null;
    const at = this.#stack.findLastIndex(({ text, sum }) =>
      (sums === null || sums[text.length] === sum) && line.startsWith(text)
    );
    if (at < 0) return;
    if (this.#options.entities === true) {
      this.#flushBody();
      this.#give({ kind: "boundary" });
    }
    const { text, digest } = this.#stack[at] as Boundary;
    this.#stack.length = at + 1;
    this.#encoding = "7bit";
    if (line.startsWith("--", text.length)) {
      this.#stack.length = at;
      this.#state = "body";
      this.#entity = MULTIPART_BODY;
      this.#bodyOffset = 0;
    } else {
      this.#state = "part";
      this.#entity = digest ? ENCLOSED : PLAIN;
    }
  }

  #beginHeader(bytes: Uint8Array, start: number, end: number, nameLength: number): void {
    let colon = start + nameLength;
    while (bytes[colon] !== 58) colon++;
    this.#headerAt = this.#blockEnd;
    this.#headerLength = 0;
    this.#append(bytes, start, start + nameLength);
    this.#append(bytes, colon, end);
  }

  /** A further line needs a tenth of header_size_limit, as in Postfix. */
  #addToHeader(bytes: Uint8Array, start: number, end: number, within: boolean): void {
    const { headerLimit } = this.#options;
    if (this.#headerLength >= (within ? headerLimit : headerLimit * 0.9)) return;
    if (!within) {
      this.#append(CRLF, 0, 2);
      this.#headerLength--;
    }
    this.#append(bytes, start, end);
  }

  /** What follows a NUL on a header line is lost, as in Postfix, and what is over header_size_limit. */
  #append(bytes: Uint8Array, start: number, end: number): void {
    const room = Math.max(2, this.#options.headerLimit - this.#headerLength);
    let piece = bytes.subarray(start, Math.min(end, start + room));
    const nul = piece.indexOf(0);
    if (nul >= 0) piece = piece.subarray(0, nul);
    const needed = this.#blockEnd + piece.length + 2;
    if (needed > this.#block.length) {
      const larger = new Uint8Array(Math.max(needed, this.#block.length * 2));
      larger.set(this.#block.subarray(0, this.#blockEnd));
      this.#block = larger;
    }
    this.#block.set(piece, this.#blockEnd);
    this.#blockEnd += piece.length;
    this.#headerLength += piece.length;
  }

  /** The header that lines were added to is whole. */
  #endHeader(): void {
    const start = this.#headerAt;
    if (start < 0) return;
    this.#headerAt = -1;
    const block = this.#block;
    const faults: Fault[] = [];
    const name = this.#headerName(start);
    if (!this.#options.flat) this.#note(name, start, faults);
    if (this.#wants("header8bit") && has8bit(block, start, this.#blockEnd)) {
      faults.push(this.#fault("header8bit", headerText(block, start, this.#blockEnd).slice(0, 100)));
    }
    block.set(CRLF, this.#blockEnd);
    this.#blockEnd += 2;
    const place = MIME_HEADERS.has(name) ? "mime" : PLACES[this.#state];
    this.#headers.push({ start, end: this.#blockEnd, place, faults });
    if (this.#blockEnd >= BLOCK_SIZE) this.#flushHeaders();
  }

  #headerName(start: number): string {
    const colon = this.#block.indexOf(58, start);
    return colon - start > LONGEST_NAME ? "" : latin1Decode(this.#block, start, colon).toLowerCase();
  }

  /** Content-Type and Content-Transfer-Encoding change how the body is read. */
  #note(name: string, start: number, faults: Fault[]): void {
    if (name !== "content-type" && name !== "content-transfer-encoding") return;
    const text = headerText(this.#block, start, this.#blockEnd);
    const value = text.slice(name.length + 1);
    if (name === "content-transfer-encoding") {
      this.#encoding = transferEncoding(value) ?? this.#encoding;
      return;
    }
    const { kind, subtype, boundaries } = contentType(value);
    this.#entity = { kind, subtype };
    for (const boundary of boundaries) {
      // Postfix counts from -1: two more than the limit are taken.
      if (this.#stack.length - 1 > this.#options.nestingLimit) {
        if (this.#wants("nesting")) faults.push(this.#fault("nesting", text.slice(0, 100)));
      } else {
        const kept = boundary.slice(0, this.#options.boundaryLimit);
        this.#stack.push({ text: kept, sum: prefixSums(kept, kept.length).at(-1)!, digest: subtype === "digest" });
      }
    }
  }

  /** True when an empty line has to stand between headers and body that the sender left out. */
  #endsHeaders(empty: boolean): boolean {
    const primary = this.#state === "primary";
    this.#endHeaders();
    if (!empty) return primary;
    const { kind, subtype } = this.#entity;
    this.#bodyOffset = 0;
    if (kind === "message" && (subtype === "rfc822" || subtype === "global")) {
      this.#state = "nested";
      this.#entity = PLAIN;
      this.#encoding = "7bit";
    } else if (kind === "multipart") {
      this.#entity = MULTIPART_BODY;
      this.#encoding = "7bit";
    }
    return false;
  }

  /** The state is "body" afterwards. */
  #endHeaders(): void {
    this.#endHeader();
    this.#flushHeaders();
    if (this.#state === "primary") this.#give({ kind: "headers end" });
    this.#state = "body";
    this.#bodyOffset = 0;
    const { kind, subtype } = this.#entity;
    if (this.#options.entities === true) this.#give({ kind: "entity", content: kind, encoding: this.#encoding });
    if (!this.#wants("domain")) return;
    const domain = domainOf(this.#encoding);
    const wrong = kind === "message" && (subtype === "partial" || subtype === "external-body")
      ? domain !== "7bit"
      : (kind === "multipart" || kind === "message" && subtype === "rfc822") && domain !== this.#encoding;
    if (wrong) {
      this.#give({ kind: "fault", fault: this.#fault("domain", this.#encoding) });
    }
  }

  #wants(error: MimeError): boolean {
    return this.#options.report.has(error) && !this.#reported.has(error);
  }

  /** Each error is told once. */
  #fault(error: MimeError, text: string): Fault {
    this.#reported.add(error);
    return { error, text };
  }

  #flushHeaders(): void {
    if (this.#headers.length === 0) return;
    this.#flushBody();
    const block = this.#block.subarray(0, this.#blockEnd);
    const headers = this.#headers;
    this.#block = new Uint8Array(4096);
    this.#blockEnd = 0;
    this.#headers = [];
    this.#give({ kind: "headers", block, headers });
  }

  /** `counted`: bytes by which the offset in this body grows, a line end being one. */
  #body(bytes: Uint8Array, start: number, end: number, counted: number): void {
    const inLimit = this.#bodyOffset < this.#options.bodyLimit;
    this.#bodyOffset += counted;
    const run = this.#run;
    if (run !== null && run.bytes === bytes && run.end === start && run.inLimit === inLimit) run.end = end;
    else {
      this.#flushBody();
      this.#run = { bytes, start, end, inLimit };
    }
    if (inLimit && end - this.#run!.start >= BLOCK_SIZE) this.#flushBody();
  }

  #flushBody(): void {
    const run = this.#run;
    if (run === null) return;
    this.#run = null;
    this.#give({ kind: "body", bytes: run.bytes.subarray(run.start, run.end), inLimit: run.inLimit });
  }
}

/** A sum of each prefix of the text, up to that length. */
function prefixSums(text: string, longest: number): Int32Array {
  const length = Math.min(text.length, longest);
  const sums = new Int32Array(length + 1);
  let sum = 0x811c9dc5 | 0;
  sums[0] = sum;
  for (let at = 0; at < length; at++) sums[at + 1] = sum = Math.imul(sum ^ text.charCodeAt(at), 0x01000193);
  return sums;
}

function has8bit(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if ((bytes[at] as number) >= 128) return true;
  return false;
}
