/**
 * Damage anywhere in the spool's files: bits flipped, ranges zeroed, files cut, checkpoints spoiled. Opening reports
 * and never throws anything untyped; a message that is still there is byte-equal or says that it cannot be read; only
 * messages whose own bytes were touched are lost.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import process from "node:process";
import { crc32 } from "node:zlib";
import { latin1Encode } from "../../../src/latin1.ts";
import { openQueue } from "../../../src/queue/open.ts";
import type { QueueStore } from "../../../src/queue/store.ts";
import { accept, contentOf, envelopeOf, pattern } from "../contract.ts";
import { Seeded, SimulatedDisk, simulatedRuntime } from "../simulated-disk.ts";
import { SEED } from "../../seed.ts";

const scale = Number(process.env.POSTRIDER_TEST_SCALE ?? 1);

async function open(disk: SimulatedDisk, random: Seeded, reports: string[], tuning = {}): Promise<QueueStore> {
  return await openQueue("fs:/queue", {
    runtime: simulatedRuntime(disk, random, crc32),
    tuning: { segmentBytes: 200_000, ...tuning },
    log: { warn: (text) => void reports.push(text), error: (text) => void reports.push(text) },
  });
}

/** A spool with that many messages, as a crash would leave it (no checkpoint) or closed well. */
async function fill(random: Seeded, count: number, closed: boolean): Promise<[SimulatedDisk, Map<string, number>]> {
  const disk = new SimulatedDisk(random);
  const store = await open(disk, random, []);
  const ids = new Map<string, number>();
  for (let i = 0; i < count; i++) ids.set((await accept(store, pattern(i * 97 % 9000, i), envelopeOf(i, "a@b"))).id, i);
  if (closed) await store.close();
  disk.cut();
  return [disk.afterCut(), ids];
}

const logsOf = (disk: SimulatedDisk): [string, Uint8Array][] =>
  [...disk.names].filter(([path]) => path.endsWith(".log")).map(([path, inode]) => [path, inode.bytes()]);

const indexOf = (bytes: Uint8Array, text: string): number =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(text);

describe("damaged spool", () => {
  it("one flipped bit loses its record alone; its bytes are saved and reported", async () => {
    const random = new Seeded(1);
    const [disk, ids] = await fill(random, 60, false);
    const victims = [...ids.keys()].filter((_, index) => index === 10 || index === 30);
    for (const victim of victims) {
      const [, log] = logsOf(disk).find(([, bytes]) => indexOf(bytes, `entry:${victim}`) > 0)!;
      log[indexOf(log, `entry:${victim}`) + 2]! ^= 4;
    }
    const reports: string[] = [];
    const store = await open(disk, random, reports);
    for (const [id, seed] of ids) {
      if (victims.includes(id)) assert.equal(store.get(id), null);
      else assert.deepEqual(await contentOf(store, id), pattern(seed * 97 % 9000, seed), id);
    }
    assert.equal(reports.filter((text) => text.startsWith("damaged queue data")).length, 2, reports.join("\n"));
    const saved = [...disk.names].filter(([path]) => path.includes("/corrupt/"));
    assert.equal(saved.length, 2);
    assert.ok(indexOf(saved[0]![1].bytes(), `:${victims[0]}`) > 0);
  });

  it("a flipped length or type is got over inside the block", async () => {
    const random = new Seeded(2);
    for (const field of [4, 5, 6]) {
      const [disk, ids] = await fill(random, 60, false);
      const [, log] = logsOf(disk)[0]!;
      const victim = [...ids.keys()].find((id) => indexOf(log, `entry:${id}`) % 32768 > 2000)!;
      log[indexOf(log, `entry:${victim}`) - 18 + field]! ^= 0x11;
      const store = await open(disk, random, []);
      const lost = [...ids.keys()].filter((id) => store.get(id) === null);
      assert.deepEqual(lost, [victim], `field ${field}`);
    }
  });

  it("damage in a content that the index knows is an error when it is read, not other bytes", async () => {
    const random = new Seeded(3);
    const [disk, ids] = await fill(random, 30, true);
    const [victim] = [...ids].find(([, seed]) => seed === 20)!;
    const start = Buffer.from(pattern(20 * 97, 20)).subarray(0, 50);
    for (const [, log] of logsOf(disk)) {
      const at = Buffer.from(log.buffer, log.byteOffset, log.length).indexOf(start);
      if (at >= 0) log[at + 10]! ^= 1;
    }
    const store = await open(disk, random, []);
    await assert.rejects(contentOf(store, victim), { name: "ResourceError", code: "EIO" });
    assert.deepEqual(await contentOf(store, [...ids][21]![0]), pattern(21 * 97, 21));
  });

  it("damage in a content does not keep its segment, and all that come after it, for ever", async () => {
    const random = new Seeded(9);
    const disk = new SimulatedDisk(random);
    const reports: string[] = [];
    const tuning = { segmentBytes: 20_000, checkpointBytes: 30_000, compactBytes: 20_000 };
    const store = await open(disk, random, reports, tuning);
    const { id } = await accept(store, pattern(70_000, 7), envelopeOf(1, "a@b"));
    store.activate(id);
    await store.defer(id, 5);
    await store.sync();
    const [, log] = logsOf(disk).find(([, bytes]) => indexOf(bytes, `entry:${id}`) > 0)!;
    log[40_000]! ^= 1;
    for (let at = 0; at < 300; at++) {
      const other = await accept(store, pattern(3_000, at), envelopeOf(1, "a@b"));
      await store.mark(other.id, { done: [0], deferred: [] }, "lazy");
    }
    await store.sync();
    for (let turns = 0; turns < 500; turns++) await new Promise((resolve) => setImmediate(resolve));
    const bytes = logsOf(disk).reduce((sum, [, { length }]) => sum + length, 0);
    assert.ok(bytes < 200_000, `${bytes} bytes of log for one message that lives`);
    assert.equal(reports.length, 1, reports.slice(0, 3).join("\n"));
    assert.match(reports[0]!, /^queue data of content:\w+ cannot be moved: damaged queue data .*; saved as \S+$/);
    const saved = disk.names.get(reports[0]!.slice(reports[0]!.lastIndexOf(" ") + 1))!.bytes();
    const text = (part: Uint8Array): string => Buffer.from(part).toString("latin1");
    for (const part of [pattern(70_000, 7).subarray(0, 30_000), pattern(70_000, 7).subarray(69_000)]) {
      assert.ok(text(saved).includes(text(part)), "all of it is saved");
    }
    await assert.rejects(contentOf(store, id), { name: "ResourceError", damaged: true });
    assert.equal(store.queueOf(id), "corrupt");
    await store.close();
  });

  it("a spoiled checkpoint or segment head costs nothing but time", async () => {
    const random = new Seeded(4);
    for (let run = 0; run < 20; run++) {
      const [disk, ids] = await fill(random, 30, true);
      const checkpoint = disk.names.get("/queue/shard-0/checkpoint")!;
      const reports: string[] = [];
      if (run % 3 === 0) checkpoint.change({ position: random.below(checkpoint.size), bytes: null });
      else if (run % 3 === 1) checkpoint.bytes()[random.below(checkpoint.size)]! ^= 1 << random.below(8);
      else {
        disk.names.delete("/queue/shard-0/checkpoint");
        logsOf(disk)[0]![1][random.below(64)]! ^= 1 << random.below(8);
      }
      const store = await open(disk, random, reports);
      for (const [id, seed] of ids) assert.deepEqual(await contentOf(store, id), pattern(seed * 97 % 9000, seed));
      if (run % 3 < 2) assert.ok(reports.some((text) => text.includes("checkpoint is damaged")));
    }
  });

  it("a checkpoint whose blocks changed places, or are missing, costs nothing but time", async () => {
    const random = new Seeded(SEED + 1);
    const block = 32768;
    for (let run = 0; run < 6; run++) {
      const [disk, ids] = await fill(random, 500, true);
      const checkpoint = disk.names.get("/queue/shard-0/checkpoint")!;
      const bytes = checkpoint.bytes().slice();
      const blocks = Math.floor(bytes.length / block);
      assert.ok(blocks >= 3, `${blocks} blocks`);
      const [a, b] = [random.below(blocks), random.below(blocks)].map((at) => at * block) as [number, number];
      if (run % 2 === 0) {
        checkpoint.change({ position: a, bytes: bytes.slice(b, b + block) });
        checkpoint.change({ position: b, bytes: bytes.slice(a, a + block) });
      } else {
        checkpoint.change({ position: a, bytes: bytes.slice(a + block) });
        checkpoint.change({ position: bytes.length - block, bytes: null });
      }
      const store = await open(disk, random, []);
      for (const id of ids.keys()) assert.notEqual(store.get(id), null, `run ${run}, seed ${SEED}`);
      await store.close();
    }
  });

  it("content that looks like a record never becomes one", async () => {
    const random = new Seeded(5);
    const [other, others] = await fill(random, 5, false);
    const evil = [...others.keys()][4]!;
    const disk = new SimulatedDisk(random);
    const store = await open(disk, random, []);
    const { id } = await accept(store, logsOf(other)[0]![1].slice(64), envelopeOf(2, "a@b"));
    disk.cut();
    const after = disk.afterCut();
    const [, log] = logsOf(after)[0]!;
    log[indexOf(log, `entry:${id}`)]! ^= 1;
    const again = await open(after, random, []);
    assert.deepEqual([again.get(id), again.get(evil), again.count("incoming")], [null, null, 0]);
  });

  it("a queue of a newer format is a ConfigError", async () => {
    const random = new Seeded(6);
    const [disk] = await fill(random, 3, true);
    const [path, log] = logsOf(disk)[0]!;
    const name = path.slice(path.lastIndexOf("/") + 1);
    const view = new DataView(log.buffer, log.byteOffset);
    view.setUint32(8, 2, true);
    view.setUint32(60, crc32(log.subarray(0, 60), crc32(Uint8Array.of(0), crc32(latin1Encode(name)))), true);
    await assert.rejects(open(disk, random, []), { name: "ConfigError", message: /newer/ });
  });

  it(`random damage: only typed errors, only touched messages lost (seeds from ${SEED})`, {
    timeout: 60_000 * scale,
  }, async () => {
    for (let run = 0; run < 60 * scale; run++) await randomDamage(SEED + run);
  });
});

function spoil(random: Seeded, disk: SimulatedDisk): void {
  const files = [...disk.names].filter(([path]) => /log$|checkpoint$/.test(path));
  const [, inode] = files[random.below(files.length)]!;
  if (inode.size === 0) return;
  const at = random.below(inode.size);
  const kind = random.below(4);
  if (kind === 0) inode.change({ position: at, bytes: null });
  else if (kind === 1) inode.bytes()[at]! ^= 1 << random.below(8);
  else {inode.change({
      position: at,
      bytes: kind === 2 ? new Uint8Array(random.below(3000)) : random.bytes(random.below(500)),
    });}
}

async function randomDamage(seed: number): Promise<void> {
  const random = new Seeded(seed);
  const [disk, ids] = await fill(random, 40, random.below(2) === 0);
  const before = new Map(logsOf(disk).map(([path, bytes]) => [path, bytes.slice()]));
  for (let times = 1 + random.below(3); times > 0; times--) spoil(random, disk);
  const touched = (id: string): boolean => {
    for (const [path, bytes] of logsOf(disk)) {
      const was = before.get(path)!;
      const from = indexOf(was, `entry:${id}`);
      if (from < 0) continue;
      // The record: its head, the content behind it, and the heads of its fragments.
      for (let at = from - 18; at < from + 400 + ids.get(id)! * 97 % 9000; at++) {
        if (was[at] !== bytes[at] && at < was.length) return true;
      }
    }
    return false;
  };
  const store = await open(disk, random, []);
  for (const [id, number] of ids) {
    if (store.get(id) === null) {
      assert.ok(touched(id), `seed ${seed}: ${id} was not touched and is lost`);
      continue;
    }
    try {
      assert.deepEqual(await contentOf(store, id), pattern(number * 97 % 9000, number), `seed ${seed}: ${id}`);
    } catch (error) {
      if ((error as Error).name !== "ResourceError") throw error;
      assert.ok(touched(id), `seed ${seed}: ${id} was not touched and cannot be read`);
    }
  }
  const { id } = await accept(store, pattern(50), envelopeOf(1, "a@b"));
  await store.close();
  assert.notEqual((await open(disk, random, [])).get(id), null);
}
