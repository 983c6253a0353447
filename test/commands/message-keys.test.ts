import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type KeysWanted, messageKeys } from "../../src/commands/message-keys.ts";

const MESSAGE = [
  "Subject: foo",
  " bar",
  'Content-Type: multipart/mixed; boundary="b"',
  "",
  "pre",
  "--b",
  "Content-Type: text/plain",
  "",
  "body",
  "--b",
  "Content-Type: message/rfc822",
  "",
  "Subject: inner",
  "",
  "inner body",
  "--b--",
  "epi",
];

const HEADERS = ["Subject: foo\n bar", 'Content-Type: multipart/mixed; boundary="b"'];

// As Debian's postmap answers for static:X.
const ROWS: readonly (readonly [string, KeysWanted, readonly string[]])[] = [
  ["headers", { headers: true, body: false, mime: false }, HEADERS],
  ["body", { headers: false, body: true, mime: false }, MESSAGE.slice(3)],
  ["headers of parts", { headers: true, body: false, mime: true }, [
    ...HEADERS,
    "Content-Type: text/plain",
    "Content-Type: message/rfc822",
    "Subject: inner",
  ]],
  ["bodies of parts", { headers: false, body: true, mime: true }, [
    ...["", "pre", "--b", "", "body", "--b", "", "", "inner body", "--b--", "epi"],
  ]],
];

describe("the keys of a message", () => {
  for (const [what, wanted, keys] of ROWS) {
    it(what, () => assert.deepEqual([...messageKeys(MESSAGE, wanted)], keys));
  }
  it("without a header begin with an empty line", () => {
    const wanted = { headers: true, body: true, mime: false };
    assert.deepEqual([...messageKeys(["From me", "A: b"], wanted)], ["", "From me", "A: b"]);
  });
});
