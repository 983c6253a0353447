/**
 * A notice of failure that cleanup refuses: the recipients that bounced are not tried again, and the message ends where
 * the operator sees it.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Desk, resultOf, settled } from "./desk.ts";

async function over(): Promise<void> {
  for (let round = 0; round < 10; round++) await settled();
}

const QUICK = "minimal_backoff_time = 10s\nmaximal_backoff_time = 10s\n";

const notices = (desk: Desk): string[] => desk.events.filter((event) => event.startsWith("undeliverable"));

describe("a refused notice", () => {
  it("is tried again alone; who waits is tried as ever", async () => {
    const desk = await Desk.make({ main: QUICK });
    desk.refuses = "5.7.1 no such talk";
    const id = await desk.accept(["1@a", "2@b", "3@c"]);
    for (const outcome of ["bounced", "deferred", "sent"] as const) await desk.open[0]!.end(outcome);
    await over();
    assert.deepEqual(
      desk.store.get(id)!.waiting.map(({ recipient, status, reason }) => [recipient.address, status, reason]),
      [
        ["1@a", "5.0.0", "bounced by test"],
        ["2@b", "4.0.0", "deferred by test"],
      ],
    );
    await desk.clock.pass(12_000);
    assert.deepEqual(desk.started, ["2@b"]);
    await desk.endAll("bounced");
    await over();
    await desk.clock.pass(12_000);
    assert.deepEqual(desk.started, []);
    desk.refuses = null;
    await desk.clock.pass(12_000);
    await over();
    assert.deepEqual(notices(desk).at(-1), "undeliverable 1@a 2@b");
    assert.deepEqual([desk.store.get(id), desk.qmgr.activeCount], [null, 0]);
    const log = await desk.log();
    assert.match(
      log,
      new RegExp(`warning: ${id}: notice refused: 5.7.1 no such talk\n.*${id}: status=deferred \\(bounce failed\\)`),
    );
  });

  it("at the end of the message's life holds the message", async () => {
    const desk = await Desk.make({ main: `${QUICK}maximal_queue_lifetime = 15s\n` });
    desk.refuses = "5.7.1 no";
    const id = await desk.accept(["1@a", "2@b"]);
    await desk.open[0]!.end("bounced");
    await desk.endAll("deferred");
    await over();
    await desk.clock.pass(12_000);
    await desk.endAll("deferred");
    await over();
    await desk.clock.pass(60_000);
    await desk.endAll("deferred");
    await over();
    assert.deepEqual([desk.store.queueOf(id), desk.started, desk.qmgr.activeCount], ["hold", [], 0]);
    assert.match(await desk.log(), new RegExp(`${id}: its time is over and its notice refused: placed on hold`));
  });

  it("a deferral is never taken for a bounce, whatever status it came with", async () => {
    const desk = await Desk.make({ main: QUICK });
    const id = await desk.accept(["1@a"]);
    await desk.open[0]!.results([{ ...resultOf("deferred"), status: "5.1.1" }]);
    await over();
    assert.deepEqual(desk.store.get(id)!.waiting.map(({ status }) => status), ["4.1.1"]);
    await desk.clock.pass(12_000);
    assert.deepEqual(desk.started, ["1@a"]);
  });

  it("nor is one beside a bounce whose notice is refused, and that is never taken for a deferral", async () => {
    const desk = await Desk.make({ main: QUICK });
    desk.refuses = "5.7.1 no";
    const id = await desk.accept(["1@a", "2@b"]);
    await desk.open[0]!.results([{ ...resultOf("bounced"), status: "4.7.1" }]);
    await desk.open[0]!.results([{ ...resultOf("deferred"), status: "5.1.1" }]);
    await over();
    assert.deepEqual(desk.store.get(id)!.waiting.map(({ status }) => status), ["5.7.1", "4.1.1"]);
    await desk.clock.pass(12_000);
    assert.deepEqual(desk.started, ["2@b"]);
  });
});
