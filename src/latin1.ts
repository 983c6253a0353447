/**
 * Text inside Postrider is Latin-1: one character stands for one byte, so that 8-bit data passes unharmed from the wire
 * to the log, the queue and the mailbox. What must be Unicode (JSON for tools, IDNA) is decoded where it is needed.
 */

const CHUNK = 4096;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function latin1Decode(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  if (end - start > 64) {
    // Native for the usual case: as many characters as bytes, and none for a wrong byte, is ASCII.
    const text = decoder.decode(bytes.subarray(start, end));
    if (text.length === end - start && !text.includes("\ufffd")) return text;
  }
  if (end - start <= CHUNK) return String.fromCharCode.apply(null, bytes.subarray(start, end) as unknown as number[]);
  let text = "";
  for (let at = start; at < end; at += CHUNK) text += latin1Decode(bytes, at, Math.min(at + CHUNK, end));
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
  if (length > 32) {
    // Native for the usual case: ASCII is the same in UTF-8, byte for byte.
    const whole = at === 0 && bytes.length === length ? bytes : bytes.subarray(at, at + length);
    const { read, written } = encoder.encodeInto(text, whole);
    if (read === length && written === length) return;
  }
  for (let index = 0; index < length; index++) bytes[at + index] = text.charCodeAt(index);
}

/** Latin-1 text that holds UTF-8 bytes, as Unicode text. */
export function unicodeOf(text: string): string {
  return decoder.decode(latin1Encode(text));
}

/** Unicode text as Latin-1 text that holds its UTF-8 bytes. */
export function latin1Of(unicode: string): string {
  return latin1Decode(encoder.encode(unicode));
}
