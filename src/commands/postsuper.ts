/**
 * postsuper(1): removes (-d), requeues (-r), expires (-e, -f), holds (-h) and releases (-H, -f) messages, by id, from
 * standard input ("-") or ALL of them; operands are queues. Changes are durable. -s and -p have nothing to do: the
 * store mends itself at opening. Exit status 0; 1 for what is fatal.
 */

import type { Config } from "../config/config.ts";
import type { ControlRequest } from "../control.ts";
import { latin1Decode } from "../latin1.ts";
import type { Changed } from "../queue-requests.ts";
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
const OTHER_QUEUES = new Set(["bounce", "defer", "trace", "flush"]);
/** Ids in one request: its line must stay short. */
const BATCH = 500;

interface Action {
  /** Options that ask for it. */
  readonly letters: string;
  readonly request: ControlRequest["request"];
  readonly done: string;
  readonly counted: string;
}

/** In the order in which their counts are told. */
const ACTIONS: readonly Action[] = [
  { letters: "d", request: "remove", done: "removed", counted: "Deleted" },
  { letters: "r", request: "requeue", done: "requeued", counted: "Requeued" },
  { letters: "ef", request: "expire", done: "expired", counted: "Force-expired" },
  { letters: "h", request: "hold", done: "placed on hold", counted: "Placed on hold" },
  { letters: "Hf", request: "release", done: "released from hold", counted: "Released from hold" },
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
    await QueueAccess.prepare(tool, config, "operator");
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

/** What each action is asked for. */
async function choices(tool: Tool, line: CommandLine): Promise<Choice[]> {
  /** ALL is a word of the command line alone. */
  const asked: { letter: string; ids: readonly string[] | null }[] = [];
  for (const { letter, value } of line.options) {
    if (!ACTIONS.some(({ letters }) => letters.includes(letter))) continue;
    asked.push({ letter, ids: value === "ALL" ? null : value === "-" ? await inputIds(tool) : [value as string] });
  }
  const found: Choice[] = [];
  for (const action of ACTIONS) {
    const meant = asked.filter(({ letter }) => action.letters.includes(letter));
    if (meant.length === 0) continue;
    const all = meant.some(({ ids }) => ids === null);
    found.push({ action, ids: all ? null : meant.flatMap(({ ids }) => ids!).filter((id) => valid(tool, id)) });
  }
  return found;
}

function valid(tool: Tool, id: string): boolean {
  if (/^[0-9A-Za-z]+$/.test(id)) return true;
  tool.warn(`invalid mail queue id: ${id}`);
  return false;
}

/** Each line is an id, the whole of it: what else stands in a list must not name messages. */
async function inputIds(tool: Tool): Promise<string[]> {
  let text = "";
  for await (const chunk of tool.processes.readInput()) text += latin1Decode(chunk);
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines;
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
      const each = (answer: Record<string, unknown>): void => {
        const changed = (answer as unknown as Changed).ids;
        count += changed.length;
        if (ids !== null) { for (const id of changed) tell(`${id}: ${action.done}`); }
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
