/**
 * The contract of a queue storage (contract.ts) for each storage, and what is the store's own.
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import { ResourceError } from "../../src/errors.ts";
import { openDriver } from "../../src/queue/drivers.ts";
import { MemoryEngine } from "../../src/queue/memory.ts";
import { MessageStore } from "../../src/queue/message-store.ts";
import { openQueue } from "../../src/queue/open.ts";
import { accept, contentOf, contract, envelopeOf, pattern } from "./contract.ts";

const runtime = await currentRuntime();
const folder = mkdtempSync(join(tmpdir(), "postrider-queue-"));
after(() => rmSync(folder, { recursive: true }));

let number = 0;
const newFolder = async (): Promise<string> => {
  const path = join(folder, String(number++));
  await runtime.files!.makeFolder(path, 0o700);
  return path;
};

contract({
  name: "memory",
  keeps: false,
  make: () => Promise.resolve({ open: () => openQueue("memory:", { runtime }) }),
});

contract({
  name: "spool",
  keeps: true,
  make: async () => {
    const path = await newFolder();
    return { open: () => openQueue(`fs:${path}`, { runtime }) };
  },
});

contract({
  name: "spool with small segments",
  keeps: true,
  make: async () => {
    const path = await newFolder();
    const tuning = { segmentBytes: 50_000, checkpointBytes: 30_000, compactBytes: 20_000 };
    return { open: () => openQueue(path, { runtime, tuning, longQueueIds: true }) };
  },
});

describe("store", () => {
  const options = {
    clock: runtime.clock,
    longQueueIds: false,
    node: 0,
    shard: 0,
    contentMemory: 10_000,
  };
  it("an entry that cannot be understood is in corrupt, and the rest flows", async () => {
    const engine = new MemoryEngine(1);
    const reported: string[] = [];
    const log = { warn: () => {}, error: (text: string) => void reported.push(text) };
    const store = new MessageStore(engine, { ...options, log });
    await store.load();
    const good = await accept(store, pattern(10), envelopeOf(1, "a@b"));
    await engine.commit([
      { kind: "put", key: "entry:BAD1", value: "nonsense" },
      { kind: "put", key: "entry:BAD2", value: "1 I 1 1 10 0 0 0\n0\n{" },
      { kind: "put", key: "entry:BAD3", value: '1 I 1 1 10 0 0 0\n[[5,"",""]]\n{"sender":"","recipients":[]}' },
    ]);
    const again = new MessageStore(engine, { ...options, log });
    await again.load();
    for (const id of ["BAD1", "BAD2", "BAD3"]) assert.deepEqual([again.get(id), again.activate(id)], [null, false]);
    assert.equal(again.activate(good.id), true);
    assert.deepEqual([...again.list("corrupt")].sort(), ["BAD1", "BAD2", "BAD3"]);
    assert.equal(reported.length, 3);
    assert.equal((await again.remove(["BAD1"])).length, 1);
    assert.equal(again.count("corrupt"), 2);
  });
  it("a message whose content is damaged is tried no more, before and after a restart", async () => {
    const engine = new MemoryEngine(1);
    const reported: string[] = [];
    const log = { warn: () => {}, error: (text: string) => void reported.push(text) };
    const small = { ...options, log, contentMemory: 0 };
    const store = new MessageStore(engine, small);
    await store.load();
    const entries = [];
    for (let at = 0; at < 3; at++) entries.push(await accept(store, pattern(10), envelopeOf(at, "a@b", "c@d")));
    const [active, deferred, removed] = entries.map(({ id }) => id) as [string, string, string];
    for (const id of [active, deferred, removed]) {
      store.activate(id);
      await engine.commit([{ kind: "delete", key: `content:${id}` }]);
    }
    await store.defer(deferred, 5);
    await store.remove([removed]);
    for (const id of [active, deferred, removed]) {
      await assert.rejects(contentOf(store, id), { name: "ResourceError", damaged: true });
    }
    const holds = (one: MessageStore): void => {
      assert.deepEqual([...one.list("corrupt")].sort(), [active, deferred].sort());
      assert.deepEqual([one.activate(deferred), one.due(9e12, 9), one.count("active")], [false, [], 0]);
    };
    holds(store);
    assert.deepEqual(reported.map((text) => text.replace(/^\S+ \S+ /, "").replace(/content:\w+/, "it")), [
      "it is not in the queue; it stays in the corrupt queue",
      "it is not in the queue; it stays in the corrupt queue",
    ]);
    await store.mark(active, { done: [0], deferred: [] }, "lazy");
    await store.defer(active, 7, { done: [1], deferred: [] });
    holds(store);
    const again = new MessageStore(engine, small);
    await again.load();
    holds(again);
    assert.match(reported[2]!, /^queue entry \w+ is of damaged content; it stays in the corrupt queue$/);
    assert.equal(again.get(active)!.envelope.recipients.length, 2);
    assert.deepEqual(await again.remove([active, deferred]), [active, deferred]);
    assert.deepEqual(await engine.scan("", null, 9), []);
  });
  it("fresh contents in memory are bounded", async () => {
    const store = new MessageStore(new MemoryEngine(1), { ...options, log: { warn: () => {}, error: () => {} } });
    await store.load();
    const entries = [];
    for (let i = 0; i < 4; i++) entries.push(await accept(store, pattern(4000, i), envelopeOf(1, "a@b")));
    assert.deepEqual(entries.map(({ id }) => store.pieces(id) !== null), [false, false, true, true]);
    assert.deepEqual(await contentOf(store, entries[0]!.id), pattern(4000, 0));
  });
  it("an operator's second wish waits for the first to be durable", async () => {
    const engine = new MemoryEngine(1);
    const store = new MessageStore(engine, { ...options, log: { warn: () => {}, error: () => {} } });
    await store.load();
    const { id } = await accept(store, pattern(10), envelopeOf(1, "a@b"));
    let durable = 0;
    engine.commit = () => new Promise((resolve) => runtime.clock.after(5, () => (durable++, resolve())));
    const [first, second] = [store.hold([id]), store.hold([id])];
    await second;
    assert.equal(durable, 2);
    assert.deepEqual(await first, [id]);
  });
  it("a second requeue that fails leaves the first as it was", async () => {
    const engine = new MemoryEngine(1);
    const store = new MessageStore(engine, { ...options, log: { warn: () => {}, error: () => {} } });
    await store.load();
    const { id } = await accept(store, pattern(10), envelopeOf(1, "a@b"));
    assert.deepEqual(await store.requeue([id]), [id]);
    engine.commit = () => Promise.reject(new ResourceError("ENOSPC", "no space"));
    await store.requeue([id]).catch(() => {});
    assert.equal(store.get(id)!.requeued, true);
  });
  it("a delivery that ends during the operator's removal does not bring the message back", async () => {
    const engine = new MemoryEngine(1);
    const store = new MessageStore(engine, { ...options, log: { warn: () => {}, error: () => {} } });
    await store.load();
    const { id } = await accept(store, pattern(10), envelopeOf(1, "a@b", "c@d"));
    store.activate(id);
    const removed = store.remove([id]);
    await store.mark(id, { done: [0], deferred: [] }, "lazy");
    await store.defer(id, 5);
    assert.deepEqual(await removed, [id]);
    assert.deepEqual(await engine.scan("", null, 10), []);
  });
  for (const act of ["hold", "remove"] as const) {
    it(`a delivery that ends while the storage fails to ${act} its message leaves it to be tried again`, async () => {
      const engine = new MemoryEngine(1);
      const store = new MessageStore(engine, { ...options, log: { warn: () => {}, error: () => {} } });
      await store.load();
      const { id } = await accept(store, pattern(10), envelopeOf(1, "a@b", "c@d"));
      store.activate(id);
      const commit = engine.commit.bind(engine);
      const fault = new ResourceError("ENOSPC", "no space");
      engine.commit = () => new Promise((_, reject) => runtime.clock.after(5, () => reject(fault)));
      const changed = store[act]([id]);
      engine.commit = commit;
      const due = runtime.clock.now();
      await store.defer(id, due);
      await assert.rejects(changed, fault);
      assert.deepEqual([store.queueOf(id), store.due(due + 10_000, 9)], ["deferred", [id]]);
      assert.equal(store.activate(id), true);
      await store.mark(id, { done: [0, 1], deferred: [] }, "lazy");
      assert.deepEqual([store.queueOf(id), await engine.scan("", null, 10)], [null, []]);
    });
  }
  it("chunks of a message that never came to be are dropped at the start", async () => {
    const engine = new MemoryEngine(1);
    await engine.commit([{ kind: "put", key: "content:ABCDEF0:0", value: [pattern(10)] }]);
    await new MessageStore(engine, { ...options, log: { warn: () => {}, error: () => {} } }).load();
    assert.deepEqual(await engine.scan("content:", null, 10), []);
  });
  it("unstorage's methods show the queue", async () => {
    const log = { warn: () => {}, error: () => {} };
    const driver = await openDriver(`fs:${await newFolder()}`, { runtime, log, shard: 0, tuning: {} });
    await driver.getInstance!().load();
    const none = {};
    await driver.setItemRaw!("entry:X", "text", none);
    await driver.setItemRaw!("content:X", pattern(10), none);
    assert.deepEqual(await driver.getKeys("entry:", none), ["entry:X"]);
    assert.equal(await driver.getItem("entry:X"), "text");
    assert.deepEqual(await driver.getItemRaw!("content:X", none), pattern(10));
    await driver.removeItem!("entry:X", none);
    assert.deepEqual([await driver.hasItem("entry:X", none), await driver.hasItem("content:X", none)], [false, true]);
    await driver.dispose!();
  });
  it("an unknown storage is a ConfigError", async () => {
    await assert.rejects(openQueue("gopher://x", { runtime }), { name: "ConfigError" });
  });
});
