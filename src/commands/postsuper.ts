/**
 * postsuper(1): removes (-d), holds (-h), releases (-H) and requeues (-r) messages, by id, from standard input ("-") or
 * ALL of them; operands are queues. Changes are durable. -s and -p have nothing to do: the store mends itself at
 * opening. Exit status 0; 1 for what is fatal. -e and -f (force expiry) are not implemented and say so.
 */

import type { Config } from "../config/config.ts";
import type { ControlRequest } from "../control.ts";
import { latin1Decode } from "../latin1.ts";
import type { Runtime } from "../runtime.ts";
import { type CommandLine, lastValue } from "./getopt.ts";
import { mayOpen, QueueAccess } from "./queue-access.ts";
import { ToolLog } from "./tool-log.ts";
import { Fatal, runTool, type Tool } from "./tool.ts";

const USAGE = "usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] " +
  "[-f queue_id (expire and/or un-hold)] [-h queue_id (hold)] [-H queue_id (un-hold)] [-p (purge temporary files)] " +
  "[-r queue_id (requeue)] [-s (structure fix)] [-S (redundant structure fix)][-v (verbose)] [queue...]";

const QUEUES = new Set(["maildrop", "incoming", "active", "deferred", "hold"]);
/** Folders that Postfix has and we do not. */
const OTHER_QUEUES = new Set(["bounce", "defer", "trace", "flush", "corrupt", "saved"]);
/** Ids in one request: its line must stay short. */
const BATCH = 500;

interface Action {
  readonly letter: string;
  readonly request: ControlRequest["request"];
  readonly done: string;
  readonly counted: string;
}

/** In the order in which their counts are told. */
const ACTIONS: readonly Action[] = [
  { letter: "d", request: "remove", done: "removed", counted: "Deleted" },
  { letter: "r", request: "requeue", done: "requeued", counted: "Requeued" },
  { letter: "h", request: "hold", done: "placed on hold", counted: "Placed on hold" },
  { letter: "H", request: "release", done: "released from hold", counted: "Released from hold" },
];

export function postsuper(runtime: Runtime, arguments_: readonly string[]): Promise<number> {
  return runTool(runtime, "postsuper", 1, async (tool) => {
    const line = tool.options("c:d:e:f:h:H:pr:sSv", arguments_, USAGE);
    const directory = lastValue(line, "c");
    if (directory !== null && !directory.startsWith("/")) throw new Fatal("-c requires absolute pathname");
    const config = tool.config(tool.directory(directory));
    if (!mayOpen(runtime, config)) throw new Fatal("use of this command is reserved for the superuser");
    for (const name of line.operands) {
      if (!QUEUES.has(name) && !OTHER_QUEUES.has(name)) throw new Fatal(`invalid directory name: ${name}`);
    }
    const expire = line.options.find(({ letter }) => letter === "e" || letter === "f");
    if (expire !== undefined) throw new Fatal(`option -${expire.letter} is not implemented`);
    const chosen = await choices(tool, line);
    if (chosen.length > 0) await act(tool, config, line.operands, chosen);
    return 0;
  });
}

interface Choice {
  readonly action: Action;
  /** null: ALL. */
  readonly ids: readonly string[] | null;
}

/** What each action is asked for; standard input is read once. */
async function choices(tool: Tool, line: CommandLine): Promise<Choice[]> {
  const found: Choice[] = [];
  for (const action of ACTIONS) {
    const values = line.options.filter(({ letter }) => letter === action.letter).map(({ value }) => value as string);
    if (values.length === 0) continue;
    const ids: string[] = [];
    for (const value of values) ids.push(...value === "-" ? await inputIds(tool) : [value]);
    if (ids.includes("ALL")) found.push({ action, ids: null });
    else found.push({ action, ids: ids.filter((id) => valid(tool, id)) });
  }
  return found;
}

function valid(tool: Tool, id: string): boolean {
  if (/^[0-9A-Za-z]+$/.test(id)) return true;
  tool.warn(`invalid mail queue id: ${id}`);
  return false;
}

async function inputIds(tool: Tool): Promise<string[]> {
  let text = "";
  for await (const chunk of tool.processes.readInput()) text += latin1Decode(chunk);
  return text.split(/\s+/).filter((word) => word !== "");
}

async function act(tool: Tool, config: Config, queues: readonly string[], chosen: readonly Choice[]): Promise<void> {
  const log = await ToolLog.open(tool, config);
  const tell = (text: string): void => {
    tool.tell(text);
    log?.add("info", text);
  };
  const access = await QueueAccess.open(tool, config, "operator");
  if (access === "down" || access === "denied") throw new Fatal("use of this command is reserved for the superuser");
  const within = queues.length === 0 ? {} : { queues };
  const counts = new Map<Action, number>();
  try {
    for (const { action, ids } of chosen) {
      let count = 0;
      const each = ({ id }: Record<string, unknown>): void => {
        count++;
        if (ids !== null) tell(`${String(id)}: ${action.done}`);
      };
      const { request } = action;
      if (ids === null) await access.ask({ request, ...within }, each);
      for (let at = 0; ids !== null && at < ids.length; at += BATCH) {
        await access.ask({ request, ids: ids.slice(at, at + BATCH), ...within }, each);
      }
      counts.set(action, count);
    }
  } finally {
    await access.close();
    for (const [{ counted }, count] of counts) tell(`${counted}: ${count} message${count === 1 ? "" : "s"}`);
    await log?.close();
  }
}
