/**
 * postsuper(1): removes (-d), requeues (-r), expires (-e, -f), holds (-h) and releases (-H, -f) messages, by id, from
 * standard input ("-") or ALL of them, option by option as they stand; operands are queues. Changes are durable. -s and
 * -p have nothing to do: the store mends itself at opening. Exit status 0; 1 for what is fatal.
 */

import type { Config } from "../config/config.ts";
import type { ControlRequest } from "../control.ts";
import { latin1Of } from "../latin1.ts";
import { mayBeQueueId } from "../queue/queue-id.ts";
import type { Changed } from "../queue-requests.ts";
import type { Runtime } from "../runtime.ts";
import { type CommandLine, lastValue } from "./getopt.ts";
import { inputLines } from "./input-lines.ts";
import { mayOpen, QueueAccess } from "./queue-access.ts";
import { ToolLog } from "./tool-log.ts";
import { Fatal, runTool, type Tool } from "./tool.ts";

const USAGE = "usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] " +
  "[-f queue_id (expire and/or un-hold)] [-h queue_id (hold)] [-H queue_id (un-hold)] [-p (purge temporary files)] " +
  "[-r queue_id (requeue)] [-s (structure fix)] [-S (redundant structure fix)][-v (verbose)] [queue...]";

const QUEUES = new Set(["maildrop", "incoming", "active", "deferred", "hold"]);
/** Folders that Postfix has and we do not. */
const OTHER_QUEUES = new Set(["bounce", "defer", "trace", "flush"]);
/** Characters of ids in one request: its line must stay short. */
const BATCH = 8192;

interface Action {
  /** Options that ask for it. */
  readonly letters: string;
  readonly request: ControlRequest["request"];
  readonly done: string;
  readonly counted: string;
}

/** In the order in which their counts are told. */
const ACTIONS: readonly Action[] = [
  { letters: "r", request: "requeue", done: "requeued", counted: "Requeued" },
  { letters: "d", request: "remove", done: "removed", counted: "Deleted" },
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
    const asked = await read(tool, line);
    if (asked.length > 0) await act(tool, config, line.operands, asked);
    return 0;
  });
}

/** One option: what it does to which messages. */
interface Asked {
  readonly actions: readonly Action[];
  /** null: ALL, a word of the command line alone. */
  readonly ids: readonly string[] | null;
}

/** In the order of the command line. Standard input is read before the queue is taken: it may come from mailq. */
async function read(tool: Tool, line: CommandLine): Promise<Asked[]> {
  const asked: Asked[] = [];
  for (const { letter, value } of line.options) {
    const actions = ACTIONS.filter(({ letters }) => letters.includes(letter));
    if (actions.length === 0) continue;
    const given = value as string;
    const ids = given === "ALL" ? null : given === "-" ? await inputLines(tool) : [latin1Of(given)];
    asked.push({ actions, ids });
  }
  return asked;
}

/**
 * Ids for one request. Each line of the input is an id, the whole of it: what else stands in a list must not name
 * messages. It is told of before what follows it is done, once for each action.
 */
function* batches(tool: Tool, { actions, ids }: Asked): Iterable<readonly string[]> {
  let batch: string[] = [];
  let size = 0;
  for (const id of ids ?? []) {
    const valid = mayBeQueueId(id);
    if (valid) {
      batch.push(id);
      size += id.length;
    }
    if (size > 0 && (!valid || size >= BATCH)) {
      yield batch;
      batch = [];
      size = 0;
    }
    if (!valid) actions.forEach(() => tool.warn(`invalid mail queue id: ${id}`));
  }
  if (size > 0) yield batch;
}

async function act(tool: Tool, config: Config, queues: readonly string[], asked: readonly Asked[]): Promise<void> {
  const log = await ToolLog.open(tool, config);
  const tell = (text: string): void => {
    tool.tell(text);
    log?.add("info", text);
  };
  const access = await QueueAccess.open(tool, config, "operator");
  if (access === "down" || access === "denied") throw new Fatal("use of this command is reserved for the superuser");
  const within = queues.length === 0 ? {} : { queues };
  const counts = new Map(asked.flatMap(({ actions }) => actions).map((action) => [action, 0]));
  /** In Postfix they are in maildrop now: there mail can only be removed. */
  const requeued = new Set<string>();
  const change = async (action: Action, ids: readonly string[] | null): Promise<Set<string>> => {
    const changed = new Set<string>();
    const { request } = action;
    await access.ask({ request, ...ids === null ? {} : { ids }, ...within }, (answer) => {
      const { ids: some } = answer as unknown as Changed;
      counts.set(action, counts.get(action)! + some.length);
      for (const id of ids === null ? [] : some) {
        changed.add(id);
        if (request === "requeue") requeued.add(id);
      }
    });
    return changed;
  };
  try {
    for (const one of asked) {
      if (one.ids === null) { for (const action of one.actions) await change(action, null); }
      for (const batch of batches(tool, one)) {
        const done: [Action, Set<string>][] = [];
        for (const action of one.actions) {
          const ids = action.request === "remove" ? batch : batch.filter((id) => !requeued.has(id));
          done.push([action, await change(action, ids)]);
        }
        for (const id of batch) for (const [action, ids] of done) if (ids.delete(id)) tell(`${id}: ${action.done}`);
      }
    }
  } finally {
    await access.close();
    for (const action of ACTIONS) {
      const count = counts.get(action);
      if (count !== undefined) tell(`${action.counted}: ${count} message${count === 1 ? "" : "s"}`);
    }
    await log?.close();
  }
}
