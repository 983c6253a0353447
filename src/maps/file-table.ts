/**
 * A table whose content is read from files and read again when one of them changes: their sizes, times and inodes are
 * looked at once a second at most. A file that changed less than a second ago may still be written to: it is read at
 * once and read again when it has been still for a second. A file that vanishes or cannot be read leaves the former
 * content in place, with a warning; one that could not be read from the start makes every answer "unsure".
 */

import { messageOf, systemCode, systemWords } from "../errors.ts";
import type { Lookup } from "../lookup.ts";
import type { Files, FileStat, Millis } from "../runtime.ts";
import type { LookupTable, TableContext } from "./map.ts";

export interface TableContent {
  get(key: string): Lookup;
  /** What could not be read, a line each. */
  readonly warnings: readonly string[];
}

export interface FileTable<Content extends TableContent> extends LookupTable {
  get(key: string): Lookup;
  /** The content as it is now; null when the file could not be read yet. */
  current(): Content | null;
}

/** What a table is read from. */
export interface Source<Content extends TableContent> {
  /** Named in messages when the files cannot be read. */
  readonly path: string;
  /** True for tables that are asked for whole keys only. */
  readonly pattern: boolean;
  readonly watched: readonly string[];
  /**
   * `stats`: of the watched files as they were before the read, null where there is none. What it throws keeps the
   * former content.
   */
  readonly read: (files: Files, stats: readonly (FileStat | null)[]) => Content;
}

const LOOK_EVERY: Millis = 1000;

const sameFile = (one: FileStat | null, other: FileStat | null): boolean =>
  one === null || other === null
    ? one === other
    : one.size === other.size && one.modified === other.modified && one.inode === other.inode;

export function statOf(files: Files, path: string): FileStat | null {
  try {
    return files.statSync(path);
  } catch (caught) {
    if (systemCode(caught) === "ENOENT") return null;
    throw caught;
  }
}

class Reader<Content extends TableContent> implements FileTable<Content> {
  readonly name: string;
  readonly pattern: boolean;
  readonly #context: TableContext;
  readonly #source: Source<Content>;
  #content: Content | null = null;
  #stats: readonly (FileStat | null)[] | null = null;
  #settled = false;
  #looked: Millis;
  #why = "";

  constructor(context: TableContext, source: Source<Content>) {
    this.name = context.name;
    this.pattern = source.pattern;
    this.#context = context;
    this.#source = source;
    this.#looked = context.runtime.clock.monotonic();
    this.#load();
  }

  get(key: string): Lookup {
    return this.current()?.get(key) ?? { kind: "unsure", why: this.#why };
  }

  current(): Content | null {
    const now = this.#context.runtime.clock.monotonic();
    if (now - this.#looked >= LOOK_EVERY) {
      this.#looked = now;
      this.#load();
    }
    return this.#content;
  }

  #load(): void {
    const { runtime, warn } = this.#context;
    const { files } = runtime;
    try {
      if (files === null) throw new Error("this runtime has no files");
      // Taken before the read: a change in between is seen the next time.
      const stats = this.#source.watched.map((path) => statOf(files, path));
      const former = this.#stats;
      const same = former !== null && stats.every((stat, index) => sameFile(stat, former[index] ?? null));
      if (same && this.#settled) return;
      const content = this.#source.read(files, stats);
      const now = runtime.clock.now();
      this.#settled = stats.every((stat) => stat === null || now - stat.modified >= LOOK_EVERY);
      if (!same) content.warnings.forEach(warn);
      this.#stats = stats;
      this.#content = content;
      this.#why = "";
    } catch (caught) {
      const code = systemCode(caught);
      const why = `open database ${this.#source.path}: ${code === "" ? messageOf(caught) : systemWords(code)}`;
      if (why !== this.#why) warn(`${this.name} is unavailable. ${why}`);
      this.#why = why;
    }
  }
}

export function watchedTable<Content extends TableContent>(
  context: TableContext,
  source: Source<Content>,
): FileTable<Content> {
  return new Reader(context, source);
}

/** A table of one file: `read` turns its bytes into the content; what it throws keeps the former content. */
export function fileTable<Content extends TableContent>(
  context: TableContext,
  path: string,
  pattern: boolean,
  read: (bytes: Uint8Array) => Content,
): FileTable<Content> {
  return watchedTable(context, { path, pattern, watched: [path], read: (files) => read(files.readSync(path)) });
}
