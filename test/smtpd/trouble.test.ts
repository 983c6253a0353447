import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { REPLY, replyText, softened } from "../../src/reply.ts";
import { type Place, troubleOf } from "../../src/smtpd/trouble.ts";

/** As Postfix 3.7 blames them. */
const ROWS: readonly (readonly [string, string | null, Place?])[] = [
  ["250 2.1.0 Ok", null],
  ["221 2.7.0 Error: I can break rules, too. Goodbye.", null],
  ["354 End data with <CR><LF>.<CR><LF>", null],
  ["554 5.5.1 Error: no valid recipients", null],
  ["452 4.5.3 Error: too many recipients", null],
  ["459 <a.example>: service unavailable", null],
  ["421 4.4.2 mx.example Error: timeout exceeded", null],
  ["421 4.3.2 mx.example Error: server is shutting down", null],
  ["500 5.5.2 Error: command not recognized", "protocol"],
  ["501 Syntax: EHLO hostname", "protocol"],
  ["503 5.5.1 Error: nested MAIL command", "protocol"],
  ["555 5.5.4 Unsupported option: FOO=1", "protocol"],
  ["421 4.7.0 mx.example Error: too many errors", "protocol"],
  ["503 5.5.1 Error: send HELO/EHLO first", "policy"],
  ["502 5.5.1 VRFY command is disabled", "policy"],
  ["554 5.7.1 <a@far.example>: Relay access denied", "policy"],
  ["450 4.7.1 <a@d.example>: Recipient address rejected: later", "policy"],
  ["501 5.5.2 <=bad=>: Helo command rejected: Invalid name", "policy"],
  ["450 4.1.1 <a@d.example>: Recipient address rejected: unverified address: x", "policy"],
  ["552 5.3.4 Message size exceeds fixed limit", "policy"],
  ["550 5.7.0 Error: insufficient authorization", "policy"],
  ["450 4.7.1 Error: too much mail from 192.0.2.1", "policy"],
  ["421 4.7.0 mx.example Error: too many connections from 192.0.2.1", "policy"],
  ["550 5.1.1 <a@d.example>: Recipient address rejected: User unknown in local recipient table", "bounce"],
  ["450 4.1.1 <a@d.example>: Recipient address rejected: User unknown in local recipient table", "bounce"],
  ["550 5.1.0 <a@d.example>: Sender address rejected: User unknown in virtual alias table", "bounce"],
  ["451 4.3.5 Server configuration error", "software"],
  ["451 4.3.0 <a@d.example>: Temporary lookup failure", "data"],
  ["452 4.3.1 Insufficient system storage", "resource"],
  ["451 4.3.0 Error: queue file write error", "resource", "content"],
  ["452 4.3.1 Insufficient system storage", "resource", "content"],
  ["451 4.3.0 Error: internal error, try again later", "software", "content"],
  ["552 5.3.4 Error: message file too big", "bounce", "content"],
  ["554 5.4.0 Error: too many hops", "bounce", "content"],
  ["550 5.7.1 no such header", "policy", "content"],
  ["552 5.3.4 Chunk exceeds message size limit", "policy", "content"],
];

describe("troubleOf", () => {
  for (const [text, expected, place = "command"] of ROWS) {
    it(`blames ${expected ?? "nobody"} for ${text} (${place})`, () => {
      assert.equal(troubleOf(`${text}\r\n`, place), expected);
    });
  }

  it("knows the replies of reply.ts, softened too", () => {
    assert.equal(troubleOf(replyText(softened(REPLY.unknownCommand)), "command"), "protocol");
    assert.equal(troubleOf(replyText(softened(REPLY.messageTooBig)), "content"), "bounce");
    assert.equal(troubleOf(replyText(REPLY.noSpace), "command"), "resource");
  });

  it("is not led astray by what a client wrote", () => {
    const text = "554 5.7.1 <a 451 4.3.5 x@d.example>: Relay access denied\r\n";
    assert.equal(troubleOf(text, "command"), "policy");
  });
});
