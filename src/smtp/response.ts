/**
 * Server replies out of bytes (RFC 5321 §4.2), as Postfix's smtp_chat(3) reads them.
 *   line -> line -> last line ("250 …") -> one Response
 * A line that does not begin with three digits is kept as text and the reply goes on: it must not be taken for the
 * answer to the next pipelined command. Lines and replies are cut at LINE_LIMIT; a reply of more than LINES_LIMIT lines
 * is no reply: feed() says false.
 */

import { latin1Decode, latin1Encode, withoutControls } from "../latin1.ts";
import type { Status } from "../status.ts";

export interface Response {
  /** 0 when there is no code. */
  readonly code: number;
  /** All lines joined by a space, codes included, unprintable characters as "?". */
  readonly text: string;
  /** The line with the code. */
  readonly last: string;
  /** Each line as it came, for EHLO keywords. */
  readonly lines: readonly string[];
}

/** Postfix's line_length_limit. */
const LINE_LIMIT = 2048;
const LINES_LIMIT = 1000;

export class ResponseReader {
  readonly #take: (response: Response) => void;
  /** Told of a line that is too long, or is none of a reply's lines. */
  readonly #odd: (kind: "long" | "garbage", line: string) => void;
  #carry = "";
  #text = "";
  #lines: string[] = [];
  #stopped = false;

  constructor(take: (response: Response) => void, odd: (kind: "long" | "garbage", line: string) => void) {
    this.#take = take;
    this.#odd = odd;
  }

  /** No further reply is handed on. */
  stop(): void {
    this.#stopped = true;
  }

  /** Nothing of an unfinished reply is held. */
  get quiet(): boolean {
    return this.#carry === "" && this.#lines.length === 0;
  }

  /** False: the peer does not end its reply. */
  feed(chunk: Uint8Array): boolean {
    const input = this.#carry === "" ? latin1Decode(chunk) : this.#carry + latin1Decode(chunk);
    this.#carry = "";
    let start = 0;
    while (!this.#stopped) {
      const end = input.indexOf("\n", start);
      if (end < 0) break;
      this.#line(input.slice(start, input.charCodeAt(end - 1) === 13 && end > start ? end - 1 : end));
      start = end + 1;
    }
    if (start < input.length) {
      // One character more than the limit remembers that the line was longer.
      this.#carry = input.slice(start, start + LINE_LIMIT + 1);
    }
    return this.#lines.length <= LINES_LIMIT;
  }

  #line(raw: string): void {
    let line = raw;
    if (line.length > LINE_LIMIT) {
      this.#odd("long", line);
      line = line.slice(0, LINE_LIMIT);
    }
    line = printable(line);
    if (this.#lines.length === 0) this.#text = line;
    else if (this.#text.length < LINE_LIMIT) this.#text += " " + line;
    this.#lines.push(line);
    const code = codeOf(line);
    if (code === null) return this.#odd("garbage", line);
    if (line.charCodeAt(3) === 45) return;
    const response = { code, text: this.#text, last: line, lines: this.#lines };
    this.#lines = [];
    this.#take(response);
  }
}

function codeOf(line: string): number | null {
  const a = line.charCodeAt(0) - 48;
  const b = line.charCodeAt(1) - 48;
  const c = line.charCodeAt(2) - 48;
  if (!(a >= 0 && a <= 9 && b >= 0 && b <= 9 && c >= 0 && c <= 9)) return null;
  const after = line.length > 3 ? line.charCodeAt(3) : 32;
  return after === 32 || after === 45 ? a * 100 + b * 10 + c : null;
}

const utf8 = new TextDecoder("utf-8", { fatal: true });

/**
 * Replies end up in logs and notices: controls become "?", and so does 8-bit text that is not UTF-8 (RFC 6531
 * §3.7.4).
 */
export function printable(line: string): string {
  if (!/[^\x20-\x7e]/.test(line)) return line;
  const clean = withoutControls(line);
  if (!/[^\x20-\x7e]/.test(clean)) return clean;
  try {
    utf8.decode(latin1Encode(clean));
    return clean;
  } catch {
    return clean.replace(/[^\x20-\x7e]/g, "?");
  }
}

const ENHANCED = /^\d{3} +([245])\.(\d{1,3})\.(\d{1,3})(?= |$)/;

/** The enhanced status code of a reply (RFC 2034 §4); when it has none of its class, "x.0.0". */
export function statusOfResponse(response: Response): Status {
  const digit = response.last[0] ?? "5";
  if (digit !== "2" && digit !== "4" && digit !== "5") return "5.5.0";
  const found = ENHANCED.exec(response.last);
  if (found === null || found[1] !== digit) return `${digit}.0.0`;
  return `${digit}.${found[2]}.${found[3]}`;
}
