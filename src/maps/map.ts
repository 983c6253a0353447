/**
 * Lookup tables by their main.cf name, `type:name`. Source: postconf(5), postmap(1), DATABASE_README. An unknown type
 * or a name that cannot be read as its type throws ConfigError. A file that cannot be read gives a table that answers
 * "unsure" to everything, and a warning: mail waits until the file is there.
 */

import { ConfigError } from "../errors.ts";
import type { Lookup } from "../lookup.ts";
import { NONE } from "../lookup.ts";
import type { Runtime } from "../runtime.ts";
import { cidrTable } from "./cidr.ts";
import { environTable } from "./environ.ts";
import { namedValue } from "./files-value.ts";
import { hashTable } from "./hash.ts";
import { inlineEntries } from "./inline.ts";
import { pipemapTable } from "./pipemap.ts";
import { randmapTable } from "./randmap.ts";
import { patternTable } from "./regexp.ts";
import { socketmapTable } from "./socketmap.ts";
import { staticValue } from "./static.ts";
import { tcpTable } from "./tcp.ts";
import type { Duplicates } from "./text.ts";
import { unionmapTable } from "./unionmap.ts";
import { unixTable } from "./unix.ts";
import { foldCase } from "./fold.ts";

export type { Lookup } from "../lookup.ts";

export interface LookupTable {
  /** `type:name`, as in main.cf. */
  readonly name: string;
  /** True for regexp:, pcre: and cidr:, which are asked for whole keys only, never for parts of a name. */
  readonly pattern: boolean;
  get(key: string): Lookup | Promise<Lookup>;
  /** All keys and values, in no order; tables that cannot tell have no such method. */
  entries?(): Iterable<readonly [key: string, value: string]>;
}

export interface OpenOptions {
  /** `FILE, line N: parameter`, for messages. */
  readonly place?: string;
  readonly warn?: (text: string) => void;
  /** Takes what is worth a line in the log and no trouble. */
  readonly note?: (text: string) => void;
  /** How the text of hash: and its like is written: `key value`, or `name: value` for alias_maps and alias_database. */
  readonly format?: "keys" | "aliases";
  /** False: fixed keys are not folded to small letters (postmap -f). */
  readonly fold?: boolean;
  /** False: keys and values need not be UTF-8 (smtputf8_enable = no, postmap -u). */
  readonly utf8?: boolean;
  /** What is done about a second line for a key of a text. */
  readonly duplicates?: Duplicates;
  /** Puts something before each table that is opened: what looks on (explain). */
  readonly observe?: (table: LookupTable) => LookupTable;
  /** True: values are names of files, whose content in base64 takes their place (postmap -F). */
  readonly files?: boolean;
}

/** What a table type needs to open one table. */
export interface TableContext {
  /** `type:name`, as in main.cf. */
  readonly name: string;
  readonly type: string;
  readonly runtime: Runtime;
  readonly options: OpenOptions;
  readonly warn: (text: string) => void;
  /** Throws ConfigError with the place in the configuration before the text. */
  readonly fault: (text: string) => never;
  /** Another table, for types that are made of tables. */
  readonly open: (name: string) => LookupTable;
}

/** Opens `type:rest`. */
export type TableType = (rest: string, context: TableContext) => LookupTable;

/** A name without a type is of this one (default_database_type). */
const DEFAULT_TYPE = "hash";

/** A table in memory. Keys are looked up in lower case unless `fold` is false. */
export function tableOf(name: string, entries: ReadonlyMap<string, string>, fold = true): LookupTable {
  return {
    name,
    pattern: false,
    get: (key) => answerOf(entries, fold ? foldCase(key) : key),
    entries: () => entries,
  };
}

function answerOf(entries: ReadonlyMap<string, string>, key: string): Lookup {
  const value = entries.get(key);
  return value === undefined ? NONE : { kind: "found", value };
}

const staticTable: TableType = (rest, { name, fault, options, runtime }) => {
  const given = staticValue(rest);
  if ("fault" in given) return fault(given.fault);
  const read = namedValue(given.value, options, runtime);
  if ("fault" in read) return fault(read.fault);
  const answer: Lookup = { kind: "found", value: read.value };
  return { name, pattern: false, get: () => answer };
};

const inlineTable: TableType = (rest, { name, fault, options, runtime }) => {
  const files = options.files === true;
  const read = inlineEntries(rest, {
    fold: options.fold !== false,
    ...files ? { valueFrom: (value: string) => namedValue(value, options, runtime) } : {},
  });
  return "fault" in read ? fault(read.fault) : tableOf(name, read.entries, options.fold !== false);
};

const failTable: TableType = (_rest, { name }) => {
  const answer: Lookup = { kind: "unsure", why: `table ${name}: query error` };
  return { name, pattern: false, get: () => answer };
};

/** Type -> how it is opened. */
const TYPES: Readonly<Record<string, TableType>> = {
  texthash: hashTable,
  hash: hashTable,
  btree: hashTable,
  lmdb: hashTable,
  cdb: hashTable,
  dbm: hashTable,
  sdbm: hashTable,
  cidr: cidrTable,
  regexp: patternTable,
  pcre: patternTable,
  static: staticTable,
  inline: inlineTable,
  fail: failTable,
  unix: unixTable,
  environ: environTable,
  pipemap: pipemapTable,
  unionmap: unionmapTable,
  randmap: randmapTable,
  tcp: tcpTable,
  socketmap: socketmapTable,
  proxy: (rest, { open }) => open(rest),
};

export function isTableType(type: string): boolean {
  return Object.hasOwn(TYPES, type);
}

export function openTable(name: string, runtime: Runtime, options: OpenOptions = {}): LookupTable {
  const colon = name.indexOf(":");
  const type = colon < 0 ? DEFAULT_TYPE : name.slice(0, colon);
  const place = options.place === undefined ? "" : `${options.place}: `;
  const fault = (text: string): never => {
    throw new ConfigError([`fatal: ${place}${text}`]);
  };
  const opener = Object.hasOwn(TYPES, type) ? TYPES[type] : undefined;
  if (opener === undefined) return fault(`unsupported dictionary type: ${type}`);
  const table = opener(colon < 0 ? name : name.slice(colon + 1), {
    name,
    type,
    runtime,
    options,
    warn: options.warn ?? ((): void => {}),
    fault,
    open: (inner) => openTable(inner, runtime, options),
  });
  return options.observe === undefined || type === "proxy" ? table : options.observe(table);
}
