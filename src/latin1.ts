/**
 * Text inside Postrider is Latin-1: one character stands for one byte, so that 8-bit data passes unharmed from the wire
 * to the log, the queue and the mailbox. What must be Unicode (JSON for tools, IDNA) is decoded where it is needed.
 */

const CHUNK = 4096;
const SHORT = 24;
const encoder = new TextEncoder();
/** For ASCII alone, which is the same in UTF-8; and for what is UTF-8. */
const decoder = new TextDecoder();

export function latin1Decode(bytes: Uint8Array, start = 0, end: number = bytes.length): string {
  if (end - start <= SHORT) return shortText(bytes, start, end);
  if (isAscii(bytes, start, end)) return decoder.decode(bytes.subarray(start, end));
  if (end - start <= CHUNK) return String.fromCharCode.apply(null, bytes.subarray(start, end) as unknown as number[]);
  let text = "";
  for (let at = start; at < end; at += CHUNK) text += latin1Decode(bytes, at, Math.min(at + CHUNK, end));
  return text;
}

/** Eight characters a step: a call into the runtime costs more than as little text. */
function shortText(bytes: Uint8Array, start: number, end: number): string {
  const { fromCharCode } = String;
  let text = "";
  let at = start;
  for (; at + 8 <= end; at += 8) {
    text += fromCharCode(bytes[at]!, bytes[at + 1]!, bytes[at + 2]!, bytes[at + 3]!) +
      fromCharCode(bytes[at + 4]!, bytes[at + 5]!, bytes[at + 6]!, bytes[at + 7]!);
  }
  for (; at < end; at++) text += fromCharCode(bytes[at]!);
  return text;
}

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if ((bytes[at] as number) > 127) return false;
  return true;
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
