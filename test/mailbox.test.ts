import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { latin1Decode, latin1Encode } from "../src/latin1.ts";
import { leadingLines, LineConverter, mailboxStatus, systemWords } from "../src/mailbox.ts";
import { LEAD, letter, systemError } from "./mailboxes.ts";

function converted(pieces: readonly string[], quote: boolean): string {
  const converter = new LineConverter(quote);
  const out = pieces.map((piece) => latin1Decode(converter.push(latin1Encode(piece))));
  return out.join("") + latin1Decode(converter.end());
}

/** Content, maildir form, mbox form. */
const CONVERSIONS: readonly (readonly [string, string, string])[] = [
  ["", "", ""],
  ["a: b\r\n\r\nc\r\n", "a: b\n\nc\n", "a: b\n\nc\n"],
  ["no line end", "no line end\n", "no line end\n"],
  ["From a\r\n", "From a\n", ">From a\n"],
  [
    "x\r\nFrom a\r\nFromage\r\n>From b\r\n From c\r\nx From d\r\n",
    ...[
      "x\nFrom a\nFromage\n>From b\n From c\nx From d\n",
      "x\n>From a\nFromage\n>From b\n From c\nx From d\n",
    ] as const,
  ],
  ["From From From \r\n", "From From From \n", ">From From From \n"],
  ["bare\nFrom lf\r\n", "bare\nFrom lf\n", "bare\n>From lf\n"],
  ["cr\rin\r\r\nside\r", "cr\rin\r\nside\r\n", "cr\rin\r\nside\r\n"],
  ["nul\0 \xe4\xff\r\n", "nul\0 \xe4\xff\n", "nul\0 \xe4\xff\n"],
  ["\r\n\r\n", "\n\n", "\n\n"],
  ["From", "From\n", "From\n"],
  ["From ", "From \n", ">From \n"],
  ["\r\nFro", "\nFro\n", "\nFro\n"],
];

describe("LineConverter", () => {
  it("makes LF of CRLF, and quotes From lines for an mbox, wherever the pieces are cut", () => {
    for (const [content, maildir, mbox] of CONVERSIONS) {
      for (const [quote, expected] of [[false, maildir], [true, mbox]] as const) {
        assert.equal(converted([content], quote), expected);
        assert.equal(converted([...content], quote), expected, "byte by byte");
        for (let at = 0; at <= content.length; at++) {
          assert.equal(converted([content.slice(0, at), content.slice(at)], quote), expected, `cut at ${at}`);
        }
      }
    }
  });

  it("keeps the size that quoting every line needs", () => {
    assert.equal(converted(["From ".repeat(1) + "\r\n", "From \r\n".repeat(999)], true), ">From \n".repeat(1000));
    assert.equal(converted(["From \n".repeat(1000)], true), ">From \n".repeat(1000));
  });
});

describe("leadingLines", () => {
  it("names sender, original and final recipient", () => {
    assert.equal(leadingLines(letter(), null), LEAD);
  });

  it("begins an mbox message with a From line, two spaces before the date", () => {
    const lines = leadingLines(letter(), { now: Date.UTC(2026, 10, 2, 3, 4, 5), zoneMinutes: 60 });
    assert.equal(lines, `From s@orig.example  Mon Nov  2 04:04:05 2026\n${LEAD}`);
  });

  it("gives the null sender the name MAILER-DAEMON, in the From line only", () => {
    const lines = leadingLines(letter({ sender: "" }), { now: 0, zoneMinutes: 0 });
    assert.match(lines, /^From MAILER-DAEMON {2}Thu Jan {2}1 00:00:00 1970\nReturn-Path: <>\n/);
  });

  it("shows the address before rewriting, and leaves out Delivered-To: where it is not wanted", () => {
    const recipient = { ...letter().recipient, original: "alias" };
    const lines = leadingLines(letter({ recipient, showDelivered: false }), null);
    assert.equal(lines, "Return-Path: <s@orig.example>\nX-Original-To: alias\n");
  });
});

describe("errors of mailboxes", () => {
  it("have Postfix's status, but trouble of the machine never bounces", () => {
    const rows = [["EAGAIN", "4.2.0"], ["ENOSPC", "4.3.0"], ["EDQUOT", "5.2.2"], ["EFBIG", "5.2.2"], ["EIO", "4.3.0"]];
    for (const [code, status] of rows) assert.equal(mailboxStatus(code!, "5.2.0"), status, code);
    assert.equal(mailboxStatus("EACCES", "5.2.0"), "5.2.0");
  });

  it("have strerror's words", () => {
    assert.equal(systemWords(systemError("ENOSPC")), "No space left on device");
    assert.equal(systemWords(systemError("EODD")), "EODD");
  });
});
