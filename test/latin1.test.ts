import assert from "node:assert/strict";
import { test } from "node:test";
import { currentRuntime } from "../runtimes/select.ts";
import { decoded, latin1Decode, latin1Encode, latin1EncodeInto, latin1Of, unicodeOf } from "../src/latin1.ts";

await currentRuntime();

test("every byte survives, at every length around the steps", () => {
  for (const length of [0, 1, 31, 32, 33, 256, 4095, 4096, 4097, 10_000]) {
    const bytes = Uint8Array.from({ length }, (_none, at) => at * 7 % 256);
    const text = latin1Decode(bytes);
    assert.equal(text.length, length);
    assert.deepEqual(latin1Encode(text), bytes);
  }
});

test("a byte that is not ASCII survives at every place of a short and a longer text", () => {
  for (const length of [1, 7, 8, 9, 23, 24, 25, 26, 60]) {
    for (let at = -1; at < length; at++) {
      for (const byte of [0, 0x7f, 0x80, 0x92, 0xc3, 0xff]) {
        const codes = Array.from({ length }, (_none, index) => index === at ? byte : 97 + index % 26);
        const bytes = Uint8Array.of(1, ...codes, 2);
        assert.equal(latin1Decode(bytes, 1, length + 1), String.fromCharCode(...codes));
      }
    }
  }
  const text = "\u00ef\u00bb\u00bf" + "x".repeat(30);
  assert.equal(latin1Decode(latin1Encode(text)), text);
});

test("ASCII in front of 8-bit text is not encoded twice", () => {
  const text = `${"a".repeat(100)}\u00e9${"b".repeat(100)}`;
  assert.equal(latin1Decode(latin1Encode(text)), text);
});

test("the runtime's own decoder gives the same text, past the end too", () => {
  const bytes = Uint8Array.from({ length: 5000 }, (_none, at) => at * 7 % 256);
  for (const [start, end] of [[0, 5000], [3, 3], [10, 9000], [4999, 5001], [6000, 7000], [20, 10], [100, 300]]) {
    assert.equal(latin1Decode(bytes, start, end), decoded(bytes, start!, end!), `${start} to ${end}`);
    assert.equal(latin1Decode(bytes.subarray(7), start, end), decoded(bytes.subarray(7), start!, end!));
  }
});

test("text goes where it belongs, and nowhere else", () => {
  const text = latin1Decode(Uint8Array.from({ length: 300 }, (_none, at) => 255 - at % 256));
  for (const length of [0, 1, 16, 17, 33, 300]) {
    const bytes = new Uint8Array(400).fill(1);
    latin1EncodeInto(text.slice(0, length), bytes, 50);
    const expected = new Uint8Array(400).fill(1);
    for (let at = 0; at < length; at++) expected[50 + at] = text.charCodeAt(at);
    assert.deepEqual(bytes, expected);
  }
});

test("a range", () => assert.equal(latin1Decode(latin1Encode("abcdef"), 2, 4), "cd"));

test("Unicode there and back", () => {
  assert.equal(latin1Of("\u20ac"), "\u00e2\u0082\u00ac");
  assert.equal(unicodeOf(latin1Of("a\u20ac\u{1f600}")), "a\u20ac\u{1f600}");
});
