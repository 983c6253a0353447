import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import { DataScanner } from "../../../src/smtpd/engine/stream.ts";

/** Feeds the text in pieces that end at the cuts; what came out, whether the end was seen, and what was left. */
function scan(
  text: string,
  cuts: readonly number[],
  scanner: DataScanner,
): { out: string; ended: boolean; rest: string } {
  const bytes = Buffer.from(text, "latin1");
  let out = "";
  const ends = [...new Set([...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort((a, b) => a - b);
  let start = 0;
  for (const end of ends) {
    const chunk = bytes.subarray(start, end);
    const after = scanner.push(chunk, 0, (piece) => out += Buffer.from(piece).toString("latin1"));
    if (after >= 0) return { out, ended: true, rest: text.slice(start + after) };
    start = end;
  }
  return { out, ended: false, rest: "" };
}

/** What Postfix makes of it, line by line. */
function expected(text: string, lenient: boolean): { out: string; ended: boolean; rest: string } {
  let out = "";
  let at = 0;
  let afterBare = false;
  while (true) {
    const lf = text.indexOf("\n", at);
    if (lf < 0) return { out, ended: false, rest: "" };
    const bare = lf === at || text[lf - 1] !== "\r";
    const line = text.slice(at, lf).replace(/\r+$/, "");
    at = lf + 1;
    const standard = !bare && !afterBare && text.slice(at - 3, at) === ".\r\n";
    if (line === "." && (lenient || standard)) return { out, ended: true, rest: text.slice(at) };
    out += (line.startsWith(".") ? line.slice(1) : line).replace(/\r/g, " ") + "\r\n";
    afterBare = bare;
  }
}

const scanner = (lenient = false): DataScanner => new DataScanner(true, lenient, true);

describe("DataScanner", () => {
  for (
    const [name, text, out, rest] of [
      ["an empty message", ".\r\nQUIT", "", "QUIT"],
      ["one line", "a\r\n.\r\n", "a\r\n", ""],
      ["dot-stuffing", "..\r\n.a\r\n..b\r\n.\r\n", ".\r\na\r\n.b\r\n", ""],
      ["bare LF becomes CRLF", "a\nb\r\n.\r\n", "a\r\nb\r\n", ""],
      ["a bare CR becomes a space", "a\rb\r\n.\r\n", "a b\r\n", ""],
      ["CRs before CRLF are dropped", "a\r\r\r\n.\r\n", "a\r\n", ""],
      ["LF.LF does not end", "a\n.\nb\r\n.\r\n", "a\r\n\r\nb\r\n", ""],
      ["LF.CRLF does not end", "a\n.\r\nb\r\n.\r\n", "a\r\n\r\nb\r\n", ""],
      ["CRLF.LF does not end", "a\r\n.\nb\r\n.\r\n", "a\r\n\r\nb\r\n", ""],
      ["CR.CR does not end", "a\r.\rb\r\n.\r\n", "a . b\r\n", ""],
      ["CRLF.CR CRLF does not end early", "a\r\n.\rb\r\n.\r\n", "a\r\n b\r\n", ""],
      ["NUL passes", "a\0b\r\n.\r\n", "a\0b\r\n", ""],
    ] as const
  ) {
    test(name, () => {
      assert.deepEqual(scan(text, [], scanner()), { out, ended: true, rest });
      assert.deepEqual(scan(text, text.split("").map((_char, at) => at), scanner()), { out, ended: true, rest });
    });
  }

  test("smtpd_forbid_bare_newline = no lets LF.LF end a message", () => {
    assert.deepEqual(scan("a\n.\nb", [], scanner(true)), { out: "a\r\n", ended: true, rest: "b" });
  });

  test("any text in any pieces comes out as line by line", () => {
    const piece = fc.constantFrom("\r", "\n", ".", "a", "\r\n", "\r\n.", "\r\n.\r\n", "\n.\n", "bc", "\0", "\xff");
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 30 }),
        fc.array(fc.nat(100), { maxLength: 8 }),
        fc.boolean(),
        (pieces, cuts, lenient) => {
          const text = pieces.join("") + "\r\n.\r\nnext";
          const got = scan(text, cuts, scanner(lenient));
          const want = expected(text, lenient);
          assert.deepEqual([got.out, got.ended, got.rest], [want.out, want.ended, want.rest]);
        },
      ),
      { numRuns: 3000 },
    );
  });

  test("content without a fault passes by reference", () => {
    const bytes = Buffer.from("Subject: x\r\n\r\nbody\r\n.\r\n", "latin1");
    const pieces: Uint8Array[] = [];
    scanner().push(bytes, 0, (piece) => pieces.push(piece));
    assert.equal(pieces.length, 1);
    assert.equal(pieces[0]!.buffer, bytes.buffer);
  });

  test("a BDAT message has no dots and gets its last line end", () => {
    const chunks = new DataScanner(false, false, true);
    let out = "";
    const emit = (piece: Uint8Array): void => void (out += Buffer.from(piece).toString("latin1"));
    for (const text of [".\r\n.\r", "\nab\n", "c\r"]) assert.equal(chunks.push(Buffer.from(text), 0, emit), -1);
    chunks.finish(emit);
    assert.equal(out, ".\r\n.\r\nab\r\nc\r\n");
  });
});
