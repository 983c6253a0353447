import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import { type InputOptions, MessageInput } from "../../src/sendmail/input.ts";

function read(text: string, cut: number, options: Partial<InputOptions> = {}): string {
  const input = new MessageInput({ dotEnds: true, header: null, ...options });
  let out = "";
  for (let at = 0; at < text.length && !input.ended; at += cut) {
    for (const piece of input.push(latin1Encode(text.slice(at, at + cut)))) out += latin1Decode(piece);
  }
  for (const piece of input.end()) out += latin1Decode(piece);
  return out;
}

/** What comes in, what goes out; with -i where the dot does not end it. */
const ROWS: readonly (readonly [string, string, string, boolean?])[] = [
  ["LF stays", "Subject: x\n\nbody\n", "Subject: x\n\nbody\n"],
  ["CRLF becomes LF", "Subject: x\r\n\r\nbody\r\r\n", "Subject: x\n\nbody\n"],
  ["a dot ends it", "a: b\n\nx\n.\nmore\n", "a: b\n\nx\n"],
  ["a dot with CRLF ends it", "a: b\r\n\r\nx\r\n.\r\nmore\r\n", "a: b\n\nx\n"],
  ["a dot at the end without a newline ends it", "x\n.", "x\n"],
  ["with -i a dot does not end it", "a: b\n\nx\n.\nmore\n", "a: b\n\nx\n.\nmore\n", true],
  ["two dots do not end it", "x\n..\ny\n", "x\n..\ny\n"],
  ["From lines at the start go", ">From x\nFrom y\nSubject: s\n\nFrom z\n", "Subject: s\n\nFrom z\n"],
  ["the last line may lack its end", "a: b\n\nno nl", "a: b\n\nno nl"],
  ["nothing", "", ""],
  ["NUL and 8-bit bytes stay", "a: b\n\n\0\xff\n", "a: b\n\n\0\xff\n"],
];

describe("MessageInput", () => {
  for (const [name, text, expected, ignoreDots = false] of ROWS) {
    it(name, () => {
      for (const cut of [1, 2, 3, 5, 1000]) {
        assert.equal(read(text, cut, { dotEnds: !ignoreDots }), expected, `cut at ${cut}`);
      }
    });
  }
  it("shows the logical headers and nothing of the body", () => {
    for (const cut of [1, 4, 1000]) {
      const headers: string[] = [];
      const text = "To: a,\n  b\nSUBJECT : x\r\n\nCc: no\n";
      read(text, cut, { header: (name, value) => void headers.push(`${name}=${value}`) });
      assert.deepEqual(headers, ["to= a,\n  b", "subject= x"]);
    }
  });
  it("shows the headers of a message without a body", () => {
    const headers: string[] = [];
    read("To: a", 2, { header: (name, value) => void headers.push(`${name}=${value}`) });
    assert.deepEqual(headers, ["to= a"]);
  });
});
