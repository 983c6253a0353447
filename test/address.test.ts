import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { decodeXtext, encodeXtext, quoteLocal, splitAddress, unquoteLocal, validDomain } from "../src/address.ts";

test("a local part survives quoting", () => {
  fc.assert(fc.property(fc.string({ minLength: 1 }), (local) => {
    assert.equal(unquoteLocal(quoteLocal(local)), local);
  }));
});

test("xtext round trip", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary-ascii" }), (text) => assert.equal(decodeXtext(encodeXtext(text)), text)),
  );
  assert.equal(decodeXtext("a+2"), null);
  assert.equal(decodeXtext('"a b"+2b'), '"a b"+');
});

test("splitAddress splits at the last @", () => {
  assert.deepEqual(splitAddress('"a@b"@c.example'), { local: '"a@b"', domain: "c.example" });
  assert.deepEqual(splitAddress("root"), { local: "root", domain: "" });
});

test("validDomain", () => {
  for (
    const good of [
      "a",
      "a.example",
      "a.example.",
      "a_b.example",
      "x-1.example",
      "[127.0.0.1]",
      "[IPv6:2001:db8::1]",
      "[01.2.3.4]",
    ]
  ) {
    assert.equal(validDomain(good), true, good);
  }
  for (
    const wrong of [
      "",
      ".",
      "a..b",
      "-a",
      "a-",
      "[1.2.3]",
      "[IPv6:1::2::3]",
      "[0.1.2.3]",
      "[",
      "1.2.3.4",
      `${"a".repeat(64)}.example`,
      "a b",
    ]
  ) {
    assert.equal(validDomain(wrong), false, wrong);
  }
});
