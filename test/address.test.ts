import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import {
  decodeXtext,
  encodeXtext,
  parseEnvelopeAddress,
  quoteLocal,
  splitAddress,
  unquoteLocal,
  validDomain,
} from "../src/address.ts";

describe("parseEnvelopeAddress", () => {
  for (
    const [text, address] of [
      ["<a@b.example>", "a@b.example"],
      ["<>", ""],
      ["<postmaster>", "postmaster"],
      ["a@b.example", "a@b.example"],
      ["<@a.example,@b.example:c@d.example>", "c@d.example"],
      ['<"a b"@c.example>', '"a b"@c.example'],
      ['<"a"@c.example>', "a@c.example"],
      ['<"a\\"b"@c.example>', '"a\\"b"@c.example'],
      ["<a@[127.0.0.1]>", "a@[127.0.0.1]"],
      ["<a@[IPv6:::1]>", "a@[IPv6:::1]"],
      ["(remark)<x@example.com>", "x@example.com"],
      ["Joe <x@example.com>", "x@example.com"],
      ["<a b@c.example>", null],
      ["<a@>", null],
      ["<@>", null],
      ["<a@-b.example>", null],
      ["<a@b..example>", null],
      ["<a@1.2.3.4>", null],
      ["<a@[1.2.3]>", null],
      ["<a,b@c.example>", null],
      ["<a@b.example", null],
      ['<"a@b.example>', null],
    ] as const
  ) {
    test(text, () => assert.equal(parseEnvelopeAddress(text, false)?.address ?? null, address));
  }

  test("strict_rfc821_envelopes wants angle brackets and nothing else", () => {
    assert.equal(parseEnvelopeAddress("a@b.example", true), null);
    assert.equal(parseEnvelopeAddress("Joe <a@b.example>", true), null);
    assert.equal(parseEnvelopeAddress("<a@b.example>", true)?.address, "a@b.example");
  });

  test("a source route is told", () => {
    assert.equal(parseEnvelopeAddress("<@a.example:c@d.example>", false)?.routed, true);
    assert.equal(parseEnvelopeAddress("<c@d.example>", false)?.routed, false);
  });

  test("never throws, whatever comes", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), fc.boolean(), (text, strict) => {
        parseEnvelopeAddress(text, strict);
        parseEnvelopeAddress(`<${text}@example.com>`, strict);
      }),
      { numRuns: 3000 },
    );
  });
});

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
  assert.equal(decodeXtext("a b"), null);
});

test("splitAddress splits at the last @", () => {
  assert.deepEqual(splitAddress('"a@b"@c.example'), { local: '"a@b"', domain: "c.example" });
  assert.deepEqual(splitAddress("root"), { local: "root", domain: "" });
});

test("validDomain", () => {
  for (
    const good of ["a", "a.example", "a.example.", "a_b.example", "x-1.example", "[127.0.0.1]", "[IPv6:2001:db8::1]"]
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
