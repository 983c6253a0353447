import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { deliveredBefore } from "../../src/local/delivered-to.ts";
import { contentOf } from "../mailboxes.ts";

/** Content, and whether a@b.example has had it. */
const MESSAGES: readonly (readonly [string, boolean])[] = [
  ["Delivered-To: a@b.example\r\n\r\nx\r\n", true],
  ["Subject: x\r\nDELIVERED-TO: \r\n\tA@B.example\r\nTo: y\r\n\r\n", true],
  ["Delivered-To: other@b.example\r\nDelivered-To: a@b.example\r\n", true],
  ["Delivered-To: a@b.example", true],
  ["Delivered-To: aa@b.example\r\n\r\n", false],
  ["X-Delivered-To: a@b.example\r\nDelivered: a@b.example\r\n\r\n", false],
  ["Subject: x\r\n\r\nDelivered-To: a@b.example\r\n", false],
  ["", false],
];

describe("deliveredBefore", () => {
  it("finds the address in a Delivered-To: header, wherever the pieces are cut", async () => {
    for (const [content, expected] of MESSAGES) {
      for (const length of [0, 1, 2, 7, 16]) {
        assert.equal(
          await deliveredBefore(contentOf(content, length), "QID", "a@b.example"),
          expected,
          `${length} ${content}`,
        );
      }
    }
  });
});
