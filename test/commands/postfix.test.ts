/**
 * postfix start-fg goes on as itself, once, where its runtime wants another environment of a server.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import { postfix } from "../../src/commands/postfix.ts";
import type { Environment, Processes } from "../../src/runtime.ts";
import { startPostrider } from "../postrider.ts";

const runtime = await currentRuntime();
const real = runtime.processes as Processes;

/** What start-fg would become, given that environment; null: it goes on as it is (and finds no configuration). */
async function become(
  environment: Environment,
): Promise<{ command: string; words: string[]; env: Environment } | null> {
  let became: { command: string; words: string[]; env: Environment } | null = null;
  const processes: Processes = {
    ...real,
    arguments: ["start-fg", "-c", "/no/such/folder"],
    environment,
    self: { command: "/bin/runtime", arguments: ["--option", "script.ts"] },
    environmentOf: { server: { KEEP_MEMORY: "yes", SPEED: "high" }, tool: {} },
    become: (command, { arguments: words, environment: env }) => void (became = { command, words: [...words], env }),
    writeError: () => {},
  };
  assert.equal(await postfix({ ...runtime, processes }, ["start-fg", "-c", "/no/such/folder"]), 1);
  return became;
}

describe("postfix start-fg", () => {
  it("becomes itself with what is missing in the environment", async () => {
    assert.deepEqual(await become({ HOME: "/root", SPEED: "low" }), {
      command: "/bin/runtime",
      words: ["--option", "script.ts", "start-fg", "-c", "/no/such/folder"],
      env: { HOME: "/root", SPEED: "low", KEEP_MEMORY: "yes" },
    });
    assert.equal(await become({ KEEP_MEMORY: "no", SPEED: "low" }), null);
  });
  it("runs in the environment that this runtime wants, in the process that was started", async () => {
    const running = await startPostrider();
    try {
      const environment = readFileSync(`/proc/${running.pid}/environ`, "latin1").split("\0");
      for (const [name, value] of Object.entries(real.environmentOf.server)) {
        assert.ok(environment.includes(`${name}=${value}`), `${name} in the environment of ${running.pid}`);
      }
      assert.equal(readFileSync(`${running.folder}/spool/pid/master.pid`, "latin1").trim(), String(running.pid));
    } finally {
      await running.remove();
    }
  });
});
