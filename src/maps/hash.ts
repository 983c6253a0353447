/**
 * hash: and its like (btree:, lmdb:, cdb:, dbm:, sdbm:, texthash:): one table of keys and values, whatever the type is
 * called. It is read from the image that postmap(1) made (`NAME.wmap`), or from the text `NAME` itself when there is no
 * image or the image is not of this text: a changed text counts at once, where Postfix goes on with the old database
 * and a warning. texthash: has no image. An image that is damaged is refused with a warning, and the text is used.
 */

import { latin1Decode } from "../latin1.ts";
import type { Lookup } from "../lookup.ts";
import { found, NONE } from "../lookup.ts";
import type { Files, FileStat } from "../runtime.ts";
import { belongs, buildImage, identityOf, IMAGE_ENDING } from "./compile.ts";
import { type TableContent, watchedTable } from "./file-table.ts";
import { filesValue } from "./files-value.ts";
import { foldUtf8, isAscii, isUtf8, MALFORMED } from "./fold.ts";
import type { LookupTable, TableContext, TableType } from "./map.ts";
import { textEntries } from "./text.ts";
import { instanceOf } from "./wasm.ts";

interface Module {
  readonly memory: WebAssembly.Memory;
  keyAt(): number;
  keyLimit(): number;
  outAt(): number;
  reserve(length: number): number;
  open(length: number): number;
  get(length: number, fold: boolean): number;
  addressChain(length: number, at: number, delimiters: number, flags: number): number;
  next(place: number): number;
}

const REFUSALS = [
  "",
  "it is too short",
  "it is no table image",
  "it is of another version",
  "it is cut off",
  "its checksum is wrong",
  "its parts do not fit together",
];

/** What addressChain() looks up, in this order. */
export const CHAIN = {
  /** user+ext@domain, user@domain */
  address: 1,
  /** user+ext, user */
  local: 2,
  domain: 4,
  /** Parent domains as they are; with a dot before them. */
  parents: 8,
  dotParents: 16,
  /** user+ext@, user@ */
  userAt: 32,
  /** `@domain` */
  atDomain: 64,
  fold: 128,
} as const;

/** The key that was found: its place in the order of CHAIN. */
export const STEPS = [
  "",
  "user+ext@domain",
  "user@domain",
  "user+ext",
  "user",
  "domain",
  "parent",
  "user+ext@",
  "user@",
  "@domain",
] as const;
export type Step = Exclude<typeof STEPS[number], "">;

const REMEMBERED = 4096;
const TWO_32 = 2 ** 32;

interface Loaded {
  readonly bytes: Uint8Array;
  /** Or why it is none. */
  readonly image: HashImage | string;
}

/** A table in WebAssembly memory. Keys and values are Latin-1 text. */
export class HashImage {
  readonly #module: Module;
  readonly #key: number;
  readonly #keyLimit: number;
  readonly #bytes: Uint8Array;
  readonly #out: Uint32Array;
  readonly #values = new Map<number, string>();

  private constructor(module: Module) {
    this.#module = module;
    this.#key = module.keyAt() >>> 0;
    this.#keyLimit = module.keyLimit() >>> 0;
    this.#bytes = new Uint8Array(module.memory.buffer);
    this.#out = new Uint32Array(module.memory.buffer, module.outAt() >>> 0, 4);
  }

  /** Or why it is none. */
  static open(image: Uint8Array): HashImage | string {
    return HashImage.load((place) => {
      const bytes = place(image.length);
      bytes.set(image);
      return bytes;
    }).image;
  }

  /** `read` puts the image into the memory that it is given a place in, or gives it in memory of its own. */
  static load(read: (place: (size: number) => Uint8Array) => Uint8Array): Loaded {
    const module = instanceOf<Module>("hash");
    const room = (size: number): Uint8Array | null => {
      const start = module.reserve(size) >>> 0;
      return start === 0 ? null : new Uint8Array(module.memory.buffer, start, size);
    };
    const bytes = read((size) => room(size) ?? new Uint8Array(size));
    if (bytes.buffer !== module.memory.buffer) {
      const inside = room(bytes.length);
      if (inside === null) return { bytes, image: "it is too large" };
      inside.set(bytes);
    }
    const code = module.open(bytes.length);
    return { bytes, image: code === 0 ? new HashImage(module) : REFUSALS[code] as string };
  }

  /** True when the key is ASCII; a key too long for any table gives null. */
  #write(key: string): boolean | null {
    const { length } = key;
    if (length > this.#keyLimit) return null;
    const bytes = this.#bytes;
    let all = 0;
    for (let index = 0, at = this.#key; index < length; index++, at++) {
      const code = key.charCodeAt(index);
      all |= code;
      bytes[at] = code;
    }
    return all < 0x80;
  }

  #value(id: number): string {
    const length = this.#out[0] as number;
    // An empty value stands where the next record begins: its place is not its own.
    if (length === 0) return "";
    const known = this.#values.get(id);
    if (known !== undefined) return known;
    const value = latin1Decode(this.#bytes, id, id + length);
    if (this.#values.size >= REMEMBERED) this.#values.clear();
    this.#values.set(id, value);
    return value;
  }

  /** `fold`: capital ASCII letters of the key count as small ones. */
  get(key: string, fold: boolean): string | undefined {
    if (this.#write(key) === null) return undefined;
    const id = this.#module.get(key.length, fold) >>> 0;
    return id === 0 ? undefined : this.#value(id);
  }

  /**
   * The first of the keys made from an address (`flags` of CHAIN) that is there. `delimiters`: up to four characters
   * that start an extension. All in one call into WebAssembly.
   */
  addressChain(
    address: string,
    delimiters: string,
    flags: number,
  ): { readonly value: string; readonly step: Step } | null {
    if (this.#write(address) === null) return null;
    const at = address.lastIndexOf("@");
    let packed = 0;
    for (let index = 0; index < delimiters.length && index < 4; index++) {
      packed |= delimiters.charCodeAt(index) << (8 * index);
    }
    const answer = this.#module.addressChain(address.length, at < 0 ? address.length : at, packed, flags);
    if (answer === 0) return null;
    const step = Math.floor(answer / TWO_32);
    return { value: this.#value(answer - step * TWO_32), step: STEPS[step] as Step };
  }

  *entries(): Generator<readonly [key: string, value: string]> {
    for (let place = this.#module.next(0); place !== 0; place = this.#module.next(place)) {
      const [valueLength = 0, valueAt = 0, keyLength = 0, keyAt = 0] = this.#out;
      yield [
        latin1Decode(this.#bytes, keyAt, keyAt + keyLength),
        latin1Decode(this.#bytes, valueAt, valueAt + valueLength),
      ];
    }
  }
}

export type ChainAnswer = Exclude<Lookup, { kind: "found" }> | {
  readonly kind: "found";
  readonly value: string;
  readonly step: Step;
};

class Content implements TableContent {
  readonly image: HashImage;
  readonly warnings: readonly string[];
  readonly #context: TableContext;
  readonly #name: string;
  readonly #fold: boolean;
  readonly #utf8: boolean;

  constructor(context: TableContext, name: string, image: HashImage, warnings: readonly string[]) {
    const { fold = true, utf8 = true } = context.options;
    this.image = image;
    this.warnings = warnings;
    this.#context = context;
    this.#name = name;
    this.#fold = fold;
    this.#utf8 = utf8;
  }

  /** Null: not UTF-8 where it must be. ASCII letters are folded in WebAssembly. */
  #asked(key: string): string | null {
    if (!this.#utf8 || isAscii(key)) return key;
    const asked = this.#fold ? foldUtf8(key) : isUtf8(key) ? key : null;
    if (asked === null) this.#context.warn(`${this.#name}: non-UTF-8 key "${key}": ${MALFORMED}`);
    return asked;
  }

  get(key: string): Lookup {
    const asked = this.#asked(key);
    const value = asked === null ? undefined : this.image.get(asked, this.#fold);
    return value === undefined ? NONE : this.#answer(key, value);
  }

  chain(address: string, delimiters: string, flags: number): ChainAnswer {
    const asked = this.#asked(address);
    if (asked === null) return NONE as ChainAnswer;
    const hit = this.image.addressChain(asked, delimiters, this.#fold ? flags | CHAIN.fold : flags);
    if (hit === null) return NONE as ChainAnswer;
    const answer = this.#answer(address, hit.value);
    return answer.kind === "found" ? { ...answer, step: hit.step } : answer;
  }

  #answer(key: string, value: string): Lookup {
    if (!this.#utf8 || isUtf8(value)) return found(value);
    this.#context.warn(`${this.#name}: key "${key}": non-UTF-8 value "${value}": ${MALFORMED}`);
    return { kind: "unsure", why: `table ${this.#name}: query error` };
  }
}

const noSuchFile = (): Error => Object.assign(new Error("No such file or directory"), { code: "ENOENT" });

/** The name that messages about an open table give it. */
export function openName(type: string, path: string): string {
  return type === "texthash" || type === "lmdb" ? `${type}:${path}` : `${type}:${path}${IMAGE_ENDING}`;
}

function fromText(context: TableContext, name: string, files: Files, path: string): Content {
  const { fold = true, utf8 = true, format = "keys", duplicates = "warn", files: named = false } = context.options;
  const read = textEntries(files.readSync(path), path, {
    fold,
    utf8,
    format,
    duplicates,
    ...named ? { valueFrom: (value: string) => filesValue(files, value) } : {},
  });
  const image = HashImage.open(buildImage(read.entries, null));
  if (typeof image === "string") throw new Error(`cannot read the table: ${image}`);
  return new Content(context, name, image, read.warnings);
}

function fromImage(
  context: TableContext,
  name: string,
  files: Files,
  path: string,
  stats: readonly (FileStat | null)[],
): Content | string | null {
  const [text = null, stat = null] = stats;
  if (stat === null) return null;
  const { bytes, image } = HashImage.load((place) => files.readSync(path + IMAGE_ENDING, place));
  if (typeof image === "string") return `${path}${IMAGE_ENDING}: image not used: ${image}`;
  const identity = identityOf(bytes);
  if (text !== null && (identity === null || !belongs(context.runtime, identity, stat, text, path))) return null;
  return new Content(context, name, image, []);
}

/** Types whose own kind of database file is not read. */
const FOREIGN = new Set(["btree", "lmdb", "cdb", "dbm", "sdbm"]);

/** What a table of this family can do beside answering. */
export interface HashTable extends LookupTable {
  get(key: string): Lookup;
  entries(): Iterable<readonly [key: string, value: string]>;
  /** The first of the keys that `flags` of CHAIN make of an address, as HashImage.addressChain() finds it. */
  chain(address: string, delimiters: string, flags: number): ChainAnswer;
}

export function isHashTable(table: LookupTable): table is HashTable {
  return "chain" in table;
}

export const hashTable: TableType = (path, context): HashTable => {
  const { type } = context;
  const name = openName(type, path);
  if (FOREIGN.has(type)) {
    context.options.note?.(`${type}:${path} is read from its text or from ${path}${IMAGE_ENDING}, as hash: is`);
  }
  const watched = type === "texthash" ? [path] : [path, path + IMAGE_ENDING];
  const table = watchedTable<Content>(context, {
    path,
    pattern: false,
    watched,
    read: (files, stats) => {
      const image = watched.length === 1 ? null : fromImage(context, name, files, path, stats);
      if (image instanceof Content) return image;
      if (stats[0] === null && typeof image === "string") throw new Error(image);
      if (stats[0] === null) throw noSuchFile();
      const content = fromText(context, name, files, path);
      return image === null ? content : new Content(context, name, content.image, [image, ...content.warnings]);
    },
  });
  return {
    name: context.name,
    pattern: false,
    get: (key) => table.get(key),
    entries: () => table.current()?.image.entries() ?? [],
    chain: (address, delimiters, flags) => {
      const content = table.current();
      if (content !== null) return content.chain(address, delimiters, flags);
      return { kind: "unsure", why: (table.get(address) as { readonly why: string }).why };
    },
  };
};
