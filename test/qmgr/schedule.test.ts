import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { ActiveMessage } from "../../src/qmgr/active.ts";
import type { WindowRules } from "../../src/qmgr/destination.ts";
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
  new TransportQueue({ name: "smtp", window: WINDOW, processLimit, recipientLimit: 50 });

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
    a.window.answered();
    transport.ended(a);
    assert.deepEqual(all(transport), ["a3", "a4"], "the window grew to three");
    assert.equal(transport.next(0), null);
  });

  test("the process limit holds for all destinations together", () => {
    const transport = queue(2);
    const a = add(transport, "a", "a1");
    add(transport, "b", "b1");
    add(transport, "c", "c1");
    assert.deepEqual(all(transport), ["a1", "b1"]);
    a.window.answered();
    transport.ended(a);
    assert.deepEqual(all(transport), ["c1"]);
  });

  test("a dead destination starts nothing, until it has rested", () => {
    const transport = queue();
    const a = add(transport, "a", "a1", "a2", "a3");
    assert.deepEqual(all(transport), ["a1", "a2"]);
    for (let failure = 0; failure < 2; failure++) {
      a.window.failed(10, "4.4.1", "refused");
      transport.ended(a);
    }
    assert.deepEqual(all(transport, 20), []);
    assert.equal(transport.suspended(a, 20)?.why, "refused");
    assert.equal(transport.takeAll(a).length, 1);
    add(transport, "a", "a4");
    assert.deepEqual(all(transport, 1_010), ["a4"]);
  });

  test("a dead transport suspends every destination; wake() forgives", () => {
    const transport = queue();
    const a = add(transport, "a");
    transport.die(500, "4.3.0", "broken");
    assert.deepEqual(transport.suspended(a, 499), { until: 500, status: "4.3.0", why: "broken" });
    assert.equal(transport.suspended(a, 500), null);
    transport.die(500, "4.3.0", "broken");
    transport.wake();
    assert.equal(transport.suspended(a, 1), null);
  });

  test("a job left behind by a full window is found again after wake()", () => {
    const transport = queue();
    const a = add(transport, "a", "a1", "a2", "a3");
    all(transport);
    for (let failure = 0; failure < 2; failure++) {
      a.window.failed(10, "4.4.1", "refused");
      transport.ended(a);
    }
    assert.equal(name(transport.next(20)), null);
    transport.wake();
    assert.equal(name(transport.next(20)), "a3");
  });

  test("idle destinations are forgotten beyond a thousand", () => {
    const transport = queue();
    for (let at = 0; at < 1_500; at++) {
      const destination = add(transport, `d${at}`, `j${at}`);
      assert.equal(name(transport.next(0)), `j${at}`);
      destination.window.answered();
      transport.ended(destination);
    }
    assert.ok([...transport.destinations()].length <= 1_000);
  });
});
