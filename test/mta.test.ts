/**
 * Workers that follow each other on one queue, at moments that no program from outside can choose.
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { currentRuntime } from "../runtimes/select.ts";
import { loadConfig } from "../src/config/config.ts";
import { Mta } from "../src/mta.ts";
import { Ports } from "../src/ports.ts";
import { MemoryEngine } from "../src/queue/memory.ts";
import { MessageStore } from "../src/queue/message-store.ts";
import { accept, envelopeOf, pattern } from "./queue/contract.ts";
import { freePort, until } from "./postrider.ts";
import { SmtpClient } from "./smtp-client.ts";
import { testLog } from "./test-log.ts";

const runtime = await currentRuntime();

let folder: string;
let port: number;
let store: MessageStore;
let ports: Ports;
const retiring = new Set<Mta>();
let current: Mta | null = null;
let lines: string[];
let engine: MemoryEngine;
/** What the storage waits for where a test says so. */
let gate: Promise<void>;
let opened: () => void;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "postrider-mta-"));
  port = await freePort();
  gate = new Promise((resolve) => opened = resolve);
  engine = new MemoryEngine(1);
  const log = { warn: () => {}, error: () => {} };
  const options = { clock: runtime.clock, longQueueIds: false, node: 0, shard: 0, contentMemory: 10_000 };
  store = new MessageStore(engine, { ...options, log });
  await store.load();
  ports = new Ports(runtime);
  lines = [];
  writeFileSync(`${folder}/master.cf`, `127.0.0.1:${port} inet n - n - 0 smtpd\ndiscard unix - - n - - discard\n`);
  writeFileSync(
    `${folder}/main.cf`,
    `compatibility_level = 3.6\nqueue_directory = ${folder}\ndata_directory = ${folder}\ninet_interfaces = 127.0.0.1
mydestination =\nlocal_recipient_maps =\nmynetworks = 127.0.0.0/8\ninet_protocols = ipv4\nmyhostname = mx.test.example
default_transport = discard:\nfast_flush_domains = y.example\n`,
  );
});
afterEach(async () => {
  if (current !== null) await retire(current);
  await ports.close();
  for (const mta of retiring) await mta.close(0);
  retiring.clear();
  await store.close();
  rmSync(folder, { recursive: true });
});

async function worker(): Promise<Mta> {
  const log = testLog(runtime.clock, (text) => void lines.push(text));
  const mta = new Mta({ runtime, loaded: loadConfig(runtime, folder), log, store, ports, retiring });
  await mta.start(() => Promise.resolve());
  return current = mta;
}

async function retire(mta: Mta): Promise<void> {
  current = null;
  ports.hold();
  retiring.add(mta);
  await mta.retire();
}

const gone = (): boolean => ["incoming", "active", "deferred"].every((queue) => store.count(queue as "active") === 0);

describe("workers", () => {
  test("ETRN goes on when its worker retires", { timeout: 20_000 }, async () => {
    const first = await worker();
    for (let at = 0; at < 450; at++) {
      const { id } = await accept(store, pattern(10), envelopeOf(runtime.clock.now(), `${at}@y.example`));
      store.activate(id);
      await store.defer(id, runtime.clock.now() + 1e6);
    }
    const { flush } = store;
    let flushed = 0;
    store.flush = async (id) => {
      if (++flushed > 200) await gate;
      return await flush.call(store, id);
    };
    assert.equal(await first.flush.send("y.example"), "started");
    await until(() => flushed > 200, 5_000, () => `${flushed}`);
    await retire(first);
    await worker();
    // So that only the word of the former makes it look again.
    await until(() => store.count("deferred") === 250, 5_000, () => `${store.count("deferred")} are deferred`);
    opened();
    await until(gone, 10_000, () => `${store.count("deferred")} are deferred`);
  });

  test("a message whose client went away is delivered, however many reloads it took", { timeout: 20_000 }, async () => {
    let reached = false;
    const { commit } = engine;
    engine.commit = async (operations) => {
      reached = true;
      await gate;
      return await commit.call(engine, operations);
    };
    const first = await worker();
    const client = await (await SmtpClient.connect(port)).greeted();
    for (const line of ["MAIL FROM:<s@x.example>", "RCPT TO:<r@y.example>", "DATA"]) await client.ask(line);
    client.write("Subject: x\r\n\r\nx\r\n.\r\n");
    await until(() => reached, 5_000, () => "no commit");
    client.socket.resetAndDestroy();
    await retire(first);
    const second = await worker();
    await first.over();
    retiring.delete(first);
    await first.close(0);
    await retire(second);
    await worker();
    opened();
    await until(() => store.count("incoming") > 0 || lines.join("").includes("removed"), 5_000, () => lines.join(""));
    await until(gone, 3_000, () => `${store.count("incoming")} wait\n${lines.join("")}`);
  });
});
