/**
 * postlog(1): writes to the mail log, from the command line or line by line from standard input. Lines go to
 * maillog_file; to the error output where there is none, as `TAG: text`. Exit status 0; 1 for a wrong command line.
 */

import { latin1Decode } from "../latin1.ts";
import type { Severity } from "../log.ts";
import type { Runtime } from "../runtime.ts";
import { lastValue } from "./getopt.ts";
import { ToolLog } from "./tool-log.ts";
import { Fatal, runTool, type Tool } from "./tool.ts";

const USAGE = "usage: postlog [-c config_dir] [-i] [-p priority] [-t tag] [-v] [text]";
const SEVERITIES: Readonly<Record<string, Severity>> = {
  info: "info",
  warn: "warning",
  warning: "warning",
  error: "error",
  err: "error",
  fatal: "fatal",
  crit: "fatal",
  panic: "panic",
};

export function postlog(runtime: Runtime, arguments_: readonly string[]): Promise<number> {
  return runTool(runtime, "postlog", 1, async (tool) => {
    const line = tool.options("c:ip:t:v", arguments_, USAGE);
    const config = tool.config(tool.directory(lastValue(line, "c")));
    const word = lastValue(line, "p") ?? "info";
    const severity = SEVERITIES[word];
    if (severity === undefined) throw new Fatal(`unknown severity: ${word}`);
    const tag = lastValue(line, "t");
    const log = await ToolLog.open(tool, config);
    const write = (text: string): void => {
      if (log !== null) return log.add(severity, text, tag);
      new TaggedOutput(tool, tag ?? `${config.syslog_name}/postlog`).line(severity, text);
    };
    if (line.operands.length > 0) write(line.operands.join(" "));
    else for await (const text of inputLines(tool)) write(text);
    await log?.close();
    return 0;
  });
}

class TaggedOutput {
  readonly #tool: Tool;
  readonly #tag: string;

  constructor(tool: Tool, tag: string) {
    this.#tool = tool;
    this.#tag = tag;
  }

  line(severity: Severity, text: string): void {
    this.#tool.tellAs(this.#tag, severity === "info" ? text : `${severity}: ${text}`);
  }
}

async function* inputLines(tool: Tool): AsyncIterable<string> {
  let rest = "";
  for await (const chunk of tool.processes.readInput()) {
    const lines = (rest + latin1Decode(chunk)).split("\n");
    rest = lines.pop() as string;
    yield* lines;
  }
  if (rest !== "") yield rest;
}
