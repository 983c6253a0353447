/**
 * Program name (argv[0]) or first argument -> command; nothing else. The tree and its help are citty's; Postfix's
 * commands read their own options, as Postfix does.
 */

import { defineCommand, renderUsage } from "citty";
import { latin1Encode, latin1Of } from "./latin1.ts";
import type { Runtime } from "./runtime.ts";

export type Command = (runtime: Runtime, arguments_: readonly string[]) => Promise<number>;

interface Listed {
  readonly description: string;
  /** Loaded when called: a short command does not read the whole program. */
  readonly load: () => Promise<Command>;
}

const COMMANDS: Readonly<Record<string, Listed>> = {
  postfix: {
    description: "start, stop, reload, status, check or flush the mail system",
    load: async () => (await import("./commands/postfix.ts")).postfix,
  },
  sendmail: {
    description: "submit a message from standard input",
    load: async () => (await import("./commands/sendmail.ts")).sendmail,
  },
  mailq: {
    description: "list the queue",
    load: async () => (await import("./commands/sendmail.ts")).mailq,
  },
  newaliases: {
    description: "build the alias database",
    load: async () => (await import("./commands/sendmail.ts")).newaliases,
  },
  postqueue: {
    description: "list (-p, -j) or flush (-f, -i ID, -s SITE) the queue",
    load: async () => (await import("./commands/postqueue.ts")).postqueue,
  },
  postsuper: {
    description: "remove (-d), hold (-h), release (-H) or requeue (-r) messages",
    load: async () => (await import("./commands/postsuper.ts")).postsuper,
  },
  postcat: {
    description: "show a message of the queue (-q ID)",
    load: async () => (await import("./commands/postcat.ts")).postcat,
  },
  postconf: {
    description: "show configuration parameters",
    load: async () => (await import("./commands/postconf.ts")).postconf,
  },
  postmap: {
    description: "build or query lookup tables",
    load: async () => (await import("./commands/postmap.ts")).postmap,
  },
  postalias: {
    description: "build or query alias tables",
    load: async () => (await import("./commands/postalias.ts")).postalias,
  },
  postdrop: {
    description: "put a message file from standard input into the maildrop folder",
    load: async () => (await import("./commands/postdrop.ts")).postdrop,
  },
  postlog: {
    description: "write to the mail log",
    load: async () => (await import("./commands/postlog.ts")).postlog,
  },
  explain: {
    description: "tell what would be done with a mail, and why, without sending it",
    load: async () => (await import("./commands/explain.ts")).explain,
  },
  qshape: {
    description: "show the waiting recipients by domain and age",
    load: async () => (await import("./commands/qshape.ts")).qshape,
  },
};

/** postfix(1)'s own words, also without "postfix" before them. */
const ACTIONS: Readonly<Record<string, string>> = {
  start: "start the mail system",
  "start-fg": "start the mail system in the foreground",
  stop: "stop the mail system",
  abort: "stop the mail system at once",
  reload: "read the configuration again",
  status: "tell whether the mail system runs",
  check: "check the configuration and make missing folders",
  flush: "try all deferred mail now",
};

async function loaded(name: string): Promise<Command> {
  try {
    return await (COMMANDS[name] as Listed).load();
  } catch (caught) {
    if (!String(caught).includes("wasm-modules")) throw caught;
    throw new Error("the WebAssembly modules (src/maps/wasm-modules.ts) are not built: run `npm run wasm`");
  }
}

async function commandOf(name: string): Promise<Command | null> {
  return Object.hasOwn(COMMANDS, name) ? await loaded(name) : null;
}

function described([name, description]: readonly [string, string]): [string, ReturnType<typeof defineCommand>] {
  return [name, defineCommand({ meta: { name, description } })];
}

/** The list of commands with one line each. */
export async function help(): Promise<string> {
  const subCommands = Object.fromEntries([
    ...Object.entries(ACTIONS).map(described),
    ...Object.entries(COMMANDS).map(([name, { description }]) => described([name, description])),
  ]);
  const tree = defineCommand({
    meta: { name: "postrider", description: "A Postfix-compatible mail transfer agent" },
    subCommands,
  });
  // The text is written for a terminal; files and pipes get it plain.
  // deno-lint-ignore no-control-regex
  return (await renderUsage(tree)).replace(/\x1b\[[0-9;]*m/g, "");
}

export async function main(runtime: Runtime): Promise<number> {
  const processes = runtime.processes!;
  const { arguments: given } = processes;
  const named = await commandOf(processes.programName);
  if (named !== null) return await named(runtime, given);
  const [first = "", ...rest] = given;
  const command = await commandOf(first);
  if (command !== null) return await command(runtime, rest);
  if (Object.hasOwn(ACTIONS, first) || /^-[cDv]/.test(first)) {
    return await (await loaded("postfix"))(runtime, given);
  }
  const text = latin1Encode(latin1Of(`${await help()}\n`));
  if (first === "" || first === "--help" || first === "-h" || first === "help") {
    processes.writeOutput(text);
    return 0;
  }
  processes.writeError(latin1Encode(`postrider: fatal: unknown command: '${first}'\n`));
  processes.writeError(text);
  return 1;
}
