import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ActiveMessage } from "../../src/qmgr/active.ts";
import type { WindowRules } from "../../src/qmgr/destination.ts";
import type { DeliveryResult } from "../../src/status.ts";
import { type Destination, type Job, TransportQueue } from "../../src/qmgr/schedule.ts";

const WINDOW: WindowRules = {
  initial: 2,
  limit: 3,
  positive: { amount: 1, per: "one" },
  negative: { amount: 1, per: "one" },
  failedCohortLimit: 1,
  rest: 1_000,
};

const queue = (processLimit = 0): TransportQueue =>
  new TransportQueue({ name: "smtp", window: WINDOW, processLimit, recipientLimit: 50, retryTime: 500 });

const SENT = { outcome: "sent", scope: "recipient" } as DeliveryResult;
const REFUSED = { outcome: "deferred", scope: "destination", status: "4.4.1", reason: "refused" } as DeliveryResult;
const BROKEN = { outcome: "deferred", scope: "transport", status: "4.3.0", reason: "broken" } as DeliveryResult;

/** Jobs are told apart by their one address. */
function add(transport: TransportQueue, nexthop: string, ...names: string[]): Destination {
  const destination = transport.destination(nexthop, nexthop);
  for (const name of names) {
    transport.add({ message: {} as ActiveMessage, destination, waiting: [], addresses: [name] });
  }
  return destination;
}

const name = (job: Job | null): string | null => job === null ? null : job.addresses[0]!;

function all(transport: TransportQueue, now = 0): string[] {
  const names: string[] = [];
  for (let job = transport.next(now); job !== null; job = transport.next(now)) names.push(job.addresses[0]!);
  return names;
}

describe("TransportQueue", () => {
  test("destinations take turns, each within its window", () => {
    const transport = queue();
    add(transport, "a", "a1", "a2", "a3", "a4");
    add(transport, "b", "b1", "b2");
    add(transport, "c", "c1");
    assert.deepEqual(all(transport), ["a1", "b1", "c1", "a2", "b2"]);
    assert.equal(transport.busy, 5);
  });

  test("an ended delivery lets the next of its destination in", () => {
    const transport = queue();
    const a = add(transport, "a", "a1", "a2", "a3", "a4", "a5");
    assert.deepEqual(all(transport), ["a1", "a2"]);
    transport.ended(a, [SENT], 0);
    assert.deepEqual(all(transport), ["a3", "a4"], "the window grew to three");
    assert.equal(transport.next(0), null);
  });

  test("the process limit holds for all destinations together", () => {
    const transport = queue(2);
    const a = add(transport, "a", "a1");
    add(transport, "b", "b1");
    add(transport, "c", "c1");
    assert.deepEqual(all(transport), ["a1", "b1"]);
    transport.ended(a, [SENT], 0);
    assert.deepEqual(all(transport), ["c1"]);
  });

  test("a dead destination starts nothing, until it has rested", () => {
    const transport = queue();
    const a = add(transport, "a", "a1", "a2", "a3");
    assert.deepEqual(all(transport), ["a1", "a2"]);
    for (let failure = 0; failure < 2; failure++) {
      transport.ended(a, [REFUSED], 10);
    }
    assert.deepEqual(all(transport, 20), []);
    assert.equal(transport.suspended(a, 20)?.why, "refused");
    assert.equal(transport.takeAll(a).length, 1);
    add(transport, "a", "a4");
    assert.deepEqual(all(transport, 1_010), ["a4"]);
  });

  test("a dead transport suspends every destination; wake() forgives", () => {
    const transport = queue();
    const a = add(transport, "a", "a1", "a2");
    assert.equal(all(transport).length, 2);
    transport.ended(a, [BROKEN], 0);
    assert.deepEqual(transport.suspended(a, 499), { until: 500, status: "4.3.0", why: "broken" });
    assert.equal(transport.suspended(a, 500), null);
    transport.ended(a, [BROKEN], 1_000);
    transport.wake();
    assert.equal(transport.suspended(a, 1_001), null);
  });

  test("a job left behind by a full window is found again after wake()", () => {
    const transport = queue();
    const a = add(transport, "a", "a1", "a2", "a3");
    all(transport);
    for (let failure = 0; failure < 2; failure++) {
      transport.ended(a, [REFUSED], 10);
    }
    assert.equal(name(transport.next(20)), null);
    transport.wake();
    assert.equal(name(transport.next(20)), "a3");
  });

  test("a follower takes the slot of the delivery before it, within window and limit", () => {
    const transport = queue(2);
    const a = add(transport, "a", "a1", "a2", "a3", "a4");
    assert.deepEqual(all(transport), ["a1", "a2"]);
    const follower = transport.takeFollower(a, 0)!;
    assert.equal(name(follower), "a3");
    transport.handOn(a);
    assert.deepEqual([transport.busy, a.window.busy], [2, 2]);
    transport.ended(a, [SENT], 0);
    assert.deepEqual([transport.busy, a.window.busy], [2, 2], "the slot went to the follower");
    assert.deepEqual(all(transport), []);
    transport.ended(a, [SENT], 0);
    assert.deepEqual(all(transport), ["a4"]);
  });

  test("a follower that is given back is the first again", () => {
    const transport = queue(1);
    const a = add(transport, "a", "a1", "a2", "a3");
    assert.deepEqual(all(transport), ["a1"]);
    transport.giveBack(transport.takeFollower(a, 0)!);
    transport.ended(a, [SENT], 0);
    assert.deepEqual(all(transport), ["a2"]);
  });

  test("nothing follows where another destination waits for a process, or the destination is dead", () => {
    const transport = queue(1);
    const a = add(transport, "a", "a1", "a2");
    assert.deepEqual(all(transport), ["a1"]);
    add(transport, "b", "b1");
    assert.equal(transport.takeFollower(a, 0), null);
    const other = queue(1);
    const dead = add(other, "a", "a1", "a2", "a3");
    for (let failure = 0; failure < 2; failure++) {
      other.next(0);
      other.ended(dead, [REFUSED], 0);
    }
    assert.equal(other.takeFollower(dead, 1), null);
  });

  test("idle destinations are forgotten beyond a thousand", () => {
    const transport = queue();
    for (let at = 0; at < 1_500; at++) {
      const destination = add(transport, `d${at}`, `j${at}`);
      assert.equal(name(transport.next(0)), `j${at}`);
      transport.ended(destination, [SENT], 0);
    }
    assert.ok([...transport.destinations()].length <= 1_000);
  });
});
