/**
 * Mail that an operator holds or removes while it is active: no delivery of it begins any more; those under way end.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DeliveryAgent, NextFollower } from "../../src/agent.ts";
import { Desk, resultOf, settled, WINDOW } from "./desk.ts";

const NARROW = { rules: { window: { ...WINDOW, initial: 1, limit: 1 } } };

async function over(): Promise<void> {
  for (let round = 0; round < 10; round++) await settled();
}

describe("mail in line for its delivery", () => {
  it("is not delivered while it is on hold, and is when it is released", async () => {
    const desk = await Desk.make(NARROW);
    await desk.accept(["1@a"]);
    const id = await desk.accept(["2@a"]);
    await desk.accept(["3@a"]);
    await desk.store.hold([id]);
    await desk.endAll();
    await over();
    assert.deepEqual([desk.started, desk.store.queueOf(id), desk.qmgr.activeCount], [["3@a"], "hold", 1]);
    await desk.endAll();
    await over();
    assert.doesNotMatch(await desk.log(), new RegExp(`${id}: removed`));
    await desk.store.release([id]);
    desk.qmgr.look();
    await over();
    assert.deepEqual(desk.started, ["2@a"]);
    await desk.endAll();
    await over();
    assert.deepEqual([desk.store.get(id), desk.qmgr.activeCount], [null, 0]);
  });

  it("is not begun when it was removed, and its destination is none the wiser", async () => {
    const desk = await Desk.make({ rules: { window: { ...WINDOW, initial: 1, limit: 9, failedCohortLimit: 3 } } });
    await desk.accept(["1@a"]);
    const gone: string[] = [];
    for (let at = 0; at < 100; at++) gone.push(await desk.accept([`gone${at}@a`]));
    for (let at = 0; at < 9; at++) await desk.accept([`${at}@a`]);
    await desk.store.remove(gone);
    await desk.endAll("deferred", "destination");
    await over();
    for (let round = 0; round < 100; round++) await settled();
    assert.deepEqual([desk.started, desk.qmgr.activeCount], [["0@a"], 9], "the window is what it was");
    assert.doesNotMatch(await desk.log(), /gone.*status=/);
  });

  it("keeps the recipients whose delivery did not begin", async () => {
    const desk = await Desk.make(NARROW);
    await desk.accept(["1@a"]);
    const id = await desk.accept(["2@a", "3@b"]);
    await desk.store.hold([id]);
    await desk.open.find(({ addresses }) => addresses === "1@a")!.end();
    await over();
    assert.deepEqual(desk.started, ["3@b"]);
    await desk.endAll();
    await over();
    assert.deepEqual(desk.store.get(id)!.waiting.map(({ recipient }) => recipient.address), ["2@a"]);
    assert.deepEqual([desk.store.queueOf(id), desk.qmgr.activeCount], ["hold", 0]);
    assert.doesNotMatch(await desk.log(), new RegExp(`${id}: removed`));
  });

  it("does not wait for a transport's rate delay to be passed over", async () => {
    const desk = await Desk.make({ rules: { pause: 60_000 } });
    await desk.accept(["1@a"]);
    const gone: string[] = [];
    for (let at = 0; at < 10; at++) gone.push(await desk.accept([`gone${at}@a`]));
    await desk.accept(["2@b"]);
    await desk.store.remove(gone);
    await desk.clock.pass(61_000);
    await over();
    assert.deepEqual(desk.started, ["1@a", "2@b"]);
  });

  it("follows no other on its connection", async () => {
    const asked: string[] = [];
    const followers: (string | undefined)[] = [];
    const ends: (() => void)[] = [];
    const agent: DeliveryAgent = {
      deliver: ({ recipients }, _signal, next: NextFollower) => {
        asked.push(recipients[0]!.address);
        return new Promise((resolve) =>
          ends.push(() => {
            const follower = next();
            followers.push(follower?.request.recipients[0]!.address);
            follower?.giveBack();
            resolve([resultOf("sent")]);
          })
        );
      },
      close: () => Promise.resolve(),
    };
    const desk = await Desk.make({ ...NARROW, agent });
    await desk.accept(["1@a"]);
    const id = await desk.accept(["2@a"]);
    await desk.accept(["3@a"]);
    await desk.store.hold([id]);
    for (let end = ends.shift(); end !== undefined; end = ends.shift()) {
      end();
      await over();
    }
    assert.deepEqual([asked, followers], [["1@a", "3@a"], [undefined, undefined]]);
    assert.deepEqual([desk.store.queueOf(id), desk.qmgr.activeCount], ["hold", 0]);
  });
});
