import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { latin1Decode, latin1Encode } from "../src/latin1.ts";
import { contentPieces, LineEnds, maildropPreface, readDropped, type Submission } from "../src/maildrop.ts";
import type { OpenFile } from "../src/runtime.ts";

const SUBMISSION: Submission = {
  sender: "s@x.example",
  fullName: 'J\u00f6rg "X"',
  recipients: ["a@b.example", "c"],
  encoding: "8bit",
  notify: ["success", "delay"],
  ret: "hdrs",
  envid: "id 1",
};

/** A file with that content, read in steps of `step` bytes. */
function fileOf(text: string, step = 7): OpenFile {
  const bytes = latin1Encode(text);
  const read = (into: Uint8Array, position: number): Promise<number> => {
    const piece = bytes.subarray(position, position + Math.min(step, into.length));
    into.set(piece);
    return Promise.resolve(piece.length);
  };
  return { read } as unknown as OpenFile;
}

describe("maildrop files", () => {
  test("what was written is read", async () => {
    const preface = latin1Decode(maildropPreface(SUBMISSION));
    const file = fileOf(`${preface}Subject: x\n\nbody\xff`);
    const dropped = await readDropped(file);
    assert.deepEqual(dropped, { ...SUBMISSION, contentAt: preface.length });
    let text = "";
    for await (const piece of contentPieces(file, { ...SUBMISSION, contentAt: preface.length })) {
      text += latin1Decode(piece);
    }
    assert.equal(text, "Subject: x\r\n\r\nbody\xff\r\n");
  });

  const rows: readonly (readonly [string, string])[] = [
    ["", "the envelope does not end"],
    ["postrider-maildrop 1\n{", "the envelope does not end"],
    ["something else\n{}\n", "not a maildrop file"],
    ["postrider-maildrop 1\n{}\n", "no recipients"],
    ["postrider-maildrop 1\nnull\n", "no recipients"],
    ["postrider-maildrop 1\n5\n", "no recipients"],
    ['postrider-maildrop 1\n{"recipients":5}\n', "no recipients"],
    ['postrider-maildrop 1\n{"recipients":"abc"}\n', "no recipients"],
    ['postrider-maildrop 1\n{"recipients":[]}\n', "no recipients"],
    ['postrider-maildrop 1\n{"recipients":[{}]}\n', "bad envelope"],
    ['postrider-maildrop 1\n{"recipients":["a\\nb"]}\n', "bad envelope"],
    ['postrider-maildrop 1\n{"recipients":["a"],"sender":5}\n', "bad envelope"],
    ['postrider-maildrop 1\n{"recipients":["a"],"sender":"a\\u0000b"}\n', "bad envelope"],
    ['postrider-maildrop 1\n{"recipients":["a"],"envid":[]}\n', "bad envelope"],
  ];
  for (const [text, why] of rows) {
    test(`${JSON.stringify(text)}: ${why}`, async () => assert.equal(await readDropped(fileOf(text, 1_000)), why));
  }

  test("JSON that is none is told", async () => {
    assert.match(String(await readDropped(fileOf("postrider-maildrop 1\nnonsense\n"))), /^bad envelope: /);
  });

  test("unknown words are left out", async () => {
    const text = 'postrider-maildrop 1\n{"recipients":["a"],"notify":"never","ret":"all","encoding":"9bit"}\n';
    const dropped = await readDropped(fileOf(text));
    assert.ok(typeof dropped !== "string");
    assert.deepEqual([dropped.notify, dropped.ret, dropped.encoding, dropped.sender], [[], "", "", null]);
  });
});

describe("LineEnds", () => {
  for (
    const [pieces, expected] of [
      [["a\nb\n"], "a\r\nb\r\n"],
      [["a\r\nb"], "a\r\nb\r\n"],
      [["a\r", "\nb\r"], "a\r\nb\r\n"],
      [["a", "\n", "\n"], "a\r\n\r\n"],
      [[""], ""],
      [["a\rb"], "a\rb\r\n"],
    ] as const
  ) {
    test(JSON.stringify(pieces), () => {
      const lines = new LineEnds();
      const converted = [...pieces.map((piece) => lines.convert(latin1Encode(piece))), lines.end()];
      assert.equal(converted.map((piece) => latin1Decode(piece)).join(""), expected);
    });
  }
});
