/**
 * Tells the running system that the maildrop folder has mail. When nothing runs the mail waits for the start.
 */

import type { Config } from "../config/config.ts";
import { ask, queuePath } from "../control.ts";
import type { Runtime } from "../runtime.ts";

/** How long the knock may take. */
const WITHIN = 2_000;

export async function knock(runtime: Runtime, config: Config): Promise<void> {
  try {
    await ask(runtime, queuePath(config.queue_directory), { request: "pickup" }, () => {}, WITHIN);
  } catch {
    // The message is safe; pickup looks by itself.
  }
}
