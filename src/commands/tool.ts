/**
 * What Postfix's commands have in common: messages `NAME: severity: text` on the error output, output in one write, an
 * exit status for what is fatal. runTool() is the border where Fatal and ConfigError are caught; system errors (a file
 * that cannot be read) are fatal too; everything else is a fault of the program and goes on.
 */

import { type Config, configDirectory, loadConfig } from "../config/config.ts";
import { ConfigError, messageOf, ResourceError, systemCode } from "../errors.ts";
import { latin1Encode } from "../latin1.ts";
import type { Files, Processes, Runtime } from "../runtime.ts";
import { type CommandLine, getopt } from "./getopt.ts";

/** Ends the command: the text goes to the error output. */
export class Fatal extends Error {
  override readonly name = "Fatal";
}

const SYSTEM_TEXTS: Readonly<Record<string, string>> = {
  EACCES: "Permission denied",
  EPERM: "Operation not permitted",
  ENOENT: "No such file or directory",
  ENOSPC: "No space left on device",
  ENOTDIR: "Not a directory",
  EISDIR: "Is a directory",
  EROFS: "Read-only file system",
  EIO: "Input/output error",
};

/** strerror(3) of a system error, else its own message. */
export function systemText(caught: unknown): string {
  return SYSTEM_TEXTS[systemCode(caught)] ?? messageOf(caught);
}

/** What begins like a UTF-8 character passes, as in Postfix. */
// deno-lint-ignore no-control-regex
const UTF8_OR_ODD = /[\xc2-\xfe][\x80-\xbf]+|[\x00-\x1f\x7f-\xff]/g;

function printable(text: string): string {
  return text.replace(UTF8_OR_ODD, (found) => found.length > 1 ? found : "?");
}

const OUTPUT_SIZE = 64 * 1024;

export class Tool {
  readonly runtime: Runtime;
  readonly name: string;
  /** What the command was given. */
  arguments: readonly string[] = [];
  #lines: string[] = [];
  #held = 0;

  constructor(runtime: Runtime, name: string) {
    this.runtime = runtime;
    this.name = name;
  }

  get processes(): Processes {
    return this.runtime.processes as Processes;
  }

  get files(): Files {
    return this.runtime.files as Files;
  }

  /** Latin-1 text to the standard output. */
  print(text: string): void {
    this.#lines.push(text);
    this.#held += text.length;
    if (this.#held >= OUTPUT_SIZE) this.flush();
  }

  flush(): void {
    if (this.#lines.length === 0) return;
    const text = this.#lines.join("");
    this.#lines = [];
    this.#held = 0;
    this.processes.writeOutput(latin1Encode(text));
  }

  /** `NAME: text`; control characters and bytes that are not UTF-8 are shown as "?". */
  tell(text: string): void {
    this.tellAs(this.name, text);
  }

  tellAs(name: string, text: string): void {
    this.flush();
    this.processes.writeError(latin1Encode(`${name}: ${printable(text)}\n`));
  }

  warn(text: string): void {
    this.tell(`warning: ${text}`);
  }

  /** Options by Postfix's option string; a wrong one ends the command with the usage line. */
  options(optionString: string, words: readonly string[], usage: string): CommandLine {
    this.arguments = words;
    const line = getopt(optionString, words);
    if (line.fault !== null) {
      this.tell(line.fault);
      throw new Fatal(usage);
    }
    return line;
  }

  directory(given: string | null): string {
    return configDirectory(this.runtime, given);
  }

  /** main.cf; throws ConfigError. */
  config(directory: string): Config {
    return loadConfig(this.runtime, directory).main;
  }
}

/** `status`: the exit status of what is fatal. */
export async function runTool(
  runtime: Runtime,
  name: string,
  status: number,
  body: (tool: Tool) => Promise<number>,
): Promise<number> {
  const tool = new Tool(runtime, name);
  try {
    const code = await body(tool);
    tool.flush();
    return code;
  } catch (caught) {
    for (const text of fatalTexts(caught)) tool.tell(text.startsWith("fatal: ") ? text : `fatal: ${text}`);
    return status;
  }
}

function fatalTexts(caught: unknown): readonly string[] {
  if (caught instanceof ConfigError) return caught.faults;
  if (caught instanceof Fatal || caught instanceof ResourceError) return [caught.message];
  if (systemCode(caught) !== "") return [messageOf(caught)];
  throw caught;
}
