/**
 * Program name (argv[0]) or first argument -> command; nothing else.
 */

import type { Runtime } from "./runtime.ts";

export type Command = (runtime: Runtime, arguments_: readonly string[]) => Promise<number>;

/** Loaded when called: a short command does not read the whole program. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  postfix: async () => (await import("./commands/postfix.ts")).postfix,
  postconf: async () => (await import("./commands/postconf.ts")).postconf,
};

export async function main(runtime: Runtime): Promise<number> {
  const { programName, arguments: given } = runtime.processes!;
  if (Object.hasOwn(COMMANDS, programName)) return await (await COMMANDS[programName]!())(runtime, given);
  const [first = "", ...rest] = given;
  if (Object.hasOwn(COMMANDS, first)) return await (await COMMANDS[first]!())(runtime, rest);
  return await (await COMMANDS.postfix!())(runtime, given);
}
