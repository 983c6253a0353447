/**
 * Corners of the queue manager: what operators do to mail under way, storage that fails at the end of a message, and
 * work that must not grow with what waits. Each was seen to fail before the code was made to hold it.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DeliveryAgent, Transport } from "../../src/agent.ts";
import { plainRecipient, type Recipient } from "../../src/envelope.ts";
import { TransportQueue } from "../../src/qmgr/schedule.ts";
import { Desk, settled, WINDOW } from "./desk.ts";

const wanting = (address: string): Recipient => ({ ...plainRecipient(address), notify: ["success"] });

/** Notices and marks that follow one another. */
async function over(): Promise<void> {
  for (let round = 0; round < 10; round++) await settled();
}

const QUICK = "minimal_backoff_time = 10s\nmaximal_backoff_time = 10s\n";

describe("a message under way", () => {
  it("is not delivered a second time when it is held and released", async () => {
    const desk = await Desk.make({ main: QUICK });
    const id = await desk.accept(["1@a"]);
    assert.deepEqual(await desk.store.hold([id]), [id]);
    assert.deepEqual(await desk.store.release([id]), [id]);
    desk.qmgr.look();
    await settled();
    assert.deepEqual(desk.started, ["1@a"]);
    assert.match(await desk.log(), new RegExp(`${id}: skipped, still being delivered`));
    await desk.clock.pass(12_000);
    assert.deepEqual(desk.started, ["1@a"], "nor later");
    await desk.endAll();
    await settled();
    assert.deepEqual([desk.store.get(id), desk.qmgr.activeCount], [null, 0]);
  });

  it("is tried again when it was released and its delivery failed", async () => {
    const desk = await Desk.make({ main: QUICK });
    const id = await desk.accept(["1@a"]);
    await desk.store.hold([id]);
    await desk.store.release([id]);
    desk.qmgr.look();
    await desk.endAll("deferred");
    await desk.clock.pass(12_000);
    assert.deepEqual(desk.started, ["1@a"]);
  });

  it("is not urged at its next try by who asked for it meanwhile", async () => {
    const desk = await Desk.make({ main: QUICK + "defer_transports = smtp" });
    const id = await desk.accept(["1@a"]);
    await settled();
    await desk.store.flush(id);
    desk.qmgr.flush([id]);
    assert.deepEqual(desk.started, ["1@a"]);
    desk.qmgr.flush([id]);
    await desk.endAll("deferred");
    await desk.clock.pass(12_000);
    assert.deepEqual(desk.started, []);
  });
});

describe("what somebody asked for", () => {
  it("is forgotten when it is held before its turn comes", async () => {
    const desk = await Desk.make({ main: QUICK + "defer_transports = smtp\nqmgr_message_active_limit = 1" });
    const first = await desk.accept(["1@a"]);
    await settled();
    const second = await desk.accept(["2@b"]);
    await settled();
    for (const id of [first, second]) await desk.store.flush(id);
    desk.qmgr.flush([first, second]);
    assert.deepEqual(desk.started.length, 1);
    const waiting = desk.started[0] === "1@a" ? second : first;
    await desk.store.hold([waiting]);
    await desk.endAll();
    await settled();
    await desk.store.release([waiting]);
    desk.qmgr.look();
    await settled();
    assert.deepEqual(desk.started, []);
  });
});

describe("mail that waits for a place", () => {
  it("is taken up at once when qmgr_message_recipient_limit alone kept it out", async () => {
    const desk = await Desk.make({ main: QUICK + "qmgr_message_recipient_limit = 2\nqmgr_message_active_limit = 2" });
    for (const name of ["1", "2", "3", "4"]) {
      await desk.accept([`${name}@a`, `${name}@b`]);
      while (desk.open.length > 0) await desk.open[0]!.end("deferred");
    }
    await desk.clock.pass(11_500);
    const started = desk.clock.now();
    let messages = 0;
    for (; desk.open.length > 0; messages++) {
      await desk.endAll();
      await settled();
    }
    assert.deepEqual([messages, desk.clock.now()], [4, started]);
  });
});

describe("a clock that is set", () => {
  it("forward: what is due by it does not wait for the old time", async () => {
    const desk = await Desk.make({ main: "minimal_backoff_time = 2h\nmaximal_backoff_time = 2h" });
    await desk.accept(["1@a"]);
    await desk.endAll("deferred");
    desk.clock.jump(3 * 3_600_000);
    await desk.clock.pass(301_000);
    assert.deepEqual(desk.started, ["1@a"]);
  });

  it("backward: a dead destination rests no longer than minimal_backoff_time", async () => {
    const desk = await Desk.make({ main: QUICK });
    for (const name of ["1", "2"]) await desk.accept([`${name}@a`]);
    await desk.endAll("deferred", "destination");
    await desk.accept(["3@a"]);
    assert.deepEqual(desk.started, [], "it is dead");
    desk.clock.jump(-3 * 3_600_000);
    await desk.clock.pass(301_000);
    await desk.accept(["4@a"]);
    assert.deepEqual(desk.started, ["4@a"]);
  });
});

describe("storage that fails at the end of a message", () => {
  it("costs the notice of a delivery, not a second delivery", async () => {
    const desk = await Desk.make({ main: QUICK });
    const id = await desk.accept([wanting("1@a"), "2@b"]);
    desk.fails.set("delivered", 1);
    await desk.open[0]!.end();
    await desk.open[0]!.end("deferred");
    await over();
    assert.deepEqual(desk.store.get(id)!.waiting.map(({ index }) => index), [1]);
    assert.match(await desk.log(), new RegExp(`${id}: .*delivered: no space`));
    await desk.clock.pass(12_000);
    assert.deepEqual(desk.started, ["2@b"]);
  });

  it("does not deliver again what was delivered beside a bounce that could not be told of", async () => {
    const desk = await Desk.make({ main: QUICK });
    const id = await desk.accept([wanting("1@a"), "2@b"]);
    desk.fails.set("undeliverable", 1);
    await desk.open[0]!.end();
    await desk.open[0]!.end("bounced");
    await over();
    assert.deepEqual(desk.store.get(id)!.waiting.map(({ index }) => index), [1]);
    assert.ok(desk.events.includes("delivered 1@a"));
    await desk.clock.pass(12_000);
    assert.deepEqual(desk.started, ["2@b"]);
  });

  it("does not bounce again what was bounced beside a delay that could not be told of", async () => {
    const desk = await Desk.make({ main: QUICK + "delay_warning_time = 15s" });
    const id = await desk.accept(["1@a", "2@b"]);
    await desk.endAll("deferred");
    desk.fails.set("delayed", 1);
    for (let round = 0; round < 2; round++) {
      await desk.clock.pass(12_000);
      for (const one of [...desk.open]) await one.end(round === 1 && one.addresses === "1@a" ? "bounced" : "deferred");
      await over();
    }
    assert.deepEqual(desk.store.get(id)!.waiting.map(({ index }) => index), [1]);
    await desk.clock.pass(12_000);
    assert.deepEqual(desk.started, ["2@b"]);
    await desk.endAll("deferred");
    await over();
    const notices = desk.events.filter((event) => /^(delayed|undeliv)/.test(event));
    assert.deepEqual(notices, ["undeliverable 1@a", "delayed 2@b"]);
  });
});

describe("a lookup that breaks", () => {
  it("defers that recipient alone", async () => {
    const desk = await Desk.make({
      resolve: ({ address }) => {
        if (address === "1@a") throw new Error("no table");
        return { kind: "deliver", transport: "smtp", nexthop: "a", recipient: address };
      },
    });
    const id = await desk.accept(["1@a", "2@a"]);
    assert.deepEqual(desk.started, ["2@a"]);
    await desk.endAll();
    await settled();
    assert.deepEqual(desk.store.get(id)!.waiting.map(({ reason }) => reason), ["no table"]);
    assert.equal(desk.qmgr.activeCount, 0);
  });
});

describe("an agent that throws", () => {
  it("has its delivery deferred, at once or later, and the others go on", async () => {
    const asked: string[] = [];
    const agent: DeliveryAgent = {
      deliver: ({ recipients: [one] }) => {
        asked.push(one!.address);
        if (one!.address === "1@a") throw new Error("broken at once");
        return Promise.reject(new Error("broken later"));
      },
      close: () => Promise.resolve(),
    };
    const desk = await Desk.make({ main: QUICK, agent });
    const ids = [await desk.accept(["1@a"]), await desk.accept(["2@b"])];
    await over();
    const reasons = ids.map((id) => desk.store.get(id)!.waiting[0]!.reason);
    assert.deepEqual(reasons, ["internal error: broken at once", "internal error: broken later"]);
    assert.deepEqual([asked, desk.qmgr.activeCount], [["1@a", "2@b"], 0]);
  });
});

describe("a lookup that takes long", () => {
  it("does not bring a destination a second window, when other mail for it ended meanwhile", async () => {
    let answer = (): void => {};
    const desk = await Desk.make({
      rules: { window: { ...WINDOW, initial: 1, limit: 1 } },
      resolve: ({ address }) => {
        const nexthop = address.split("@")[1]!;
        const found: Transport = { kind: "deliver", transport: "smtp", nexthop, recipient: address };
        return address === "slow@b" ? new Promise((resolve) => answer = () => resolve(found)) : found;
      },
    });
    await desk.accept(["1@a"]);
    await desk.accept(["2@a", "slow@b"]);
    await desk.endAll();
    answer();
    await settled();
    await desk.accept(["3@a"]);
    assert.deepEqual(desk.started, ["2@a", "slow@b"]);
    await desk.endAll();
    assert.deepEqual(desk.started, ["3@a"]);
  });
});

describe("mail that is put off at once", () => {
  /** How many destinations are remembered when all is over. */
  const remembered = async (main: string, act: (desk: Desk) => Promise<void>): Promise<number> => {
    const used = new Set<TransportQueue>();
    const { dead } = TransportQueue.prototype;
    TransportQueue.prototype.dead = function (now) {
      used.add(this);
      return dead.call(this, now);
    };
    try {
      await act(await Desk.make({ main: QUICK + main }));
    } finally {
      TransportQueue.prototype.dead = dead;
    }
    assert.ok(used.size > 0);
    return Math.max(...[...used].map(({ destinationCount }) => destinationCount));
  };

  it("leaves nothing behind of its destinations: held back by defer_transports", async () => {
    const count = await remembered("defer_transports = smtp", async (desk) => {
      for (let at = 0; at < 50; at++) await desk.accept([`x@d${at}`]);
    });
    assert.equal(count, 0);
  });

  it("leaves nothing behind of its destinations: the transport is broken", async () => {
    const count = await remembered("", async (desk) => {
      await desk.accept(["x@first"]);
      await desk.endAll("deferred", "transport");
      for (let at = 0; at < 50; at++) await desk.accept([`x@d${at}`]);
    });
    assert.equal(count, 0);
  });
});

describe("a destination that dies", () => {
  it("has thousands of messages put off without a halt of everything else, and stop() waits for them", async () => {
    const desk = await Desk.make({ rules: { window: { ...WINDOW, initial: 1 } } });
    const { clock, qmgr } = desk;
    for (let at = 0; at < 3_000; at++) await desk.accept([`u${at}@dead`]);
    // A clock that ticks with each look makes slices that do not depend on the machine.
    let ticks = 0;
    const monotonic = clock.monotonic;
    clock.monotonic = () => monotonic() + ticks++ / 10;
    const active: number[] = [];
    const soon = clock.soon;
    clock.soon = (action) => soon(() => (active.push(qmgr.activeCount), action()));
    void desk.open[0]!.end("deferred", "destination");
    await settled();
    await qmgr.stop(60_000);
    assert.ok(active.length >= 10, `${active.length} turns for others`);
    assert.deepEqual([qmgr.activeCount, desk.store.count("deferred")], [0, 3_000]);
  });
});

describe("time that passes with nothing to do", () => {
  it("costs nothing while a transport_rate_delay runs", async () => {
    const desk = await Desk.make({ processLimit: 4, rules: { pause: 60_000, stalledLimit: 4 } });
    for (const name of ["1", "2", "3"]) await desk.accept([`x@${name}`]);
    assert.equal(desk.started.length, 1);
    const before = desk.clock.rung;
    await desk.clock.pass(59_000);
    assert.ok(desk.clock.rung - before < 10, `${desk.clock.rung - before} timers rang`);
    await desk.clock.pass(2_000);
    assert.equal(desk.started.length, 2);
  });
});

describe("expired by an operator (postsuper -e)", () => {
  it("goes back without an attempt, with the reason of the last one", async () => {
    const desk = await Desk.make({ main: QUICK });
    const id = await desk.accept(["1@a", "2@b", "3@c"]);
    await settled();
    await desk.open.find(({ addresses }) => addresses === "1@a")!.end("deferred");
    await desk.endAll("sent");
    await over();
    assert.deepEqual(await desk.store.expire([id]), [id]);
    await desk.clock.pass(12_000);
    await over();
    assert.deepEqual([desk.started, desk.store.get(id)], [[], null]);
    assert.deepEqual(desk.events.filter((event) => event.startsWith("undeliverable")), ["undeliverable 1@a"]);
    const log = await desk.log();
    assert.match(log, new RegExp(`${id}: from=<s@x>, status=force-expired, returned to sender`));
    assert.doesNotMatch(log, /administratively/);
  });

  it("a message that was never tried", async () => {
    const desk = await Desk.make({ main: "qmgr_message_active_limit = 1\n" });
    await desk.accept(["1@a"]);
    const id = await desk.accept(["2@b", "3@c"]);
    assert.deepEqual(await desk.store.expire([id]), [id]);
    await desk.endAll();
    await over();
    await desk.clock.pass(100);
    await over();
    assert.deepEqual([desk.started, desk.store.get(id)], [[], null]);
    assert.deepEqual(desk.events.filter((event) => event.startsWith("undeliverable")), ["undeliverable 2@b 3@c"]);
    const line = "to=<2@b>, relay=none, .*dsn=4.7.0, status=deferred \\(message is administratively expired\\)";
    assert.match(await desk.log(), new RegExp(`${id}: ${line}`));
  });

  it("one that is under way is returned at its next attempt, if it is not delivered by this one", async () => {
    const desk = await Desk.make({ main: QUICK });
    const [first, second] = [await desk.accept(["1@a"]), await desk.accept(["2@b"])];
    await desk.store.expire([first, second]);
    await desk.open.find(({ addresses }) => addresses === "1@a")!.end("sent");
    await desk.open.find(({ addresses }) => addresses === "2@b")!.end("deferred");
    await over();
    assert.deepEqual([desk.store.queueOf(first), desk.store.queueOf(second)], [null, "deferred"]);
    await desk.clock.pass(12_000);
    await over();
    assert.deepEqual([desk.started, desk.store.queueOf(second)], [[], null]);
    assert.deepEqual(desk.events.filter((event) => event.startsWith("undeliverable")), ["undeliverable 2@b"]);
  });
});

describe("requeued by an operator (postsuper -r)", () => {
  const requeued = async (main = QUICK): Promise<{ desk: Desk; id: string }> => {
    const desk = await Desk.make({ main });
    const id = await desk.accept(["1@a"]);
    await desk.endAll("deferred");
    await over();
    assert.deepEqual(await desk.store.requeue([id]), [id]);
    return { desk, id };
  };
  const look = async (desk: Desk): Promise<void> => {
    desk.qmgr.look();
    await over();
  };

  it("leaves the queue for cleanup instead of being tried", async () => {
    const { desk, id } = await requeued();
    await look(desk);
    assert.deepEqual([desk.started, desk.store.get(id), desk.qmgr.activeCount], [[], null, 0]);
    assert.ok(desk.events.includes("requeue active"), "it is there until the new message is");
  });

  it("waits, and goes there again, when cleanup cannot take it now", async () => {
    const { desk, id } = await requeued();
    desk.requeues = false;
    await look(desk);
    assert.deepEqual([desk.started, desk.store.queueOf(id), desk.qmgr.activeCount], [[], "deferred", 0]);
    desk.requeues = true;
    desk.fails.set("requeue", 1);
    await desk.clock.pass(12_000);
    await over();
    assert.equal(desk.store.queueOf(id), "deferred");
    await desk.clock.pass(12_000);
    await over();
    assert.equal(desk.store.queueOf(id), null);
    assert.match(await desk.log(), new RegExp(`warning: ${id}: not requeued: requeue: no space`));
  });
});
