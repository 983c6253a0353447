import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeUxtext, encodeUxtext } from "../src/address.ts";
import { UnicodeHeaders, withUnicode } from "../src/cleanup/unicode.ts";
import type { Config } from "../src/config/config.ts";
import { type Envelope, NO_CLIENT, plainRecipient } from "../src/envelope.ts";
import { asciiDomain } from "../src/idna.ts";
import { latin1Encode, latin1Of } from "../src/latin1.ts";
import { foldCase } from "../src/maps/fold.ts";

for (
  const [domain, expected] of [
    ["plain.example", "plain.example"],
    ["münchen.example", "xn--mnchen-3ya.example"],
    ["MÜNCHEN.Example", "xn--mnchen-3ya.example"],
    ["x.рф", "x.xn--p1ai"],
    ["例え。テスト", "xn--r8jz45g.xn--zckzah"],
    ["-é.example", null],
    ["é-.example", null],
    [`${"é".repeat(64)}.example`, null],
    ["é x.example", null],
    ["é%41.example", null],
    ["é/x", null],
  ] as const
) {
  it(`${domain.slice(0, 20)} is ${expected}`, () => assert.equal(asciiDomain(latin1Of(domain)), expected));
}

it("bytes that are not UTF-8 are no domain", () => assert.equal(asciiDomain("\xe9.example"), null));

it("utf-8-addr-xtext", () => {
  const address = latin1Of("é+x=😀@x.example");
  assert.equal(encodeUxtext(address), "\\x{E9}\\x{2B}x\\x{3D}\\x{1F600}@x.example");
  assert.equal(decodeUxtext(encodeUxtext(address)), address);
  assert.equal(decodeUxtext(latin1Of("é@x")), latin1Of("é@x"));
  assert.equal(decodeUxtext("\\xE9 b\\x{}"), "\\xE9 b\0");
  for (const wrong of ["\\x{1", "\\x{g}", "\\x{FFFFFF}"]) assert.equal(decodeUxtext(wrong), null, wrong);
});

describe("SMTPUTF8 of a message", () => {
  const plain: Envelope = {
    ...{ sender: "a@x", recipients: [plainRecipient("b@y")], arrived: 0, client: NO_CLIENT },
    ...{ encoding: "", ret: "", envid: "" },
  };
  const unicode = { ...plain, recipients: [plainRecipient(latin1Of("é@y"))] };
  for (
    const [what, envelope, rule, inHeaders, expected] of [
      ["is not looked for", unicode, undefined, true, undefined],
      ["is requested", plain, "requested", false, "requested"],
      ["is needed by a recipient", unicode, "requested", false, "needed"],
      ["is needed by a header", plain, "requested", true, "needed"],
      ["is not found", plain, "found", false, undefined],
      ["is found", unicode, "found", false, "needed"],
    ] as const
  ) {
    it(what, () => assert.equal(withUnicode(envelope, rule, inHeaders).smtputf8, expected));
  }
});

describe("headers that are not ASCII", () => {
  const limits = { line_length_limit: 2048, header_size_limit: 10_000, mime_boundary_length_limit: 2048 };
  const config = { ...limits, mime_nesting_limit: 100, disable_mime_input_processing: false } as Config;
  const found = (content: string): boolean => {
    const headers = new UnicodeHeaders(config);
    for (let at = 0; at < content.length; at += 7) headers.push(latin1Encode(latin1Of(content.slice(at, at + 7))));
    return headers.found();
  };
  const parts = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n";
  for (
    const [what, content, expected] of [
      ["are found", "Subject: é\r\n\r\nx\r\n", true],
      ["are found without an end", "Subject: é", true],
      ["are found in parts", `${parts}X: é\r\n\r\nx\r\n--b--\r\n`, true],
      ["are found in enclosed messages", "Content-Type: message/rfc822\r\n\r\nSubject: é\r\n\r\n", true],
      ["are none in bodies", `${parts}\r\né\r\n--b--\r\né\r\n`, false],
    ] as const
  ) {
    it(what, () => assert.equal(found(content), expected));
  }
});

it("bytes of characters are folded together", () => {
  assert.equal(foldCase(latin1Of("É@X.Example")), latin1Of("é@x.example"));
  assert.equal(foldCase("A\xc9"), "a\xc9");
});
