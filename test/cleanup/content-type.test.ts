import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { contentType, domainOf, plainType, transferEncoding } from "../../src/cleanup/content-type.ts";
import { latin1Encode } from "../../src/latin1.ts";
import { SEED } from "../seed.ts";

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

describe("plainType", () => {
  const told = (text: string) => plainType(latin1Encode(`x:${text}y`), 2, 2 + text.length);
  it("tells what most types are by their first word", () => {
    for (const text of [" text/html; charset=x", "TEXT/plain", "\ttext/"]) assert.equal(told(text)?.kind, "text");
    for (const text of [" image/png", " application/pdf; boundary=x", "x"]) assert.equal(told(text)?.kind, "other");
    for (const text of ["", " ", " text", " text\x0fx", " multipart/x", " message/rfc822", " (c) image/x", ' "x"/y']) {
      assert.equal(told(text), null, text);
    }
  });
  it(`never says other than a reading of all of it (seed ${SEED})`, () => {
    const unit = fc.constantFrom(
      ...'text/TEXT message multipart image;="()\\\n\t\x0f boundary'.split(""),
      "text",
      "multipart",
    );
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 20 }), (text) => {
        const plain = told(text);
        if (plain === null) return;
        const { kind, boundaries } = contentType(text);
        assert.deepEqual([plain.kind, []], [kind, boundaries]);
      }),
      { seed: SEED, numRuns: 3000 },
    );
  });
});
