import assert from "node:assert/strict";
import { test } from "node:test";
import { type Notify, plainRecipient } from "../../src/envelope.ts";
import { delayText, deliveryLine, suspendedResult, tellsOfDelivery } from "../../src/qmgr/report.ts";

test("delays have two significant digits and hundredths at the finest", () => {
  for (
    const [ms, text] of [[0, "0"], [3, "0"], [20, "0.02"], [123, "0.12"], [500, "0.5"], [1230, "1.2"], [1000, "1"]]
      .concat([[12_300, "12"], [99_600, "100"], [1_600_000, "1600"], [-5, "0"]]) as [number, string][]
  ) assert.equal(delayText(ms), text);
  for (
    const [ms, most, text] of [[34, 6, "0.034"], [3.44, 6, "0.0034"], [0.034, 6, "0.000034"], [34, 3, "0.034"]]
      .concat([[1230, 0, "1"], [400, 0, "0"], [400, 1, "0.4"], [12_300, 6, "12"]]) as [number, number, string][]
  ) assert.equal(delayText(ms, most), text);
});

test("the delivery line is Postfix's", () => {
  const recipient = { ...plainRecipient("a@b.example"), original: "a" };
  const times = { arrived: 0, activeAt: 10, startedAt: 30, now: 1_230 };
  const sent = {
    outcome: "sent" as const,
    scope: "recipient" as const,
    status: "2.0.0",
    reason: "250 ok",
    remote: null,
    relay: "mx.b.example[192.0.2.1]:25",
    connectionUse: 2,
    connectedAt: 230,
  };
  assert.equal(
    deliveryLine("0123456789AB", recipient, sent, times),
    "0123456789AB: to=<a@b.example>, orig_to=<a>, relay=mx.b.example[192.0.2.1]:25, conn_use=2, delay=1.2, " +
      "delays=0.01/0.02/0.2/1, dsn=2.0.0, status=sent (250 ok)",
  );
  assert.equal(
    deliveryLine("0123456789AB", plainRecipient("a@b.example"), suspendedResult("4.4.1", "x"), times),
    "0123456789AB: to=<a@b.example>, relay=none, delay=1.2, delays=0.01/0.02/1.2/0, dsn=4.4.1, status=deferred (x)",
  );
});

test("the sender hears of a delivery with NOTIFY=SUCCESS, or when it was told of a delay", () => {
  const result = suspendedResult("2.0.0", "ok");
  const beyond = { ...result, reportsSuccess: true as const };
  const rows: readonly (readonly [Notify, boolean, boolean, boolean])[] = [
    [[], false, false, false],
    [[], true, false, true],
    [["success"], false, false, true],
    [["success"], false, true, false],
    [["success", "delay"], true, true, false],
    [["delay"], true, true, true],
    [["failure"], true, false, false],
    [["never"], true, false, false],
  ];
  for (const [notify, cleared, reported, expected] of rows) {
    const recipient = { ...plainRecipient("a@b.example"), notify };
    const found = tellsOfDelivery(recipient, reported ? beyond : result, cleared);
    assert.equal(found, expected, `${notify.join()} ${cleared} ${reported}`);
  }
});
