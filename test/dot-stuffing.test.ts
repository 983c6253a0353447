/** Dot-stuffing and long lines: against an independent reader, and against Postfix's own cutting. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { latin1Decode, latin1Encode } from "../src/latin1.ts";
import { ContentEncoder, encodeContent } from "../src/dot-stuffing.ts";

/** RFC 5321 §4.5.2, as a server does it; null when the data does not end where it should. */
function received(wire: string): string | null {
  const lines = wire.split("\r\n");
  if (lines.pop() !== "" || lines.pop() !== ".") return null;
  if (lines.includes(".")) return null;
  return lines.map((line) => line.startsWith(".") ? line.slice(1) : line).join("\r\n") +
    (lines.length > 0 ? "\r\n" : "");
}

/** One line at a time, as Postfix cuts: the first piece of `limit` bytes, further ones a space and limit - 1 bytes. */
function cut(line: string, limit: number): string {
  const pieces = [line.slice(0, limit)];
  for (let at = limit; at < line.length; at += limit - 1) pieces.push(" " + line.slice(at, at + limit - 1));
  return pieces.join("\r\n");
}

const line = fc.string({ unit: fc.constantFrom(".", "a", " ", "\xe4", ".."), maxLength: 30 });
const text = fc.array(line, { maxLength: 12 }).map((lines) => lines.map((one) => one + "\r\n").join(""));

describe("content", () => {
  it("arrives as it was, whatever the pieces", () => {
    fc.assert(
      fc.property(text, fc.array(fc.nat(40), { maxLength: 8 }), (content, cuts) => {
        const pieces: Uint8Array[] = [];
        let at = 0;
        for (const size of cuts) pieces.push(latin1Encode(content.slice(at, at += size)));
        pieces.push(latin1Encode(content.slice(at)));
        assert.equal(received(latin1Decode(encodeContent(pieces, 998).bytes)), content);
        const encoder = new ContentEncoder(998);
        const streamed = pieces.map((piece) => latin1Decode(encoder.encode(piece))).join("") +
          latin1Decode(encoder.finish());
        assert.equal(received(streamed), content);
      }),
      { numRuns: 2000 },
    );
  });

  it("long lines are cut as Postfix cuts them, in one piece or many", () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 3, max: 12 }), fc.integer({ min: 1, max: 7 }), (content, limit, size) => {
        const wanted = content.split("\r\n").map((one) => cut(one, limit)).join("\r\n");
        assert.equal(received(latin1Decode(encodeContent([latin1Encode(content)], limit).bytes)), wanted);
        const encoder = new ContentEncoder(limit);
        let streamed = "";
        for (let at = 0; at < content.length; at += size) {
          streamed += latin1Decode(encoder.encode(latin1Encode(content.slice(at, at + size))));
        }
        streamed += latin1Decode(encoder.finish());
        assert.equal(received(streamed), wanted);
        assert.equal(encoder.broken, wanted !== content);
      }),
      { numRuns: 2000 },
    );
  });

  it("the end is CRLF dot CRLF, also when the last line lacks its end", () => {
    const cases = [["", ".\r\n"], ["a", "a\r\n.\r\n"], ["a\r", "a\r\n.\r\n"], ["a\r\n", "a\r\n.\r\n"], [
      ".",
      "..\r\n.\r\n",
    ]];
    for (const [content = "", wire] of cases) {
      assert.equal(latin1Decode(encodeContent([latin1Encode(content)], 998).bytes), wire);
      const encoder = new ContentEncoder(998);
      assert.equal(latin1Decode(encoder.encode(latin1Encode(content))) + latin1Decode(encoder.finish()), wire);
    }
  });

  it("no limit is no limit", () => {
    const long = "x".repeat(5000) + "\r\n";
    assert.equal(latin1Decode(encodeContent([latin1Encode(long)], 0).bytes), long + ".\r\n");
  });
});
