/**
 * The tables of header_checks, mime_header_checks, nested_header_checks or body_checks (header_checks(5)). Where all of
 * them are pattern tables a whole block is one call a table; otherwise each header or line is looked up by itself.
 * Of several tables the first that knows the text counts. A table that cannot answer is an answer of its own.
 */

import { latin1Decode } from "../latin1.ts";
import { headerText } from "../header.ts";
import type { Lookup } from "../lookup.ts";
import { NONE } from "../lookup.ts";
import type { LookupTable } from "../maps/map.ts";
import { isPatternTable, type PatternMatch, type PatternTable } from "../maps/regexp.ts";

export type CheckName = "header_checks" | "mime_header_checks" | "nested_header_checks" | "body_checks";

/** What stands in a block: a record without its line end. */
export interface Place {
  readonly start: number;
  readonly end: number;
}

/** The text that was looked up, and what became of it. */
export interface Found {
  readonly place: Place;
  readonly text: string;
  /** "unsure": `why` is the name of the table. */
  readonly answer: Exclude<Lookup, { readonly kind: "none" }>;
}

type Answer = Lookup | Promise<Lookup>;

const CR = 13;
const LF = 10;

export class Checks {
  readonly name: CheckName;
  /** Checks with the same tables have the same answers. */
  readonly key: string;
  readonly #tables: readonly LookupTable[];
  readonly #patterns: readonly PatternTable[] | null;

  constructor(name: CheckName, tables: readonly LookupTable[]) {
    this.name = name;
    this.key = tables.map((table) => table.name).join(" ");
    this.#tables = tables;
    const patterns = tables.filter(isPatternTable);
    this.#patterns = patterns.length === tables.length ? patterns : null;
  }

  /** Headers of a block, which end in CRLF one behind the other, that a table has something to say about. */
  headers(block: Uint8Array, headers: readonly Place[]): readonly Found[] | Promise<readonly Found[]> {
    const text = ({ start, end }: Place): string => headerText(block, start, end - 2);
    if (this.#patterns === null) return this.#oneByOne(headers, text);
    return this.#byBlock(headers, text, this.#patterns, (table) => table.scanHeaders(block));
  }

  /** Records of a body: lines, or pieces of `limit` bytes of a longer line. */
  records(bytes: Uint8Array, limit: number): readonly Found[] | Promise<readonly Found[]> {
    const text = ({ start, end }: Place): string => {
      const line = latin1Decode(bytes, start, end);
      const nul = line.indexOf("\0");
      return nul < 0 ? line : line.slice(0, nul);
    };
    if (this.#patterns === null || bytes.includes(0)) return this.#oneByOne(recordPlaces(bytes, limit), text);
    const patterns = this.#patterns;
    const [only] = patterns;
    if (patterns.length > 1 || only === undefined || !only.ready) {
      return this.#byBlock(recordPlaces(bytes, limit), text, patterns, (table) => table.scanLines(bytes, limit));
    }
    return only.scanLines(bytes, limit).filter(({ length }) => length > 0).map(({ offset, length, value }) => {
      const place = { start: offset, end: offset + length };
      return { place, text: text(place), answer: { kind: "found" as const, value } };
    });
  }

  #byBlock(
    places: readonly Place[],
    text: (place: Place) => string,
    tables: readonly PatternTable[],
    scan: (table: PatternTable) => readonly PatternMatch[],
  ): readonly Found[] {
    const matches = tables.map((table) => table.ready ? scan(table) : null);
    const found: Found[] = [];
    if (matches.every((some) => some?.length === 0)) return found;
    const values = matches.map((some) => some && new Map(some.map(({ offset, value }) => [offset, value])));
    for (const place of places) {
      if (place.end === place.start) continue;
      for (let at = 0; at < values.length; at++) {
        const known = values[at] as ReadonlyMap<number, string> | null;
        const value = known?.get(place.start);
        if (known !== null && value === undefined) continue;
        const answer = known === null
          ? { kind: "unsure" as const, why: (tables[at] as PatternTable).name }
          : { kind: "found" as const, value: value as string };
        found.push({ place, text: text(place), answer });
        break;
      }
    }
    return found;
  }

  #oneByOne(
    places: readonly Place[],
    text: (place: Place) => string,
  ): readonly Found[] | Promise<readonly Found[]> {
    const found: Found[] = [];
    for (let at = 0; at < places.length; at++) {
      const place = places[at] as Place;
      const key = text(place);
      const answer = key === "" ? NONE : this.#lookUp(key, 0);
      if (answer instanceof Promise) return this.#rest(places, text, found, at, answer);
      if (answer.kind !== "none") found.push({ place, text: key, answer });
    }
    return found;
  }

  async #rest(
    places: readonly Place[],
    text: (place: Place) => string,
    found: Found[],
    first: number,
    under: Promise<Lookup>,
  ): Promise<readonly Found[]> {
    for (let at = first; at < places.length; at++) {
      const place = places[at] as Place;
      const key = text(place);
      const answer = at === first ? await under : key === "" ? NONE : await this.#lookUp(key, 0);
      if (answer.kind !== "none") found.push({ place, text: key, answer });
    }
    return found;
  }

  #lookUp(key: string, first: number): Answer {
    for (let at = first; at < this.#tables.length; at++) {
      const table = this.#tables[at] as LookupTable;
      const answer = isPatternTable(table) ? table.find(key) : table.get(key);
      const decided = (value: Lookup): Answer =>
        value.kind === "none"
          ? this.#lookUp(key, at + 1)
          : value.kind === "unsure"
          ? { kind: "unsure", why: table.name }
          : value;
      if (answer instanceof Promise) return answer.then(decided);
      if (answer.kind !== "none") return decided(answer);
    }
    return NONE;
  }
}

function recordPlaces(bytes: Uint8Array, limit: number): Place[] {
  const places: Place[] = [];
  for (let at = 0; at < bytes.length;) {
    const lf = bytes.indexOf(LF, at);
    const end = lf < 0 ? bytes.length : lf > at && bytes[lf - 1] === CR ? lf - 1 : lf;
    if (end - at > limit || lf < 0) {
      const cut = Math.min(at + limit, bytes.length);
      places.push({ start: at, end: cut });
      at = cut;
    } else {
      places.push({ start: at, end });
      at = lf + 1;
    }
  }
  return places;
}
