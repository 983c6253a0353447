/**
 * A tool that is about to open a long queue itself goes on as itself in the environment that its runtime wants for it:
 * before it reads or says anything, and once.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import { postqueue } from "../../src/commands/postqueue.ts";
import { postsuper } from "../../src/commands/postsuper.ts";
import { serveControl } from "../../src/control.ts";
import { scriptCommand } from "../postrider.ts";
import type { Environment, Processes, Runtime } from "../../src/runtime.ts";

const runtime = await currentRuntime();
const real = runtime.processes as Processes;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "postrider-long-queue-"));
  for (const name of ["/public", "/spool", "/spool/shard-0"]) mkdirSync(folder + name);
  writeFileSync(`${folder}/main.cf`, `queue_directory = ${folder}\nqueue_storage = fs:${folder}/spool\n`);
  writeFileSync(`${folder}/master.cf`, "");
  writeFileSync(`${folder}/spool/shard-0/checkpoint`, "");
  truncateSync(`${folder}/spool/shard-0/checkpoint`, 20_000_000);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

class Became extends Error {}

/** What the process became, and whether it had read its input or written anything by then. */
async function run(
  tool: (runtime: Runtime, words: readonly string[]) => Promise<number>,
  words: readonly string[],
  environment: Environment = { HOME: "/root" },
): Promise<{ became: readonly [string, readonly string[], Environment] | null; before: readonly string[] }> {
  let became: readonly [string, readonly string[], Environment] | null = null;
  const before: string[] = [];
  const processes: Processes = {
    ...real,
    environment,
    self: { command: "/bin/runtime", arguments: ["script.ts"] },
    environmentOf: { server: {}, tool: { SMALL: "yes" } },
    become: (command, { arguments: given, environment: env }) => {
      became = [command, given, env];
      throw new Became();
    },
    readInput: async function* () {
      before.push("read");
    },
    writeOutput: () => void before.push("output"),
    writeError: () => void before.push("error"),
  };
  try {
    await tool({ ...runtime, processes }, ["-c", folder, ...words]);
  } catch (caught) {
    assert.ok(caught instanceof Became);
  }
  return { became, before };
}

describe("a tool and a long queue", () => {
  const itself = (name: string, ...words: string[]): readonly [string, readonly string[], Environment] => [
    "/bin/runtime",
    ["script.ts", name, "-c", folder, ...words],
    { HOME: "/root", SMALL: "yes" },
  ];
  it("goes on as itself where nothing runs", async () => {
    assert.deepEqual(await run(postqueue, ["-p"]), { became: itself("postqueue", "-p"), before: [] });
    assert.deepEqual(await run(postsuper, ["-d", "-"]), { became: itself("postsuper", "-d", "-"), before: [] });
  });
  it("does so once", async () => {
    assert.equal((await run(postsuper, ["-h", "ALL"], { SMALL: "yes" })).became, null);
  });
  it("stays where the queue is short, and where the system runs", async () => {
    const requests: string[] = [];
    const listeners = await serveControl(runtime, folder, async function* ({ request }) {
      requests.push(request);
    });
    assert.equal((await run(postqueue, ["-p"])).became, null);
    assert.deepEqual([...new Set(requests)], ["status", "list"]);
    for (const listener of listeners) await listener.close();
    truncateSync(`${folder}/spool/shard-0/checkpoint`, 1_000_000);
    assert.equal((await run(postqueue, ["-p"])).became, null);
  });
  it("becomes what the runtime understands, with execve(2)", () => {
    const given = Object.entries(real.environmentOf.tool);
    assert.equal(given.length, 1);
    const script = join(folder, "script.ts");
    const select = new URL("../../runtimes/select.ts", import.meta.url).href;
    writeFileSync(
      script,
      `import { currentRuntime } from ${JSON.stringify(select)};
const { processes } = await currentRuntime();
const { environmentOf: { tool }, environment } = processes;
const { command, arguments: words } = ${JSON.stringify(scriptCommand(script))};
const mine = environment[${JSON.stringify(given[0]![0])}] ?? "";
processes.writeOutput(new TextEncoder().encode([processes.pid, mine, ...processes.arguments].join(" ") + "\\n"));
const next = { arguments: [...words, "a b", ""], environment: { ...environment, ...tool } };
if (mine === "") processes.become(command, next);
`,
    );
    const { command, arguments: words } = scriptCommand(script);
    const ran = spawnSync(command, [...words, "first"], { encoding: "latin1" });
    const pid = /^\d+/.exec(ran.stdout)![0];
    assert.deepEqual([ran.stdout, ran.stderr], [`${pid}  first\n${pid} ${given[0]![1]} a b \n`, ""]);
  });
});
