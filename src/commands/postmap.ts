/**
 * postmap(1): builds, queries, lists and changes lookup tables.
 */

import type { Runtime } from "../runtime.ts";
import { tableCommand } from "./table-command.ts";
import { POSTMAP } from "./table-options.ts";

export function postmap(runtime: Runtime, words: readonly string[]): Promise<number> {
  return tableCommand(runtime, POSTMAP, words);
}
