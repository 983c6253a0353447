/**
 * The structure of a message as it streams in (RFC 2045, RFC 2046 §5): which bytes are headers of the message, of a
 * body part or of an enclosed message, and which are body. In Postfix's reading: structure that is broken is body.
 *   headers --empty line--> body | headers of the enclosed message --empty line--> …
 *           --a line that is no header--> body
 *   body --boundary of an enclosing multipart--> headers; --its closing boundary--> body
 * Usual headers, and bodies in which nobody looks for more than boundaries, are not taken line by line.
 * Memory: a line (line_length_limit), a block of headers (BLOCK_SIZE and a header), mime_nesting_limit + 2 boundaries.
 * Time: linear, times the boundaries for lines that begin with "--". Never fails.
 */

import { has8bit, headerNameLength, headerText } from "../header.ts";
import { latin1Decode, latin1Encode } from "../latin1.ts";
import { type Boundary, boundary, boundaryOf, nextDashes } from "./boundaries.ts";
import { contentType, isOpaque, isWrongDomain, OTHER, PLAIN, plainType, transferEncoding } from "./content-type.ts";
import type { Encoding, Entity } from "./content-type.ts";
import { HeaderBytes } from "./header-bytes.ts";
import { headerRun, RUN_FIELDS } from "./header-run.ts";
import { type Fault, type HeaderPlace, type LogicalHeader, MIME_HEADERS, MIME_NAMES } from "./mime-part.ts";
import type { MimeError, MimeOptions, Part } from "./mime-part.ts";

type State = "primary" | "part" | "nested" | "body";

const LF = 10;
const CR = 13;
const COLON = 58;
const CRLF: Uint8Array = Uint8Array.of(CR, LF);
const NOTHING = new Uint8Array(0);
const ENCLOSED: Entity = { kind: "message", subtype: "rfc822" };
/** Blocks of headers and runs of body lines are handed on when they are this long. */
const BLOCK_SIZE = 32 * 1024;
const NO_FAULTS: readonly Fault[] = [];
const PLACES: Readonly<Record<State, HeaderPlace>> = {
  primary: "primary",
  part: "mime",
  nested: "nested",
  body: "mime",
};
/** Headers that say how the body is read. */
const CHANGING = new Set(["content-type", "content-transfer-encoding"]);
const FROM_LINE = /^>*From /;

export class MimeScanner {
  readonly #options: MimeOptions;
  readonly #give: (part: Part) => void;
  readonly #sees8bit: boolean;
  #state: State = "primary";
  #entity: Entity = PLAIN;
  #encoding: Encoding = "7bit";
  /** The innermost last. */
  readonly #stack: Boundary[] = [];
  readonly #reported = new Set<MimeError>();
  #held: Uint8Array = NOTHING;
  /** The record before was a piece of a longer line. */
  #inLine = false;
  /** Content ended within a line so far, which was passed on. */
  #open = false;
  /** A NUL was met among headers: from there on they are taken line by line. */
  #plain = true;
  #first = true;
  readonly #block = new HeaderBytes();
  #headers: LogicalHeader[] = [];
  /** Where the header begins that lines are still added to; -1: none. */
  #headerAt = -1;
  #headerLength = 0;
  #bodyOffset = 0;
  #run: { bytes: Uint8Array; start: number; end: number; inLimit: boolean } | null = null;

  constructor(options: MimeOptions, give: (part: Part) => void) {
    this.#options = options;
    this.#give = give;
    this.#sees8bit = options.report.has("header8bit");
  }

  /** Headers that come before what the sender wrote: whole lines ended by CRLF. */
  trace(bytes: Uint8Array): void {
    for (let at = this.#takeRun(bytes, 0, true); at < bytes.length;) {
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
    } else if (this.#open) this.#body(CRLF, 0, 2, 0);
    if (this.#state !== "body") this.#endHeaders();
    this.#flushBody();
  }

  #records(bytes: Uint8Array): void {
    const { lineLimit } = this.#options;
    let at = 0;
    let lf = -1;
    let last = false;
    while (at < bytes.length) {
      const next = this.#state === "body"
        ? this.#unseen(bytes, at)
        : this.#inLine
        ? at
        : this.#takeRun(bytes, at, false);
      if (next > at) {
        at = next;
        continue;
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

  /** Passes over lines of a body in which nobody looks for anything but boundaries: where one may begin. */
  #unseen(bytes: Uint8Array, at: number): number {
    if (this.#bodyOffset < this.#options.bodyLimit || this.#options.report.has("body8bit")) return at;
    const within = this.#stack.length > 0;
    const end = within ? nextDashes(bytes, at, this.#inLine) : bytes.length;
    if (end === at) return at;
    this.#body(bytes, at, end, end - at);
    if (within) this.#inLine = this.#open = bytes[end - 1] !== LF;
    return end;
  }

  /** Takes the headers of the usual kind from `from` on: where the rest begins. */
  #takeRun(bytes: Uint8Array, from: number, trace: boolean): number {
    if (!this.#plain || this.#sees8bit) return from;
    const run: number[] = [];
    headerRun(bytes, from, this.#options, run, trace);
    if (run.length === 0) return from;
    const end = run[run.length - 1] as number;
    const piece = from === 0 && end === bytes.length ? bytes : bytes.subarray(from, end);
    if (!(this.#plain = !piece.includes(0))) return from;
    this.#endHeader();
    if (!trace) this.#first = false;
    let start = this.#block.length;
    const moved = start - from;
    this.#block.add(piece);
    for (let index = 0; index < run.length; index += RUN_FIELDS) {
      const next = moved + (run[index + 1] as number);
      this.#addHeader(start, next, run[index] as number);
      start = next;
    }
    if (this.#block.length >= BLOCK_SIZE) this.#flushHeaders();
    return end;
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
    const at = boundaryOf(line, this.#stack, this.#options.boundaryLimit);
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
      this.#entity = OTHER;
      this.#bodyOffset = 0;
    } else {
      this.#state = "part";
      this.#entity = digest ? ENCLOSED : PLAIN;
    }
  }

  #beginHeader(bytes: Uint8Array, start: number, end: number, nameLength: number): void {
    let colon = start + nameLength;
    while (bytes[colon] !== 58) colon++;
    this.#headerAt = this.#block.length;
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
    this.#block.add(piece);
    this.#headerLength += piece.length;
  }

  /** The header that lines were added to is whole. */
  #endHeader(): void {
    const start = this.#headerAt;
    if (start < 0) return;
    this.#headerAt = -1;
    this.#block.add(CRLF);
    const { bytes, length } = this.#block;
    this.#addHeader(start, length, bytes.indexOf(COLON, start) - start);
    if (this.#block.length >= BLOCK_SIZE) this.#flushHeaders();
  }

  /** A header of the block; its CRLF is before `end`. */
  #addHeader(start: number, end: number, nameLength: number): void {
    const { names, flat } = this.#options;
    const { bytes } = this.#block;
    const name = (names ?? MIME_NAMES).at(bytes, start, nameLength);
    let faults = NO_FAULTS;
    if (!flat && CHANGING.has(name)) faults = this.#note(name, start, end - 2);
    if (this.#sees8bit && this.#wants("header8bit") && has8bit(bytes, start, end - 2)) {
      faults = [...faults, this.#fault("header8bit", headerText(bytes, start, end - 2).slice(0, 100))];
    }
    const place = MIME_HEADERS.has(name) ? "mime" : PLACES[this.#state];
    this.#headers.push({ start, end, name, place, faults });
  }

  /** Content-Type and Content-Transfer-Encoding change how the body is read; what is wrong with them. */
  #note(name: string, start: number, end: number): readonly Fault[] {
    const { bytes } = this.#block;
    const plain = name === "content-type" ? plainType(bytes, start + name.length + 1, end) : null;
    if (plain !== null) {
      this.#entity = plain;
      return NO_FAULTS;
    }
    const text = headerText(bytes, start, end);
    const value = text.slice(name.length + 1);
    if (name === "content-transfer-encoding") {
      this.#encoding = transferEncoding(value) ?? this.#encoding;
      return NO_FAULTS;
    }
    const { kind, subtype, boundaries } = contentType(value);
    this.#entity = { kind, subtype };
    const faults: Fault[] = [];
    for (const given of boundaries) {
      // Postfix counts from -1: two more than the limit are taken.
      if (this.#stack.length - 1 > this.#options.nestingLimit) {
        if (this.#wants("nesting")) faults.push(this.#fault("nesting", text.slice(0, 100)));
      } else {
        this.#stack.push(boundary(given.slice(0, this.#options.boundaryLimit), subtype === "digest"));
      }
    }
    return faults;
  }

  /** True when an empty line has to stand between headers and body that the sender left out. */
  #endsHeaders(empty: boolean): boolean {
    const primary = this.#state === "primary";
    this.#endHeaders();
    if (!empty) return primary;
    const { kind, subtype } = this.#entity;
    if (kind === "message" && (subtype === "rfc822" || subtype === "global")) {
      this.#state = "nested";
      this.#entity = PLAIN;
      this.#encoding = "7bit";
    } else if (kind === "multipart") {
      this.#entity = OTHER;
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
    if (this.#options.entities === true) {
      if (isOpaque(this.#entity, this.#encoding)) this.#entity = OTHER;
      this.#give({ kind: "entity", content: this.#entity.kind, encoding: this.#encoding });
    }
    if (this.#wants("domain") && isWrongDomain(this.#entity, this.#encoding)) {
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
    const headers = this.#headers;
    this.#headers = [];
    this.#give({ kind: "headers", block: this.#block.take(), headers });
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
