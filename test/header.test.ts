import assert from "node:assert/strict";
import { test } from "node:test";
import { ctime, headerNameLength, headerValue, isEmptyLine, lineEnd, mailDate } from "../src/header.ts";
import { latin1Encode } from "../src/latin1.ts";

test("header names", () => {
  for (
    const [line, length] of [
      ["Subject: x", 7],
      ["Subject : x", 7],
      ["Subject\t: x", 7],
      ["X:", 1],
      [": x", 0],
      ["Sub ject: x", 0],
      [" Subject: x", 0],
      ["Subject", 0],
      ["S\u00fc: x", 0],
      ["", 0],
    ] as const
  ) {
    const bytes = latin1Encode(line);
    assert.equal(headerNameLength(bytes, 0, bytes.length), length, line);
  }
});

test("header values are unfolded", () => {
  const bytes = latin1Encode("Subject:  a\r\n b\r\n\tc \r\n");
  assert.equal(headerValue(bytes, 0, bytes.length), "a b\tc");
});

test("lines", () => {
  const bytes = latin1Encode("ab\r\n\r\nc");
  assert.deepEqual([lineEnd(bytes, 0), lineEnd(bytes, 4), lineEnd(bytes, 6)], [4, 6, -1]);
  assert.deepEqual([isEmptyLine(bytes, 0, 4), isEmptyLine(bytes, 4, 6)], [false, true]);
});

test("dates", () => {
  const at = Date.UTC(2026, 10, 2, 23, 4, 5);
  assert.equal(mailDate(at, 0, "UTC"), "Mon,  2 Nov 2026 23:04:05 +0000 (UTC)");
  assert.equal(mailDate(at, 60, "CET"), "Tue,  3 Nov 2026 00:04:05 +0100 (CET)");
  assert.equal(mailDate(at, -570, "MART"), "Mon,  2 Nov 2026 13:34:05 -0930 (MART)");
  assert.equal(ctime(at, 0), "Mon Nov  2 23:04:05 2026");
});
