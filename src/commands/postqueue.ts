/**
 * postqueue(1): lists the queue (-p, -j) and flushes it (-f, -i ID, -s SITE). Exit status 0, 69 (EX_UNAVAILABLE) for
 * what is fatal, as in Postfix.
 */

import type { Config } from "../config/config.ts";
import type { ControlRequest } from "../control.ts";
import { latin1Of } from "../latin1.ts";
import { mayBeQueueId } from "../queue/queue-id.ts";
import { type ListedEntry, listedEntry } from "../queue-list.ts";
import type { Runtime } from "../runtime.ts";
import { literalAddress } from "../ip-address.ts";
import { validHostname } from "../smtpd/host-name.ts";
import { requireAuthorized } from "./authorized.ts";
import { hasOption, lastValue } from "./getopt.ts";
import { QueueAccess } from "./queue-access.ts";
import { queueLine, QueueReport } from "./queue-report.ts";
import { Fatal, runTool, type Tool } from "./tool.ts";

const UNAVAILABLE = 69;
const USAGE = "usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | postqueue -s site";
const NOT_RUNNING = "Connect to the Postfix showq service: No such file or directory";
const MODES = ["f", "i", "j", "p", "s"];

export function postqueue(runtime: Runtime, arguments_: readonly string[]): Promise<number> {
  return runTool(runtime, "postqueue", UNAVAILABLE, async (tool) => {
    const line = tool.options("c:fi:jps:v", arguments_, USAGE);
    const modes = line.options.filter(({ letter }) => MODES.includes(letter));
    if (modes.length !== 1 || line.operands.length > 0) throw new Fatal(USAGE);
    const config = tool.config(tool.directory(lastValue(line, "c")));
    const text = (letter: string): string | null => hasOption(line, letter) ? latin1Of(lastValue(line, letter)!) : null;
    const id = text("i");
    const site = text("s");
    if (id !== null && !mayBeQueueId(id)) throw new Fatal(`Cannot flush queue ID - invalid name: "${cut(id)}"`);
    if (site !== null && !isSite(site)) {
      throw new Fatal(`Cannot flush mail queue - invalid destination: "${cut(site)}"`);
    }
    await requireAuthorized(tool, config, hasOption(line, "j") || hasOption(line, "p") ? "view" : "flush");
    if (hasOption(line, "j")) await list(tool, config, (entry) => tool.print(queueLine(entry)), () => "");
    else if (hasOption(line, "p")) {
      const report = new QueueReport(config.enable_long_queue_ids, (at) => runtime.clock.zoneMinutes(at));
      await list(tool, config, (entry) => tool.print(report.entry(entry)), () => report.end());
    } else await flush(tool, config, id !== null ? { id } : site !== null ? { site } : {});
    return 0;
  });
}

const SHOWN = 100;

function cut(text: string): string {
  return text.length > SHOWN ? `${text.slice(0, SHOWN)}...` : text;
}

/** A host name, or an address literal in brackets. */
function isSite(site: string): boolean {
  return validHostname(site) || /^\[.*\]$/.test(site) && literalAddress(site.slice(1, -1)) !== null;
}

async function list(tool: Tool, config: Config, each: (entry: ListedEntry) => void, end: () => string): Promise<void> {
  await QueueAccess.prepare(tool, config, "anyone");
  const access = await QueueAccess.open(tool, config, "anyone", () => {
    tool.warn(`Mail system is down -- accessing queue directly (${NOT_RUNNING})`);
  });
  if (access === "down") throw new Fatal(`Queue report unavailable - mail system is down (${NOT_RUNNING})`);
  if (access === "denied") throw new Fatal("Queue report unavailable - Permission denied");
  try {
    await access.ask({ request: "list" }, (value) => {
      const entry = listedEntry(value);
      if (entry !== null) each(entry);
    });
  } finally {
    await access.close();
  }
  tool.print(end());
}

async function flush(tool: Tool, config: Config, which: { id?: string; site?: string }): Promise<void> {
  const request: ControlRequest = { request: "flush", ...which };
  // Without a running system there is nobody to deliver: the store is not opened for it.
  const access = await QueueAccess.running(tool, config);
  if (access === null) throw new Fatal("Cannot flush mail queue - mail system is down");
  let answer: unknown = null;
  await access.ask(request, (value) => answer = value.answer);
  if (answer === "denied") throw new Fatal(`Flush service is not configured for destination "${which.site}"`);
  if (answer === "failed") throw new Fatal("Cannot flush mail queue - mail system is down");
}
