import assert from "node:assert/strict";
import { test } from "node:test";
import {
  ctime,
  has8bit,
  headerNameLength,
  HeaderNames,
  headerValue,
  isEmptyLine,
  lineEnd,
  mailDate,
} from "../src/header.ts";
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

test("known names are told whatever their letters, and no others", () => {
  const names = new HeaderNames(["subject", "received", "x-a_b", "date", "gate", "date"]);
  const told = (text: string): string => names.at(latin1Encode(`..${text}: x`), 2, text.length);
  for (const name of ["subject", "received", "x-a_b", "date", "gate"]) {
    assert.equal(told(name), name);
    assert.equal(told(name.toUpperCase().replace("_", "_")), name);
  }
  for (const name of ["", "subjec", "subject2", "dat\x05", "\x44ate\x00", "x\ra_b", "x-a?b", "X-A\x7fB", "\xe4ate"]) {
    assert.equal(told(name), "", name);
  }
});

test("bytes that are not ASCII", () => {
  const bytes = latin1Encode("ab\x80c");
  assert.deepEqual([has8bit(bytes, 0, 2), has8bit(bytes, 0, 3), has8bit(bytes, 3, 4)], [false, true, false]);
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
