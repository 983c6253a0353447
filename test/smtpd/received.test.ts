import assert from "node:assert/strict";
import { test } from "node:test";
import { receivedHeader } from "../../src/smtpd/received.ts";

const PLAIN = { smtputf8: false };

const HOST = {
  config: { myhostname: "mx.example", mail_name: "Postrider" },
  clock: { zoneMinutes: () => 0, zoneName: () => "UTC" },
};
const CLIENT = { address: "192.0.2.1", helo: "h.example", name: "unknown", protocol: "ESMTP" as const };
const DATE = "Thu,  1 Jan 1970 00:00:00 +0000 (UTC)";

test("with one recipient the header names it, as the client gave it", () => {
  for (const one of ["a@x.example", "a"]) {
    assert.equal(
      receivedHeader(HOST, CLIENT, { arrived: 0, accepted: [one], command: PLAIN }, "Q1"),
      "Received: from h.example (unknown [192.0.2.1])\r\n\tby mx.example (Postrider) with ESMTP id Q1\r\n" +
        `\tfor <${one}>; ${DATE}\r\n`,
    );
  }
});

test("without HELO, over IPv6, with several recipients and without an id", () => {
  const client = { ...CLIENT, helo: "", name: "c.example", address: "2001:db8::1", protocol: "SMTP" as const };
  assert.equal(
    receivedHeader(HOST, client, { arrived: 0, accepted: ["a@x.example", "a@x.example"], command: PLAIN }, ""),
    "Received: from c.example (c.example [IPv6:2001:db8::1])\r\n\tby mx.example (Postrider) with SMTP;\r\n" +
      `\t${DATE}\r\n`,
  );
});

test("with SMTPUTF8 it is UTF8SMTP (RFC 6531 §3.7.3), after HELO too", () => {
  const mail = { arrived: 0, accepted: [], command: { smtputf8: true } };
  assert.match(receivedHeader(HOST, CLIENT, mail, "Q1"), / with UTF8SMTP id Q1;/);
  assert.match(receivedHeader(HOST, { ...CLIENT, protocol: "SMTP" }, mail, "Q1"), / with UTF8SMTP id Q1;/);
});
