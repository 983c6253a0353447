/**
 * The headers of a message on their way through address rewriting: held until all are there, since a table may take
 * time, and handed on in their order; what comes behind them waits.
 *   headers --finish()--> rewriting --> done
 * Memory: the header block, and what the sender hands in before it waits. Never fails: a header that cannot be
 * rewritten is a reply, and the others stay as they are.
 */

import type { Reply } from "../reply.ts";

/** What a logical header [start, end) becomes; null: it stays. */
export type HeaderRewrite = (
  bytes: Uint8Array,
  start: number,
  end: number,
) => Promise<Uint8Array | Reply | null> | null;

const LF = 10;

export class HeaderStage {
  readonly #rewrite: HeaderRewrite;
  readonly #pieces: Uint8Array[] = [];
  #finished = false;
  /** What came after the headers. */
  readonly behind: Uint8Array[] = [];

  constructor(rewrite: HeaderRewrite) {
    this.#rewrite = rewrite;
  }

  keep(piece: Uint8Array): void {
    (this.#finished ? this.behind : this.#pieces).push(piece);
  }

  /** All headers are there: gives them back, at once where nothing is to be done. */
  finish(): readonly Uint8Array[] | Promise<readonly Uint8Array[] | Reply> {
    this.#finished = true;
    const bytes = joined(this.#pieces);
    const waits: { start: number; end: number; wait: Promise<Uint8Array | Reply | null> }[] = [];
    for (let start = 0; start < bytes.length;) {
      const end = headerEnd(bytes, start);
      const wait = this.#rewrite(bytes, start, end);
      if (wait !== null) waits.push({ start, end, wait });
      start = end;
    }
    if (waits.length === 0) return this.#pieces;
    return Promise.all(waits.map(({ wait }) => wait)).then((results) => {
      const out: Uint8Array[] = [];
      let from = 0;
      for (const [at, result] of results.entries()) {
        if (result === null) continue;
        if (!(result instanceof Uint8Array)) return result;
        const { start, end } = waits[at]!;
        if (start > from) out.push(bytes.subarray(from, start));
        out.push(result);
        from = end;
      }
      if (from < bytes.length) out.push(bytes.subarray(from));
      return out;
    });
  }
}

function joined(pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return pieces[0] as Uint8Array;
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return bytes;
}

/** A logical header ends where the next line does not begin with white space. */
function headerEnd(bytes: Uint8Array, start: number): number {
  for (let at = start;;) {
    const end = bytes.indexOf(LF, at) + 1;
    if (end === 0) return bytes.length;
    if (bytes[end] !== 32 && bytes[end] !== 9) return end;
    at = end;
  }
}
