/**
 * The spool on a real disk: who may open it, what it keeps on the disk, how fast it opens. Power cuts, failing disks
 * and damage have their own files (power, faults, damage).
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { currentRuntime } from "../../../runtimes/select.ts";
import type { QueueEngine } from "../../../src/queue/engine.ts";
import { openQueue } from "../../../src/queue/open.ts";
import { openSpool, type SpoolOptions } from "../../../src/queue/spool/spool.ts";
import type { QueueStore } from "../../../src/queue/store.ts";
import { accept, contentOf, envelopeOf, pattern } from "../contract.ts";

const scale = Number(process.env.POSTRIDER_TEST_SCALE ?? 1);
const runtime = await currentRuntime();
const root = mkdtempSync(join(tmpdir(), "postrider-spool-"));
after(() => rmSync(root, { recursive: true }));

let number = 0;
async function newFolder(): Promise<string> {
  const path = join(root, String(number++));
  await runtime.files!.makeFolder(path, 0o700);
  return path;
}

const logs = (folder: string): string[] => readdirSync(`${folder}/shard-0`).filter((name) => name.endsWith(".log"));
const bytesOf = (folder: string): number =>
  logs(folder).reduce((sum, name) => sum + statSync(`${folder}/shard-0/${name}`).size, 0);
const quiet = { warn: () => {}, error: () => {} };
const SMALL = { segmentBytes: 100_000, checkpointBytes: 100_000, compactBytes: 100_000, lazyDelay: 5 };

async function loadedSpool(options: SpoolOptions): Promise<QueueEngine> {
  const engine = await openSpool(options);
  await engine.load();
  return engine;
}

const engineOf = (folder: string, tuning = {}, network = runtime.network): Promise<QueueEngine> =>
  loadedSpool({ runtime: { ...runtime, network }, log: quiet, folder, shard: 0, tuning });

async function settle(store: QueueStore): Promise<void> {
  for (let turns = 0; turns < 30; turns++) {
    await store.sync();
    await new Promise<void>((resolve) => runtime.clock.after(10, resolve));
  }
}

describe("spool: one writer", () => {
  it("a second opener gets EBUSY, until the first has closed", async () => {
    const folder = await newFolder();
    const first = await openQueue(`fs:${folder}`, { runtime });
    const second = openQueue(`fs:${folder}`, { runtime });
    await assert.rejects(second, { code: "EBUSY", message: /another process uses this queue/ });
    const shard = await openQueue(`fs:${folder}`, { runtime, shard: 1 });
    await shard.close();
    await first.close();
    const third = await openQueue(`fs:${folder}`, { runtime });
    await third.close();
  });

  it("a child of a process that had the queue does not keep it", async () => {
    const folder = await newFolder();
    const first = await openQueue(`fs:${folder}`, { runtime });
    const child = spawn("sleep", ["30"], { stdio: "ignore" });
    try {
      await new Promise((resolve) => child.once("spawn", resolve));
      await first.close();
      await (await openQueue(`fs:${folder}`, { runtime })).close();
    } finally {
      child.kill("SIGKILL");
    }
  });

  it("flock alone keeps a second opener out, where there is flock", async () => {
    const folder = await newFolder();
    const first = await engineOf(folder, {}, null);
    if (runtime.name !== "node") await assert.rejects(engineOf(folder, {}, null), { code: "EBUSY" });
    await first.close();
    await (await engineOf(folder, {}, null)).close();
  });

  it("a writer that meets a newer epoch stops", async () => {
    const folder = await newFolder();
    const files = { ...runtime.files! };
    const open = files.open;
    files.open = async (path, mode, permissions) => {
      const file = await open(path, mode, permissions);
      return path.endsWith("/lock")
        ? { ...file, close: () => file.close(), tryLock: () => Promise.resolve(null) }
        : file;
    };
    const engine = (): Promise<QueueEngine> =>
      loadedSpool({ runtime: { ...runtime, network: null, files }, log: quiet, folder, shard: 0, tuning: SMALL });
    const first = await engine();
    const put = (on: QueueEngine, key: string): Promise<void> =>
      on.commit([{ kind: "put", key, value: [pattern(60_000)] }], "durable");
    await put(first, "content:A");
    const second = await engine();
    assert.ok(second.epoch > first.epoch);
    await put(first, "content:B");
    await assert.rejects(put(first, "content:C"), { name: "ResourceError", code: "ESTALE" });
    await assert.rejects(put(first, "content:D"), { name: "ResourceError", code: "ESTALE" });
    await put(second, "content:E");
    await second.close();
    await first.close().catch(() => {});
  });
});

describe("spool: what is on the disk", () => {
  it("segments in which nothing lives go away", { timeout: 60_000 * scale }, async () => {
    const folder = await newFolder();
    const store = await openQueue(`fs:${folder}`, { runtime, tuning: SMALL });
    for (let i = 0; i < 300; i++) {
      const { id } = await accept(store, pattern(5000, i), envelopeOf(i, "a@b"));
      store.activate(id);
      await store.mark(id, { done: [0], deferred: [] }, "lazy");
    }
    await settle(store);
    assert.ok(bytesOf(folder) < 250_000, `${bytesOf(folder)} bytes are left of 1,500,000`);
    assert.ok(existsSync(`${folder}/shard-0/checkpoint`));
    await store.close();
  });

  it("living mail in old segments is moved when more is dead than lives, and large files are not copied", {
    timeout: 60_000 * scale,
  }, async () => {
    const folder = await newFolder();
    const store = await openQueue(`fs:${folder}`, { runtime, tuning: SMALL });
    const kept = new Map<string, [number, number]>();
    for (let i = 0; i < 400; i++) {
      const size = i === 50 ? 400_000 : 5000;
      const { id } = await accept(store, pattern(size, i), envelopeOf(i, "a@b"));
      if (i % 50 === 0) kept.set(id, [size, i]);
      else await store.remove([id]);
    }
    await settle(store);
    assert.ok(bytesOf(folder) < 400_000, `${bytesOf(folder)} bytes are left of 2,000,000`);
    const large = readdirSync(`${folder}/shard-0/large`);
    assert.equal(large.length, 1);
    await store.close();
    for (const spoil of [false, true]) {
      if (spoil) rmSync(`${folder}/shard-0/checkpoint`);
      const again = await openQueue(`fs:${folder}`, { runtime, tuning: SMALL });
      assert.equal(again.count("incoming"), kept.size);
      for (const [id, [size, seed]] of kept) assert.deepEqual(await contentOf(again, id), pattern(size, seed));
      await again.close();
    }
  });

  it("a large file goes with its message, and one that no record names goes at the start", async () => {
    const folder = await newFolder();
    const store = await openQueue(`fs:${folder}`, { runtime });
    const { id } = await accept(store, pattern(700_000), envelopeOf(1, "a@b"));
    assert.deepEqual(readdirSync(`${folder}/shard-0/large`), [id]);
    await store.remove([id]);
    const begun = store.begin();
    for (let at = 0; at < 3_000_000; at += 100_000) await begun.append(pattern(100_000));
    await store.close();
    assert.deepEqual(readdirSync(`${folder}/shard-0/large`), [begun.id]);
    await (await openQueue(`fs:${folder}`, { runtime })).close();
    assert.deepEqual(readdirSync(`${folder}/shard-0/large`), []);
  });

  it("a path that is no folder, or cannot be made, is a ResourceError", async () => {
    await assert.rejects(openQueue(join(root, "none/at/all"), { runtime }), { name: "ResourceError", code: "ENOENT" });
  });

  it("readRange gives any part of a value", async () => {
    const engine = await engineOf(await newFolder());
    const value = pattern(150_000, 3);
    const put = (key: string, of: Uint8Array): Promise<void> =>
      engine.commit([{ kind: "put", key, value: [of] }], "durable");
    await put("content:before", pattern(12_345));
    await put("content:x", value);
    await put("content:after", pattern(1000));
    for (
      const [offset, length] of [[0, 1], [0, 150_000], [32_000, 1000], [149_999, 10], [150_000, 5], [70_001, 65_536]]
    ) {
      const expected = value.subarray(offset, offset! + length!);
      assert.deepEqual(await engine.readRange("content:x", offset!, length!), expected.slice(), `${offset} ${length}`);
    }
    const keys = async (prefix: string, from: string | null, limit: number): Promise<string[]> =>
      (await engine.scan(prefix, from, limit)).map(({ key }) => key);
    assert.deepEqual(await keys("content:", null, 2), ["content:after", "content:before"]);
    assert.deepEqual(await keys("content:", "content:before", 2), ["content:x"]);
    assert.deepEqual(await keys("entry:", null, 2), []);
    await engine.close();
    await assert.rejects(put("content:z", value), { name: "ResourceError", code: "EBADF" });
  });
});

describe("spool: opening", () => {
  it(`${20_000 * scale} queued messages open within the time that 100,000 have for a second`, {
    timeout: 60_000 * scale,
  }, async () => {
    const count = 20_000 * scale;
    const folder = await newFolder();
    let store = await openQueue(`fs:${folder}`, { runtime });
    const content = pattern(100);
    for (let at = 0; at < count; at += 1000) {
      await Promise.all(Array.from({ length: 1000 }, async (_, i) => {
        const { id } = await accept(store, content, envelopeOf(at + i, "recipient@example.org"));
        store.activate(id);
        await store.defer(id, 1e12 + (at + i) * 7919 % 100_003);
      }));
    }
    await store.close();
    const times: number[] = [];
    for (const spoil of [false, true]) {
      if (spoil) rmSync(`${folder}/shard-0/checkpoint`);
      const start = runtime.clock.monotonic();
      store = await openQueue(`fs:${folder}`, { runtime });
      times.push(Math.round(runtime.clock.monotonic() - start));
      assert.equal(store.count("deferred"), count);
      const dueStart = runtime.clock.monotonic();
      assert.equal(store.due(2e12, 100).length, 100);
      assert.ok(runtime.clock.monotonic() - dueStart < 20, "due() looks at what is due alone");
      await store.close();
    }
    console.log(`${runtime.name}: ${count} messages open in ${times[0]} ms, without a checkpoint in ${times[1]} ms`);
    assert.ok(times[0]! < 1000 * scale, `${times[0]} ms`);
  });
});

/*
 * Mutations: each of these was made on purpose, and a test failed.
 *   writer: acknowledged before fdatasync                                 power
 *   writer: a segment whose write failed is written again                 faults
 *   writer: no folder sync for a new segment                              power
 *   writer: the head does not name the limits of failed segments          faults
 *   writer: a segment that holds limits alone is removed after a failure  faults
 *   writer: lazy operations dropped after a failure                       faults
 *   writer: compaction's copies behind the batch instead of before it     power
 *   writer: a newer epoch is not noticed                                  spool
 *   large: no sync of the file; no sync of its folder                     power
 *   recovery: what a killed process left unsynced is not synced           power
 *   housekeeping: segments removed without a folder sync between them     power
 *   housekeeping: a segment removed while something lives in it           store
 *   checkpoint: renamed before its sync                                   damage
 *   checkpoint: its position is behind what it holds                      power
 *   framing: the checksum is not compared                                 power
 *   segment: checksums without the salt of the name                       damage
 *   scan: damage skips the rest of the block                              damage
 *   read-bulk: damaged content is passed on                               damage
 *   lock: a taken lock socket does not matter                             spool
 *   writer: text() does not know of what waits to be written              store
 *   writer: a rejected change stays in text(), or a lazy one is forgotten faults
 *   message-store: removal is noted after its commit                      power, store
 *   message-store: a second hold does not wait for the first              store
 */
