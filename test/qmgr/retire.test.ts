/**
 * A queue manager that retires, and the one that follows it on the same queue: deliveries under way end where they
 * began, all else is the new one's, and nothing is tried twice.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Follower, NextFollower } from "../../src/agent.ts";
import type { Recipient } from "../../src/envelope.ts";
import { Desk, resultOf, settled, WINDOW } from "./desk.ts";

const addresses = (desk: Desk): string[] => desk.open.map((one) => one.addresses).sort();

describe("retire()", () => {
  test("what waits in line is delivered by the next one, at once, and what is under way by nobody else", async () => {
    const desk = await Desk.make();
    for (const at of [1, 2, 3, 4]) await desk.accept([`${at}@a`]);
    assert.deepEqual(addresses(desk), ["1@a", "2@a"]);
    const [first, second] = [...desk.open];
    const over = desk.reload();
    await settled();
    assert.deepEqual(addresses(desk), ["1@a", "2@a", "3@a", "4@a"]);
    await Promise.all([...desk.open].slice(2).map((one) => one.end()));
    assert.equal(desk.store.count("active"), 2);
    await first!.end("sent");
    await second!.end("bounced");
    await over;
    assert.deepEqual(desk.events.filter((line) => line.startsWith("undeliverable")), ["undeliverable 2@a"]);
    assert.equal(desk.store.count("active") + desk.store.count("incoming") + desk.store.count("deferred"), 0);
  });

  test("of a message in parts the rest goes on when what is under way has ended", async () => {
    const desk = await Desk.make({ processLimit: 1 });
    const id = await desk.accept(["1@a", "2@b", "3@c"]);
    const over = desk.reload();
    await settled();
    assert.deepEqual(addresses(desk), ["1@a"]);
    assert.equal(desk.store.queueOf(id), "active");
    await desk.open[0]!.end("bounced");
    await over;
    await settled();
    assert.deepEqual(desk.events.filter((line) => line.startsWith("undeliverable")), ["undeliverable 1@a"]);
    assert.deepEqual(addresses(desk), ["2@b", "3@c"]);
    for (const one of [...desk.open]) await one.end();
    assert.equal(desk.store.get(id), null);
  });

  test("it is not over while a lookup is under way, whose message goes to the next one after that", async () => {
    const answers: (() => void)[] = [];
    const desk = await Desk.make({
      resolve: ({ address }) =>
        new Promise((resolve) =>
          answers.push(() => resolve({ kind: "deliver", transport: "smtp", nexthop: "a", recipient: address }))
        ),
    });
    await desk.accept(["1@a"]);
    let isOver = false;
    const over = desk.reload().then(() => isOver = true);
    await settled();
    assert.deepEqual([isOver, answers.length], [false, 1]);
    answers.shift()!();
    await over;
    await settled();
    assert.deepEqual(addresses(desk), ["1@a"]);
    await desk.open[0]!.end();
    assert.deepEqual([desk.store.count("active"), desk.store.count("incoming")], [0, 0]);
  });

  test("a message that came to the next one as deferred has its time and its attempts", async () => {
    const desk = await Desk.make({ main: "minimal_backoff_time = 100s\nmaximal_backoff_time = 100s" });
    const id = await desk.accept(["1@a", "2@b"]);
    for (const one of [...desk.open]) await one.end("deferred");
    const over = desk.reload();
    await over;
    assert.equal(desk.store.get(id)!.attempts, 1);
    await desk.clock.pass(99_000);
    assert.deepEqual(addresses(desk), []);
    await desk.clock.pass(3_000);
    assert.deepEqual(addresses(desk), ["1@a", "2@b"]);
  });

  test("recipients that are still being looked up are the next one's", async () => {
    let found = (): void => {};
    const slow = (recipient: Recipient): Promise<never> =>
      new Promise((resolve) => {
        const [, nexthop] = recipient.address.split("@") as [string, string];
        found = () => resolve({ kind: "deliver", transport: "smtp", nexthop, recipient: recipient.address } as never);
      });
    const desk = await Desk.make({ resolve: slow });
    const id = await desk.accept(["1@a"]);
    const over = desk.reload();
    await settled();
    assert.deepEqual([desk.store.queueOf(id), addresses(desk)], ["active", []]);
    found();
    await over;
    await settled();
    assert.deepEqual(addresses(desk), ["1@a"]);
    assert.equal(desk.store.get(id)!.attempts, 0);
  });

  test("held and released while under way: skipped by the next one until that has ended", async () => {
    const desk = await Desk.make();
    const id = await desk.accept(["1@a"]);
    const over = desk.reload();
    await desk.store.hold([id]);
    await desk.store.release([id]);
    desk.qmgr.look();
    await settled();
    assert.deepEqual(addresses(desk), ["1@a"]);
    assert.match(await desk.log(), new RegExp(`${id}: skipped, still being delivered`));
    await desk.open[0]!.end();
    await over;
    assert.equal(desk.store.get(id), null);
  });

  test("a follower that its connection gives back is the next one's", async () => {
    const followers: Follower[] = [];
    const tells: ((failed: boolean) => void)[] = [];
    const agent = {
      deliver: (_request: unknown, _signal: AbortSignal, next: NextFollower) =>
        new Promise<readonly [ReturnType<typeof resultOf>]>((resolve) => {
          const follower = next();
          if (follower !== null) followers.push(follower);
          tells.push((failed) => resolve([resultOf(failed ? "deferred" : "sent")]));
        }),
      close: () => Promise.resolve(),
    };
    const rules = { window: { ...WINDOW, initial: 1, limit: 1 } };
    const desk = await Desk.make({ agent, rules });
    for (const at of [1, 2, 3]) await desk.accept([`${at}@a`]);
    tells.shift()!(false);
    await settled();
    assert.equal(followers.length, 1, "the third message follows the second");
    const over = desk.reload({ agent, rules });
    followers[0]!.giveBack();
    await settled();
    assert.equal(desk.store.count("active"), 2);
    assert.equal(tells.length, 2, "the third is delivered by the next one, the second goes on");
    for (const tell of tells) tell(false);
    await over;
    await settled();
    assert.equal(desk.store.count("active"), 0);
  });

  test("is over at once when nothing is under way", async () => {
    const desk = await Desk.make();
    await desk.reload();
    await desk.accept(["1@a"]);
    assert.deepEqual(addresses(desk), ["1@a"]);
  });
});
