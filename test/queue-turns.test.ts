/**
 * One process at a time has the queue: tools wait for a mail system that starts, and a mail system for tools; nobody
 * is told to try again.
 */

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync } from "node:fs";
import * as net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterEach, beforeEach, describe, it } from "node:test";
import { currentRuntime } from "../runtimes/select.ts";
import { untilFree } from "../src/control.ts";
import { latin1Encode } from "../src/latin1.ts";
import { lockQueue, openQueue } from "../src/queue/open.ts";
import type { QueueStore } from "../src/queue/store.ts";
import { accept, envelopeOf } from "./queue/contract.ts";
import { Running, scriptCommand, sleep, until } from "./postrider.ts";

const runtime = await currentRuntime();

let running: Running;
/** Has the port of the system until it starts: it waits for long here. */
let reserved: net.Server;
beforeEach(async () => {
  const folder = mkdtempSync(join(tmpdir(), "postrider-turns-"));
  reserved = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => reserved.once("listening", resolve));
  const { port } = reserved.address() as net.AddressInfo;
  running = new Running(folder, port, { main: "defer_transports = smtp local relay\n" });
  mkdirSync(`${folder}/spool`);
});
const open = new Set<{ close(): unknown }>();
afterEach(async () => {
  reserved.close();
  for (const one of open) await one.close();
  open.clear();
  await running.remove();
});

/** The queue of the system, in this process. */
async function queue(): Promise<QueueStore> {
  const store = await openQueue(`fs:${running.folder}/spool`, { runtime });
  open.add(store);
  return store;
}

/** Messages on hold; the id of the first. */
async function fill(store: QueueStore, count: number, content = "Subject: x\r\n\r\nx\r\n"): Promise<string> {
  const ids: string[] = [];
  for (let at = 0; at < count; at++) {
    const envelope = envelopeOf(runtime.clock.now(), `u${at}@b.example`);
    ids.push((await accept(store, latin1Encode(content), envelope)).id);
  }
  await store.hold(ids);
  return ids[0]!;
}

class Tool {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  output = "";
  errors = "";
  over = false;

  constructor(before: readonly string[], name: string, ...words: string[]) {
    const { command, arguments: program } = scriptCommand("bin/postrider.ts");
    const [first, ...line] = [...before, command, ...program, name, "-c", `${running.folder}/etc`, ...words];
    this.child = spawn(first!, line, { stdio: "pipe" });
    open.add(this);
    this.child.stdout!.setEncoding("latin1").on("data", (text: string) => this.output += text);
    this.child.stderr!.setEncoding("latin1").on("data", (text: string) => this.errors += text);
    this.ended = new Promise((resolve) => {
      this.child.on("close", (code) => {
        this.over = true;
        resolve(code);
      });
    });
  }

  close(): void {
    this.child.kill("SIGKILL");
  }
}

/** Its output is read behind a first line of our own. */
const READ_LATER = ["sh", "-c", 'exec 3<&0; "$@" </dev/null | { read -r line <&3; cat; }', "sh"];

/** Longer than any of the programs needs to come to the queue. */
const HELD = 2_500;

describe("the queue", { timeout: 120_000 }, () => {
  it("a tool waits for who has it, and asks the mail system that comes meanwhile", async () => {
    const store = await queue();
    await fill(store, 3);
    const tools = [new Tool([], "postqueue", "-p"), new Tool([], "postsuper", "-H", "ALL")];
    await sleep(HELD);
    assert.deepEqual(tools.map(({ over }) => over), [false, false]);
    await store.close();
    reserved.close();
    await running.start();
    const codes = await Promise.all(tools.map(({ ended }) => ended));
    assert.deepEqual(codes, [0, 0], tools.map(({ errors }) => errors).join(""));
    assert.match(tools[0]!.output, /in 3 Requests\./);
    assert.equal(tools[1]!.errors, "postsuper: Released from hold: 3 messages\n");
  });
  it("a mail system that starts waits for a tool", async () => {
    const store = await queue();
    let up = false;
    const started = running.start().then(() => up = true);
    await sleep(HELD);
    assert.equal(up, false);
    reserved.close();
    await store.close();
    await started;
  });
  it("a mail system that waits can be stopped", async () => {
    const store = await queue();
    const system = new Tool([], "postfix", "start-fg");
    await until(() => running.log.includes("running as root") || running.log !== "", 20_000, () => system.errors);
    await sleep(HELD);
    assert.equal(system.over, false, system.errors);
    process.kill(system.child.pid!, "SIGTERM");
    assert.equal(await system.ended, 1);
    assert.match(system.errors, /fatal: .*another process uses this queue/);
    await store.close();
  });
  it("a listing that nobody reads keeps no mail system from starting", async () => {
    const store = await queue();
    await fill(store, 2_000);
    await store.close();
    const tool = new Tool(READ_LATER, "postqueue", "-p");
    await until(() => tool.errors.includes("accessing queue directly"), 20_000, () => tool.errors);
    reserved.close();
    await running.start();
    assert.equal(tool.output, "");
    tool.child.stdin!.end("now\n");
    assert.equal(await tool.ended, 0);
    assert.equal(tool.output.match(/^[0-9A-F]{6,}!/gm)!.length, 2_000);
    assert.match(tool.output, /in 2000 Requests\./);
  });
  it("nor does a message that nobody reads, and it is whole", async () => {
    const store = await queue();
    const line = `${"x".repeat(70)}\r\n`;
    const id = await fill(store, 1, `Subject: x\r\n\r\n${line.repeat(10_000)}`);
    await store.close();
    const tool = new Tool(READ_LATER, "postcat", "-bq", id);
    await sleep(HELD);
    reserved.close();
    await running.start();
    assert.equal(tool.output, "");
    tool.child.stdin!.end("now\n");
    assert.equal(await tool.ended, 0, tool.errors);
    assert.equal(tool.output.split("x".repeat(70)).length, 10_001);
  });
  it("who keeps it is told of", async () => {
    const store = await queue();
    const taken = untilFree(runtime, `${running.folder}/spool`, () => false, 200);
    const second = lockQueue(`fs:${running.folder}/spool`, { runtime, taken });
    await assert.rejects(second, { code: "EBUSY", message: /spool\/shard-0: another process uses this queue$/ });
    await store.close();
  });
});
