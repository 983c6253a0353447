import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ActiveMessage } from "../../src/qmgr/active.ts";
import type { WindowRules } from "../../src/qmgr/destination.ts";
import { type Destination, type Job, TransportQueue, type TransportRules } from "../../src/qmgr/schedule.ts";
import type { QueueEntry } from "../../src/queue/store.ts";
import type { DeliveryResult } from "../../src/status.ts";

const WINDOW: WindowRules = {
  initial: 2,
  limit: 3,
  positive: { amount: 1, per: "one" },
  negative: { amount: 1, per: "one" },
  failedCohortLimit: 1,
  rest: 1_000,
  pause: 0,
  debug: null,
};

const RULES: TransportRules = {
  name: "smtp",
  window: WINDOW,
  slots: { cost: 5, loan: 3, discount: 50, minimum: 3 },
  processLimit: 0,
  stalledLimit: 0,
  recipientLimit: 50,
  retryTime: 500,
  pause: 0,
  destinationLimit: 1_000,
  introduction: [],
};

const queue = (rules: Partial<TransportRules> = {}): TransportQueue => new TransportQueue({ ...RULES, ...rules });

const SENT = { outcome: "sent", scope: "recipient" } as DeliveryResult;
const REFUSED = { outcome: "deferred", scope: "destination", status: "4.4.1", reason: "refused" } as DeliveryResult;
const BROKEN = { outcome: "deferred", scope: "transport", status: "4.3.0", reason: "broken" } as DeliveryResult;

/** One message for each name, with one delivery: jobs are told apart by their one address. */
function add(transport: TransportQueue, nexthop: string, ...names: string[]): Destination {
  for (const name of names) addMessage(transport, [nexthop, name]);
  return transport.destination(nexthop, nexthop);
}

/** One message for several destinations. */
function addMessage(transport: TransportQueue, ...parts: (readonly [string, ...string[]])[]): void {
  const message = new ActiveMessage({} as QueueEntry, 0);
  for (const [nexthop, ...names] of parts) {
    const destination = transport.destination(nexthop, nexthop);
    transport.add(names.map((name) => ({ message, destination, waiting: [], addresses: [name] })), 0);
  }
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

  test("a mailing to many destinations has one turn, as a letter has", () => {
    const transport = queue({ processLimit: 1 });
    addMessage(transport, ["a", "m1"], ["b", "m2"], ["c", "m3"], ["d", "m4"]);
    add(transport, "x", "x1");
    add(transport, "y", "y1");
    const order: string[] = [];
    for (let job = transport.next(0); job !== null; job = transport.next(0)) {
      order.push(name(job)!);
      transport.ended(job.destination, [SENT], 0);
    }
    assert.deepEqual(order, ["m1", "x1", "y1", "m2", "m3", "m4"]);
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
    const transport = queue({ processLimit: 2 });
    const a = add(transport, "a", "a1");
    add(transport, "b", "b1");
    add(transport, "c", "c1");
    assert.deepEqual(all(transport), ["a1", "b1"]);
    transport.ended(a, [SENT], 0);
    assert.deepEqual(all(transport), ["c1"]);
  });

  test("a destination that dies hands out what waits for it, and starts nothing until it has rested", () => {
    const transport = queue();
    const a = add(transport, "a", "a1", "a2", "a3");
    assert.deepEqual(all(transport), ["a1", "a2"]);
    assert.equal(transport.ended(a, [REFUSED], 10), null);
    const putOff = transport.ended(a, [REFUSED], 10)!;
    assert.deepEqual(putOff.jobs.map(name), ["a3"]);
    assert.equal(putOff.dead.why, "delivery temporarily suspended: refused");
    assert.deepEqual(all(transport, 20), []);
    add(transport, "a", "a4");
    assert.deepEqual(all(transport, 1_010), ["a4"]);
  });

  test("a dead transport hands out what waits at all its destinations; wake() forgives", () => {
    const transport = queue();
    const a = add(transport, "a", "a1", "a2", "a3");
    add(transport, "b", "b1", "b2", "b3");
    assert.equal(all(transport).length, 4);
    assert.deepEqual(transport.ended(a, [BROKEN], 0)!.jobs.map(name).sort(), ["a3", "b3"]);
    assert.deepEqual(transport.dead(499), { until: 500, status: "4.3.0", why: "broken" });
    add(transport, "c", "c1");
    assert.equal(transport.next(499), null);
    assert.equal(name(transport.next(500)), "c1");
    transport.ended(a, [BROKEN], 1_000);
    transport.wake(1_001);
    assert.equal(transport.dead(1_001), null);
  });

  test("a follower takes the slot of the delivery before it, within window and limit", () => {
    const transport = queue({ processLimit: 2 });
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
    const transport = queue({ processLimit: 1 });
    const a = add(transport, "a", "a1", "a2", "a3");
    assert.deepEqual(all(transport), ["a1"]);
    assert.equal(transport.giveBack(transport.takeFollower(a, 0)!, 0), null);
    transport.ended(a, [SENT], 0);
    assert.deepEqual(all(transport), ["a2"]);
  });

  test("a follower that comes back when its delivery is over finds its destination, or what that died of", () => {
    const transport = queue();
    const a = add(transport, "a", "a1", "a2", "a3");
    assert.deepEqual(all(transport), ["a1", "a2"]);
    const follower = transport.takeFollower(a, 0)!;
    transport.ended(a, [SENT], 0);
    transport.ended(a, [SENT], 0);
    assert.equal(transport.destinationCount, 1, "it is remembered for the follower");
    assert.equal(transport.giveBack(follower, 0), null);
    assert.deepEqual(all(transport), ["a3"]);
    transport.ended(a, [SENT], 0);
    assert.equal(transport.destinationCount, 0);
    const b = add(transport, "b", "b1", "b2", "b3");
    all(transport);
    const other = transport.takeFollower(b, 0)!;
    for (let failure = 0; failure < 2; failure++) transport.ended(b, [REFUSED], 0);
    assert.equal(transport.giveBack(other, 0)?.why, "delivery temporarily suspended: refused");
  });

  test("nothing follows where another destination waits for a process, the window is full, or it is dead", () => {
    const transport = queue({ processLimit: 1 });
    const a = add(transport, "a", "a1", "a2");
    assert.deepEqual(all(transport), ["a1"]);
    add(transport, "b", "b1");
    assert.equal(transport.takeFollower(a, 0), null);
    const other = queue({ window: { ...WINDOW, initial: 3 } });
    const dead = add(other, "a", "a1", "a2", "a3", "a4", "a5");
    all(other);
    other.ended(dead, [REFUSED], 0);
    assert.deepEqual([dead.window.window, dead.window.busy], [1, 2]);
    assert.equal(other.takeFollower(dead, 1), null, "the window is narrower than what is under way");
    other.ended(dead, [REFUSED], 0);
    assert.equal(other.takeFollower(dead, 1), null);
  });

  test("a host that hangs leaves the processes to others, and its mail waits for its own pool", () => {
    const transport = queue({ processLimit: 4, stalledLimit: 4, window: { ...WINDOW, initial: 5, limit: 20 } });
    const dead = add(transport, "dead", "d1", "d2", "d3", "d4", "d5");
    assert.deepEqual(all(transport), ["d1", "d2"], "new ones may not have more than one when half are in use");
    const live = add(transport, "live", "l1", "l2", "l3", "l4", "l5", "l6");
    assert.deepEqual(all(transport), ["l1"]);
    assert.equal(transport.nextStart(), 1_000, "nothing else may happen");
    transport.ended(live, [SENT], 100);
    assert.deepEqual(all(transport, 100), ["l2", "l3"], "the one that answered may");
    assert.deepEqual(all(transport, 999), []);
    transport.ended(live, [SENT], 1_000);
    assert.deepEqual(all(transport, 1_000), ["l4", "l5", "l6"], "the two that hang count no more");
    assert.deepEqual([transport.busy, dead.window.busy, dead.state], [6, 2, "stalled"]);
    transport.ended(dead, [REFUSED], 1_500);
    assert.deepEqual(all(transport, 1_500), ["d3"], "in the place of the one that ended");
    transport.ended(dead, [SENT], 1_600);
    assert.deepEqual([dead.state, transport.busy], ["answering", 5]);
    assert.deepEqual(all(transport, 1_600), [], "all four processes are in use again, and one more");
  });

  test("a second delivery that had to wait starts when slots are no longer scarce", () => {
    const transport = queue({ processLimit: 4, stalledLimit: 4 });
    const a = add(transport, "a", "a1", "a2");
    const b = add(transport, "b", "b1");
    assert.deepEqual(all(transport), ["a1", "b1"]);
    transport.ended(b, [SENT], 10);
    assert.deepEqual(all(transport, 10), ["a2"]);
    for (const one of [a, a]) transport.ended(one, [SENT], 20);
    assert.deepEqual([transport.busy, transport.destinationCount, transport.nextStart()], [0, 0, null]);
  });

  test("one that had to wait for slots and died is waited for no more", () => {
    const transport = queue({ processLimit: 4, stalledLimit: 4, window: { ...WINDOW, initial: 5, limit: 20 } });
    const live = add(transport, "live", "l1");
    const dead = add(transport, "dead", "d1", "d2", "d3", "d4", "d5", "d6");
    all(transport);
    for (let time = 1; dead.window.deadReason(time) === null; time++) {
      assert.equal(transport.nextStart(), 1_000, "the next of its deliveries waits");
      transport.ended(dead, [REFUSED], time);
      all(transport, time);
    }
    assert.equal(live.busy, 1);
    assert.equal(transport.nextStart(), null);
  });

  test("thousands that wait for slots cost nothing while there are none", () => {
    const transport = queue({ processLimit: 4_000, stalledLimit: 4, window: { ...WINDOW, limit: 20 } });
    const waiting = Array.from({ length: 2_000 }, (_, at) => add(transport, `d${at}`, `d${at}-1`, `d${at}-2`));
    all(transport);
    let looks = 0;
    for (const { line } of waiting) {
      const first = line.first.bind(line);
      line.first = () => (looks++, first());
    }
    for (const one of waiting.slice(0, 100)) {
      transport.ended(one, [SENT], 1);
      all(transport, 1);
    }
    assert.ok(looks < 2_000, `${looks} looks for 100 deliveries`);
  });

  test("time that is over is not waited for again, whatever keeps deliveries from starting", () => {
    const transport = queue({ processLimit: 4, stalledLimit: 4, pause: 60_000, window: { ...WINDOW, pause: 10 } });
    const a = add(transport, "a", "a1", "a2");
    assert.deepEqual(all(transport, 0), ["a1"]);
    transport.ended(a, [SENT], 5);
    for (const time of [15, 1_000, 2_000, 30_000]) {
      assert.deepEqual(all(transport, time), []);
      assert.ok(transport.nextStart()! > time, `at ${time} it waits for ${transport.nextStart()}`);
    }
    assert.deepEqual(all(transport, 60_000), ["a2"]);
  });

  test("a follower keeps the slot whatever other destinations do", () => {
    const transport = queue({ processLimit: 4, stalledLimit: 4 });
    const a = add(transport, "a", "a1", "a2");
    const b = add(transport, "b", "b1");
    assert.deepEqual(all(transport), ["a1", "b1"]);
    const follower = transport.takeFollower(a, 5);
    assert.equal(name(follower), "a2");
    transport.handOn(a);
    transport.ended(b, [SENT], 6);
    assert.deepEqual([b.busy, a.busy], [0, 1]);
    transport.ended(a, [SENT], 7);
    assert.deepEqual([a.busy, transport.busy], [1, 1], "it is still under way");
    transport.ended(a, [SENT], 8);
    assert.equal(transport.busy, 0);
  });

  test("a rate delay: one delivery at a time to each destination, with pauses", () => {
    const transport = queue({ window: { ...WINDOW, pause: 100 } });
    const a = add(transport, "a", "a1", "a2");
    const b = add(transport, "b", "b1", "b2");
    assert.deepEqual(all(transport, 0), ["a1", "b1"]);
    assert.equal(transport.nextStart(), null);
    transport.ended(a, [SENT], 10);
    transport.ended(b, [REFUSED], 20);
    assert.deepEqual(all(transport, 50), []);
    assert.equal(transport.nextStart(), 110);
    assert.deepEqual(all(transport, 110), ["a2"]);
    transport.ended(a, [SENT], 115);
    assert.deepEqual([transport.nextStart(), transport.destinationCount], [120, 2]);
    assert.deepEqual(all(transport, 300), []);
    assert.equal(transport.destinationCount, 0, "b2 was put off when b failed");
  });

  test("a transport's rate delay counts from start to start, whatever the destination", () => {
    const transport = queue({ pause: 100 });
    add(transport, "a", "a1");
    add(transport, "b", "b1");
    assert.deepEqual(all(transport, 0), ["a1"]);
    assert.equal(transport.nextStart(), 100);
    assert.deepEqual(all(transport, 99), []);
    assert.deepEqual(all(transport, 100), ["b1"]);
    assert.equal(transport.nextStart(), null);
  });

  test("a transport's rate delay is waited for only where a delivery may start then", () => {
    const crowded = queue({ pause: 100, processLimit: 1 });
    const a = add(crowded, "a", "a1");
    add(crowded, "b", "b1");
    assert.deepEqual(all(crowded, 0), ["a1"]);
    assert.equal(crowded.nextStart(), null, "the process is in use");
    crowded.ended(a, [SENT], 50);
    assert.deepEqual(all(crowded, 50), []);
    assert.equal(crowded.nextStart(), 100);
    const broken = queue({ pause: 100 });
    const c = add(broken, "c", "c1");
    add(broken, "d", "d1");
    assert.deepEqual(all(broken, 0), ["c1"]);
    assert.equal(broken.ended(c, [BROKEN], 10)!.jobs.length, 1);
    assert.equal(broken.nextStart(), null, "nothing waits");
  });

  test("a transport's rate delay is waited for by a stalled destination too", () => {
    const window = { ...WINDOW, initial: 1, limit: 1, failedCohortLimit: 0 };
    const transport = queue({ pause: 100, processLimit: 4, stalledLimit: 4, window });
    const a = add(transport, "a", "a1", "a2");
    assert.deepEqual(all(transport, 0), ["a1"]);
    assert.deepEqual(all(transport, 1_000), []);
    add(transport, "b", "b1");
    assert.deepEqual(all(transport, 1_000), ["b1"]);
    transport.ended(a, [REFUSED], 1_050);
    assert.deepEqual(all(transport, 1_050), []);
    assert.equal(transport.nextStart(), 1_100);
    assert.deepEqual(all(transport, 1_100), ["a2"]);
  });

  test("idle destinations are forgotten at once, dead ones when they have rested or are too many", () => {
    const transport = queue({ destinationLimit: 10, window: { ...WINDOW, initial: 1 } });
    const die = (nexthop: string, result: DeliveryResult, now: number): void => {
      const destination = add(transport, nexthop, nexthop);
      assert.equal(name(transport.next(now)), nexthop);
      transport.ended(destination, [result], now);
    };
    for (let at = 0; at < 50; at++) die(`alive${at}`, SENT, 0);
    assert.equal(transport.destinationCount, 0);
    for (let at = 0; at < 50; at++) die(`dead${at}`, REFUSED, at);
    assert.equal(transport.destinationCount, 10);
    die("last", REFUSED, 1_060);
    assert.equal(transport.destinationCount, 1);
  });
});
