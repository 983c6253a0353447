/**
 * pipemap:{type:name, ...} (DATABASE_README): each table's answer is the key for the next; the last answer counts.
 */

import type { Lookup } from "../lookup.ts";
import type { LookupTable, TableType } from "./map.ts";
import { tablesInBraces } from "./words.ts";

export const pipemapTable: TableType = (rest, context) => {
  const tables = tablesInBraces(rest, context);
  const from = (key: string, first: number): Lookup | Promise<Lookup> => {
    let answer: Lookup = { kind: "found", value: key };
    for (let at = first; at < tables.length && answer.kind === "found"; at++) {
      const given = (tables[at] as LookupTable).get(answer.value);
      if (given instanceof Promise) {
        return given.then((value) => value.kind === "found" ? from(value.value, at + 1) : value);
      }
      answer = given;
    }
    return answer;
  };
  // The first table says which keys it wants.
  return { name: context.name, pattern: tables[0]!.pattern, get: (key) => from(key, 0) };
};
