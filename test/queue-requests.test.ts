/**
 * The queue manager is told to look again when an operator's request is over, whatever way it ends.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { currentRuntime } from "../runtimes/select.ts";
import { ResourceError } from "../src/errors.ts";
import { openQueue } from "../src/queue/open.ts";
import type { QueueStore } from "../src/queue/store.ts";
import { answerQueueRequest } from "../src/queue-requests.ts";
import { accept, envelopeOf, pattern } from "./queue/contract.ts";

const runtime = await currentRuntime();

async function world(count: number) {
  const store = await openQueue("memory:", { runtime });
  const ids: string[] = [];
  for (let at = 0; at < count; at++) ids.push((await accept(store, pattern(10), envelopeOf(1, "a@b"))).id);
  await store.hold(ids);
  let looks = 0;
  const release = (own: QueueStore) =>
    answerQueueRequest({
      runtime,
      queueDirectory: "/nowhere",
      store: own,
      look: () => void looks++,
      flush: () => {},
      flushSite: () => Promise.reject(new Error("not asked for")),
    }, { request: "release" })!;
  return { store, release, looks: () => looks };
}

describe("mail that an operator releases is looked at", () => {
  it("when all is done", async () => {
    const { store, release, looks } = await world(3);
    const released: unknown[] = [];
    for await (const answer of release(store)) released.push(answer);
    assert.equal(released.length, 1);
    assert.deepEqual([store.count("deferred"), looks()], [3, 1]);
  });

  it("when the tool goes away before the end", async () => {
    const { store, release, looks } = await world(3);
    const answers = release(store)[Symbol.asyncIterator]();
    await answers.next();
    await answers.return!();
    assert.deepEqual([store.count("deferred"), looks()], [3, 1]);
  });

  it("when the storage fails", async () => {
    const { store, release, looks } = await world(3);
    const failing = new Proxy(store, {
      get: (target, key) => {
        const value: unknown = Reflect.get(target, key);
        if (key === "release") return () => Promise.reject(new ResourceError("ENOSPC", "no space"));
        return typeof value === "function" ? value.bind(target) as unknown : value;
      },
    });
    const answers = release(failing)[Symbol.asyncIterator]();
    await assert.rejects(() => answers.next(), { code: "ENOSPC" });
    assert.equal(looks(), 1);
  });
});
