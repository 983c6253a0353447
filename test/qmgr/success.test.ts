/**
 * Who is told of deliveries (NOTIFY=SUCCESS), and that nobody gets a message twice because of it. Broken on purpose
 * and seen here: recipients without a notice left in the queue while another's is made.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_CLIENT, plainRecipient, type Recipient } from "../../src/envelope.ts";
import { latin1Encode } from "../../src/latin1.ts";
import { expansions } from "../../src/qmgr/report.ts";
import { Desk, settled } from "./desk.ts";

const wanting = (address: string): Recipient => ({ ...plainRecipient(address), notify: ["success"] });

async function acceptExpanded(
  desk: Desk,
  recipients: readonly string[],
  expanded: readonly Recipient[],
): Promise<string> {
  const incoming = desk.store.begin();
  void incoming.append(latin1Encode("Subject: x\r\n\r\nx\r\n"));
  const committed = await incoming.commit({
    sender: "s@x",
    recipients: recipients.map(plainRecipient),
    arrived: desk.clock.now(),
    client: NO_CLIENT,
    encoding: "",
    ret: "",
    envid: "",
    expanded,
  });
  desk.qmgr.wake(committed);
  return committed.entry.id;
}

describe("mail whose sender wants to hear of deliveries", () => {
  it("leaves the queue for those whose sender does not, too", async () => {
    const desk = await Desk.make();
    const id = await desk.accept([wanting("1@a"), "2@a", "3@b"]);
    await desk.open[0]!.end();
    await desk.open[0]!.end("deferred");
    await settled();
    assert.deepEqual(desk.store.get(id)?.waiting.map(({ recipient }) => recipient.address), ["3@b"]);
    assert.deepEqual(desk.events.filter((event) => event.startsWith("delivered")), ["delivered 1@a"]);
    await desk.clock.pass(400_000);
    await settled();
    assert.deepEqual(desk.started, ["3@b"]);
  });

  it("is told of aliases once, with the first attempt, whatever becomes of it", async () => {
    const desk = await Desk.make();
    const id = await acceptExpanded(desk, ["1@a"], [wanting("list@v")]);
    await desk.endAll("deferred");
    await settled();
    assert.deepEqual(desk.events.filter((event) => event.startsWith("delivered")), ["delivered list@v"]);
    await desk.clock.pass(400_000);
    await desk.endAll();
    await settled();
    assert.equal(desk.store.get(id), null);
    assert.deepEqual(desk.events.filter((event) => event.startsWith("delivered")), ["delivered list@v"]);
  });

  it("has them told of as expanded", () => {
    const [one] = expansions({ expanded: [wanting("list@v")] });
    assert.deepEqual([one!.action, one!.result.outcome, one!.result.status], ["expanded", "sent", "2.0.0"]);
    assert.deepEqual(expansions({}), []);
  });
});
