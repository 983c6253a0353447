import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { contentType, domainOf, transferEncoding } from "../../src/cleanup/content-type.ts";

describe("contentType", () => {
  const rows: readonly (readonly [string, string, string, readonly string[]])[] = [
    [" text/plain", "text", "plain", []],
    [" TEXT / Plain; charset=x", "text", "plain", []],
    [" text/html", "text", "", []],
    [" message/rfc822", "message", "rfc822", []],
    [" message/partial; id=x", "message", "partial", []],
    [" message/external-body", "message", "external-body", []],
    [" message", "message", "", []],
    [" multipart/mixed; boundary=abc", "multipart", "", ["abc"]],
    [' multipart/digest; boundary="a b"', "multipart", "digest", ["a b"]],
    [' multipart/mixed; x=y; BOUNDARY = "q\\"x"', "multipart", "", ['q"x']],
    [' multipart/mixed (a (nested) comment); boundary(c)="x"(d)', "multipart", "", ["x"]],
    [" multipart/mixed; boundary=a; boundary=b", "multipart", "", ["a", "b"]],
    [' multipart/mixed; boundary=""', "multipart", "", [""]],
    [" multipart/mixed; boundary", "multipart", "", []],
    [" multipart/mixed; boundary=", "multipart", "", []],
    [' multipart/mixed;\n\tboundary="a\n b"', "multipart", "", ["a b"]],
    [' multipart/mixed; boundary="open', "multipart", "", ["open"]],
    [' "multipart"/mixed; boundary=x', "other", "", []],
    [" image/png", "other", "", []],
    ["", "other", "", []],
    [" (only a comment", "other", "", []],
  ];
  for (const [text, kind, subtype, boundaries] of rows) {
    it(JSON.stringify(text), () => assert.deepEqual(contentType(text), { kind, subtype, boundaries }));
  }
  it("reads a long header in linear time", () => {
    const began = performance.now();
    for (const piece of ["(", '"', ";", "boundary=x;", "\\", '"\n ', "a/"]) {
      contentType(` multipart/x; ${piece.repeat(20_000)}`);
    }
    assert.ok(performance.now() - began < 2_000);
  });
});

describe("transferEncoding", () => {
  const rows: readonly (readonly [string, string | null, string | null])[] = [
    [" 8bit", "8bit", "8bit"],
    [" (c) BASE64", "base64", "7bit"],
    [" quoted-printable;", "quoted-printable", "7bit"],
    [" quoted-printable x", "quoted-printable", "7bit"],
    [" binary", "binary", "binary"],
    [" x-other", null, null],
    ["", null, null],
  ];
  for (const [text, encoding, domain] of rows) {
    it(JSON.stringify(text), () => {
      const read = transferEncoding(text);
      assert.equal(read, encoding);
      if (read !== null) assert.equal(domainOf(read), domain);
    });
  }
});
