import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { replyLine } from "../../src/reply.ts";
import { commandWords } from "../../src/smtpd/engine/commands.ts";
import { NOT_FORWARDED, originOf, parseXclient, parseXforward } from "../../src/smtpd/xclient.ts";

/** Replies are those of Debian's Postfix 3.7.11; whole sessions are in test/dialogues/xclient*.txt, xforward.txt. */
describe("XCLIENT", () => {
  const rows: readonly (readonly [string, object | string])[] = [
    ["NAME=a.example ADDR=192.0.2.1", { name: "a.example", nameStatus: "ok", address: "192.0.2.1" }],
    ["name=[UNAVAILABLE]", { name: "unknown", nameStatus: "permanent" }],
    ["NAME=[TEMPUNAVAIL]", { name: "unknown", nameStatus: "temporary" }],
    ["REVERSE_NAME=r.example", { reverseName: "r.example", reverseStatus: "ok" }],
    ["ADDR=IPV6:2001:DB8::1", { address: "2001:db8::1" }],
    ["ADDR=2001:db8::1", "501 5.5.4 Bad ADDR syntax: 2001:db8::1"],
    ["ADDR=::ffff:1.2.3.4", "501 5.5.4 Bad ADDR syntax: ::ffff:1.2.3.4"],
    ["NAME=1.2.3.4", "501 5.5.4 Bad NAME syntax: 1.2.3.4"],
    ["NAME=a+20b.example", "501 5.5.4 Bad NAME syntax: a b.example"],
    ["HELO=a+20b<(", { helo: "a?b??" }],
    ["HELO=a+0D+0Ab", { helo: "a??b" }],
    ["LOGIN=me PORT=25 DESTADDR=192.0.2.2 DESTPORT=26", {
      login: "me",
      port: 25,
      localAddress: "192.0.2.2",
      localPort: 26,
    }],
    ["PORT=x", "501 5.5.4 Bad PORT syntax: x"],
    ["PROTO=lmtp", "501 5.5.4 Bad PROTO syntax: lmtp"],
    ["__proto__=x", "501 5.5.4 Bad XCLIENT attribute name: __proto__"],
    [`HELO=${"h".repeat(256)}`, "501 5.5.4 Error: attribute value too long"],
  ];
  for (const [words, wanted] of rows) {
    it(words.slice(0, 40), () => {
      const got = parseXclient(commandWords(`XCLIENT ${words}`), true);
      assert.deepEqual("refused" in got ? replyLine(got.refused) : got, wanted);
    });
  }

  it("knows no IPv6 where inet_protocols has none", () => {
    const got = parseXclient(commandWords("XCLIENT ADDR=IPV6:2001:db8::1"), false);
    assert.equal("refused" in got && replyLine(got.refused), "501 5.5.4 Bad ADDR syntax: IPV6:2001:db8::1");
  });
});

it("XFORWARD adds up over several commands and makes the origin of the message", () => {
  const words = (text: string): ReturnType<typeof commandWords> => commandWords(`XFORWARD ${text}`);
  const first = parseXforward(words("NAME=up.example ADDR=192.0.2.1 PORT=77"), NOT_FORWARDED, true);
  assert.ok(!("refused" in first));
  const both = parseXforward(words("HELO=h PROTO=ESMTP IDENT=Q SOURCE=REMOTE"), first, true);
  assert.ok(!("refused" in both));
  assert.deepEqual(originOf(both), {
    name: "up.example",
    address: "192.0.2.1",
    port: 77,
    helo: "h",
    protocol: "ESMTP",
  });
  assert.equal(originOf(NOT_FORWARDED), null);
});
