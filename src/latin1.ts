/**
 * Text inside Postrider is Latin-1: one character stands for one byte, so that 8-bit data passes unharmed from the wire
 * to the log, the queue and the mailbox. What must be Unicode (JSON for tools, IDNA) is decoded where it is needed.
 */

const CHUNK = 4096;
const encoder = new TextEncoder();

/** What a runtime has of its own: the same text and bytes as here, many times as fast from a dozen bytes on. */
export interface NativeLatin1 {
  readonly decode: (bytes: Uint8Array, start: number, end: number) => string;
  /** Null: encodeInto of TextEncoder is the fastest there is. */
  readonly encodeInto: ((text: string, bytes: Uint8Array, at: number) => void) | null;
}

let native: NativeLatin1 | null = null;

export function useNative(latin1: NativeLatin1): void {
  native = latin1;
}

export function latin1Decode(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  if (native === null) return decoded(bytes, start, end);
  const last = Math.min(end, bytes.length);
  return native.decode(bytes, Math.min(start, last), last);
}

/** Where no runtime has one. */
export function decoded(bytes: Uint8Array, start: number, end: number): string {
  if (end - start <= CHUNK) return String.fromCharCode.apply(null, bytes.subarray(start, end) as unknown as number[]);
  let text = "";
  for (let at = start; at < end; at += CHUNK) text += decoded(bytes, at, Math.min(at + CHUNK, end));
  return text;
}

/** Characters above U+00FF keep their low byte only: callers pass text that came from latin1Decode. */
export function latin1Encode(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length);
  latin1EncodeInto(text, bytes, 0);
  return bytes;
}

/** Writes the text at `at`, for which there must be room. */
export function latin1EncodeInto(text: string, bytes: Uint8Array, at: number): void {
  const { length } = text;
  if (length > 16 && native?.encodeInto) return native.encodeInto(text, bytes, at);
  if (length > 32) {
    // For the usual case: ASCII is the same in UTF-8, byte for byte.
    const whole = at === 0 && bytes.length === length ? bytes : bytes.subarray(at, at + length);
    const { read, written } = encoder.encodeInto(text, whole);
    if (read === length && written === length) return;
  }
  for (let index = 0; index < length; index++) bytes[at + index] = text.charCodeAt(index);
}

/** Control characters would break a line or the terminal; Postfix shows them as "?". */
export function withoutControls(text: string): string {
  // deno-lint-ignore no-control-regex
  return /[\x00-\x1f\x7f]/.test(text) ? text.replace(/[\x00-\x1f\x7f]/g, "?") : text;
}

const decoder = new TextDecoder();

/** Latin-1 text that holds UTF-8 bytes, as Unicode text. */
export function unicodeOf(text: string): string {
  return decoder.decode(latin1Encode(text));
}

/** Unicode text as Latin-1 text that holds its UTF-8 bytes. */
export function latin1Of(unicode: string): string {
  return latin1Decode(encoder.encode(unicode));
}
