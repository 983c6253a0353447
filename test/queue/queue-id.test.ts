/**
 * Queue ids: Postfix's shapes and alphabets, never two alike, never one that is taken.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { isQueueId, NODE_LIMIT, type QueueIdOptions, QueueIds, SHARD_LIMIT } from "../../src/queue/queue-id.ts";

const SHORT = /^[0-9A-F]{6,}$/;
const LONG = /^[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]{10,}z[0-9B-DF-HJ-NP-TV-Zb-df-hj-np-tv-y]+$/;

function makeIds(now: () => number, options: Partial<QueueIdOptions> = {}): QueueIds {
  const clock = {
    now,
    monotonic: now,
    after: () => ({ cancel: () => {} }),
    soon: () => {},
    zoneMinutes: () => 0,
    zoneName: () => "UTC",
  };
  return new QueueIds({ clock, long: false, node: 0, shard: 0, epoch: 1, taken: () => false, ...options });
}

const time = fc.double({ min: 0, max: 5e12, noNaN: true });
const epoch = fc.nat(1e9);

describe("queue ids", () => {
  it("have Postfix's shape at any time, epoch, node and shard", () => {
    fc.assert(fc.property(time, epoch, fc.nat(NODE_LIMIT - 1), fc.nat(SHARD_LIMIT - 1), (now, at, node, shard) => {
      const options = { epoch: at, node, shard };
      const short = makeIds(() => now, options).next();
      const long = makeIds(() => now, { ...options, long: true }).next();
      assert.match(short, SHORT);
      assert.match(long, LONG);
      assert.ok(isQueueId(short) && isQueueId(long));
    }));
  });
  it("differ although the clock stands still, between shards and nodes too", () => {
    for (const long of [false, true]) {
      const makers = [[0, 0], [0, 1], [1, 0], [63, 63]].map(([node, shard]) =>
        makeIds(() => 1.7e12, { node: node!, shard: shard!, long })
      );
      const seen = new Set<string>();
      for (let i = 0; i < 5000; i++) for (const maker of makers) seen.add(maker.next());
      assert.equal(seen.size, 20_000);
    }
  });
  it("do not start where the last process started", () => {
    const first = makeIds(() => 1.7e12, { epoch: 1 });
    const second = makeIds(() => 1.7e12, { epoch: 2 });
    const ids = new Set(Array.from({ length: 10_000 }, () => first.next()));
    for (let i = 0; i < 10_000; i++) assert.ok(!ids.has(second.next()));
  });
  it("pass over one that a message bears", () => {
    const probe = makeIds(() => 1.7e12);
    const taken = new Set([probe.next(), probe.next()]);
    const third = probe.next();
    assert.equal(makeIds(() => 1.7e12, { taken: (id) => taken.has(id) }).next(), third);
  });
  it("long ids sort by the second and tell their time as Postfix's do", () => {
    const alphabet = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz";
    const id = makeIds(() => 1_700_000_001_250, { long: true }).next();
    const value = (digits: string): number => [...digits].reduce((sum, digit) => sum * 52 + alphabet.indexOf(digit), 0);
    assert.equal(value(id.slice(0, 6)), 1_700_000_001);
    assert.equal(value(id.slice(6, 10)), 250_000);
    assert.equal(id[10], "z");
  });
  it("other text is no queue id", () => {
    for (const text of ["", "ABC12", "abcdef0", "../../x", "3Pt2mN2VXxznjllz3Pt2mN2VXxznjll", "0123456789z", "ALL"]) {
      assert.equal(isQueueId(text), false, text);
    }
    assert.equal(isQueueId("3Pt2mN2VXxznjll"), true);
  });
});
