/**
 * environ:name (postconf(1)): the environment of this process, whatever the name; keys are looked up in lower case
 * unless folding is off.
 */

import { NONE } from "../lookup.ts";
import type { TableType } from "./map.ts";
import { foldCase } from "./fold.ts";

export const environTable: TableType = (_rest, { name, runtime, options }) => {
  const environment = runtime.processes?.environment ?? {};
  return {
    name,
    pattern: false,
    get: (key) => {
      const folded = options.fold === false ? key : foldCase(key);
      const value = Object.hasOwn(environment, folded) ? environment[folded] : undefined;
      return value === undefined ? NONE : { kind: "found", value };
    },
  };
};
