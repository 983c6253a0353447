/**
 * postdrop(1): puts a message from standard input into the maildrop folder. Postfix's is a set-gid program with a
 * record stream of its own; ours takes the file format of maildrop.ts, for programs that made one elsewhere. What is
 * malformed or over message_size_limit is refused and leaves nothing behind. Exit status 0; 1 for what is fatal.
 */

import type { Config } from "../config/config.ts";
import { systemCode } from "../errors.ts";
import { readDropped } from "../maildrop.ts";
import type { Runtime } from "../runtime.ts";
import { Drop } from "../sendmail/drop.ts";
import { lastValue } from "./getopt.ts";
import { knock } from "./knock.ts";
import { Fatal, runTool, systemText, type Tool } from "./tool.ts";

const USAGE = "usage: postdrop [-c config_dir] [-v]";

export function postdrop(runtime: Runtime, arguments_: readonly string[]): Promise<number> {
  return runTool(runtime, "postdrop", 1, async (tool) => {
    const line = tool.options("c:rv", arguments_, USAGE);
    const config = tool.config(tool.directory(lastValue(line, "c")));
    try {
      await drop(tool, config);
    } catch (caught) {
      if (systemCode(caught) === "") throw caught;
      throw new Fatal(`create file maildrop: ${systemText(caught)}`);
    }
    await knock(runtime, config);
    return 0;
  });
}

async function drop(tool: Tool, config: Config): Promise<void> {
  const { runtime, processes } = tool;
  const file = await Drop.open(runtime, config.queue_directory);
  try {
    let size = 0;
    for await (const chunk of processes.readInput()) {
      size += chunk.length;
      if (config.message_size_limit > 0 && size > config.message_size_limit) {
        throw new Fatal(`uid=${processes.uid()}: File too large`);
      }
      await file.write(chunk);
    }
    await file.written();
    const written = await tool.files.open(file.path, "read");
    const dropped = await readDropped(written).finally(() => written.close());
    if (typeof dropped === "string") throw new Fatal(`uid=${processes.uid()}: malformed input`);
  } catch (caught) {
    await file.abort().catch(() => {});
    throw caught;
  }
  await file.commit();
}
