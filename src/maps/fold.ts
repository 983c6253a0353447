/**
 * Keys as tables compare them: Postfix folds the case of keys of hash: and its like (ASCII, or Unicode when UTF-8 is
 * on) and asks for valid UTF-8. Text is Latin-1 that may hold UTF-8 bytes. Pure functions.
 */

import { latin1Encode, latin1Of } from "../latin1.ts";

export const MALFORMED = "malformed UTF-8 or invalid codepoint";

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}

/** The characters that the bytes stand for; null when they are not UTF-8. */
export function utf8Text(text: string): string | null {
  try {
    return decoder.decode(latin1Encode(text));
  } catch {
    return null;
  }
}

export function isUtf8(text: string): boolean {
  return isAscii(text) || utf8Text(text) !== null;
}

/** Small letters for A to Z only. */
export function foldAscii(text: string): string {
  return /[A-Z]/.test(text) ? text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase()) : text;
}

/** Unicode's full case folding of one character. */
function foldCharacter(character: string): string {
  const code = character.codePointAt(0) as number;
  if (code === 0x131) return character;
  // Cherokee folds to its capital letters.
  if (code >= 0x13a0 && code <= 0x13f5) return character;
  if (code >= 0x13f8 && code <= 0x13fd) return String.fromCodePoint(code - 8);
  if (code >= 0xab70 && code <= 0xabbf) return String.fromCodePoint(code - 0xab70 + 0x13a0);
  return [...character.toLowerCase().toUpperCase()].map((one) => one.toLowerCase()).join("");
}

/** Null when the text is not UTF-8. */
export function foldUtf8(text: string): string | null {
  if (isAscii(text)) return foldAscii(text);
  const characters = utf8Text(text);
  return characters === null ? null : latin1Of([...characters].map(foldCharacter).join(""));
}

/** As addresses, domains and keys compare: Unicode's folding where the text is UTF-8, else ASCII's. */
export function foldCase(text: string): string {
  return isAscii(text) ? text.toLowerCase() : foldUtf8(text) ?? foldAscii(text);
}
