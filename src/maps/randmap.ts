/**
 * randmap:{value, ...} (DATABASE_README): answers every key with one of the values, chosen by chance.
 */

import { namedValue } from "./files-value.ts";
import type { TableType } from "./map.ts";
import { wordsInBraces } from "./words.ts";

export const randmapTable: TableType = (rest, { name, runtime, options, fault }) => {
  const values = wordsInBraces(rest).map((word) => {
    const read = namedValue(word, options, runtime);
    return "fault" in read ? fault(read.fault) : read.value;
  });
  if (values.length === 0) return fault(`bad syntax: "${name}"; need "randmap:{value...}"`);
  return {
    name,
    pattern: true,
    get: () => ({ kind: "found", value: values[runtime.random.below(values.length)] as string }),
  };
};
