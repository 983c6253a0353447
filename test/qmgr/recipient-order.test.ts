/**
 * Recipients in Postfix's order, whatever order they were given in.
 */

import assert from "node:assert/strict";
import { test } from "node:test";
import { Desk } from "./desk.ts";

test("by destination, domain and address; a recipient keeps its place in the envelope", async () => {
  const desk = await Desk.make({
    recipientLimit: 3,
    processLimit: 1,
    resolve: ({ address }) => ({
      kind: "deliver",
      transport: address.startsWith("o") ? "other" : "smtp",
      nexthop: address.endsWith("@z") ? "z" : "hub",
      recipient: address,
    }),
  });
  const given = ["b@Two", "x@z", '"ab c"@two', "a@two", "o@a", "plain", "B@two", "c@one", "a@z"];
  const id = await desk.accept(given);
  const seen: string[] = [];
  while (desk.open.length > 0) {
    const { request, addresses } = desk.open[0]!;
    seen.push(`${request.transport}: ${addresses}`);
    await desk.open[0]!.results(request.recipients.map(({ address }) => ({
      outcome: address === "a@two" ? "deferred" : "sent",
      scope: "recipient",
      status: address === "a@two" ? "4.0.0" : "2.0.0",
      reason: "",
      remote: null,
      relay: "test",
      connectionUse: 0,
      connectedAt: 0,
    })));
  }
  assert.deepEqual(seen.filter((line) => line.startsWith("other")), ["other: o@a"]);
  assert.deepEqual(seen.filter((line) => line.startsWith("smtp")), [
    "smtp: c@one B@two a@two",
    "smtp: a@z x@z",
    'smtp: "ab c"@two b@Two plain',
  ]);
  assert.deepEqual(desk.store.get(id)!.waiting.map(({ index }) => index), [given.indexOf("a@two")]);
});
