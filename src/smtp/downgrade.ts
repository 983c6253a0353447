/**
 * 8-bit content made fit for a server without 8BITMIME (RFC 6152 §3), as Postfix's smtp(8) does it: parts that say that
 * they are 8bit or binary become quoted-printable (RFC 2045 §6.7), and what holds parts says 7bit. 8-bit text that no
 * header speaks of goes as it is. message/global and the like become quoted-printable as a whole, and say so: Postfix
 * says 7bit of all but message/global and encodes them all the same. Memory: what the MIME scanner holds. Never fails
 * but as its source does.
 */

import type { Part } from "../cleanup/mime-part.ts";
import { MimeScanner } from "../cleanup/mime.ts";
import { domainOf, transferEncoding } from "../cleanup/content-type.ts";
import { headerText } from "../header.ts";
import { latin1Encode } from "../latin1.ts";
import type { SmtpParameters } from "./parameters.ts";

const LF = 10;
const CR = 13;
const SPACE = 32;
const TAB = 9;
const EQUALS = 61;
/** A line that is longer is broken before its next character. */
const SOFT_LENGTH = 72;
const CRLF = Uint8Array.of(CR, LF);
const HEX = latin1Encode("0123456789ABCDEF");
const CONTENT_TRANSFER_ENCODING = "content-transfer-encoding:";

/** Quoted-printable, in pieces of any size. */
class QuotedPrintable {
  #length = 0;
  /** White space that ends the line unless something follows. */
  #held = -1;
  #return = false;

  /** White space or a CR waits for what follows. */
  get unfinished(): boolean {
    return this.#held >= 0 || this.#return;
  }

  encode(bytes: Uint8Array): Uint8Array {
    // Each byte takes three at most, and a soft break of three comes with more than SOFT_LENGTH of them.
    const out = new Uint8Array(bytes.length * 4 + 12);
    let at = 0;
    const put = (byte: number, quoted: boolean): void => {
      if (this.#length > SOFT_LENGTH) {
        out[at++] = EQUALS;
        out[at++] = CR;
        out[at++] = LF;
        this.#length = 0;
      }
      if (quoted) {
        out[at++] = EQUALS;
        out[at++] = HEX[byte >> 4] as number;
        out[at++] = HEX[byte & 15] as number;
        this.#length += 3;
      } else {
        out[at++] = byte;
        this.#length++;
      }
    };
    const release = (quoted: boolean): void => {
      if (this.#held >= 0) put(this.#held, quoted);
      this.#held = -1;
    };
    for (const byte of bytes) {
      if (byte === LF && this.#return) {
        release(true);
        out[at++] = CR;
        out[at++] = LF;
        this.#length = 0;
        this.#return = false;
        continue;
      }
      if (this.#return) {
        release(false);
        put(CR, true);
        this.#return = false;
      }
      if (byte === CR) {
        this.#return = true;
        continue;
      }
      release(false);
      if (byte === SPACE || byte === TAB) this.#held = byte;
      else put(byte, byte < SPACE || byte === EQUALS || byte > 126);
    }
    return out.subarray(0, at);
  }
}

class Downgrader {
  readonly #scanner: MimeScanner;
  #out: Uint8Array[] = [];
  #encoder: QuotedPrintable | null = null;

  constructor({ mime_nesting_limit, mime_boundary_length_limit }: SmtpParameters) {
    const limits = { nestingLimit: mime_nesting_limit, boundaryLimit: mime_boundary_length_limit };
    this.#scanner = new MimeScanner({
      ...limits,
      lineLimit: 2048,
      headerLimit: 102_400,
      flat: false,
      bodyLimit: 0,
      report: new Set(),
      entities: true,
    }, (part) => this.#take(part));
  }

  push(chunk: Uint8Array): Uint8Array[] {
    this.#scanner.push(chunk);
    return this.#taken();
  }

  end(): Uint8Array[] {
    this.#scanner.end();
    // The last line may lack its end, which is where white space is told from the middle of a line.
    if (this.#encoder !== null && this.#encoder.unfinished) this.#out.push(this.#encoder.encode(CRLF));
    return this.#taken();
  }

  #taken(): Uint8Array[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }

  #take(part: Part): void {
    switch (part.kind) {
      case "headers":
        for (const { start, end } of part.headers) {
          if (!isWide(headerText(part.block, start, end - 2))) this.#out.push(part.block.subarray(start, end));
        }
        return;
      case "entity": {
        const holder = part.content === "message" || part.content === "multipart";
        const wide = domainOf(part.encoding) !== "7bit";
        if (wide) {
          const encoding = holder ? "7bit" : "quoted-printable";
          this.#out.push(latin1Encode(`Content-Transfer-Encoding: ${encoding}\r\n`));
        }
        this.#encoder = wide && !holder ? new QuotedPrintable() : null;
        return;
      }
      case "boundary":
        this.#encoder = null;
        return;
      case "body":
        this.#out.push(this.#encoder === null ? part.bytes : this.#encoder.encode(part.bytes));
        return;
      case "headers end":
      case "fault":
    }
  }
}

/** Whether a header says that the content is not 7bit. */
function isWide(header: string): boolean {
  if (!header.slice(0, CONTENT_TRANSFER_ENCODING.length).toLowerCase().startsWith(CONTENT_TRANSFER_ENCODING)) {
    return false;
  }
  const encoding = transferEncoding(header.slice(CONTENT_TRANSFER_ENCODING.length));
  return encoding !== null && domainOf(encoding) !== "7bit";
}

/** Content with CRLF line ends in, the same in 7 bits out. */
export async function* downgraded(
  chunks: readonly Uint8Array[] | AsyncIterable<Uint8Array>,
  parameters: SmtpParameters,
): AsyncGenerator<Uint8Array> {
  const downgrader = new Downgrader(parameters);
  for await (const chunk of chunks) yield* downgrader.push(chunk);
  yield* downgrader.end();
}
