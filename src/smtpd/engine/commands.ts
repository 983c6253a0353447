/**
 * Splits a command line into words as Postfix does: white space separates, but not inside <…> and "…"; "FROM:" and
 * "TO:" end a word. Keeps every character of a word, quotes and backslashes too. A word whose quote never closes is
 * `bad`.
 */

export interface Word {
  readonly text: string;
  readonly bad: boolean;
}

/** isspace(3): 0xa0, which is one to JavaScript, is part of many a UTF-8 character. */
const SPACE = /[\t-\r ]/;

/** Index after the closing character, or -1 when it is missing. Quotes nest in angle brackets. */
function quotedEnd(line: string, at: number, close: string): number {
  const stack = [close];
  while (at < line.length) {
    const char = line[at++] as string;
    const wanted = stack[stack.length - 1];
    if (char === "\\") at++;
    else if (char === wanted) {
      stack.pop();
      if (stack.length === 0) return at;
    } else if (char === '"') stack.push('"');
    else if (char === "<" && wanted === ">") stack.push(">");
  }
  return -1;
}

function endsKeyword(line: string, start: number, colon: number): boolean {
  const length = colon - start + 1;
  if (length > 5) return false;
  const word = line.slice(start, colon + 1).toLowerCase();
  return "to:".startsWith(word) || "from:".startsWith(word);
}

/** Reads one word; `at` stands on its first character. */
function readWord(line: string, start: number): { end: number; bad: boolean } {
  let at = start;
  while (at < line.length) {
    const char = line[at] as string;
    if (SPACE.test(char)) break;
    at++;
    if (char === "<" || char === '"') {
      at = quotedEnd(line, at, char === "<" ? ">" : '"');
      if (at < 0) return { end: line.length, bad: true };
    } else if (char === ":" && endsKeyword(line, start, at - 1)) break;
    else if (char === "\\") at = Math.min(at + 1, line.length);
  }
  return { end: at, bad: false };
}

export function commandWords(line: string): Word[] {
  const words: Word[] = [];
  let at = 0;
  while (at < line.length) {
    if (SPACE.test(line[at] as string)) {
      at++;
      continue;
    }
    const { end, bad } = readWord(line, at);
    words.push({ text: line.slice(at, end), bad });
    at = end;
  }
  return words;
}
