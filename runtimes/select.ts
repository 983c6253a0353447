/**
 * The one place that asks which runtime this is.
 */

import type { Runtime } from "../src/runtime.ts";

export async function currentRuntime(): Promise<Runtime> {
  if ("Bun" in globalThis) return (await import("./bun.ts")).bunRuntime();
  if ("Deno" in globalThis) return (await import("./deno.ts")).denoRuntime();
  return (await import("./node.ts")).nodeRuntime();
}
