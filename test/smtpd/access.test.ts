import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { accessKeys, accessVerdict } from "../../src/smtpd/access.ts";
import { FACTS, services, shown } from "./policy.ts";

test("keys, the closest first", () => {
  assert.deepEqual(accessKeys("client", FACTS), [
    ...["c.isp.example", "isp.example", "example"],
    ...["203.0.113.9", "203.0.113", "203.0", "203"],
  ]);
  assert.deepEqual(accessKeys("helo", FACTS), ["helo.example", "example"]);
  assert.deepEqual(accessKeys("sender", { ...FACTS, sender: "User@X.Example" }), [
    "user@x.example",
    "x.example",
    "example",
    "user@",
  ]);
  assert.deepEqual(accessKeys("sender", { ...FACTS, sender: "" }), ["<>"]);
  assert.deepEqual(accessKeys("sender", { ...FACTS, sender: null }), []);
  assert.deepEqual(accessKeys("recipient", FACTS), ["r@home.example", "home.example", "example", "r@"]);
});

const CLIENT = "<c.isp.example[203.0.113.9]>: Client host rejected:";
const ROWS: readonly (readonly [string, string])[] = [
  ["OK", "permit"],
  ["relay", "permit"],
  ["123", "permit"],
  ["DUNNO", "dunno"],
  ["REJECT", `554 5.7.1 ${CLIENT} Access denied`],
  ["reject go away", `554 5.7.1 ${CLIENT} go away`],
  ["REJECT 5.7.9 go away", `554 5.7.9 ${CLIENT} go away`],
  ["DEFER later", `450 4.7.1 ${CLIENT} later`],
  ["450 4.1.2 later", `450 4.1.2 ${CLIENT} later`],
  ["450 5.1.2 later", `450 4.1.2 ${CLIENT} later`],
  ["551 no", `551 5.7.1 ${CLIENT} no`],
  ["PREPEND X: y", "451 4.3.5 Server configuration error"],
  ["", "451 4.3.5 Server configuration error"],
];

describe("what a table says", () => {
  for (const [value, expected] of ROWS) {
    test(JSON.stringify(value), () => {
      assert.equal(shown(accessVerdict(value, "client", FACTS, services().config)), expected);
    });
  }
});
