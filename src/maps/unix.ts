/**
 * unix:passwd.byname and unix:group.byname (postconf(1)): the account or group of a name, as its line in /etc/passwd or
 * /etc/group. Keys are looked up in lower case unless folding is off.
 */

import { latin1Decode } from "../latin1.ts";
import { NONE } from "../lookup.ts";
import { fileTable } from "./file-table.ts";
import type { TableType } from "./map.ts";
import { foldCase } from "./fold.ts";

const FILES: Readonly<Record<string, { readonly path: string; readonly fields: number }>> = {
  "passwd.byname": { path: "/etc/passwd", fields: 7 },
  "group.byname": { path: "/etc/group", fields: 4 },
};

/** Of several lines for a name the first counts. */
export function entriesOf(text: string, fields: number): ReadonlyMap<string, string> {
  const entries = new Map<string, string>();
  for (const line of text.split("\n")) {
    const parts = line.split(":");
    const [name = "", , id = ""] = parts;
    if (parts.length < fields || name === "" || !/^[0-9]+$/.test(id) || entries.has(name)) continue;
    entries.set(name, parts.slice(0, fields).join(":"));
  }
  return entries;
}

export const unixTable: TableType = (rest, context) => {
  const source = Object.hasOwn(FILES, rest) ? FILES[rest] : undefined;
  if (source === undefined) return context.fault(`unknown table: ${context.name}`);
  return fileTable(context, source.path, false, (bytes) => {
    const entries = entriesOf(latin1Decode(bytes), source.fields);
    return {
      warnings: [],
      get: (key) => {
        const value = entries.get(context.options.fold === false ? key : foldCase(key));
        return value === undefined ? NONE : { kind: "found", value };
      },
    };
  });
};
