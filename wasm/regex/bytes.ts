/** Kinds of bytes, as the C locale has them. */

@inline
export function isDigit(byte: i32): bool {
  return byte >= 0x30 && byte <= 0x39;
}

@inline
export function isLetter(byte: i32): bool {
  return (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x41 && byte <= 0x5a);
}

@inline
export function isWord(byte: i32): bool {
  return isLetter(byte) || isDigit(byte) || byte === 0x5f;
}
