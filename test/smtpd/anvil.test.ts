import assert from "node:assert/strict";
import { it } from "node:test";
import type { Clock } from "../../src/runtime.ts";
import { Anvil } from "../../src/smtpd/anvil.ts";

function made(prefix4 = 32, prefix6 = 84): { anvil: Anvil; pass: (ms: number) => void } {
  let now = 0;
  const clock = { monotonic: () => now, now: () => now, zoneMinutes: () => 60 } as unknown as Clock;
  return { anvil: new Anvil(clock, { unit: 60_000, prefix4, prefix6 }), pass: (ms) => void (now += ms) };
}

it("counts what is open, and what came in this unit of time", () => {
  const { anvil, pass } = made();
  assert.deepEqual(anvil.connect("smtp", "192.0.2.1"), { open: 1, rate: 1 });
  assert.deepEqual(anvil.connect("smtp", "192.0.2.1"), { open: 2, rate: 2 });
  assert.deepEqual(anvil.connect("submission", "192.0.2.1"), { open: 1, rate: 1 }, "another service");
  assert.deepEqual(anvil.connect("smtp", "192.0.2.2"), { open: 1, rate: 1 }, "another client");
  anvil.disconnect("smtp", "192.0.2.1");
  pass(59_999);
  assert.deepEqual(anvil.connect("smtp", "192.0.2.1"), { open: 2, rate: 3 });
  pass(1);
  assert.deepEqual(anvil.connect("smtp", "192.0.2.1"), { open: 3, rate: 1 }, "a new unit");
  assert.equal(anvil.event("smtp", "192.0.2.1", "messages"), 1);
  assert.equal(anvil.event("smtp", "192.0.2.1", "messages"), 2);
  assert.equal(anvil.event("smtp", "192.0.2.1", "recipients"), 1);
});

it("takes a network of IPv6 addresses, and of IPv4 if told so, for one client", () => {
  const { anvil } = made(24);
  anvil.connect("smtp", "2001:db8::1");
  assert.equal(anvil.connect("smtp", "2001:db8::fff:ffff:ffff").rate, 2);
  assert.equal(anvil.connect("smtp", "2001:db8:0:0:1000::1").rate, 2 - 1, "bit 68");
  anvil.connect("smtp", "192.0.2.1");
  assert.equal(anvil.connect("smtp", "192.0.2.200").rate, 2);
  assert.equal(anvil.connect("smtp", "192.0.3.1").rate, 1);
});

it("forgets clients that are gone and silent", () => {
  const { anvil, pass } = made();
  anvil.connect("smtp", "192.0.2.9");
  for (let at = 0; at < 5_000; at++) {
    const address = `10.0.${at >> 8}.${at & 255}`;
    anvil.connect("smtp", address);
    anvil.disconnect("smtp", address);
    pass(100);
  }
  assert.ok(anvil.size < 2_000, `${anvil.size} are remembered`);
  assert.equal(anvil.connect("smtp", "192.0.2.9").open, 2, "one that is connected stays");
});

it("tells the greatest numbers since it was last asked", () => {
  const { anvil, pass } = made(24);
  assert.deepEqual(anvil.statistics(), []);
  anvil.connect("smtp", "192.0.2.1");
  pass(1_000);
  anvil.connect("smtp", "192.0.2.2");
  anvil.connect("smtp", "2001:db8::1");
  anvil.event("127.0.0.1:2525", "203.0.113.9", "messages");
  assert.deepEqual(anvil.statistics(), [
    "statistics: max connection rate 2/60s for (smtp:192.0.2.0/24) at Jan  1 01:00:01",
    "statistics: max connection count 2 for (smtp:192.0.2.0/24) at Jan  1 01:00:01",
    "statistics: max message rate 1/60s for (127.0.0.1:2525:203.0.113.0/24) at Jan  1 01:00:01",
    "statistics: max cache size 3 at Jan  1 01:00:01",
  ]);
  assert.deepEqual(anvil.statistics(), []);
});
