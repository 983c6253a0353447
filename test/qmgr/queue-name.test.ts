import assert from "node:assert/strict";
import { test } from "node:test";
import { queueName } from "../../src/qmgr/queue-name.ts";

test("a destination is the next hop, or with one recipient a delivery the recipient there", () => {
  const rows: readonly (readonly [string, string, string, number, string])[] = [
    ["smtp", "[MX.example]:25", "User+Ext@A.example", 50, "[mx.example]:25"],
    ["smtp", "[MX.example]:25", "User+Ext@A.example", 1, "user@[mx.example]:25"],
    ["local", "a.example", "+odd@a.example", 1, "+odd@a.example"],
    ["local", "a.example", "user", 1, "user@a.example"],
    ["error", "5.1.1 gone", "user@a.example", 1, "5.1.1 gone"],
    ["retry", "4.3.2 later", "user@a.example", 1, "4.3.2 later"],
  ];
  for (const [transport, nexthop, recipient, limit, expected] of rows) {
    assert.equal(queueName({ kind: "deliver", transport, nexthop, recipient }, limit, "+"), expected);
  }
});
