/**
 * Clients are greeted while the queue is still being read; whatever needs the queue waits for it.
 */

import assert from "node:assert/strict";
import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { currentRuntime } from "../runtimes/select.ts";
import { ask, controlPath } from "../src/control.ts";
import { Master } from "../src/master.ts";
import type { Files, Processes, Runtime } from "../src/runtime.ts";
import { freePort, Running, sleep, until } from "./postrider.ts";
import { SmtpClient } from "./smtp-client.ts";

const runtime = await currentRuntime();
const root = mkdtempSync(join(tmpdir(), "postrider-opening-"));
after(() => rmSync(root, { recursive: true }));

/** The mail system in this process; opening its queue goes through `gate`. */
async function site(gate: () => Promise<void>, main = ""): Promise<{ port: number; master: Master }> {
  const real = runtime.files as Files;
  const files: Files = Object.create(real, {
    list: {
      value: async (path: string) => {
        if (path.endsWith("/shard-0")) await gate();
        return await real.list(path);
      },
    },
  }) as Files;
  const processes = Object.create(runtime.processes, { onSignal: { value: () => {} } }) as Processes;
  const world: Runtime = { ...runtime, files, processes };
  const port = await freePort();
  const { folder } = new Running(join(root, String(port)), port, { main });
  return { port, master: Master.load(world, `${folder}/etc`) };
}

async function greeted(port: number): Promise<SmtpClient> {
  let client: SmtpClient | null = null;
  await until(
    async () => (client = await SmtpClient.connect(port).catch(() => null)) !== null,
    5_000,
    () => "nobody listens",
  );
  return await client!.greeted();
}

describe("while the queue is being opened", () => {
  it("sessions go as far as the mail transaction, which waits", async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => open = resolve);
    const { port, master } = await site(() => gate);
    const started = master.start();
    const clients = await Promise.all([1, 2, 3, 4].map(() => greeted(port)));
    const waiting = ["MAIL FROM:<s@a.example>", "VRFY x@a.example", "ETRN a.example"];
    const answered: string[] = [];
    const asked = waiting.map(async (line, at) => {
      const reply = await clients[at]!.ask(line);
      answered.push(reply.slice(0, 3));
    });
    assert.equal(await clients[3]!.ask("NOOP"), "250 2.0.0 Ok");
    await sleep(100);
    assert.deepEqual(answered, []);
    open();
    await Promise.all(asked);
    assert.deepEqual(answered.sort(), ["250", "252", "459"]);
    await started;
    const reply = await clients[3]!.send("s@a.example", ["r@b.example"], "Subject: x\r\n\r\nx\r\n");
    assert.match(reply, /^250 2\.0\.0 Ok: queued as /);
    for (const client of clients) client.close();
    await master.stop();
  });
  it("notices about such sessions wait too", async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => open = resolve);
    const { port, master } = await site(() => gate, "notify_classes = protocol\ndefer_transports = local smtp\n");
    const started = master.start();
    const client = await greeted(port);
    await client.ask("NONSENSE");
    await client.ask("QUIT");
    open();
    await started;
    const log = (): string => new Running(join(root, String(port)), port, {}).log;
    await until(() => /postfix\/qmgr.*from=<double-bounce@/.test(log()), 5_000, log);
    await master.stop();
  });
  it("a stop that is asked for comes when the queue is open", async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => open = resolve);
    const { port, master } = await site(() => gate);
    const started = master.start();
    const client = await greeted(port);
    const ended = master.run();
    const stopped = master.stop();
    assert.equal(await client.ask("NOOP"), "250 2.0.0 Ok");
    open();
    await Promise.all([started, stopped, ended]);
    assert.match(await client.reply(), /^421 4\.3\.2 /);
    await assert.rejects(SmtpClient.connect(port));
  });
  it("a tool that asks while a reload opens the queue anew is answered afterwards", async () => {
    let gate = Promise.resolve();
    let open = (): void => {};
    const { port, master } = await site(() => gate);
    await master.start();
    gate = new Promise<void>((resolve) => open = resolve);
    appendFileSync(join(root, String(port), "etc/main.cf"), "enable_long_queue_ids = yes\n");
    const reloaded = master.reload();
    await (await greeted(port)).ask("QUIT");
    const { folder } = new Running(join(root, String(port)), port, {});
    const path = controlPath(`${folder}/spool`);
    let answered = false;
    const list = ask(runtime, path, { request: "list" }, () => {}).then((value) => answered = value === true);
    assert.equal(await ask(runtime, path, { request: "status" }, () => {}), true);
    await sleep(100);
    assert.equal(answered, false);
    open();
    await Promise.all([reloaded, list]);
    assert.equal(answered, true);
    await master.stop();
  });
  it("a queue that cannot be read ends the start, and leaves nothing open", async () => {
    let fails = true;
    const { port, master } = await site(() => {
      const error = Object.assign(new Error("Input/output error"), { code: "EIO" });
      return fails ? sleep(200).then(() => Promise.reject(error)) : Promise.resolve();
    });
    const started = master.start().then(() => null, (caught: unknown) => caught as Error);
    const client = await greeted(port);
    const reply = await client.ask("MAIL FROM:<s@a.example>");
    assert.ok(reply === "" || reply.startsWith("421"), reply);
    assert.match(String(await started), /cannot open the queue/);
    await assert.rejects(SmtpClient.connect(port));
    fails = false;
    await master.start();
    await master.stop();
  });
});
