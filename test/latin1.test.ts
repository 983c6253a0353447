import assert from "node:assert/strict";
import { test } from "node:test";
import { latin1Decode, latin1Encode, latin1Of, unicodeOf } from "../src/latin1.ts";

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

test("a range", () => assert.equal(latin1Decode(latin1Encode("abcdef"), 2, 4), "cd"));

test("Unicode there and back", () => {
  assert.equal(latin1Of("\u20ac"), "\u00e2\u0082\u00ac");
  assert.equal(unicodeOf(latin1Of("a\u20ac\u{1f600}")), "a\u20ac\u{1f600}");
});
