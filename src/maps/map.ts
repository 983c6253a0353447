/**
 * Lookup tables by their main.cf name, `type:name`. Source: postconf(5), postmap(1), DATABASE_README. An unknown type
 * or a name that cannot be read as its type throws ConfigError. A file that cannot be read gives a table that answers
 * "unsure" to everything, and a warning: mail waits until the file is there.
 */

import { ConfigError, messageOf, systemCode } from "../errors.ts";
import type { Lookup } from "../lookup.ts";
import { NONE } from "../lookup.ts";
import type { Runtime } from "../runtime.ts";
import { inlineEntries } from "./inline.ts";
import { staticValue } from "./static.ts";
import { textEntries } from "./text.ts";

export type { Lookup } from "../lookup.ts";

export interface LookupTable {
  /** `type:name`, as in main.cf. */
  readonly name: string;
  get(key: string): Lookup | Promise<Lookup>;
}

export interface OpenOptions {
  /** `FILE, line N: parameter`, for messages. */
  readonly place?: string;
  readonly warn?: (text: string) => void;
}

/** Types whose content is read from the text file that postmap would read. */
const TEXT_TYPES = new Set(["texthash", "hash", "btree", "lmdb", "cdb", "dbm", "sdbm"]);

/** A name without a type is of this one (default_database_type). */
const DEFAULT_TYPE = "hash";

/** A table in memory. Keys are looked up in lower case. */
export function tableOf(name: string, entries: ReadonlyMap<string, string>): LookupTable {
  return {
    name,
    get: (key) => {
      const value = entries.get(key.toLowerCase());
      return value === undefined ? NONE : { kind: "found", value };
    },
  };
}

function unsureTable(name: string, why: string): LookupTable {
  const answer: Lookup = { kind: "unsure", why };
  return { name, get: () => answer };
}

function textTable(name: string, path: string, runtime: Runtime, warn: (text: string) => void): LookupTable {
  if (runtime.files === null) return unsureTable(name, `open database ${path}: this runtime has no files`);
  try {
    const read = textEntries(runtime.files.readSync(path), path);
    read.warnings.forEach(warn);
    return tableOf(name, read.entries);
  } catch (caught) {
    const why = systemCode(caught) === "ENOENT" ? "No such file or directory" : messageOf(caught);
    warn(`${name} is unavailable. open database ${path}: ${why}`);
    return unsureTable(name, `open database ${path}: ${why}`);
  }
}

export function openTable(name: string, runtime: Runtime, options: OpenOptions = {}): LookupTable {
  const warn = options.warn ?? ((): void => {});
  const colon = name.indexOf(":");
  const type = colon < 0 ? DEFAULT_TYPE : name.slice(0, colon);
  const rest = colon < 0 ? name : name.slice(colon + 1);
  const place = options.place === undefined ? "" : `${options.place}: `;
  if (TEXT_TYPES.has(type)) return textTable(name, rest, runtime, warn);
  switch (type) {
    case "proxy":
      return { ...openTable(rest, runtime, options), name };
    case "fail":
      return unsureTable(name, `table ${name}: query error`);
    case "static": {
      const read = staticValue(rest);
      if ("fault" in read) throw new ConfigError([`fatal: ${place}${read.fault}`]);
      const answer: Lookup = { kind: "found", value: read.value };
      return { name, get: () => answer };
    }
    case "inline": {
      const read = inlineEntries(rest);
      if ("fault" in read) throw new ConfigError([`fatal: ${place}${read.fault}`]);
      return tableOf(name, read.entries);
    }
    default:
      throw new ConfigError([`fatal: ${place}unsupported dictionary type: ${type}`]);
  }
}
