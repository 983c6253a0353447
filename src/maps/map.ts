/**
 * Lookup tables by their main.cf name, `type:name`. Source: postconf(5), postmap(1), DATABASE_README. An unknown type
 * or a name that cannot be read as its type throws ConfigError. A file that cannot be read gives a table that answers
 * "unsure" to everything, and a warning: mail waits until the file is there.
 */

import { ConfigError } from "../errors.ts";
import type { Lookup } from "../lookup.ts";
import { NONE } from "../lookup.ts";
import type { Runtime } from "../runtime.ts";
import { fileTable } from "./file-table.ts";
import { inlineEntries } from "./inline.ts";
import { staticValue } from "./static.ts";
import { textEntries } from "./text.ts";

export type { Lookup } from "../lookup.ts";

export interface LookupTable {
  /** `type:name`, as in main.cf. */
  readonly name: string;
  /** True for regexp:, pcre: and cidr:, which are asked for whole keys only, never for parts of a name. */
  readonly pattern: boolean;
  get(key: string): Lookup | Promise<Lookup>;
}

export interface OpenOptions {
  /** `FILE, line N: parameter`, for messages. */
  readonly place?: string;
  readonly warn?: (text: string) => void;
}

/** What a table type needs to open one table. */
export interface TableContext {
  /** `type:name`, as in main.cf. */
  readonly name: string;
  readonly runtime: Runtime;
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

/** A table in memory. Keys are looked up in lower case. */
export function tableOf(name: string, entries: ReadonlyMap<string, string>): LookupTable {
  return { name, pattern: false, get: (key) => answerOf(entries, key) };
}

function answerOf(entries: ReadonlyMap<string, string>, key: string): Lookup {
  const value = entries.get(key.toLowerCase());
  return value === undefined ? NONE : { kind: "found", value };
}

const textTable: TableType = (path, context) =>
  fileTable(context, path, false, (bytes) => {
    const { entries, warnings } = textEntries(bytes, path);
    return { warnings, get: (key) => answerOf(entries, key) };
  });

const staticTable: TableType = (rest, { name, fault }) => {
  const read = staticValue(rest);
  if ("fault" in read) return fault(read.fault);
  const answer: Lookup = { kind: "found", value: read.value };
  return { name, pattern: false, get: () => answer };
};

const inlineTable: TableType = (rest, { name, fault }) => {
  const read = inlineEntries(rest);
  return "fault" in read ? fault(read.fault) : tableOf(name, read.entries);
};

const failTable: TableType = (_rest, { name }) => {
  const answer: Lookup = { kind: "unsure", why: `table ${name}: query error` };
  return { name, pattern: false, get: () => answer };
};

/** Type -> how it is opened. */
const TYPES: Readonly<Record<string, TableType>> = {
  texthash: textTable,
  hash: textTable,
  btree: textTable,
  lmdb: textTable,
  cdb: textTable,
  dbm: textTable,
  sdbm: textTable,
  static: staticTable,
  inline: inlineTable,
  fail: failTable,
  proxy: (rest, { open }) => open(rest),
};

export function openTable(name: string, runtime: Runtime, options: OpenOptions = {}): LookupTable {
  const colon = name.indexOf(":");
  const type = colon < 0 ? DEFAULT_TYPE : name.slice(0, colon);
  const place = options.place === undefined ? "" : `${options.place}: `;
  const fault = (text: string): never => {
    throw new ConfigError([`fatal: ${place}${text}`]);
  };
  const opener = Object.hasOwn(TYPES, type) ? TYPES[type] : undefined;
  if (opener === undefined) return fault(`unsupported dictionary type: ${type}`);
  return opener(colon < 0 ? name : name.slice(colon + 1), {
    name,
    runtime,
    warn: options.warn ?? ((): void => {}),
    fault,
    open: (inner) => openTable(inner, runtime, options),
  });
}
