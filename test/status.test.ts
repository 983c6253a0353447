import assert from "node:assert/strict";
import { test } from "node:test";
import { splitStatus, statusOfClass } from "../src/status.ts";

test("the class follows the outcome", () => {
  assert.equal(statusOfClass("5.1.1", "deferred"), "4.1.1");
  assert.equal(statusOfClass("4.7.0", "bounced"), "5.7.0");
  assert.equal(statusOfClass("2.0.0", "sent"), "2.0.0");
});

test("a status in front of a text", () => {
  for (
    const [text, status, rest] of [
      ["5.7.1 no", "5.7.1", "no"],
      ["4.10.200   x", "4.10.200", "x"],
      ["5.1.1", "5.1.1", ""],
      ["3.1.1 x", "9.9.9", "3.1.1 x"],
      ["5.1.1x", "9.9.9", "5.1.1x"],
      ["5.1.1234 x", "9.9.9", "5.1.1234 x"],
      ["", "9.9.9", ""],
    ] as const
  ) assert.deepEqual(splitStatus(text, "9.9.9"), { status, text: rest });
});
