/**
 * postalias(1): builds alias tables. Not implemented yet: it says so and fails.
 */

import type { Runtime } from "../runtime.ts";
import { Fatal, runTool } from "./tool.ts";

export function postalias(runtime: Runtime, _arguments: readonly string[]): Promise<number> {
  return runTool(runtime, "postalias", 1, () => Promise.reject(new Fatal("not implemented yet")));
}
