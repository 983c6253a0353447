import assert from "node:assert/strict";
import { test } from "node:test";
import { type ClientOrigin, NO_CLIENT } from "../src/envelope.ts";
import { allAttributes, announcedNames, knownAttributes, xforwardValues } from "../src/xforward.ts";

const CLIENT: ClientOrigin = {
  name: "c.isp.example",
  address: "203.0.113.9",
  port: 4321,
  helo: "helo+2.example",
  protocol: "ESMTP",
};
const ALL = announcedNames(["name", "ADDR", "PORT", "PROTO", "HELO", "IDENT", "SOURCE"]);

test("a next hop hears what it announced and what is known", () => {
  const rows: readonly (readonly [ClientOrigin, string, ReadonlySet<string>, string])[] = [
    [CLIENT, "Q", ALL, "XFORWARD NAME=c.isp.example ADDR=203.0.113.9 PORT=4321 HELO=helo+2B2.example IDENT=Q"],
    [{ ...CLIENT, ident: "THEIRS" }, "Q", announcedNames(["IDENT"]), "XFORWARD IDENT=THEIRS"],
    [{ ...NO_CLIENT, address: "2001:db8::1", name: "unknown" }, "", ALL, "XFORWARD ADDR=IPv6:2001:db8::1"],
    [NO_CLIENT, "", ALL, ""],
    [CLIENT, "Q", announcedNames([""]), ""],
  ];
  for (const [client, ident, announced, expected] of rows) {
    const names = ["NAME", "ADDR", "PORT", "HELO", "IDENT"] as const;
    assert.equal(knownAttributes(names, xforwardValues(client, ident), announced), expected);
  }
});

test("a filter hears all that it announced, known or not", () => {
  assert.deepEqual(allAttributes(xforwardValues({ ...CLIENT, name: "unknown", remote: true }, ""), ALL), [
    "XFORWARD NAME=[UNAVAILABLE] ADDR=203.0.113.9 PORT=4321 HELO=helo+2B2.example IDENT=[UNAVAILABLE] PROTO=ESMTP " +
    "SOURCE=REMOTE",
  ]);
  assert.deepEqual(allAttributes(xforwardValues(NO_CLIENT, ""), announcedNames(["SOURCE"])), ["XFORWARD SOURCE=LOCAL"]);
});

test("no line is longer than 512 bytes with its end", () => {
  const long = { ...CLIENT, name: "n".repeat(250), helo: "h".repeat(250) };
  const lines = allAttributes(xforwardValues(long, "Q"), ALL);
  assert.equal(lines.length, 2);
  assert.ok(lines.every((line) => line.length <= 510 && line.startsWith("XFORWARD ")));
});
