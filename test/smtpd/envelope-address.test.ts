import assert from "node:assert/strict";
import { describe, test } from "node:test";
import fc from "fast-check";
import type { Transport } from "../../src/agent.ts";
import { isAddress, parseEnvelopeAddress } from "../../src/smtpd/envelope-address.ts";

/** As Debian's Postfix has it in its log; what the resolver refuses is an address here. */
const ROWS: readonly (readonly [string, string | null])[] = [
  ["<a@b.example>", "a@b.example"],
  ["<>", ""],
  ["<postmaster>", "postmaster"],
  ["a@b.example", "a@b.example"],
  ["<@a.example,@b.example:c@d.example>", "c@d.example"],
  ["<@a.example:@b.example:c@d.example>", "@b.example:c@d.example"],
  ['<"a b"@c.example>', '"a b"@c.example'],
  ['<"a"@c.example>', "a@c.example"],
  ['<"a\\"b"@c.example>', '"a\\"b"@c.example'],
  ["<a@[127.0.0.1]>", "a@[127.0.0.1]"],
  ["<a@[IPv6:::1]>", "a@[IPv6:::1]"],
  ["(remark)<x@example.com>", "x@example.com"],
  ["Joe <x@example.com>", "x@example.com"],
  ["<a b@c.example>", null],
  ["<a,b@c.example>", null],
  ["<a@b.example>x>", null],
  ["<bs\\@x.example>", "bs@x.example"],
  ['<"a@b.example">', "a@b.example"],
  ["<a@b.example", '"<a"@b.example'],
  ["a@b.example>", "a@b.example"],
  ["<a(c)@b.example>", "a@b.example"],
  ["<<a b@c.example>>", "ab@c.example"],
  ["g:<a@b.example>;", "a@b.example"],
  ["<a@-b>", "a@-b"],
];

describe("parseEnvelopeAddress", () => {
  for (const [text, address] of ROWS) {
    test(text, () => assert.equal(parseEnvelopeAddress(text, false)?.address ?? null, address));
  }

  test("strict_rfc821_envelopes wants angle brackets and nothing else", () => {
    assert.equal(parseEnvelopeAddress("a@b.example", true), null);
    assert.equal(parseEnvelopeAddress("Joe <a@b.example>", true), null);
    assert.equal(parseEnvelopeAddress("<@a@b.example>", true), null);
    assert.equal(parseEnvelopeAddress("<a@b.example>", true)?.address, "a@b.example");
  });

  test("only what no resolver finds fault with is plain", () => {
    for (const text of ["<a@b.example>", "<>"]) assert.equal(parseEnvelopeAddress(text, false)?.plain, true, text);
    for (const text of ["<a@-b>", "<-a@b.example>", "<a%b@c.example>", "<a!b@c.example>", "<a..b@c>", "<a>"]) {
      assert.equal(parseEnvelopeAddress(text, false)?.plain, false, text);
    }
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

test("the resolver's answer decides", () => {
  const to = (recipient: string, nexthop = "x"): Transport => ({ kind: "deliver", transport: "t", nexthop, recipient });
  assert.equal(isAddress(to("a@b.example"), false), true);
  assert.equal(isAddress(to("a@-b", "5.1.3 bad address syntax"), false), false);
  // A table that cannot answer makes nothing a syntax error.
  assert.equal(isAddress({ kind: "unsure", why: "x" }, false), true);
  assert.equal(isAddress(to("a@\xc3\xa9.example"), false), false);
  assert.equal(isAddress(to("a@\xc3\xa9.example"), true), true);
  assert.equal(isAddress(to("a@\xc3.example"), true), false);
});
