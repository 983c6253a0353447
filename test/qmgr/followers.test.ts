/**
 * Deliveries that follow another one on its connection, when that breaks, is answered late, or the message is gone:
 * whatever happens to a follower, it is delivered or put off.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { DeliveryAgent, DeliveryRequest, Follower, NextFollower } from "../../src/agent.ts";
import type { DeliveryResult } from "../../src/status.ts";
import { SEED } from "../seed.ts";
import { Desk, resultOf, settled } from "./desk.ts";

/** Numbers in [0, limit) that the seed determines. */
function numbers(seed: number): (limit: number) => number {
  let state = seed >>> 0 || 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

/** Connections that take followers and fail at any point. */
class Flaky implements DeliveryAgent {
  readonly #below: (limit: number) => number;
  /** What goes on at the moment; each call is one step of it. */
  readonly steps: (() => void)[] = [];
  aborted = false;

  constructor(below: (limit: number) => number) {
    this.#below = below;
  }

  deliver(request: DeliveryRequest, signal: AbortSignal, next: NextFollower): Promise<readonly DeliveryResult[]> {
    return new Promise((resolve) => {
      signal.addEventListener("abort", () => {
        this.aborted = true;
        resolve(request.recipients.map(() => resultOf("deferred", "message")));
      });
      this.#begin(request, resolve, next);
    });
  }

  #begin(request: DeliveryRequest, tell: (results: readonly DeliveryResult[]) => void, next: NextFollower): void {
    const follower = this.#below(3) > 0 ? next() : null;
    const chance = this.#below(6);
    const all = (result: DeliveryResult): DeliveryResult[] => request.recipients.map(() => result);
    const answer = chance > 1 ? resultOf("sent") : resultOf("deferred", chance === 0 ? "destination" : "message");
    // Given back at once, before its delivery ends, or after that.
    if (follower !== null && chance === 2) follower.giveBack();
    this.steps.push(() => {
      const taken = follower === null || chance === 2 ? null : follower;
      if (taken !== null && chance > 3) this.#follow(taken, next);
      if (taken !== null && chance === 3) this.steps.push(() => taken.giveBack());
      if (taken !== null && chance < 2) taken.giveBack();
      tell(all(answer));
    });
  }

  #follow(follower: Follower, next: NextFollower): void {
    let tell!: (results: readonly DeliveryResult[]) => void;
    follower.begin(new Promise((resolve) => tell = resolve));
    this.#begin(follower.request, tell, next);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  /** One of the steps that wait, by chance. */
  step(): boolean {
    const [one] = this.steps.splice(this.#below(Math.max(1, this.steps.length)), 1);
    one?.();
    return one !== undefined;
  }
}

/** Deliveries that wait to be told their end. */
class ByHand implements DeliveryAgent {
  readonly open: { next: NextFollower; end: (result: DeliveryResult) => Promise<void> }[] = [];

  deliver(request: DeliveryRequest, _signal: AbortSignal, next: NextFollower): Promise<readonly DeliveryResult[]> {
    return new Promise((resolve) => {
      const end = (result: DeliveryResult): Promise<void> => {
        resolve(request.recipients.map(() => result));
        return settled();
      };
      this.open.push({ next, end });
    });
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

describe("followers", () => {
  /** Three deliveries to one destination, whose window is two: the third one follows. */
  async function threeWithFollower(): Promise<{ desk: Desk; agent: ByHand; follower: Follower }> {
    const agent = new ByHand();
    const desk = await Desk.make({ agent });
    for (let at = 0; at < 3; at++) await desk.accept([`${at}@a`]);
    assert.equal(agent.open.length, 2);
    return { desk, agent, follower: agent.open[0]!.next()! };
  }

  test("one that comes back when nothing else is under way starts at once", async () => {
    const { desk, agent, follower } = await threeWithFollower();
    for (const { end } of agent.open.splice(0)) await end(resultOf("sent"));
    assert.equal(desk.qmgr.activeCount, 1);
    follower.giveBack();
    assert.equal(agent.open.length, 1);
    await agent.open[0]!.end(resultOf("sent"));
    assert.equal(desk.qmgr.activeCount, 0);
  });

  test("many that are answered in one piece, before the end of the first is told", async () => {
    const agent = new ByHand();
    const desk = await Desk.make({ agent });
    for (let at = 0; at < 9; at++) await desk.accept([`${at}@a`]);
    const [first] = agent.open;
    const tells: (() => void)[] = [];
    for (let follower = first!.next(); follower !== null; follower = first!.next()) {
      follower.begin(new Promise((resolve) => tells.push(() => resolve([resultOf("sent")]))));
    }
    assert.equal(tells.length, 7);
    for (const tell of tells) tell();
    for (const { end } of agent.open) await end(resultOf("sent"));
    assert.equal(desk.qmgr.activeCount, 0);
    await desk.accept(["last@a"]);
    assert.equal(agent.open.length, 3, "no slot was lost");
  });

  test("one that comes back to a destination that died meanwhile is put off", async () => {
    const { desk, agent, follower } = await threeWithFollower();
    for (const { end } of agent.open.splice(0)) await end(resultOf("deferred", "destination"));
    assert.equal(desk.qmgr.activeCount, 1);
    follower.giveBack();
    await settled();
    assert.deepEqual([agent.open.length, desk.qmgr.activeCount], [0, 0]);
    assert.match(await desk.log(), /to=<2@a>, .*delivery temporarily suspended/);
  });

  test("none is left behind, whenever its connection fails", async () => {
    for (let round = 0; round < 15; round++) {
      const below = numbers(SEED + round * 7919);
      const agent = new Flaky(below);
      const desk = await Desk.make({ agent, main: "minimal_backoff_time = 10s\nmaximal_backoff_time = 10s" });
      let accepted = 0;
      for (const all = 4 + below(12); accepted < all; accepted++) {
        await desk.accept([`u@d${below(2)}`]);
        if (below(4) === 0) agent.step();
      }
      // All that is under way ends; then whatever is still active waits for nobody.
      for (let idle = 0; idle < 3;) {
        idle = agent.step() ? 0 : idle + 1;
        await settled();
      }
      assert.equal(desk.qmgr.activeCount, 0, `seed ${SEED}, round ${round}: left behind as active`);
      for (let turn = 0; desk.store.count("deferred") > 0; turn++) {
        assert.ok(turn < 200, `seed ${SEED}, round ${round}: never delivered`);
        await desk.clock.pass(11_000);
        for (let idle = 0; idle < 2;) {
          idle = agent.step() ? 0 : idle + 1;
          await settled();
        }
      }
    }
  });

  test("stop() ends though followers wait, and none of them is begun", async () => {
    for (let round = 0; round < 10; round++) {
      const below = numbers(SEED + round * 104_729);
      const agent = new Flaky(below);
      const desk = await Desk.make({ agent });
      for (let at = 0; at < 20; at++) await desk.accept([`u@d${below(2)}`]);
      for (let at = 0; at < below(5); at++) agent.step();
      let stopped = false;
      const stop = desk.qmgr.stop(1_000).then(() => stopped = true);
      while (agent.step()) await settled();
      await settled();
      assert.ok(stopped && !agent.aborted, `seed ${SEED}, round ${round}`);
      await stop;
    }
  });
});
