/**
 * A process that goes on as the same program, because its runtime reads some settings at its start only.
 */

import type { Processes } from "../runtime.ts";

/**
 * Returns where nothing of the environment is missing, or the system has no execve(2). What was read or opened is lost
 * otherwise: this comes first.
 */
export function becomeItself(
  { self, environment, become }: Processes,
  wanted: Readonly<Record<string, string>>,
  words: readonly string[],
): void {
  const missing = Object.entries(wanted).filter(([name]) => environment[name] === undefined);
  if (missing.length === 0) return;
  become(self.command, {
    arguments: [...self.arguments, ...words],
    environment: { ...environment, ...Object.fromEntries(missing) },
  });
}
