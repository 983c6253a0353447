/**
 * postmap(1): builds lookup tables. Not implemented yet: it says so and fails.
 */

import type { Runtime } from "../runtime.ts";
import { Fatal, runTool } from "./tool.ts";

export function postmap(runtime: Runtime, _arguments: readonly string[]): Promise<number> {
  return runTool(runtime, "postmap", 1, () => Promise.reject(new Fatal("not implemented yet")));
}
