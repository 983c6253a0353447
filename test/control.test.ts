import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { currentRuntime } from "../runtimes/select.ts";
import { ask, controlPath, type ControlRequest, queuePath, serveControl } from "../src/control.ts";
import type { Listener } from "../src/runtime.ts";

const runtime = await currentRuntime();
const folder = mkdtempSync(join(tmpdir(), "postrider-control-"));
let listeners: readonly Listener[] = [];
before(async () => {
  mkdirSync(`${folder}/public`);
  listeners = await serveControl(runtime, folder, async function* (request) {
    if (request.request === "read") throw new Error(`no ${request.id}`);
    const count = request.request === "list" ? 3_000 : 1;
    for (let at = 0; at < count; at++) yield { at, text: "\u00e9".repeat(100), request: request.request };
    await Promise.resolve();
  });
});
after(async () => {
  for (const listener of listeners) await listener.close();
  rmSync(folder, { recursive: true, force: true });
});

async function asked(path: string, request: ControlRequest): Promise<Record<string, unknown>[]> {
  const values: Record<string, unknown>[] = [];
  assert.equal(await ask(runtime, path, request, (value) => void values.push(value)), true);
  return values;
}

test("an answer of many lines comes whole", async () => {
  const values = await asked(queuePath(folder), { request: "list" });
  assert.equal(values.length, 3_000);
  assert.deepEqual(values[2_999], { at: 2_999, text: "\u00e9".repeat(100), request: "list" });
});

test("what changes something is for the owner's socket alone", async () => {
  assert.equal((await asked(controlPath(folder), { request: "stop" })).length, 1);
  await assert.rejects(asked(queuePath(folder), { request: "stop" }), /not permitted on this socket/);
  await assert.rejects(asked(queuePath(folder), { request: "remove", ids: ["x"] }), /not permitted on this socket/);
  assert.equal(statSync(controlPath(folder)).mode & 0o777, 0o600);
  assert.equal(statSync(queuePath(folder)).mode & 0o777, 0o666);
});

test("an error is told", () =>
  assert.rejects(asked(controlPath(folder), { request: "read", id: "X1" }), /^Error: no X1$/));

test("nobody there", async () => {
  assert.equal(await ask(runtime, `${folder}/public/nothing`, { request: "status" }, () => {}), null);
});

test("nonsense is answered, endless nonsense is cut off", { timeout: 10_000 }, async () => {
  const answer = (text: string): Promise<string> =>
    new Promise((resolve) => {
      const socket = net.connect(queuePath(folder), () => socket.write(text));
      let got = "";
      socket.on("data", (chunk) => got += String(chunk));
      socket.on("error", () => {});
      socket.on("close", () => resolve(got));
    });
  assert.match(await answer("nonsense\n"), /^\{"error":".*\}\n$/);
  assert.match(await answer("null\n"), /^\{"error":/);
  assert.equal(await answer("x".repeat(100_000)), "");
  assert.equal((await asked(queuePath(folder), { request: "status" })).length, 1);
});
