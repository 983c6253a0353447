import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { HeaderBlock, HeaderWishes, SeenHeaders } from "../../src/cleanup/headers.ts";

function run(text: string, cuts: readonly number[] = [], sizeLimit = 102_400): { out: string; seen: SeenHeaders } {
  const bytes = Buffer.from(text, "latin1");
  let out = "";
  const seen = new SeenHeaders(new HeaderWishes(["bcc", "Return-Path"]));
  const block = new HeaderBlock({ sizeLimit }, {
    keep: (piece) => void (out += Buffer.from(piece).toString("latin1")),
    headersDone: () => void (out += "[end]"),
  }, seen);
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  let start = 0;
  let inBody = false;
  for (const end of ends) {
    const piece = bytes.subarray(start, end);
    if (piece.length > 0) {
      if (inBody) out += piece.toString("latin1");
      else inBody = block.push(piece);
    }
    start = end;
  }
  if (!inBody) block.end();
  return { out, seen };
}

describe("HeaderBlock", () => {
  for (
    const [name, text, out] of [
      ["headers and body", "A: 1\r\nB: 2\r\n\r\nbody\r\n", "A: 1\r\nB: 2\r\n[end]\r\nbody\r\n"],
      ["headers only", "A: 1\r\n", "A: 1\r\n[end]"],
      ["nothing", "", "[end]"],
      ["body only", "no header\r\n", "[end]\r\nno header\r\n"],
      ["an empty first line", "\r\nbody\r\n", "[end]\r\nbody\r\n"],
      ["a dropped header with its continuation", "A: 1\r\nBcc: x,\r\n y\r\nC: 3\r\n\r\n", "A: 1\r\nC: 3\r\n[end]\r\n"],
      ["a line that is no header begins the body", "A: 1\r\nfoo\r\nB: 2\r\n", "A: 1\r\n[end]\r\nfoo\r\nB: 2\r\n"],
      ["a From line of a mailbox", "From x Mon\r\nA: 1\r\n\r\n", "X-Mailbox-Line: From x Mon\r\nA: 1\r\n[end]\r\n"],
      ["space before the colon", "Subject : x\r\n\r\n", "Subject : x\r\n[end]\r\n"],
      ["a continuation first", " x\r\nA: 1\r\n", "[end]\r\n x\r\nA: 1\r\n"],
    ] as const
  ) {
    test(name, () => {
      assert.equal(run(text).out, out);
      assert.equal(run(text, text.split("").map((_char, at) => at)).out, out);
    });
  }

  test("pieces do not matter", () => {
    const line = fc.constantFrom(
      "A: 1\r\n",
      " more\r\n",
      "\r\n",
      "Bcc: x\r\n",
      "text\r\n",
      "Received: a\r\n",
      "\tx\r\n",
      "x",
    );
    fc.assert(
      fc.property(fc.array(line, { maxLength: 12 }), fc.array(fc.nat(99), { maxLength: 6 }), (lines, cuts) => {
        const text = lines.join("").replace(/x$/, "x\r\n");
        assert.equal(run(text, cuts).out, run(text).out);
      }),
      { numRuns: 2000 },
    );
  });

  test("counts Received and notes the message id", () => {
    const { seen } = run("Received: a\r\nreceived: b\r\nMessage-ID:\r\n <1@x>\r\nTo: y\r\n\r\nReceived: c\r\n");
    assert.equal(seen.received, 2);
    assert.equal(seen.messageId, "<1@x>");
    assert.deepEqual([...seen.names].sort(), ["message-id", "received", "to"]);
  });

  test("header_size_limit cuts a header and goes on with the next", () => {
    const long = `A: ${"x".repeat(500)}\r\n`;
    for (const cuts of [[], [100, 200, 300], [509], [510]]) {
      const { out } = run(`${long}B: 2\r\n\r\nbody\r\n`, cuts, 64);
      assert.equal(out, `A: ${"x".repeat(61)}\r\nB: 2\r\n[end]\r\nbody\r\n`);
    }
  });

  test("a megabyte of one header takes no more than its limit", () => {
    const { out } = run(
      `A: ${"x".repeat(1 << 20)}\r\n\r\n`,
      Array.from({ length: 200 }, (_none, at) => at * 5000),
      1000,
    );
    assert.equal(out.length, 1000 + 2 + "[end]\r\n".length);
  });
});
