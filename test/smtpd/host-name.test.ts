import assert from "node:assert/strict";
import { test } from "node:test";
import { literalAddress } from "../../src/ip-address.ts";
import { validHostAddress, validHostname, withoutFinalDot } from "../../src/smtpd/host-name.ts";

test("host names", () => {
  for (const name of ["a", "a.b", "a-b.c_d", "1a", `${"a".repeat(63)}.b`]) assert.ok(validHostname(name), name);
  const bad = ["", ".a", "a.", "a..b", "-a", "a-", "a b", "1.2.3.4", "a@b", "é.example", `${"a".repeat(64)}.b`];
  for (const name of bad) assert.ok(!validHostname(name), name);
});

test("addresses", () => {
  for (const text of ["1.2.3.4", "0.0.0.0", "::1", "2001:db8::1"]) assert.ok(validHostAddress(text), text);
  for (const text of ["1.2.3", "1.2.3.256", "0.1.2.3", "1.2.3.4.5", ":::", "x"]) {
    assert.ok(!validHostAddress(text), text);
  }
});

test("address literals", () => {
  assert.equal(literalAddress("1.2.3.4"), "1.2.3.4");
  assert.equal(literalAddress("IPv6:::1"), "::1");
  for (const text of ["1:2:3", "::", "1::", "::ffff:1.2.3.4", "1:2:1.2.3.4", "1:2:3:4:5:6:7:8"]) {
    assert.equal(literalAddress(`IPv6:${text}`), text);
  }
  for (
    const text of [
      "1",
      "1:2",
      ":1:2",
      "1:2:",
      "1::2::3",
      ":::",
      "1:2:3:4:5:6:7:8:9",
      "12345::",
      "1:2:3:4:5:6:7:1.2.3.4",
    ]
  ) {
    assert.equal(literalAddress(`IPv6:${text}`), null, text);
  }
  for (const text of ["::1", "ipv6:1.2.3.4", "IPv6:x", ""]) assert.equal(literalAddress(text), null, text);
});

test("one final dot", () => {
  assert.deepEqual(["a.", "a..", ".", "a"].map(withoutFinalDot), ["a", "a..", ".", "a"]);
});
