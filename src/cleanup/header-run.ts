/**
 * Headers of the usual kind that are whole in a piece of content, found in one pass over it: a name, a colon, lines
 * that end in CRLF and are within the limits. Whatever is not so plain ends the run: the MIME scanner, which takes
 * content line by line, makes of it what Postfix does. Time: linear in the run and in the one header that ends it.
 */

import type { MimeOptions } from "./mime-part.ts";

const LF = 10;
const CR = 13;
const SPACE = 32;
const TAB = 9;
const COLON = 58;

/** Numbers a header in a run: the length of its name, where it ends. */
export const RUN_FIELDS = 2;

/**
 * Walks over the headers from `from` on, where a line begins, and puts RUN_FIELDS numbers for each into `run`.
 * A header is whole when the line behind it has begun, or with `ended` at the end of the bytes.
 */
export function headerRun(
  bytes: Uint8Array,
  from: number,
  { lineLimit, headerLimit }: Pick<MimeOptions, "lineLimit" | "headerLimit">,
  run: number[],
  ended = false,
): void {
  const { length } = bytes;
  // Further lines need room in a header (mime.ts).
  const longest = headerLimit * 0.9;
  for (let start = from;;) {
    let at = start;
    let byte = bytes[at] as number;
    while (byte > SPACE && byte < 127 && byte !== COLON) byte = bytes[++at] as number;
    if (byte !== COLON || at === start) return;
    const nameLength = at - start;
    for (let line = start;;) {
      const lf = bytes.indexOf(LF, at);
      at = lf + 1;
      if (lf < 0 || (at === length && !ended) || bytes[lf - 1] !== CR || lf - 1 - line > lineLimit) return;
      if (bytes[at] !== SPACE && bytes[at] !== TAB) break;
      line = at;
    }
    if (at - start > longest) return;
    run.push(nameLength, at);
    start = at;
  }
}
