import assert from "node:assert/strict";
import { test } from "node:test";
import { plainRecipient } from "../../src/envelope.ts";
import { receivedHeader } from "../../src/smtpd/received.ts";

const PLAIN = { smtputf8: false };

const HOST = {
  config: { myhostname: "mx.example", mail_name: "Postrider" },
  clock: { zoneMinutes: () => 0, zoneName: () => "UTC" },
};
const CLIENT = { address: "192.0.2.1", helo: "h.example", name: "unknown", protocol: "ESMTP" as const };
const DATE = "Thu,  1 Jan 1970 00:00:00 +0000 (UTC)";
const recipient = plainRecipient("a@x.example");

test("with one recipient the header names it, as the client gave it", () => {
  const given = { ...recipient, original: "a" };
  const rows = [[recipient, "<a@x.example>"], [given, "<a>"]] as const;
  for (const [one, shown] of rows) {
    assert.equal(
      receivedHeader(HOST, CLIENT, { arrived: 0, recipients: [one], command: PLAIN }, "Q1"),
      "Received: from h.example (unknown [192.0.2.1])\r\n\tby mx.example (Postrider) with ESMTP id Q1\r\n" +
        `\tfor ${shown}; ${DATE}\r\n`,
    );
  }
});

test("without HELO, over IPv6, with several recipients and without an id", () => {
  const client = { ...CLIENT, helo: "", name: "c.example", address: "2001:db8::1", protocol: "SMTP" as const };
  assert.equal(
    receivedHeader(HOST, client, { arrived: 0, recipients: [recipient, recipient], command: PLAIN }, ""),
    "Received: from c.example (c.example [IPv6:2001:db8::1])\r\n\tby mx.example (Postrider) with SMTP;\r\n" +
      `\t${DATE}\r\n`,
  );
});

test("ESMTP with SMTPUTF8 is UTF8SMTP (RFC 6531 §3.7.3)", () => {
  const mail = { arrived: 0, recipients: [], command: { smtputf8: true } };
  assert.match(receivedHeader(HOST, CLIENT, mail, "Q1"), / with UTF8SMTP id Q1;/);
  assert.match(receivedHeader(HOST, { ...CLIENT, protocol: "SMTP" }, mail, "Q1"), / with SMTP id Q1;/);
});
