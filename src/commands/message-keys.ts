/**
 * The lookup keys that `postmap -h -b -m -q -` makes of a message: header lines with their continuations, body lines,
 * or both, as header_checks(5) and body_checks(5) see them; with `mime` those of attachments too. Pure functions.
 */

export interface KeysWanted {
  readonly headers: boolean;
  readonly body: boolean;
  readonly mime: boolean;
}

const HEADER = /^[!-9;-~]+[ \t]*:/;
const NESTED = /^message\/(?:rfc822|global|partial|external-body)$/i;
const BOUNDARY = /;[ \t\n]*boundary[ \t\n]*=[ \t\n]*(?:"((?:[^"\\]|\\[^])*)"|([^ \t\n;"]+))/i;
const LENGTH_LIMIT = 2048;

class Reader {
  readonly #wanted: KeysWanted;
  #inHeaders = true;
  #header: string | null = null;
  #primary = true;
  /** Of the part whose headers are read. */
  #type = "";
  #boundary: string | null = null;
  readonly #open: string[] = [];

  constructor(wanted: KeysWanted) {
    this.#wanted = wanted;
  }

  /** False: nothing that follows is wanted. */
  get going(): boolean {
    return this.#primary || this.#wanted.body || this.#wanted.mime;
  }

  *line(line: string): Generator<string> {
    if (this.#inHeaders) {
      if (this.#header !== null && /^[ \t]/.test(line)) {
        this.#header += `\n${line}`;
        return;
      }
      yield* this.#endHeader();
      if (HEADER.test(line)) {
        this.#header = line;
        return;
      }
      yield* this.#endHeaders(line);
      return;
    }
    yield* this.#bodyLine(line);
  }

  *end(): Generator<string> {
    yield* this.#endHeader();
  }

  *#endHeader(): Generator<string> {
    const header = this.#header;
    if (header === null) return;
    this.#header = null;
    if (this.#wanted.headers) yield header;
    const type = /^content-type[ \t]*:[ \t\n]*([^ \t\n;]*)([^]*)$/i.exec(header);
    if (type === null) return;
    this.#type = type[1] as string;
    const boundary = BOUNDARY.exec(type[2] as string);
    this.#boundary = boundary === null ? null : (boundary[1]?.replace(/\\([^])/g, "$1") ?? boundary[2] as string);
  }

  *#endHeaders(line: string): Generator<string> {
    this.#primary = false;
    this.#inHeaders = false;
    const { mime, body } = this.#wanted;
    if (mime && this.#boundary !== null && /^multipart\//i.test(this.#type)) {
      this.#open.push(this.#boundary.slice(0, LENGTH_LIMIT));
    }
    const nested = mime && NESTED.test(this.#type);
    this.#type = "";
    this.#boundary = null;
    if (body) yield "";
    if (nested && line === "") this.#inHeaders = true;
    else if (line !== "") yield* this.#bodyLine(line);
  }

  *#bodyLine(line: string): Generator<string> {
    if (this.#wanted.body) yield line;
    if (!line.startsWith("--")) return;
    const found = this.#open.findLastIndex((boundary) => line.startsWith(boundary, 2));
    if (found < 0) return;
    const closing = line.startsWith("--", 2 + (this.#open[found] as string).length);
    this.#open.length = closing ? found : found + 1;
    this.#inHeaders = !closing;
  }
}

export function* messageKeys(lines: Iterable<string>, wanted: KeysWanted): Generator<string> {
  const reader = new Reader(wanted);
  for (const line of lines) {
    yield* reader.line(line);
    if (!reader.going) return;
  }
  yield* reader.end();
}
