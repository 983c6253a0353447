/**
 * Random lives of a few messages, several sessions at once, on a disk that fails now and then. What the store has in
 * memory is at every moment what was done to it, and what a restart reads is a state that was, no older than the last
 * one that was promised: after sync() and the end of the process exactly the present one.
 *
 * POSTRIDER_TEST_SEED repeats a run; POSTRIDER_TEST_SCALE makes more of them.
 */

import assert from "node:assert/strict";
import process from "node:process";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { openQueue } from "../../src/queue/open.ts";
import type { SpoolTuning } from "../../src/queue/spool/spool.ts";
import type { Progress, QueueName, QueueStore } from "../../src/queue/store.ts";
import { SEED } from "../seed.ts";
import { contentOf, envelopeOf, pattern } from "./contract.ts";
import { Seeded, SimulatedDisk, simulatedRuntime } from "./simulated-disk.ts";

const scale = Number(process.env.POSTRIDER_TEST_SCALE ?? 1);
const BUDGET = 5_000 * scale;

const RECIPIENTS = ["a@b", "c@d", "e@f", "g@h"];
const GONE = "gone";

const tuningOf = (seed: number): Partial<SpoolTuning> => ({
  segmentBytes: seed % 3 === 0 ? 4_000 : 30_000,
  lazyDelay: seed % 5 === 0 ? 30 : 3,
  retryDelay: 3,
  checkpointBytes: seed % 2 === 0 ? 10_000 : 1e9,
  compactBytes: seed % 3 === 0 ? 4_000 : 30_000,
  openSegments: 2,
});

/** A wish that is noted in the entry. */
interface Wish {
  made: boolean;
  pending: number;
}

interface Message {
  readonly size: number;
  readonly seed: number;
  /** Recipients that are not done with: the reason of each. */
  readonly waits: Map<number, string>;
  readonly expired: Wish;
  readonly requeued: Wish;
  /** What a crash would make of it while it is active. */
  origin: QueueName;
  /** All states in order, and from which on one must be found. */
  readonly states: string[];
  promised: number;
  wishes: number;
  /** Two wishes at once: the second begins when the first ends, before anybody can look. Who waits is known then. */
  crowded: boolean;
  removing: boolean;
  /** Removals that are on their way, and what is noted meanwhile: it counts when the removal is refused. */
  leaving: number;
  late: Progress[];
}

interface World {
  readonly seed: number;
  readonly random: Seeded;
  readonly messages: Map<string, Message>;
  disk: SimulatedDisk;
  /** Of the life that is lived now. */
  faults: { on: boolean };
}

const open = (world: World): Promise<QueueStore> =>
  openQueue("fs:/queue", {
    runtime: simulatedRuntime(world.disk, world.random, crc32),
    tuning: tuningOf(world.seed),
    log: { warn: () => {}, error: () => {} },
  });

/** The state of a message, as a restart would have it. */
function stateOf(store: QueueStore, id: string, origin: QueueName): string {
  const entry = store.get(id);
  if (entry === null) return GONE;
  const { queue, attempts, warned, expired, requeued, due, waiting } = entry;
  const who = waiting.map(({ index, reason, status }) => `${index}${reason}${status}`).join(" ");
  const flags = `${+warned}${+expired}${+requeued}`;
  return `${queue === "active" ? origin : queue} ${Math.floor(due)} ${attempts} ${flags} ${who}`;
}

/** Its state as it is now, after whatever was done. */
function note(world: World, store: QueueStore, id: string): number {
  const message = world.messages.get(id)!;
  const state = stateOf(store, id, message.origin);
  if (message.states.at(-1) !== state) message.states.push(state);
  const entry = store.get(id);
  if (entry === null) return message.states.length - 1;
  const who = entry.waiting.map(({ index, reason }) => `${index}${reason}`);
  if (message.late.length === 0) {
    assert.deepEqual(
      who,
      [...message.waits].map(([index, reason]) => `${index}${reason}`),
      `${id}: who waits`,
    );
  }
  for (const name of ["expired", "requeued"] as const) {
    if (message[name].pending === 0) assert.equal(entry[name], message[name].made, `${id}: ${name}`);
  }
  return message.states.length - 1;
}

async function acceptOne(world: World, store: QueueStore): Promise<void> {
  const { random, messages } = world;
  const [size, seed] = [random.below(random.below(4) === 0 ? 20_000 : 500), random.below(1e6)];
  const incoming = store.begin();
  void incoming.append(pattern(size, seed));
  const message: Message = {
    size,
    seed,
    waits: new Map(RECIPIENTS.map((_address, index) => [index, ""])),
    expired: { made: false, pending: 0 },
    requeued: { made: false, pending: 0 },
    origin: "incoming",
    states: [GONE],
    promised: 0,
    wishes: 0,
    crowded: false,
    removing: false,
    leaving: 0,
    late: [],
  };
  const held = random.below(8) === 0;
  messages.set(incoming.id, message);
  // What it will be; a power cut may leave it before anybody hears of it.
  message.states.push(`${held ? "hold" : "incoming"} 5 0 000 ${RECIPIENTS.map((_address, at) => at).join(" ")}`);
  try {
    await incoming.commit(envelopeOf(5, ...RECIPIENTS), held);
    message.promised = Math.max(message.promised, 1);
    note(world, store, incoming.id);
  } catch {
    message.states.push(GONE);
  }
}

function progressOf(world: World, message: Message): Progress {
  const { random } = world;
  const done: number[] = [];
  const deferred = [];
  for (const index of message.waits.keys()) {
    const fate = random.below(6);
    if (fate === 0) done.push(index);
    else if (fate < 3) deferred.push({ index, reason: `r${random.below(100)}`, status: "4.0.0" });
  }
  return { done, deferred };
}

/** The model of what mark() and defer() note; nothing of a message that is not there. */
function apply(store: QueueStore, id: string, message: Message, progress: Progress): void {
  if (store.get(id) !== null) takeOver(message, progress);
  else if (message.leaving > 0) message.late.push(progress);
}

function takeOver({ waits }: Message, { done, deferred }: Progress): void {
  for (const index of done) waits.delete(index);
  for (const { index, reason } of deferred) if (waits.has(index)) waits.set(index, reason);
}

/** In the queue, or about to leave it. */
function livingOf({ messages }: World, store: QueueStore): string[] {
  return [...messages.keys()].filter((id) => store.queueOf(id) !== null || messages.get(id)!.leaving > 0);
}

type Operation = (world: World, store: QueueStore, id: string, message: Message) => Promise<void> | void;

/** An operator's wish: all of it, or nothing. */
function wish(name: "hold" | "release" | "requeue" | "expire" | "remove"): Operation {
  return async (world, store, id) => {
    const others = livingOf(world, store).filter(() => world.random.below(4) === 0);
    const ids = [...new Set([id, ...others])];
    const flag = name === "expire" ? "expired" : name === "requeue" ? "requeued" : null;
    const waits = ids.some((one) => world.messages.get(one)!.wishes > 0);
    const call = store[name](ids);
    const at = new Map<string, number>();
    for (const one of ids) {
      const message = world.messages.get(one)!;
      if (flag !== null) message[flag].pending++;
      message.wishes++;
      if (waits) message.crowded = true;
      if (name === "remove") {
        message.removing = true;
        message.leaving++;
      }
      at.set(one, note(world, store, one));
    }
    const changed = await call.catch(() => null);
    for (const one of ids) {
      const message = world.messages.get(one)!;
      message.wishes--;
      if (name === "remove" && --message.leaving === 0) {
        for (const progress of changed === null ? message.late : []) takeOver(message, progress);
        // The reasons may have become others since.
        for (const { index, reason } of message.late.length > 0 ? store.get(one)?.waiting ?? [] : []) {
          if (message.waits.has(index)) message.waits.set(index, reason);
        }
        message.late = [];
      }
      if (flag !== null) {
        message[flag].pending--;
        if (changed?.includes(one) === true) message[flag].made = true;
      }
      if (changed?.includes(one) === true) message.promised = Math.max(message.promised, at.get(one)!);
    }
    for (const one of ids) note(world, store, one);
  };
}

const OPERATIONS: readonly Operation[] = [
  (_world, store, id, message) => {
    const queue = store.queueOf(id);
    if (store.activate(id)) message.origin = queue!;
  },
  (_world, store, id) => store.deactivate(id),
  async (world, store, id, message) => {
    const progress = progressOf(world, message);
    apply(store, id, message, progress);
    await store.mark(id, progress, "lazy");
  },
  async (world, store, id, message) => {
    const progress = world.random.below(2) === 0 ? undefined : progressOf(world, message);
    if (progress !== undefined) apply(store, id, message, progress);
    const call = store.defer(id, 10 + world.random.below(1_000), progress);
    note(world, store, id);
    await call;
  },
  async (_world, store, id) => {
    await store.warned(id);
  },
  async (_world, store, id) => {
    await store.flush(id);
  },
  async (world, store) => {
    // What waits for an answer is not promised.
    const quiet = [...world.messages].filter(([, { wishes }]) => wishes === 0);
    const at = new Map(quiet.map(([id]) => [id, note(world, store, id)]));
    await store.sync().then(() => {
      for (const [id, index] of at) {
        world.messages.get(id)!.promised = Math.max(world.messages.get(id)!.promised, index);
      }
    }, () => {});
  },
  wish("hold"),
  wish("release"),
  wish("requeue"),
  wish("expire"),
  wish("remove"),
];

/** Removal is one operation of many: messages live for a while. */
function pick(random: Seeded): Operation {
  const at = random.below(OPERATIONS.length + 8);
  return OPERATIONS[at >= OPERATIONS.length ? at % 6 : at]!;
}

async function session(world: World, store: QueueStore): Promise<void> {
  const { random, messages, faults } = world;
  for (let turn = 0; turn < 40; turn++) {
    if (random.below(12) === 0) faults.on = random.below(3) === 0;
    const living = livingOf(world, store);
    const id = living[random.below(living.length)];
    if (id === undefined || living.length < 6 && random.below(5) === 0) {
      await acceptOne(world, store);
      continue;
    }
    const call = pick(random)(world, store, id, messages.get(id)!);
    note(world, store, id);
    await call;
    note(world, store, id);
    if (random.below(4) === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

/** `exactly`: nothing but the last state will do. */
async function check(world: World, store: QueueStore, exactly: boolean): Promise<void> {
  let count = 0;
  for (const [id, message] of world.messages) {
    const state = stateOf(store, id, "incoming");
    const may = exactly ? message.states.slice(-1) : message.states.slice(message.promised);
    const whoOf = (text: string): string => text.split(" ").slice(4).join(" ");
    if (message.crowded && message.removing) may.push(GONE);
    const sound = message.crowded && !exactly ? may.map(whoOf).includes(whoOf(state)) : may.includes(state);
    assert.ok(sound, `${id} is\n  ${state}\nof\n  ${may.join("\n  ")}`);
    if (state === GONE) {
      world.messages.delete(id);
      continue;
    }
    const content = await contentOf(store, id).catch((caught: unknown) => caught as Error);
    if (content instanceof Error) {
      // Of a removal that was refused may be left what the failed write left, where the next segment's head was lost.
      assert.ok(message.removing && !exactly, content.stack);
      await store.remove([id]);
      world.messages.delete(id);
      continue;
    }
    assert.ok(Buffer.from(content).equals(pattern(message.size, message.seed)), `${id}: content`);
    count++;
    const entry = store.get(id)!;
    message.waits.clear();
    for (const { index, reason } of entry.waiting) message.waits.set(index, reason);
    for (const name of ["expired", "requeued"] as const) message[name].made = entry[name];
    message.states.splice(0, message.states.length, state);
    message.promised = 0;
    message.wishes = 0;
    message.crowded = message.removing = false;
    message.leaving = 0;
    message.late = [];
    message.origin = entry.queue;
  }
  const queues = ["incoming", "active", "deferred", "hold"] as const;
  assert.equal(queues.reduce((sum, queue) => sum + store.count(queue), 0), count, "nothing else is in the queue");
  assert.equal(store.count("corrupt"), 0);
}

async function life(world: World): Promise<void> {
  const { random } = world;
  const end = random.below(3);
  if (end > 0) world.disk.cutAt = 20 + random.below(400);
  const { disk } = world;
  const faults = world.faults = { on: false };
  disk.fault = (operation, path) =>
    faults.on && path.endsWith(".log") && (operation === "write" || operation === "sync") && random.below(4) > 0
      ? "ENOSPC"
      : null;
  const living = open(world).then(async (store) => {
    await Promise.all([session(world, store), session(world, store), session(world, store)]);
    faults.on = false;
    await store.sync();
    for (const id of world.messages.keys()) note(world, store, id);
    return true;
  });
  const whole = await Promise.race([living, disk.died.then(() => false)]);
  disk.cut();
  world.disk = end === 1 ? disk.afterCut() : disk.afterKill();
  const store = await open(world);
  await check(world, store, whole);
  await store.close();
}

async function run(seed: number): Promise<void> {
  const random = new Seeded(seed);
  const disk = new SimulatedDisk(random);
  const world: World = { seed, random, messages: new Map(), disk, faults: { on: false } };
  try {
    for (let lives = 0; lives < 3; lives++) await life(world);
  } catch (error) {
    throw new Error(`POSTRIDER_TEST_SEED=${seed}`, { cause: error });
  }
}

describe("store", () => {
  it(`has in memory what a restart reads (seeds from ${SEED})`, { timeout: 60_000 + BUDGET }, async () => {
    const end = performance.now() + BUDGET;
    for (let seed = SEED; performance.now() < end; seed++) await run(seed);
  });
});
