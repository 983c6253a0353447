import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { Transport } from "../../src/agent.ts";
import { plainRecipient, type Recipient } from "../../src/envelope.ts";
import { Desk, resultOf, settled, WINDOW } from "./desk.ts";

describe("which delivery starts", () => {
  test("a window per destination, destinations in turn", async () => {
    const desk = await Desk.make();
    for (let at = 0; at < 4; at++) await desk.accept([`${at}@a`]);
    await desk.accept(["x@b"]);
    assert.deepEqual(desk.started, ["0@a", "1@a", "x@b"]);
    await desk.open[0]!.end();
    assert.deepEqual(desk.started, ["1@a", "x@b", "2@a", "3@a"], "a success opens the window");
  });

  test("the process limit of a transport leaves other transports alone", async () => {
    const desk = await Desk.make({
      processLimit: 1,
      resolve: ({ address }) => ({
        kind: "deliver",
        transport: address[0] === "o" ? "other" : "smtp",
        nexthop: address,
        recipient: address,
      }),
    });
    for (const one of ["a@a", "b@b", "o@o"]) await desk.accept([one]);
    assert.deepEqual(desk.started, ["a@a", "o@o"]);
    await desk.open[0]!.end();
    assert.deepEqual(desk.started, ["o@o", "b@b"]);
  });

  test("recipients of one destination go together, up to the recipient limit", async () => {
    const desk = await Desk.make({ recipientLimit: 2 });
    await desk.accept(["1@a", "2@a", "x@b", "3@a"]);
    assert.deepEqual(desk.started, ["1@a 2@a", "x@b", "3@a"]);
    await desk.endAll();
    assert.equal(desk.store.count("active") + desk.store.count("deferred"), 0);
  });

  test("beyond qmgr_message_active_limit mail waits as incoming, and is taken up", async () => {
    const desk = await Desk.make({ main: "qmgr_message_active_limit = 2" });
    for (let at = 0; at < 7; at++) await desk.accept([`u@d${at}`]);
    assert.equal(desk.store.count("active"), 2);
    assert.equal(desk.store.count("incoming"), 5);
    const seen = new Set<string>();
    for (let round = 0; round < 7; round++) {
      assert.ok(desk.qmgr.activeCount <= 2);
      for (const one of desk.started) seen.add(one);
      await desk.open[0]!.end();
    }
    assert.equal(seen.size, 7);
    assert.equal(desk.qmgr.activeCount, 0);
  });

  test("new mail and due mail take turns for free places", async () => {
    const desk = await Desk.make({
      main: "qmgr_message_active_limit = 1\nminimal_backoff_time = 10s\nmaximal_backoff_time = 10s",
    });
    for (let at = 0; at < 3; at++) {
      await desk.accept([`old${at}@o${at}`]);
      await desk.open[0]!.end("deferred");
    }
    await desk.accept(["holds@x"]);
    for (let at = 0; at < 3; at++) await desk.accept([`new${at}@n${at}`]);
    await desk.clock.pass(20_000);
    const order: string[] = [];
    while (desk.open.length > 0) {
      order.push(desk.started[0]!.slice(0, 3));
      await desk.open[0]!.end();
    }
    assert.equal(order.length, 7);
    assert.ok(order.slice(1, 5).includes("old") && order.slice(1, 5).includes("new"), order.join(" "));
  });

  test("new mail is active at once, however much due mail waits behind it", async () => {
    const desk = await Desk.make({ main: "qmgr_message_active_limit = 4\nminimal_backoff_time = 10s" });
    for (let at = 0; at < 12; at++) {
      await desk.accept([`old${at}@o${at}`]);
      await desk.open[0]!.end("deferred");
    }
    await desk.clock.pass(5_000);
    for (let at = 0; at < 4; at++) await desk.accept([`first${at}@f${at}`]);
    await desk.clock.pass(20_000);
    for (let at = 0; at < 4; at++) await desk.accept([`new${at}@n${at}`]);
    const order: string[] = [];
    while (desk.open.length > 0) {
      order.push(desk.started[0]!.slice(0, 3));
      await desk.open[0]!.end();
    }
    assert.equal(order.length, 20);
    assert.ok(order.lastIndexOf("new") <= 12, order.join(" "));
  });

  test("qmgr_message_recipient_limit bounds what is active by recipients", async () => {
    const desk = await Desk.make({ main: "qmgr_message_recipient_limit = 5\nqmgr_message_active_limit = 3" });
    const many = (name: string): string[] => [1, 2, 3].map((at) => `${name}${at}@${name}`);
    for (const one of ["a", "b", "c"]) await desk.accept(many(one));
    assert.equal(desk.qmgr.activeCount, 2);
    await desk.endAll();
    assert.deepEqual(desk.started, ["c1@c c2@c c3@c"]);
  });

  test("in_flow_delay: who hands in mail waits while more comes than becomes active", async () => {
    const desk = await Desk.make({
      main: "qmgr_message_active_limit = 1\nin_flow_delay = 3s\ndefault_process_limit = 2",
    });
    assert.equal(desk.qmgr.inflowPause(), 0);
    for (let at = 0; at < 3; at++) await desk.accept([`u@d${at}`]);
    assert.deepEqual([1, 2, 3, 4].map(() => desk.qmgr.inflowPause()), [0, 0, 3_000, 3_000]);
    await desk.open[0]!.end();
    assert.deepEqual([1, 2].map(() => desk.qmgr.inflowPause()), [0, 3_000], "one became active, one may come");
    while (desk.open.length > 0) await desk.open[0]!.end();
    assert.equal(desk.qmgr.inflowPause(), 0);
  });

  test("rate delays: the next delivery starts by itself when its time has come", async () => {
    const window = { ...WINDOW, pause: 5_000 };
    const desk = await Desk.make({ rules: { window } });
    for (let at = 0; at < 3; at++) await desk.accept([`${at}@a`]);
    assert.deepEqual(desk.started, ["0@a"]);
    await desk.open[0]!.end();
    await desk.clock.pass(4_900);
    assert.deepEqual(desk.started, []);
    await desk.clock.pass(200);
    assert.deepEqual(desk.started, ["1@a"]);
    await desk.open[0]!.end("deferred", "destination");
    await settled();
    assert.match(await desk.log(), /to=<2@a>, .*delivery temporarily suspended/, "what waits is put off as ever");
    const other = await Desk.make({ rules: { pause: 5_000 } });
    for (const one of ["1@a", "2@b", "3@c"]) await other.accept([one]);
    assert.deepEqual(other.started, ["1@a"]);
    await other.clock.pass(5_100);
    assert.deepEqual(other.started, ["1@a", "2@b"]);
    await other.endAll();
    await other.qmgr.stop(0);
    await other.clock.pass(5_100);
    assert.equal(other.clock.timers, 0);
  });

  test("one recipient a delivery: each recipient has its own window, whatever the extension", async () => {
    const desk = await Desk.make({ main: "recipient_delimiter = +", recipientLimit: 1 });
    await desk.accept(["a@x", "a+1@x", "A+2@x", "b@x"]);
    assert.deepEqual(desk.started, ["A+2@x", "b@x", "a+1@x"]);
  });

  test("a lookup that cannot answer defers that recipient alone", async () => {
    const desk = await Desk.make({
      resolve: ({ address }) => {
        if (address === "unsure@a") return Promise.resolve({ kind: "unsure", why: "table lookup error" });
        if (address === "broken@a") return Promise.reject(new Error("boom"));
        return { kind: "deliver", transport: address === "gone@a" ? "none" : "smtp", nexthop: "a", recipient: address };
      },
    });
    const id = await desk.accept(["good@a", "unsure@a", "broken@a", "gone@a"]);
    await settled();
    assert.deepEqual(desk.started, ["good@a"]);
    await desk.endAll();
    const { waiting } = desk.store.get(id)!;
    assert.deepEqual(waiting.map(({ recipient, reason }) => `${recipient.address}: ${reason}`), [
      "unsure@a: table lookup error",
      "broken@a: boom",
      "gone@a: mail transport unavailable",
    ]);
  });
});

describe("what is broken rests", () => {
  test("a dead destination: one cohort of tries, the rest put off, others go on", async () => {
    const desk = await Desk.make();
    for (let at = 0; at < 4; at++) await desk.accept([`${at}@dead`]);
    await desk.open[0]!.end("deferred", "destination");
    await desk.open[0]!.end("deferred", "destination");
    // Failures narrow the window: what is left goes one by one until the cohort is complete.
    while (desk.open.length > 0) await desk.endAll("deferred", "destination");
    const id = await desk.accept(["late@dead"]);
    await desk.accept(["u@live"]);
    assert.deepEqual(desk.started, ["u@live"]);
    await settled();
    assert.equal(desk.store.get(id)!.waiting[0]!.reason, "delivery temporarily suspended: deferred by test");
    assert.match(await desk.log(), /to=<late@dead>, relay=none, .*status=deferred \(delivery temporarily suspended: /);
    await desk.endAll();
    await desk.clock.pass(330_000);
    assert.ok(
      desk.started.length > 0 && desk.started.every((one) => one.endsWith("@dead")),
      "after its rest it is tried",
    );
  });

  test("a transport that is broken rests for transport_retry_time, with all its destinations", async () => {
    const desk = await Desk.make({
      main: "transport_retry_time = 60s\nminimal_backoff_time = 10s\nmaximal_backoff_time = 10s",
    });
    await desk.accept(["1@a"]);
    await desk.open[0]!.end("deferred", "transport");
    const id = await desk.accept(["2@b"]);
    await settled();
    assert.deepEqual(desk.started, []);
    assert.match(desk.store.get(id)!.waiting[0]!.reason, /^deferred by test$/);
    await desk.clock.pass(80_000);
    assert.equal(desk.started.length, 2);
  });

  test("a transport that is broken has all that waits for it put off", async () => {
    const desk = await Desk.make();
    for (let at = 0; at < 3; at++) await desk.accept([`${at}@a`]);
    for (let at = 0; at < 3; at++) await desk.accept([`${at}@b`]);
    await desk.open[0]!.end("deferred", "transport");
    await settled();
    assert.deepEqual(desk.started, ["1@a", "0@b", "1@b"]);
    await desk.endAll();
    assert.equal(desk.qmgr.activeCount, 0);
    assert.equal(desk.store.count("deferred"), 3);
  });

  test("a transport that does not exist is reported once in transport_retry_time", async () => {
    const resolve = ({ address }: Recipient): Transport => ({
      kind: "deliver",
      transport: "none",
      nexthop: "x",
      recipient: address,
    });
    const desk = await Desk.make({ resolve, main: "transport_retry_time = 60s" });
    for (let at = 0; at < 2; at++) await desk.accept([`${at}@a`]);
    const warning = /warning: connect to transport private\/none: No such file or directory/g;
    assert.equal((await desk.log()).match(warning)?.length, 1);
    assert.match(
      await desk.log(),
      /to=<1@a>, relay=none, .* dsn=4.3.0, status=deferred \(mail transport unavailable\)/,
    );
    await desk.clock.pass(61_000);
    await desk.accept(["2@a"]);
    assert.equal((await desk.log()).match(warning)?.length, 2);
  });

  test("defer_transports: mail waits until somebody asks for it", async () => {
    const desk = await Desk.make({ main: "defer_transports = smtp" });
    const id = await desk.accept(["1@a"]);
    const other = await desk.accept(["2@b"]);
    await settled();
    assert.match(await desk.log(), /to=<1@a>, relay=none, .* dsn=4.3.2, status=deferred \(deferred transport\)/);
    await desk.clock.pass(1_000_000);
    assert.deepEqual(desk.started, []);
    await desk.store.flush(id);
    desk.qmgr.flush([id]);
    assert.deepEqual(desk.started, ["1@a"]);
    await desk.open[0]!.end("deferred");
    await desk.store.flush();
    desk.qmgr.flush("all");
    assert.deepEqual(desk.started.toSorted(), ["1@a", "2@b"]);
    assert.equal(desk.store.get(other)!.queue, "active");
  });

  test("what somebody asks for is tried though its destination is dead, the rest of its mail is not", async () => {
    const desk = await Desk.make();
    const id = await desk.accept(["1@dead"]);
    await desk.accept(["2@dead"]);
    while (desk.open.length > 0) await desk.endAll("deferred", "destination");
    await desk.accept(["3@dead"]);
    await settled();
    assert.deepEqual(desk.started, []);
    await desk.store.flush(id);
    desk.qmgr.flush([id]);
    assert.deepEqual(desk.started, ["1@dead"]);
  });

  test("one failure is no cohort: the destination is forgotten, and tried with the next mail", async () => {
    const desk = await Desk.make();
    for (let round = 0; round < 5; round++) {
      await desk.accept([`${round}@a`]);
      assert.deepEqual(desk.started, [`${round}@a`]);
      await desk.open[0]!.end("deferred", "destination");
    }
  });

  test("a temporary no to the message or recipient says nothing about the destination", async () => {
    const desk = await Desk.make();
    for (let round = 0; round < 10; round++) {
      await desk.accept([`${round}@a`]);
      await desk.open[0]!.end("deferred", round % 2 === 0 ? "message" : "recipient");
    }
    await desk.accept(["last@a"]);
    assert.deepEqual(desk.started, ["last@a"]);
  });

  test('flush("all") forgives', async () => {
    const desk = await Desk.make();
    await desk.accept(["1@a"]);
    await desk.accept(["2@a"]);
    while (desk.open.length > 0) await desk.open[0]!.end("deferred", "destination");
    await desk.accept(["3@a"]);
    assert.deepEqual(desk.started, []);
    await settled();
    await desk.store.flush();
    desk.qmgr.flush("all");
    assert.equal(desk.started.length, 2);
  });
});

describe("results", () => {
  test("are noted before anything else; the rest waits", async () => {
    const desk = await Desk.make();
    const id = await desk.accept(["1@a", "2@a", "3@b"]);
    await desk.open[0]!.mixed("sent", "deferred");
    assert.equal(desk.events[0], 'mark {"done":[0],"deferred":[]}');
    assert.equal(desk.store.get(id)!.queue, "active");
    const waiting = (): unknown[] => desk.store.get(id)!.waiting.map(({ index, reason }) => [index, reason]);
    assert.deepEqual(waiting(), [[1, "deferred by test"], [2, ""]], "the queue's list says why, as in Postfix");
    await desk.open[0]!.end();
    assert.deepEqual(waiting(), [[1, "deferred by test"]]);
    assert.deepEqual([desk.store.get(id)!.queue, desk.store.get(id)!.attempts], ["deferred", 1]);
    assert.equal(desk.events.filter((event) => event.startsWith("mark")).length, 3);
  });

  test("a bounce is durable before its recipients leave", async () => {
    const desk = await Desk.make();
    const id = await desk.accept(["1@a", "2@a"]);
    await desk.open[0]!.mixed("bounced", "bounced");
    await settled();
    assert.deepEqual(desk.events, ["undeliverable 1@a 2@a", 'mark {"done":[0,1],"deferred":[]}']);
    assert.equal(desk.store.get(id), null);
  });

  test("with soft_bounce nothing is returned", async () => {
    const desk = await Desk.make({ main: "soft_bounce = yes" });
    const id = await desk.accept(["1@a"]);
    await desk.open[0]!.end("bounced");
    await settled();
    assert.equal(desk.store.get(id)!.queue, "deferred");
    assert.match(await desk.log(), /dsn=4.0.0, status=SOFTBOUNCE \(bounced by test\)/);
    assert.ok(!desk.events.some((event) => event.startsWith("undeliverable")));
  });

  test("a notice that cannot be stored: the message stays, and is tried again", async () => {
    const desk = await Desk.make({ main: "minimal_backoff_time = 10s\nmaximal_backoff_time = 10s" });
    const id = await desk.accept(["1@a", "2@b"]);
    desk.fails.set("undeliverable", 1);
    await desk.open[0]!.end("bounced");
    await desk.open[0]!.end("sent");
    await settled();
    assert.equal(desk.store.get(id)!.queue, "deferred");
    assert.deepEqual(desk.store.get(id)!.waiting.map(({ index }) => index), [0]);
    assert.match(await desk.log(), /queue storage: undeliverable: no space: tried again later/);
    await desk.clock.pass(12_000);
    assert.deepEqual(desk.started, ["1@a"]);
    await desk.open[0]!.end("bounced");
    await settled();
    assert.equal(desk.store.get(id), null);
    assert.equal(desk.events.filter((event) => event.startsWith("undeliverable")).length, 1);
  });

  test("mark() that fails between two deliveries: the message ends as it should, and is no longer active", async () => {
    const desk = await Desk.make({ main: "minimal_backoff_time = 10s\nmaximal_backoff_time = 10s" });
    const id = await desk.accept(["1@a", "2@b", "3@c"]);
    desk.fails.set("mark", 1);
    await desk.open[0]!.end("sent");
    assert.equal(desk.store.get(id)!.queue, "active", "two deliveries are under way");
    await desk.open[0]!.end("deferred");
    await desk.open[0]!.end("sent");
    await settled();
    assert.equal(desk.qmgr.activeCount, 0);
    assert.ok(desk.store.get(id)!.waiting.some(({ index }) => index === 1));
    await desk.clock.pass(12_000);
    for (let round = 0; round < 3; round++) await desk.endAll();
    await settled();
    assert.equal(desk.store.get(id), null);
    assert.equal(desk.qmgr.activeCount, 0);
  });

  test("NOTIFY=SUCCESS: the notice comes before the recipient leaves", async () => {
    const desk = await Desk.make();
    await desk.accept([{ ...plainRecipient("1@a"), notify: ["success"] }]);
    await desk.open[0]!.end();
    await settled();
    assert.deepEqual(desk.events, ["delivered 1@a", 'mark {"done":[0],"deferred":[]}']);
  });

  test("NOTIFY=SUCCESS: no notice where the next hop reports it", async () => {
    const desk = await Desk.make();
    await desk.accept([{ ...plainRecipient("1@a"), notify: ["success"] }]);
    await desk.open[0]!.results([{ ...resultOf("sent"), reportsSuccess: true }]);
    await settled();
    assert.deepEqual(desk.events, ['mark {"done":[0],"deferred":[]}']);
  });

  test("delays are told once, age ends the message", async () => {
    const desk = await Desk.make({
      main: "delay_warning_time = 60s\nmaximal_queue_lifetime = 200s\n" +
        "minimal_backoff_time = 50s\nmaximal_backoff_time = 50s",
    });
    const id = await desk.accept(["1@a"]);
    for (let round = 0; round < 5; round++) {
      await desk.endAll("deferred");
      await settled();
      await desk.clock.pass(51_500);
    }
    await desk.endAll("deferred");
    await settled();
    assert.equal(desk.store.get(id), null);
    assert.deepEqual(desk.events.filter((event) => /^(delayed|undeliv)/.test(event)), [
      "delayed 1@a",
      "undeliverable 1@a",
    ]);
    assert.match(
      await desk.log(),
      new RegExp(`${id}: from=<s@x>, status=expired, returned to sender\n.*${id}: removed`, "s"),
    );
  });
});

describe("stop()", () => {
  test("waits for deliveries and for what they leave to be noted; starts nothing more; leaves no timer", async () => {
    const desk = await Desk.make();
    const id = await desk.accept(["1@a"]);
    for (const at of [2, 3, 4]) await desk.accept([`${at}@a`]);
    let stopped = false;
    const stop = desk.qmgr.stop(10_000).then(() => stopped = true);
    await settled();
    assert.equal(stopped, false);
    await desk.accept(["5@b"]);
    const [first, second] = [...desk.open];
    await Promise.all([first!.end("bounced"), second!.end("deferred")]);
    await stop;
    assert.deepEqual(desk.started, []);
    assert.equal(desk.store.get(id), null, "its notice went out before the end");
    await desk.clock.pass(30);
    assert.equal(desk.clock.timers, 0);
  });

  test("calls off what does not end in time", async () => {
    const desk = await Desk.make();
    const id = await desk.accept(["1@a"]);
    const stop = desk.qmgr.stop(1_000);
    await desk.clock.pass(1_500);
    await stop;
    assert.equal(desk.store.get(id)!.queue, "deferred");
  });
});
