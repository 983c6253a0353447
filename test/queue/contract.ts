/**
 * What every queue storage must do, as the other roles see it (QueueStore). `open` opens the same storage again after
 * close(); storages that keep nothing say so.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Envelope } from "../../src/envelope.ts";
import { NO_CLIENT, plainRecipient } from "../../src/envelope.ts";
import { isQueueId } from "../../src/queue/queue-id.ts";
import type { QueueEntry, QueueStore } from "../../src/queue/store.ts";
import { LARGE_MESSAGE } from "../../src/queue/store.ts";

export interface Storage {
  readonly name: string;
  readonly keeps: boolean;
  /** A new, empty storage. */
  make(): Promise<{ open(): Promise<QueueStore> }>;
}

export function envelopeOf(arrived: number, ...recipients: string[]): Envelope {
  return {
    sender: "sénder@example.com".replace("é", "\xe9"),
    recipients: recipients.map(plainRecipient),
    arrived,
    client: NO_CLIENT,
    encoding: "8bit",
    ret: "",
    envid: "",
  };
}

export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let i = 0, x = seed; i < length; i++) {
    x = Math.imul(x, 1103515245) + 12345 >>> 0;
    bytes[i] = x >>> 16;
  }
  return bytes;
}

export async function contentOf(store: QueueStore, id: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of store.read(id)) {
    assert.ok(piece.length <= LARGE_MESSAGE, "no piece is longer than a step");
    pieces.push(piece);
  }
  return new Uint8Array(Buffer.concat(pieces));
}

export async function accept(store: QueueStore, content: Uint8Array, envelope: Envelope): Promise<QueueEntry> {
  const incoming = store.begin();
  for (let at = 0; at < content.length; at += 60_000) {
    const wait = incoming.append(content.subarray(at, at + 60_000));
    if (wait !== null) await wait;
  }
  return (await incoming.commit(envelope)).entry;
}

const sent = (...done: number[]) => ({ done, deferred: [] });
const counts = (store: QueueStore): number[] =>
  (["incoming", "active", "deferred", "hold", "corrupt"] as const).map((queue) => store.count(queue));

export function contract(storage: Storage): void {
  const test = (name: string, body: (store: QueueStore, again: () => Promise<QueueStore>) => Promise<void>): void => {
    it(name, async () => {
      const place = await storage.make();
      let store = await place.open();
      const again = async (): Promise<QueueStore> => {
        if (!storage.keeps) return store;
        await store.close();
        store = await place.open();
        return store;
      };
      await body(store, again);
      await store.close();
    });
  };
  describe(`${storage.name}: life of a message`, () => lives(test, storage));
  describe(`${storage.name}: contents`, () => contents(test));
}

type Test = (
  name: string,
  body: (store: QueueStore, again: () => Promise<QueueStore>) => Promise<void>,
) => void;

function lives(test: Test, storage: Storage): void {
  test("accepted, active, delivered, gone", async (first, again) => {
    const entry = await accept(first, pattern(4096), envelopeOf(1000, "a@b", "c@d"));
    assert.ok(isQueueId(entry.id));
    assert.deepEqual([entry.queue, entry.size, entry.attempts, entry.warned], ["incoming", 4096, 0, false]);
    assert.deepEqual(entry.waiting.map(({ recipient, index }) => [recipient.address, index]), [["a@b", 0], ["c@d", 1]]);
    assert.deepEqual(first.get(entry.id), entry);
    assert.deepEqual([...first.list("incoming")], [entry.id]);
    const store = await again();
    assert.deepEqual(store.get(entry.id), entry, "a restart changes nothing");
    assert.equal(store.activate(entry.id), true);
    assert.equal(store.activate(entry.id), false);
    assert.deepEqual(counts(store), [0, 1, 0, 0, 0]);
    await store.mark(entry.id, sent(1), "lazy");
    assert.deepEqual(store.get(entry.id)!.waiting.map(({ index }) => index), [0]);
    await store.mark(entry.id, sent(0), "lazy");
    assert.equal(store.get(entry.id), null);
    assert.deepEqual(counts(store), [0, 0, 0, 0, 0]);
    await store.mark(entry.id, sent(0), "lazy");
    const third = await again();
    assert.equal(third.get(entry.id), null);
    assert.deepEqual(counts(third), [0, 0, 0, 0, 0]);
  });
  test("active, and what it was again", async (store) => {
    const { id: fresh } = await accept(store, pattern(10), envelopeOf(1, "a@b"));
    const { id: old } = await accept(store, pattern(10), envelopeOf(2, "a@b", "c@d"));
    store.activate(old);
    await store.defer(old, 70, sent(0));
    const before = [store.get(fresh), store.get(old)];
    for (const id of [fresh, old]) {
      assert.ok(store.activate(id));
      store.deactivate(id);
    }
    assert.deepEqual([store.get(fresh), store.get(old)], before);
    assert.deepEqual([counts(store), store.nextDue()], [[1, 0, 1, 0, 0], 70]);
    store.activate(fresh);
    await store.hold([fresh]);
    for (const id of [fresh, old, "nobody"]) store.deactivate(id);
    assert.deepEqual(counts(store), [0, 0, 1, 1, 0], "nothing that is not active changes");
  });
  test("deferred with reasons, due in order, warned, active again", async (first, again) => {
    const ids: string[] = [];
    for (const due of [500, 100, 300]) {
      const { id } = await accept(first, pattern(100), envelopeOf(due, "a@b", "c@d"));
      first.activate(id);
      await first.mark(id, { done: [0], deferred: [{ index: 1, reason: "no r\xf6ute", status: "4.4.1" }] }, "lazy");
      await first.defer(id, due);
      ids.push(id);
    }
    await first.warned(ids[0]!);
    const store = await again();
    assert.deepEqual([...store.list("deferred")], [ids[1], ids[2], ids[0]]);
    assert.equal(store.nextDue(), 100);
    assert.deepEqual(store.due(99, 10), []);
    assert.deepEqual(store.due(300, 10), [ids[1], ids[2]]);
    assert.deepEqual(store.due(1000, 1), [ids[1]]);
    const entry = store.get(ids[0]!)!;
    assert.deepEqual([entry.queue, entry.due, entry.attempts, entry.warned], ["deferred", 500, 1, true]);
    assert.equal(entry.envelope.sender, "s\xe9nder@example.com");
    const [only] = entry.waiting;
    assert.deepEqual([entry.waiting.length, only!.index, only!.reason, only!.status], [
      1,
      1,
      "no r\xf6ute",
      "4.4.1",
    ]);
    assert.equal(store.activate(ids[1]!), true);
    assert.equal(store.nextDue(), 300);
    const third = await again();
    if (storage.keeps) assert.deepEqual(third.due(100, 10), [ids[1]], "active is not written down");
  });
  test("held, released, removed by the operator", async (first, again) => {
    const { id } = await accept(first, pattern(100), envelopeOf(1, "a@b"));
    assert.deepEqual(await Promise.all([first.hold(["nobody"]), first.release([id]), first.remove(["nobody"])]), [
      [],
      [],
      [],
    ]);
    first.activate(id);
    assert.deepEqual(await first.hold([id], ["incoming", "deferred"]), []);
    assert.deepEqual(await first.hold(["nobody", id]), [id]);
    await first.defer(id, 50);
    let store = await again();
    assert.deepEqual(counts(store), [0, 0, 0, 1, 0]);
    assert.deepEqual([store.activate(id), store.nextDue()], [false, null]);
    assert.deepEqual(await store.release([id, id]), [id]);
    store = await again();
    assert.equal(store.get(id)!.queue, "deferred");
    assert.deepEqual(await store.remove([id, "nobody", id]), [id]);
    store = await again();
    assert.deepEqual(counts(store), [0, 0, 0, 0, 0]);
    const incoming = store.begin();
    await incoming.append(pattern(10));
    const held = await incoming.commit(envelopeOf(1, "a@b"), true);
    assert.equal(held.entry.queue, "hold");
  });
  test("held mail that is deferred at the end of its delivery is listed by when it is due", async (store) => {
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.push((await accept(store, pattern(10), envelopeOf(i, "a@b"))).id);
    for (const id of ids) store.activate(id);
    assert.deepEqual(await store.hold(ids), ids);
    await store.defer(ids[0]!, 500);
    assert.deepEqual([...store.list("hold")], [ids[1], ids[2], ids[0]]);
    assert.deepEqual([store.count("hold"), store.queueOf(ids[0]!), store.get(ids[0]!)!.due], [3, "hold", 500]);
  });
  test("expired and requeued by the operator, wherever the message is", async (first, again) => {
    const ids: string[] = [];
    for (let i = 0; i < 4; i++) ids.push((await accept(first, pattern(10), envelopeOf(i, "a@b"))).id);
    const [waits, active, deferred, held] = ids as [string, string, string, string];
    for (const id of [active, deferred]) first.activate(id);
    await first.defer(deferred, 900);
    await first.hold([held]);
    const marks = (store: QueueStore): unknown[] =>
      ids.map((id) => store.get(id)!).map(({ queue, expired, requeued }) => [queue, expired, requeued]);
    assert.deepEqual(await first.expire([...ids, "nobody"], ["incoming", "active", "deferred"]), [
      waits,
      active,
      deferred,
    ]);
    assert.deepEqual(await first.expire(ids), [held]);
    assert.deepEqual(marks(first).map((mark) => (mark as unknown[])[1]), [true, true, true, true]);
    assert.deepEqual(await first.requeue(ids), ids);
    assert.deepEqual(marks(first), [
      ["incoming", true, true],
      ["active", true, true],
      ["deferred", true, true],
      ["deferred", true, true],
    ]);
    assert.deepEqual(await first.release([held]), []);
    assert.ok(first.nextDue()! > 900, "due at once");
    const store = await again();
    const expected = ["incoming", storage.keeps ? "incoming" : "active", "deferred", "deferred"];
    assert.deepEqual(marks(store), expected.map((queue) => [queue, true, true]));
  });
  test("flush makes deferred mail due now", async (store) => {
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) {
      const { id } = await accept(store, pattern(10), envelopeOf(i, "a@b"));
      store.activate(id);
      await store.defer(id, 9e12 + i);
      ids.push(id);
    }
    assert.deepEqual(store.due(8e12, 10), []);
    assert.equal(await store.flush(ids[1]), 1);
    assert.deepEqual(store.due(8e12, 10), [ids[1]]);
    assert.equal(await store.flush("nobody"), 0);
    assert.equal(await store.flush(), 3);
    assert.equal(store.due(8e12, 10).length, 3);
  });
  test("many at once, listed in the order of their arrival", async (first, again) => {
    const entries = await Promise.all(
      Array.from({ length: 300 }, (_, i) => accept(first, pattern(i * 100, i), envelopeOf(10_000 - i, "a@b"))),
    );
    assert.equal(new Set(entries.map(({ id }) => id)).size, 300);
    const store = await again();
    for (const [i, { id }] of entries.entries()) assert.deepEqual(await contentOf(store, id), pattern(i * 100, i));
    if (storage.keeps) assert.deepEqual([...store.list("incoming")], entries.map(({ id }) => id).reverse());
  });
}

function contents(test: Test): void {
  test("empty, one byte, around a block and around the limit of large messages", async (first, again) => {
    const sizes = [0, 1, 32_000, 32_768, 65_536, 100_000, LARGE_MESSAGE, LARGE_MESSAGE + 1, 3_000_000];
    const ids = [];
    for (const size of sizes) ids.push((await accept(first, pattern(size, size), envelopeOf(size, "a@b"))).id);
    for (const store of [first, await again()]) {
      for (const [i, id] of ids.entries()) {
        assert.equal(store.get(id)!.size, sizes[i]);
        assert.ok(Buffer.from(await contentOf(store, id)).equals(pattern(sizes[i]!, sizes[i])), `size ${sizes[i]}`);
      }
    }
  });
  test("what is put before comes first, large or not", async (first, again) => {
    for (const size of [10, 600_000]) {
      const incoming = first.begin();
      for (let at = 0; at < size; at += 50_000) {
        await incoming.append(pattern(size).subarray(at, Math.min(size, at + 50_000)));
      }
      incoming.prepend(new Uint8Array([3, 4]));
      incoming.prepend(new Uint8Array([1, 2]));
      const { entry } = await incoming.commit(envelopeOf(1, "a@b"));
      assert.equal(entry.size, size + 4);
      const store = await again();
      const expected = Buffer.concat([new Uint8Array([1, 2, 3, 4]), pattern(size)]);
      assert.ok(expected.equals(await contentOf(store, entry.id)));
      if (store !== first) return;
    }
  });
  test("fresh content is in memory until deferred or delivered", async (store) => {
    const { id } = await accept(store, pattern(5000), envelopeOf(1, "a@b"));
    assert.ok(Buffer.concat([...store.pieces(id)!]).equals(pattern(5000)));
    store.activate(id);
    assert.notEqual(store.pieces(id), null);
    await store.defer(id, 5);
    assert.equal(store.pieces(id), null);
    assert.deepEqual(await contentOf(store, id), pattern(5000));
  });
  test("an aborted message leaves nothing, large or not", async (first, again) => {
    for (const size of [10, 1_000_000]) {
      const incoming = first.begin();
      await incoming.append(pattern(size));
      await incoming.abort();
      await incoming.abort();
    }
    assert.deepEqual(counts(await again()), [0, 0, 0, 0, 0]);
  });
  test("reading a message that is gone is a ResourceError", async (store) => {
    await assert.rejects(contentOf(store, "ABCDEF0"), { name: "ResourceError", code: "ENOENT" });
  });
}
