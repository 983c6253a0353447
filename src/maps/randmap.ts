/**
 * randmap:{value, ...} (DATABASE_README): answers every key with one of the values, chosen by chance.
 */

import type { TableType } from "./map.ts";
import { wordsInBraces } from "./words.ts";

export const randmapTable: TableType = (rest, { name, runtime, fault }) => {
  const values = wordsInBraces(rest);
  if (values.length === 0) return fault(`bad syntax: "${name}"; need "randmap:{value...}"`);
  return {
    name,
    pattern: true,
    get: () => ({ kind: "found", value: values[runtime.random.below(values.length)] as string }),
  };
};
