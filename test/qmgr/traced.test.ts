/**
 * Reports of the first attempt (sendmail -v), and of what would become of it (-bv).
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Envelope } from "../../src/envelope.ts";
import { Desk, settled } from "./desk.ts";

async function over(): Promise<void> {
  for (let round = 0; round < 10; round++) await settled();
}

const reports = (desk: Desk): string[] => desk.events.filter((event) => /^(traced|undeliverable)/.test(event));

const TRACED: Partial<Envelope> = { traced: true };

describe("a message whose first attempt is to be told", () => {
  it("is there until it was told, when all of it was delivered", async () => {
    const desk = await Desk.make();
    const id = await desk.accept(["1@a", "2@a", "3@b"], "s@x", TRACED);
    await desk.endAll();
    await over();
    assert.deepEqual([reports(desk), desk.store.get(id)], [["traced 1@a 2@a 3@b"], null]);
  });

  it("is told of once, with what failed and what waits", async () => {
    const desk = await Desk.make({ main: "minimal_backoff_time = 10s\nmaximal_backoff_time = 10s\n" });
    const id = await desk.accept(["1@a", "2@b", "3@c"], "s@x", TRACED);
    for (const outcome of ["sent", "bounced", "deferred"] as const) await desk.open[0]!.end(outcome);
    await over();
    assert.deepEqual(reports(desk), ["undeliverable 2@b", "traced 1@a 2@b 3@c"]);
    assert.deepEqual(desk.store.get(id)!.waiting.map(({ recipient }) => recipient.address), ["3@c"]);
    await desk.clock.pass(12_000);
    await desk.endAll();
    await over();
    assert.deepEqual([reports(desk).length, desk.store.get(id)], [2, null]);
  });

  it("is delivered once also when the report cannot be sent", async () => {
    const desk = await Desk.make();
    const id = await desk.accept(["1@a"], "s@x", TRACED);
    desk.fails.set("traced", 1);
    await desk.endAll();
    await over();
    assert.deepEqual([desk.started, desk.store.get(id)], [[], null]);
    assert.match(await desk.log(), new RegExp(`warning: ${id}: notice not sent: traced: no space`));
  });

  it("nothing is told of others", async () => {
    const desk = await Desk.make();
    await desk.accept(["1@a"]);
    await desk.endAll();
    await over();
    assert.deepEqual(reports(desk), []);
  });
});
