/**
 * Logical lines of main.cf, master.cf and lookup table files: a line that starts with white space continues the one
 * before; empty lines and lines whose first character is # are left out, also between the pieces of a logical line.
 * Source: postconf(5), master(5), postmap(1). Never fails: every sequence of bytes has logical lines.
 */

export interface LogicalLine {
  /** Pieces joined without their newlines; the white space at the start of a continuation stays. */
  readonly text: string;
  /** Number of its first line, from 1. */
  readonly first: number;
}

const BLANK = /^[ \t\r\f\v]*(?:#|$)/;

/** A first line that starts with white space becomes a logical line of its own, which callers warn about. */
export function logicalLines(text: string): LogicalLine[] {
  const lines: LogicalLine[] = [];
  const physical = text.split("\n");
  let joined = "";
  let first = 0;
  for (let index = 0; index < physical.length; index++) {
    const line = physical[index]!;
    if (BLANK.test(line)) continue;
    if (first !== 0 && /^[ \t\r\f\v]/.test(line)) {
      joined += line;
    } else {
      if (first !== 0) lines.push({ text: joined, first });
      joined = line;
      first = index + 1;
    }
  }
  if (first !== 0) lines.push({ text: joined, first });
  return lines;
}

/** Where the brace that opens at `at` closes, or -1; braces nest. */
export function closingBrace(text: string, at: number): number {
  let depth = 0;
  for (let index = at; index < text.length; index++) {
    const character = text.charCodeAt(index);
    if (character === 0x7b) depth++;
    else if (character === 0x7d && --depth === 0) return index;
  }
  return -1;
}

/** Words between separators; a separator inside { } does not separate. `{` that never closes reaches to the end. */
export function wordsOutsideBraces(text: string, separators = ", \t\r\n"): string[] {
  const words: string[] = [];
  let start = -1;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (depth === 0 && separators.includes(character)) {
      if (start >= 0) words.push(text.slice(start, at));
      start = -1;
      continue;
    }
    if (start < 0) start = at;
    if (character === "{") depth++;
    else if (character === "}" && depth > 0) depth--;
  }
  if (start >= 0) words.push(text.slice(start));
  return words;
}
