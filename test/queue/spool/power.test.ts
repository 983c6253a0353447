/**
 * The power is cut at operations all along a random life of a queue, on a disk that keeps what was synced and any part
 * of the rest. After each cut the queue is opened again and must hold every acknowledged message, byte-equal, and
 * nothing that an acknowledged operation had removed. Then it lives on, and is cut again.
 *
 * POSTRIDER_TEST_SEED repeats a run; POSTRIDER_TEST_SCALE makes more of them.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import process from "node:process";
import { crc32 } from "node:zlib";
import { openQueue } from "../../../src/queue/open.ts";
import type { SpoolTuning } from "../../../src/queue/spool/spool.ts";
import type { QueueStore } from "../../../src/queue/store.ts";
import { contentOf, envelopeOf, pattern } from "../contract.ts";
import { Seeded, SimulatedDisk, simulatedRuntime } from "../simulated-disk.ts";
import { SEED } from "../../seed.ts";

const scale = Number(process.env.POSTRIDER_TEST_SCALE ?? 1);

/** Small, so that much happens in a short life; some lives see no checkpoint. */
const tuningOf = (seed: number): Partial<SpoolTuning> => ({
  segmentBytes: seed % 3 === 0 ? 20_000 : 60_000,
  lazyDelay: 3,
  retryDelay: 3,
  checkpointBytes: seed % 2 === 0 ? 50_000 : 1e9,
  compactBytes: seed % 3 === 0 ? 20_000 : 60_000,
  openSegments: 2,
});

/** What must be, given what was promised. */
interface Message {
  readonly content: Uint8Array;
  /** wanted: acknowledged and not removed; doubtful: it may be there or not; gone: its removal was acknowledged. */
  state: "doubtful" | "wanted" | "gone";
  /** An acknowledged hold or release. */
  held: boolean | null;
}

interface World {
  readonly random: Seeded;
  readonly messages: Map<string, Message>;
  readonly reports: string[];
  readonly tuning: Partial<SpoolTuning>;
  disk: SimulatedDisk;
}

const open = (world: World): Promise<QueueStore> =>
  openQueue("fs:/queue", {
    runtime: simulatedRuntime(world.disk, world.random, crc32),
    tuning: world.tuning,
    log: { warn: () => {}, error: (text) => void world.reports.push(text) },
  });

async function acceptOne(world: World, store: QueueStore): Promise<void> {
  const { random, messages } = world;
  const kind = random.below(20);
  const size = kind === 0 ? 300_000 + random.below(200_000) : kind < 5 ? random.below(40_000) : random.below(3000);
  const content = pattern(size, random.below(1e6));
  const incoming = store.begin();
  const message: Message = { content, state: "doubtful", held: null };
  messages.set(incoming.id, message);
  for (let at = 0; at < size; at += 50_000) await incoming.append(content.subarray(at, at + 50_000));
  if (random.below(20) === 0) {
    await incoming.abort();
    message.state = "gone";
    return;
  }
  await incoming.commit(envelopeOf(random.below(1e6), "a@b", "c@d"));
  message.state = "wanted";
}

async function changeOne(world: World, store: QueueStore): Promise<void> {
  const { random, messages } = world;
  const ids = [...messages].filter(([, { state }]) => state === "wanted").map(([id]) => id);
  const id = ids[random.below(ids.length)];
  if (id === undefined) return;
  const message = messages.get(id)!;
  const chance = random.below(10);
  if (chance < 4) {
    store.activate(id);
    message.state = "doubtful";
    await store.mark(id, { done: [0, 1], deferred: [] }, "lazy");
    if (random.below(8) === 0) {
      await store.sync();
      message.state = "gone";
    }
  } else if (chance < 6) {
    message.state = "doubtful";
    if ((await store.remove([id])).length > 0) message.state = "gone";
  } else if (chance < 7) {
    message.held = null;
    if ((await store.hold([id])).length > 0) message.held = true;
  } else if (chance < 8) {
    if (message.held !== true) return;
    message.held = null;
    if ((await store.release([id])).length > 0) message.held = false;
  } else {
    store.activate(id);
    await store.mark(id, { done: [0], deferred: [{ index: 1, reason: "later", status: "4.0.0" }] }, "lazy");
    await store.defer(id, random.below(1000));
  }
}

async function live(world: World, store: QueueStore): Promise<void> {
  const sessions = 1 + world.random.below(4);
  const session = async (): Promise<void> => {
    for (let i = 0; i < 25; i++) {
      if (world.random.below(2) === 0) await acceptOne(world, store);
      else await changeOne(world, store);
    }
  };
  await Promise.all(Array.from({ length: sessions }, session));
  await store.close();
}

async function check(world: World, store: QueueStore): Promise<void> {
  for (const [id, message] of world.messages) {
    const entry = store.get(id);
    if (message.state === "wanted") assert.ok(entry !== null, `${id} was acknowledged and is lost`);
    if (message.state === "gone") assert.equal(entry, null, `${id} was removed and is back`);
    if (entry === null) {
      world.messages.delete(id);
      continue;
    }
    message.state = "wanted";
    assert.ok(Buffer.from(await contentOf(store, id)).equals(message.content), `${id} has another content`);
    if (message.held !== null) assert.equal(entry.queue === "hold", message.held, `${id} is in ${entry.queue}`);
    else message.held = entry.queue === "hold" ? true : null;
  }
  let count = 0;
  for (const queue of ["incoming", "deferred", "hold", "active", "corrupt"] as const) count += store.count(queue);
  assert.equal(count, world.messages.size, "nothing else is in the queue");
  assert.equal(store.count("corrupt"), 0);
}

/** Lives, cuts, checks, three times over. */
async function run(seed: number): Promise<void> {
  const random = new Seeded(seed);
  const world: World = {
    random,
    messages: new Map(),
    reports: [],
    tuning: tuningOf(seed),
    disk: new SimulatedDisk(random),
  };
  try {
    for (let life = 0; life < 3; life++) {
      world.disk.cutAt = 5 + random.below(400);
      const cut = world.disk.died;
      const living = open(world).then((store) => live(world, store));
      await Promise.race([cut, living]);
      world.disk.cut();
      world.disk = random.below(2) === 0 ? world.disk.afterCut() : world.disk.afterKill();
      await check(world, await open(world));
      // The checked store is given up: now the power goes.
      world.disk.cut();
      world.disk = world.disk.afterCut();
      const again = await open(world);
      await check(world, again);
      await again.close();
    }
  } catch (error) {
    throw new Error(`POSTRIDER_TEST_SEED=${seed}`, { cause: error });
  }
}

describe("spool and power cuts", () => {
  it(`keeps every promise (seeds from ${SEED})`, { timeout: 60_000 * scale }, async () => {
    const runs = 60 * scale;
    for (let i = 0; i < runs; i++) await run(SEED + i);
  });
});
