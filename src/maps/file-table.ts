/**
 * A table whose content is read from a file and read again when the file changes: its size, time and inode are looked
 * at once a second at most. A file that changed less than a second ago may still be written to: it is read at once and
 * read again when it has been still for a second. A file that vanishes or cannot be read leaves the former content in
 * place, with a warning; a file that could not be read from the start makes every answer "unsure".
 */

import { messageOf, systemCode, systemWords } from "../errors.ts";
import type { Lookup } from "../lookup.ts";
import type { FileStat, Millis } from "../runtime.ts";
import type { LookupTable, TableContext } from "./map.ts";

export interface TableContent {
  get(key: string): Lookup;
  /** What could not be read, a line each. */
  readonly warnings: readonly string[];
}

export interface FileTable<Content extends TableContent> extends LookupTable {
  /** The content as it is now; null when the file could not be read yet. */
  current(): Content | null;
}

const LOOK_EVERY: Millis = 1000;

const sameFile = (one: FileStat, other: FileStat): boolean =>
  one.size === other.size && one.modified === other.modified && one.inode === other.inode;

class Reader<Content extends TableContent> implements FileTable<Content> {
  readonly name: string;
  readonly pattern: boolean;
  readonly #context: TableContext;
  readonly #path: string;
  readonly #read: (bytes: Uint8Array) => Content;
  #content: Content | null = null;
  #stat: FileStat | null = null;
  #settled = false;
  #looked: Millis;
  #why = "";

  constructor(context: TableContext, path: string, pattern: boolean, read: (bytes: Uint8Array) => Content) {
    this.name = context.name;
    this.pattern = pattern;
    this.#context = context;
    this.#path = path;
    this.#read = read;
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
    try {
      if (runtime.files === null) throw new Error("this runtime has no files");
      const stat = runtime.files.statSync(this.#path);
      if (this.#stat !== null && sameFile(stat, this.#stat) && this.#settled) return;
      // Taken before the read: a change in between is seen the next time.
      const content = this.#read(runtime.files.readSync(this.#path));
      this.#settled = runtime.clock.now() - stat.modified >= LOOK_EVERY;
      if (this.#stat === null || !sameFile(stat, this.#stat)) content.warnings.forEach(warn);
      this.#stat = stat;
      this.#content = content;
      this.#why = "";
    } catch (caught) {
      const code = systemCode(caught);
      const why = `open database ${this.#path}: ${code === "" ? messageOf(caught) : systemWords(code)}`;
      if (why !== this.#why) warn(`${this.name} is unavailable. ${why}`);
      this.#why = why;
    }
  }
}

/** `read` turns the bytes of the file into the table's content; what it throws keeps the former content. */
export function fileTable<Content extends TableContent>(
  context: TableContext,
  path: string,
  pattern: boolean,
  read: (bytes: Uint8Array) => Content,
): FileTable<Content> {
  return new Reader(context, path, pattern, read);
}
