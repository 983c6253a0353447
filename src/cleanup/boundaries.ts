/**
 * The boundaries of the multiparts that content is in (RFC 2046 §5.1.1), the innermost last, and lines held against
 * them. Time: linear in the line, times the boundaries for one that begins like them. Never fails.
 */

export interface Boundary {
  readonly text: string;
  /** Of all of it; lines are compared with many boundaries by sums first. */
  readonly sum: number;
  /** Parts are enclosed messages unless they say otherwise (multipart/digest). */
  readonly digest: boolean;
}

const LF = 10;
const DASH = 45;
/** As many boundaries are compared one by one. */
const FEW = 4;

export function boundary(text: string, digest: boolean): Boundary {
  return { text, sum: prefixSums(text, text.length).at(-1)!, digest };
}

/** The innermost boundary that the line, which has "--" before it, begins with; -1: none. */
export function boundaryOf(line: string, stack: readonly Boundary[], longest: number): number {
  const sums = stack.length > FEW ? prefixSums(line, longest) : null;
  return stack.findLastIndex(({ text, sum }) => (sums === null || sums[text.length] === sum) && line.startsWith(text));
}

/** A sum of each prefix of the text, up to that length. */
function prefixSums(text: string, longest: number): Int32Array {
  const length = Math.min(text.length, longest);
  const sums = new Int32Array(length + 1);
  let sum = 0x811c9dc5 | 0;
  sums[0] = sum;
  for (let at = 0; at < length; at++) sums[at + 1] = sum = Math.imul(sum ^ text.charCodeAt(at), 0x01000193);
  return sums;
}

/**
 * Where the first line begins that has "--" before it, or may have when more bytes come; the length when there is none.
 * `inLine`: a line began before `from`.
 */
export function nextDashes(bytes: Uint8Array, from: number, inLine: boolean): number {
  const { length } = bytes;
  let line = inLine ? bytes.indexOf(LF, from) + 1 : from;
  if (line === 0 && inLine) return length;
  while (line < length) {
    if (bytes[line] === DASH && (line + 1 === length || bytes[line + 1] === DASH)) return line;
    const dash = bytes.indexOf(DASH, line + 1);
    if (dash < 0) return length;
    if (bytes[dash - 1] === LF) line = dash;
    else {
      const lf = bytes.indexOf(LF, dash + 1);
      if (lf < 0) return length;
      line = lf + 1;
    }
  }
  return length;
}
