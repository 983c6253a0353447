/** The pattern being parsed: its bytes, the place reached and the options in force. */

export const enum Option {
  Caseless = 1,
  Multiline = 2,
  DotAll = 4,
  Extended = 8,
  ExtendedMore = 16,
  Ungreedy = 32,
  NoAutoCapture = 64,
  DuplicateNames = 128,
  DollarEndOnly = 256,
  Anchored = 512,
  /** regexp: POSIX syntax, extended unless Basic. */
  Posix = 1024,
  Basic = 2048,
  /** The result uses $1 and so on. */
  Captures = 4096,
}

export let source: i32 = 0;
export let length: i32 = 0;
export let position: i32 = 0;
export let options: i32 = 0;

export function setInput(at: i32, count: i32, flags: i32): void {
  source = at;
  length = count;
  position = 0;
  options = flags;
}

/** The byte that many places on, or -1 behind the end. */
@inline
export function peek(ahead: i32): i32 {
  return position + ahead < length ? <i32>load<u8>(source + position + ahead) : -1;
}

@inline
export function setPosition(to: i32): void {
  position = to;
}

@inline
export function setOptions(to: i32): void {
  options = to;
}
