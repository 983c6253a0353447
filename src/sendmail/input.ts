/**
 * A message as sendmail(1) reads it: "From " lines at its start are passed over, line ends become LF, a line with a
 * dot alone ends it (unless -i); header lines are shown to who extracts recipients (-t).
 *   start --a line that is no "From " line--> headers --empty line, or a line that is no header--> body --"."--> ended
 * Pure: chunks in, chunks out. Holds one line at most.
 */

import { headerNameLength } from "../header.ts";
import { latin1Decode } from "../latin1.ts";

const LF = 10;
const CR = 13;
const DOT = 46;
const LINE_END: Uint8Array = Uint8Array.of(LF);

export interface InputOptions {
  /** A dot alone on its line ends the message. */
  readonly dotEnds: boolean;
  /** Each logical header: name in lower case, value with its line ends. */
  readonly header: ((name: string, value: string) => void) | null;
}

export class MessageInput {
  readonly #options: InputOptions;
  #state: "start" | "headers" | "body" | "ended" = "start";
  #rest: Uint8Array[] = [];
  #header: { readonly name: string; value: string } | null = null;

  constructor(options: InputOptions) {
    this.#options = options;
  }

  get inHeaders(): boolean {
    return this.#state === "start" || this.#state === "headers";
  }

  /** Bytes of a line whose end has not come. */
  get held(): number {
    return this.#rest.reduce((sum, piece) => sum + piece.length, 0);
  }

  get ended(): boolean {
    return this.#state === "ended";
  }

  push(chunk: Uint8Array): Uint8Array[] {
    const out: Uint8Array[] = [];
    if (this.#passes(chunk)) return [chunk];
    let at = 0;
    for (let lf = chunk.indexOf(LF); lf >= 0 && !this.ended; lf = chunk.indexOf(LF, at)) {
      this.#line(this.#joined(chunk.subarray(at, lf)), true, out);
      at = lf + 1;
    }
    if (at < chunk.length && !this.ended) this.#rest.push(chunk.slice(at));
    return out;
  }

  /** The input is over. */
  end(): Uint8Array[] {
    const out: Uint8Array[] = [];
    if (this.#rest.length > 0 && !this.ended) this.#line(this.#joined(new Uint8Array(0)), false, out);
    this.#headersOver("ended");
    return out;
  }

  /** Body bytes that need no look at their lines. */
  #passes(chunk: Uint8Array): boolean {
    const plain = this.#state === "body" && !this.#options.dotEnds && this.#rest.length === 0;
    return plain && !chunk.includes(CR);
  }

  #joined(tail: Uint8Array): Uint8Array {
    if (this.#rest.length === 0) return tail;
    const pieces = [...this.#rest, tail];
    this.#rest = [];
    const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
    let to = 0;
    for (const piece of pieces) {
      whole.set(piece, to);
      to += piece.length;
    }
    return whole;
  }

  #line(line: Uint8Array, ended: boolean, out: Uint8Array[]): void {
    if (this.#state === "start") {
      if (ended && mailboxLine(line)) return;
      this.#state = "headers";
    }
    let length = line.length;
    while (ended && length > 0 && line[length - 1] === CR) length--;
    const text = line.subarray(0, length);
    if (this.#options.dotEnds && text.length === 1 && text[0] === DOT) return this.#headersOver("ended");
    if (this.#state === "headers") this.#look(text);
    out.push(text);
    if (ended) out.push(LINE_END);
  }

  #look(line: Uint8Array): void {
    if (this.#header !== null && (line[0] === 32 || line[0] === 9)) {
      this.#header.value += `\n${latin1Decode(line)}`;
      return;
    }
    this.#tell();
    const length = headerNameLength(line, 0, line.length);
    if (length === 0) return this.#headersOver("body");
    const colon = line.indexOf(58, length);
    this.#header = { name: latin1Decode(line, 0, length).toLowerCase(), value: latin1Decode(line, colon + 1) };
  }

  #tell(): void {
    if (this.#header !== null) this.#options.header?.(this.#header.name, this.#header.value);
    this.#header = null;
  }

  #headersOver(state: "body" | "ended"): void {
    this.#tell();
    this.#state = state;
  }
}

/** "From " (with any ">" before it): what a mailbox has before each message. */
function mailboxLine(line: Uint8Array): boolean {
  let at = 0;
  while (line[at] === 62) at++;
  return latin1Decode(line, at, Math.min(at + 5, line.length)) === "From ";
}
