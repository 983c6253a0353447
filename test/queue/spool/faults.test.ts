/**
 * A disk that fails: writes, syncs, new files. What was not stored is rejected, what was acknowledged stays, a segment
 * that failed is never written again, and all goes on when the disk works again, without a restart.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import process from "node:process";
import { crc32 } from "node:zlib";
import { systemCode } from "../../../src/errors.ts";
import { openQueue } from "../../../src/queue/open.ts";
import type { QueueStore } from "../../../src/queue/store.ts";
import { accept, contentOf, envelopeOf, pattern } from "../contract.ts";
import { Seeded, SimulatedDisk, simulatedRuntime } from "../simulated-disk.ts";
import { SEED } from "../../seed.ts";

const scale = Number(process.env.POSTRIDER_TEST_SCALE ?? 1);

interface Bed {
  readonly disk: SimulatedDisk;
  readonly reports: string[];
  open(disk?: SimulatedDisk): Promise<QueueStore>;
}

function makeBed(seed: number, tuning = {}): Bed {
  const random = new Seeded(seed);
  const disk = new SimulatedDisk(random);
  const reports: string[] = [];
  const note = (text: string): void => void reports.push(text);
  return {
    disk,
    reports,
    open: (on = disk) =>
      openQueue("fs:/queue", {
        runtime: simulatedRuntime(on, random, crc32),
        tuning: { lazyDelay: 5, retryDelay: 5, ...tuning },
        log: { warn: note, error: note },
      }),
  };
}

const one = (store: QueueStore, seed: number, size = 3000): Promise<string> =>
  accept(store, pattern(size, seed), envelopeOf(seed, "a@b")).then(({ id }) => id);

async function mustHold(store: QueueStore, ids: ReadonlyMap<string, number>, size = 3000): Promise<void> {
  for (const [id, seed] of ids) {
    assert.notEqual(store.get(id), null, `${id} is there`);
    assert.deepEqual(await contentOf(store, id), pattern(size, seed));
  }
}

const isLog = (path: string): boolean => path.endsWith(".log");

describe("spool on a disk that fails", () => {
  for (const [operation, code] of [["write", "ENOSPC"], ["write", "EIO"], ["sync", "EIO"]] as const) {
    it(`one failed ${operation} (${code}): the batch goes to a new segment, nobody notices`, async () => {
      const bed = makeBed(1);
      const store = await bed.open();
      const ids = new Map([[await one(store, 1), 1]]);
      bed.disk.fault = (now, path) => now === operation && isLog(path) && bed.disk.failed.size === 0 ? code : null;
      for (let seed = 2; seed < 6; seed++) ids.set(await one(store, seed), seed);
      assert.equal(bed.disk.failed.size, 1);
      assert.deepEqual(bed.disk.violations, []);
      await mustHold(store, ids);
      bed.disk.cut();
      await mustHold(await bed.open(bed.disk.afterCut()), ids);
    });
  }

  it("a rejected change is not in the entry's text, a lazy one before it is, and both outlive a cut", async () => {
    const bed = makeBed(3);
    const store = await bed.open();
    const { id } = await accept(store, pattern(100), envelopeOf(1, "a@b", "c@d"));
    store.activate(id);
    const text = (): string => store.stored(id)!.text;
    bed.disk.fault = (now, path) => now === "write" && isLog(path) ? "ENOSPC" : null;
    await store.mark(id, { done: [0], deferred: [] }, "lazy");
    const marked = text();
    assert.match(marked, /\n\[\[1,/);
    await assert.rejects(store.hold([id]), { code: "ENOSPC" });
    const behindHead = (whole: string): string => whole.slice(whole.indexOf("\n"));
    assert.equal(behindHead(text()), behindHead(marked));
    assert.doesNotMatch(text(), /^1 H/);
    bed.disk.fault = () => null;
    await store.defer(id, 5);
    await store.sync();
    assert.match(text(), /^1 D .*\n\[\[1,/);
    bed.disk.cut();
    const again = await bed.open(bed.disk.afterCut());
    assert.deepEqual([again.count("deferred"), again.get(id)!.waiting.map(({ index }) => index)], [1, [1]]);
  });

  it("a rejected hold or requeue does not come true after a restart, whatever was noted meanwhile", async () => {
    const bed = makeBed(5);
    const store = await bed.open();
    const [held, requeued] = [await one(store, 1), await one(store, 2)];
    for (const id of [held, requeued]) store.activate(id);
    let full = true;
    bed.disk.fault = (operation, path) => full && operation === "write" && isLog(path) ? "ENOSPC" : null;
    const wishes = [store.hold([held]), store.requeue([requeued])];
    for (const id of [held, requeued]) void store.warned(id);
    for (const wish of wishes) await assert.rejects(wish, { code: "ENOSPC" });
    full = false;
    await store.close();
    const again = await bed.open();
    assert.deepEqual([again.queueOf(held), again.get(held)!.warned], ["deferred", true]);
    assert.deepEqual([again.queueOf(requeued), again.get(requeued)!.requeued], ["incoming", false]);
    await again.close();
  });

  it("nor does that of a message that rests, and it undoes no wish that came after it", async () => {
    const bed = makeBed(6);
    const store = await bed.open();
    const ids = [await one(store, 1), await one(store, 2), await one(store, 3)] as const;
    const [expired, requeued, held] = ids;
    for (const id of ids) {
      store.activate(id);
      await store.defer(id, 5);
    }
    await store.sync();
    // Both attempts of the first batch.
    let failing = 2;
    bed.disk.fault = (operation, path) => operation === "write" && isLog(path) && failing-- > 0 ? "ENOSPC" : null;
    const wishes = [store.expire([expired]), store.requeue([requeued]), store.hold([held])];
    for (const id of [expired, requeued]) void store.flush(id);
    const again = store.hold([held]);
    for (const wish of wishes) await assert.rejects(wish, { code: "ENOSPC" });
    assert.deepEqual(await again, [held]);
    const flags = (of: QueueStore): unknown[] => [of.get(expired)!.expired, of.get(requeued)!.requeued];
    assert.deepEqual([flags(store), store.queueOf(held)], [[false, false], "hold"]);
    await store.close();
    const reopened = await bed.open();
    assert.deepEqual([flags(reopened), reopened.queueOf(held)], [[false, false], "hold"]);
    await reopened.close();
  });

  it("of a message whose removal is rejected who was delivered meanwhile is done with", async () => {
    const bed = makeBed(8);
    const store = await bed.open();
    const ids: string[] = [];
    for (const at of [1, 2]) {
      const { id } = await accept(store, pattern(100), envelopeOf(at, "a@b", "c@d"));
      store.activate(id);
      assert.equal(store.get(id)!.queue, "active");
      ids.push(id);
    }
    const [part, whole] = ids as [string, string];
    let full = true;
    bed.disk.fault = (operation, path) => full && operation === "write" && isLog(path) ? "ENOSPC" : null;
    const removal = store.remove(ids);
    await store.mark(part, { done: [0], deferred: [] }, "lazy");
    await store.mark(whole, { done: [0], deferred: [] }, "lazy");
    await store.defer(whole, 9, { done: [1], deferred: [] });
    // It is gone by then.
    await store.mark(whole, { done: [1], deferred: [] }, "lazy");
    await assert.rejects(removal, { code: "ENOSPC" });
    full = false;
    const waits = (of: QueueStore): unknown => [of.get(part)!.waiting.map(({ index }) => index), of.get(whole)];
    assert.deepEqual(waits(store), [[1], null]);
    await store.close();
    const again = await bed.open();
    assert.deepEqual(waits(again), [[1], null]);
    await again.close();
  });

  it("however long a disk is full: of what changes again and again the last is kept", async () => {
    const bed = makeBed(7);
    const store = await bed.open();
    const id = await one(store, 1);
    store.activate(id);
    let full = true;
    let written = 0;
    bed.disk.fault = (operation, path) => full && operation === "write" && isLog(path) ? "ENOSPC" : null;
    for (let due = 1; due <= 60; due++) {
      await store.defer(id, due);
      await assert.rejects(store.sync(), { code: "ENOSPC" });
    }
    full = false;
    await store.sync();
    for (const [path, inode] of bed.disk.names) {
      if (isLog(path)) written += Buffer.from(inode.bytes()).toString("latin1").split(`entry:${id}1 D`).length - 1;
    }
    assert.ok(written <= 2, `written ${written} times`);
    await store.close();
    assert.equal((await bed.open()).get(id)!.attempts, 60);
  });

  it("a full disk rejects with ENOSPC; with space again mail is taken, and lazy changes were kept", async () => {
    const bed = makeBed(2);
    const store = await bed.open();
    const ids = new Map([[await one(store, 1), 1], [await one(store, 2), 2]]);
    const [first] = [...ids.keys()];
    let full = true;
    bed.disk.fault = (operation, path) => full && operation === "write" && isLog(path) ? "ENOSPC" : null;
    for (let i = 0; i < 5; i++) {
      await assert.rejects(one(store, 9), (error) => systemCode(error) === "ENOSPC");
    }
    await store.mark(first!, { done: [0], deferred: [] }, "lazy");
    await assert.rejects(store.hold([[...ids.keys()][1]!]), { name: "ResourceError" });
    assert.equal(store.get([...ids.keys()][1]!)!.queue, "incoming", "a rejected hold has not happened");
    await assert.rejects(store.sync(), { name: "ResourceError" });
    assert.equal(store.count("incoming"), 1);
    const logs = [...bed.disk.names.keys()].filter(isLog);
    assert.ok(logs.length <= 2, `failed attempts leave no segments behind: ${logs.join()}`);
    full = false;
    ids.delete(first!);
    ids.set(await one(store, 3), 3);
    await store.sync();
    await mustHold(store, ids);
    bed.disk.cut();
    const again = await bed.open(bed.disk.afterCut());
    await mustHold(again, ids);
    assert.equal(again.count("incoming"), 2, "nothing that was rejected is there");
    assert.equal(again.count("hold"), 0);
    assert.deepEqual(bed.reports.filter((text) => /takes (no )?mail/.test(text)).length, 2, bed.reports.join("\n"));
  });

  it("opening with a full disk works; reading does too", async () => {
    const bed = makeBed(3);
    let store = await bed.open();
    const ids = new Map([[await one(store, 1), 1]]);
    await store.close();
    bed.disk.fault = (operation, path) =>
      operation === "write" || operation === "open" && path.endsWith(".new") ? "ENOSPC" : null;
    store = await bed.open();
    await mustHold(store, ids);
    await assert.rejects(one(store, 2), { name: "ResourceError", code: "ENOSPC" });
    bed.disk.fault = () => null;
    ids.set(await one(store, 3), 3);
    await store.close();
    await mustHold(await bed.open(), ids);
  });

  it("large messages: a failure while they come in or at their end leaves nothing", async () => {
    const bed = makeBed(4);
    const store = await bed.open();
    for (const operation of ["open", "write", "sync", "syncFolder"]) {
      bed.disk.fault = (now, path) => now === operation && path.includes("/large") ? "EIO" : null;
      await assert.rejects(one(store, 1, 700_000), { name: "ResourceError", code: "EIO" });
    }
    bed.disk.fault = () => null;
    const id = await one(store, 2, 700_000);
    const inLarge = [...bed.disk.names.keys()].filter((path) => path.includes("/large/"));
    assert.deepEqual(inLarge, [`/queue/shard-0/large/${id}`]);
    bed.disk.cut();
    await mustHold(await bed.open(bed.disk.afterCut()), new Map([[id, 2]]), 700_000);
  });

  it(`random failures, then a power cut (seeds from ${SEED})`, { timeout: 60_000 * scale }, async () => {
    for (let run = 0; run < 40 * scale; run++) await randomFailures(SEED + run);
  });
});

async function randomFailures(seed: number): Promise<void> {
  const random = new Seeded(seed);
  const bed = makeBed(seed, { segmentBytes: 40_000, checkpointBytes: 30_000, compactBytes: 30_000 });
  const store = await bed.open();
  const ids = new Map<string, number>();
  const gone = new Set<string>();
  let trouble = 0;
  bed.disk.fault = (operation) => {
    if (operation === "read" || operation === "list" || operation === "stat" || random.below(100) >= trouble) {
      return null;
    }
    return random.below(2) === 0 ? "ENOSPC" : "EIO";
  };
  for (let i = 0; i < 60; i++) {
    if (i % 10 === 0) trouble = [0, 10, 60][random.below(3)]!;
    try {
      ids.set(await one(store, i), i);
    } catch (error) {
      assert.equal((error as Error).name, "ResourceError");
    }
    const [first] = ids.keys();
    if (first === undefined || random.below(3) > 0) continue;
    try {
      if ((await store.remove([first])).length > 0) gone.add(first);
    } catch (error) {
      assert.equal((error as Error).name, "ResourceError");
      assert.notEqual(store.get(first), null, "a rejected removal has not happened");
      continue;
    }
    ids.delete(first);
  }
  trouble = 0;
  await store.sync();
  assert.deepEqual(bed.disk.violations, []);
  const all = (on: QueueStore): string[] => [...on.list("incoming"), ...on.list("deferred"), ...on.list("hold")].sort();
  assert.deepEqual(all(store), [...ids.keys()].sort(), `seed ${seed}`);
  await mustHold(store, ids);
  bed.disk.cut();
  const again = await bed.open(bed.disk.afterCut());
  await mustHold(again, ids);
  for (const id of gone) assert.equal(again.get(id), null, `seed ${seed}: ${id} was removed and is back`);
  assert.deepEqual(all(again), [...ids.keys()].sort(), `seed ${seed}: after the cut`);
}
