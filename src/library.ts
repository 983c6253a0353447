/**
 * The package's entry for programs that embed the mail system: the same thing that `postrider start-fg` runs.
 * The runtime is the one that runs the program.
 */

import { currentRuntime } from "../runtimes/select.ts";
import { Master } from "./master.ts";

export interface EmbeddedMta {
  /** "host:port" of each listener. */
  readonly addresses: readonly string[];
  /** Lets sessions and deliveries under way end, then closes the queue. */
  stop(): Promise<void>;
}

export interface EmbeddedOptions {
  /** The folder with main.cf and master.cf. */
  readonly configDirectory: string;
}

/** Starts the mail system. Rejects with ConfigError (every fault at once) or ResourceError; nothing stays open then. */
export async function createMta(options: EmbeddedOptions): Promise<EmbeddedMta> {
  const master = Master.load(await currentRuntime(), options.configDirectory);
  await master.start();
  return { addresses: master.addresses, stop: () => master.stop() };
}
