import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Clogged, clogWarnings, isClogging } from "../../src/qmgr/clog.ts";
import { Desk } from "./desk.ts";

const ALONE: Clogged = {
  transport: "smtp",
  nexthop: "x.example",
  deliveries: 5000,
  busy: 5,
  window: 6,
  limit: 20,
  others: false,
  active: 5001,
  activeLimit: 20_000,
};

const END = [
  "please avoid flushing the whole queue when you have",
  "lots of deferred mail, that is bad for performance",
  "to turn off these warnings specify: qmgr_clog_warn_time = 0",
];

const advice = (change: Partial<Clogged>): string => {
  const lines = clogWarnings({ ...ALONE, ...change });
  assert.deepEqual(lines.slice(-3), END);
  return lines.slice(0, -3).join("; ");
};

describe("a destination that fills the active queue", () => {
  test("is one with more than a fifth of its places", () => {
    assert.deepEqual([4000, 4001].map((count) => isClogging(count, 20_000)), [false, true]);
    assert.deepEqual([0, 1].map((count) => isClogging(count, 4)), [false, true]);
  });

  test("what may help depends on why it falls behind", () => {
    const words = "mail for x.example is using up 5000 of 5001 active queue entries";
    assert.equal(
      advice({}),
      `${words}; you may need to reduce smtp connect and helo timeouts; ` +
        "so that Postfix quickly skips unavailable hosts; " +
        "you may need to increase the main.cf minimal_backoff_time and maximal_backoff_time; " +
        "so that Postfix wastes less time on undeliverable mail; " +
        "you may need to increase the master.cf smtp process limit",
    );
    assert.equal(
      advice({ busy: 19 }),
      `${words}; you may need to increase the main.cf smtp_destination_concurrency_limit from 20`,
    );
    assert.equal(
      advice({ window: 30, activeLimit: 20, limit: 0 }),
      `${words}; you may need to increase the main.cf qmgr_message_active_limit from 20`,
    );
    assert.equal(
      advice({ others: true, active: 10_000 }),
      "mail for x.example is using up 5000 of 10000 active queue entries; this may slow down other mail deliveries; " +
        "you may need a separate master.cf transport for x.example",
    );
  });

  const warnings = (desk: Desk): string[] => desk.lines.filter((line) => line.includes("is using up"));
  const fill = async (desk: Desk, first: number): Promise<void> => {
    for (let at = first; at < first + 4; at++) await desk.accept([`u${at}@x`]);
    await desk.clock.pass(1_000);
  };

  test("is told of once in qmgr_clog_warn_time", async () => {
    const desk = await Desk.make({ main: "qmgr_message_active_limit = 10\nqmgr_clog_warn_time = 100s" });
    await fill(desk, 0);
    assert.deepEqual(warnings(desk), ["warning: mail for x is using up 3 of 3 active queue entries"]);
    await desk.clock.pass(98_000);
    await desk.accept(["more@x"]);
    assert.equal(warnings(desk).length, 1);
    await desk.clock.pass(2_000);
    await desk.accept(["still@x"]);
    await desk.clock.pass(1_000);
    assert.match(warnings(desk)[1]!, /using up 6 of 6 active/);
  });

  for (const off of ["qmgr_clog_warn_time = 0", "helpful_warnings = no"]) {
    test(`nothing is told with ${off}`, async () => {
      const desk = await Desk.make({ main: `qmgr_message_active_limit = 10\n${off}` });
      await fill(desk, 0);
      assert.deepEqual(warnings(desk), []);
    });
  }
});
