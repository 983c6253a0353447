/**
 * postalias(1): builds, queries, lists and changes alias tables.
 */

import type { Runtime } from "../runtime.ts";
import { tableCommand } from "./table-command.ts";
import { POSTALIAS } from "./table-options.ts";

export function postalias(runtime: Runtime, words: readonly string[]): Promise<number> {
  return tableCommand(runtime, POSTALIAS, words);
}
