import assert from "node:assert/strict";
import { test } from "node:test";
import { rewriteAddress } from "../../src/trivial-rewrite/rewrite.ts";

const USUAL = {
  swap_bangpath: true,
  allow_percent_hack: true,
  append_at_myorigin: true,
  append_dot_mydomain: true,
  myorigin: "origin.example",
  mydomain: "dom.example",
};

const ROWS: readonly (readonly [string, string, Partial<typeof USUAL>?])[] = [
  ["", ""],
  ["user", "user@origin.example"],
  ["user", "user", { append_at_myorigin: false }],
  ["user@d.example", "user@d.example"],
  ["user@D.Example", "user@D.Example"],
  ["user@d.example.", "user@d.example"],
  ["user@host", "user@host.dom.example"],
  ["user@host", "user@host", { append_dot_mydomain: false }],
  ["user@[192.0.2.1]", "user@[192.0.2.1]"],
  ["host!user", "user@host.dom.example"],
  ["h.example!user", "user@h.example"],
  ["a!b!user", "b!user@a.dom.example"],
  ["host!user", "host!user@origin.example", { swap_bangpath: false }],
  ["host!user@d.example", "host!user@d.example"],
  ["!user", "user@"],
  ["host!", '""@host.dom.example'],
  ["user%d.example", "user@d.example"],
  ["user%a%d.example", "user%a@d.example"],
  ["user%d.example", "user%d.example@origin.example", { allow_percent_hack: false }],
  ["%d.example", '""@d.example'],
  ['"a!b"', "a!b@origin.example"],
  ['"a b"@d.example', '"a b"@d.example'],
];

for (const [address, expected, change] of ROWS) {
  test(`${JSON.stringify(address)} -> ${expected} ${JSON.stringify(change ?? {})}`, () => {
    assert.equal(rewriteAddress(address, { ...USUAL, ...change }), expected);
  });
}
