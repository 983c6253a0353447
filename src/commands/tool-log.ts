/**
 * The mail log as commands write it: lines appended to maillog_file. The file is opened at once, before a command gives
 * up its privileges. Who may not write it, or a site that logs to standard output, has no log: open() gives null.
 */

import type { Config } from "../config/config.ts";
import { latin1Encode } from "../latin1.ts";
import { Log, type Severity } from "../log.ts";
import type { OpenFile } from "../runtime.ts";
import type { Tool } from "./tool.ts";

export class ToolLog {
  readonly #file: OpenFile;
  readonly #tool: Tool;
  readonly #config: Config;
  readonly #lines: Uint8Array[] = [];

  private constructor(file: OpenFile, tool: Tool, config: Config) {
    this.#file = file;
    this.#tool = tool;
    this.#config = config;
  }

  static async open(tool: Tool, config: Config): Promise<ToolLog | null> {
    const path = config.maillog_file;
    if (path === "" || path === "/dev/stdout") return null;
    try {
      return new ToolLog(await tool.files.open(path, "append", 0o644), tool, config);
    } catch {
      return null;
    }
  }

  /** `tag`: in place of "postfix/NAME". */
  add(severity: Severity, text: string, tag: string | null = null): void {
    const write = (lines: string): void => void this.#lines.push(latin1Encode(lines));
    addLine(this.#tool, this.#config, tag, severity, text, write);
  }

  async close(): Promise<void> {
    await this.#file.write(this.#lines, null);
    await this.#file.close();
  }
}

function addLine(
  tool: Tool,
  config: Config,
  tag: string | null,
  severity: Severity,
  text: string,
  write: (lines: string) => void,
): void {
  const log = new Log({
    clock: tool.runtime.clock,
    hostname: config.myhostname.split(".")[0] as string,
    name: config.syslog_name,
    format: config.log_format === "json" ? "json" : "postfix",
    write,
    pid: tool.processes.pid,
  });
  log.line(tag ?? `${config.syslog_name}/${tool.name}`, severity, text);
  log.flush();
}
