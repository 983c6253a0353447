/**
 * The mail log as commands write it: lines appended to maillog_file. The file is opened at once, before a command gives
 * up its privileges. Who may not write it, or a site that logs to standard output, has no log: open() gives null.
 */

import type { Config } from "../config/config.ts";
import { Log, type Severity } from "../log.ts";
import type { OpenFile } from "../runtime.ts";
import type { Tool } from "./tool.ts";

export class ToolLog {
  readonly #file: OpenFile;
  readonly #log: Log;
  readonly #tag: string;
  readonly #lines: Uint8Array[] = [];

  private constructor(file: OpenFile, tool: Tool, config: Config) {
    this.#file = file;
    this.#tag = `${config.syslog_name}/${tool.name}`;
    this.#log = new Log({
      clock: tool.runtime.clock,
      hostname: config.myhostname.split(".")[0] as string,
      name: config.syslog_name,
      format: config.log_format === "json" ? "json" : "postfix",
      write: (lines) => void this.#lines.push(lines),
      pid: tool.processes.pid,
    });
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
    this.#log.line(tag ?? this.#tag, severity, text);
  }

  async close(): Promise<void> {
    this.#log.flush();
    if (this.#lines.length > 0) await this.#file.write(this.#lines, null);
    await this.#file.close();
  }
}
