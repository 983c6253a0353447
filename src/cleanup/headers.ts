/**
 * The header block of a message as it streams in: cuts out the headers of message_drop_headers, shortens logical
 * headers over header_size_limit, counts Received, notes which headers there are.
 *   headers --empty line, or a line that is no header--> body
 * Memory: at most one logical header (header_size_limit) is held. Never fails.
 */

import { headerNameLength, HeaderNames, headerValue, isEmptyLine } from "../header.ts";
import { latin1Decode, latin1Encode } from "../latin1.ts";
import { MIME_HEADERS } from "./mime-part.ts";

const LF = 10;
const CRLF: Uint8Array = Uint8Array.of(13, 10);
const NOTHING = new Uint8Array(0);

export interface HeaderOptions {
  readonly sizeLimit: number;
}

export interface HeaderSink {
  /** Header or body bytes to keep, by reference. */
  keep(piece: Uint8Array): void;
  /** All headers of the message have been seen; further ones may be added now with keep(). */
  headersDone(): void;
}

/** Headers that SeenHeaders makes something of. */
const WANTED = new Set(
  ["received", "message-id", "resent-message-id", "from", "resent-from", "date", "resent-date", "to"]
    .concat("cc", "bcc", "resent-to", "resent-cc", "resent-bcc", "resent-sender", "resent-reply-to"),
);
const ENCODING = "content-transfer-encoding";

/** What message_drop_headers asks for, and the names by which headers are told. */
export class HeaderWishes {
  readonly drop: ReadonlySet<string>;
  readonly names: HeaderNames;

  constructor(drop: readonly string[]) {
    this.drop = new Set(drop.map((name) => name.toLowerCase()));
    this.names = new HeaderNames([...WANTED, ...MIME_HEADERS, ...this.drop]);
  }
}

/** What is known of a message by its headers. */
export class SeenHeaders {
  readonly wishes: HeaderWishes;
  received = 0;
  #messageId: { readonly bytes: Uint8Array; readonly start: number; readonly end: number } | null = null;
  /** Content-Transfer-Encoding says so (detect_8bit_encoding_header). */
  is8bit = false;
  /** Lower-case names of the known headers that were seen. */
  readonly names: Set<string> = new Set();

  constructor(wishes: HeaderWishes) {
    this.wishes = wishes;
  }

  get messageId(): string | null {
    const at = this.#messageId;
    return at === null ? null : headerValue(at.bytes, at.start, at.end);
  }

  /** A header of the message itself; `name` as `wishes.names` tells it. True when the header is to be dropped. */
  note(name: string, bytes: Uint8Array, start: number, end: number): boolean {
    if (name === "") return false;
    if (WANTED.has(name)) {
      this.names.add(name);
      if (name === "received") this.received++;
      else if (name === "message-id") this.#messageId ??= { bytes, start, end };
    }
    return this.wishes.drop.has(name);
  }

  /** A header of the message or of a part. */
  noteEncoding(name: string, bytes: Uint8Array, start: number, end: number): void {
    if (name !== ENCODING) return;
    const value = headerValue(bytes, start, end).toLowerCase();
    if (value === "8bit" || value === "binary") this.is8bit = true;
  }
}

export class HeaderBlock {
  readonly #options: HeaderOptions;
  readonly #sink: HeaderSink;
  readonly #seen: SeenHeaders;
  #held: Uint8Array = NOTHING;
  #first = true;
  /** The rest of an overlong header is passed over. */
  #skipping = false;
  /** Up to there the bytes at hand were kept or dropped. */
  #from = 0;

  constructor(options: HeaderOptions, sink: HeaderSink, seen: SeenHeaders) {
    this.#options = options;
    this.#sink = sink;
    this.#seen = seen;
  }

  /** True once the body has begun: further pieces need not come here. */
  push(piece: Uint8Array): boolean {
    let bytes = piece;
    if (this.#held.length > 0) {
      bytes = new Uint8Array(this.#held.length + piece.length);
      bytes.set(this.#held);
      bytes.set(piece, this.#held.length);
      this.#held = NOTHING;
    }
    return this.#scan(bytes);
  }

  /** The message ended within its headers. */
  end(): void {
    const rest = this.#held;
    this.#held = NOTHING;
    if (rest.length > 0) {
      this.#from = 0;
      if (headerNameLength(rest, 0, rest.length) === 0) return this.#beginBody(rest, 0, true);
      this.#header(rest, 0, rest.length);
      this.#keepTo(rest, rest.length);
    }
    this.#sink.headersDone();
  }

  /** Walks over whole logical headers: one ends where the next line does not start with white space. */
  #scan(bytes: Uint8Array): boolean {
    this.#from = 0;
    let start = 0;
    let at = 0;
    let lines = 0;
    while (true) {
      const lf = bytes.indexOf(LF, at);
      if (lf < 0 || (lf + 1 === bytes.length && !isEmptyLine(bytes, start, lf + 1))) return this.#hold(bytes, start);
      lines++;
      const next = bytes[lf + 1];
      if (lines === 1 && (isEmptyLine(bytes, start, lf + 1) || !this.#isHeader(bytes, start, lf + 1))) {
        if (!this.#skipping || isEmptyLine(bytes, start, lf + 1)) {
          this.#beginBody(bytes, start, !isEmptyLine(bytes, start, lf + 1));
          return true;
        }
      }
      at = lf + 1;
      if (next === 32 || next === 9) continue;
      this.#header(bytes, start, at);
      start = at;
      lines = 0;
      this.#first = false;
    }
  }

  #isHeader(bytes: Uint8Array, start: number, end: number): boolean {
    return headerNameLength(bytes, start, end) > 0 || (this.#first && fromLine(bytes, start));
  }

  /** Headers that lie one behind the other are kept in one piece. */
  #keepTo(bytes: Uint8Array, end: number): void {
    if (end > this.#from) this.#sink.keep(bytes.subarray(this.#from, end));
    this.#from = end;
  }

  #hold(bytes: Uint8Array, start: number): boolean {
    this.#keepTo(bytes, start);
    const length = bytes.length - start;
    if (length <= this.#options.sizeLimit) {
      this.#held = start === 0 ? bytes : bytes.subarray(start);
      return false;
    }
    if (!this.#skipping) this.#shorten(bytes, start);
    this.#skipping = true;
    // Keeps the last two bytes: they tell whether a line ends here.
    this.#held = bytes.slice(bytes.length - 2);
    return false;
  }

  /** header_size_limit: the excess is discarded, the header ends with its last whole line or the cut. */
  #shorten(bytes: Uint8Array, start: number): void {
    this.#note(bytes, start, start + this.#options.sizeLimit);
    this.#sink.keep(bytes.subarray(start, start + this.#options.sizeLimit));
    this.#sink.keep(CRLF);
  }

  /** A header that stays as it is waits for keepTo(). */
  #header(bytes: Uint8Array, start: number, end: number): void {
    const skipped = this.#skipping;
    const tooLong = !skipped && end - start > this.#options.sizeLimit;
    const mailbox = this.#first && !skipped && !tooLong && fromLine(bytes, start);
    if (!skipped && !tooLong && !mailbox && !this.#note(bytes, start, end)) return;
    this.#keepTo(bytes, start);
    this.#skipping = false;
    if (tooLong) this.#shorten(bytes, start);
    if (mailbox) this.#sink.keep(latin1Encode("X-Mailbox-Line: "));
    else this.#from = end;
  }

  /** True when the header is to be dropped. */
  #note(bytes: Uint8Array, start: number, end: number): boolean {
    const name = this.#seen.wishes.names.at(bytes, start, headerNameLength(bytes, start, end));
    this.#seen.noteEncoding(name, bytes, start, end);
    return this.#seen.note(name, bytes, start, end);
  }

  #beginBody(bytes: Uint8Array, start: number, needsSeparator: boolean): void {
    this.#keepTo(bytes, start);
    this.#sink.headersDone();
    if (needsSeparator) this.#sink.keep(CRLF);
    if (start < bytes.length) this.#sink.keep(start === 0 ? bytes : bytes.subarray(start));
  }
}

/** "From " at the start of a message: a mailbox line that came along (also with ">" before it). */
function fromLine(bytes: Uint8Array, start: number): boolean {
  let at = start;
  while (bytes[at] === 62) at++;
  return latin1Decode(bytes, at, Math.min(at + 5, bytes.length)) === "From ";
}
