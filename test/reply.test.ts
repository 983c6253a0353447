import assert from "node:assert/strict";
import { test } from "node:test";
import { REPLY, reply, replyLine, replyText, softened } from "../src/reply.ts";

test("a reply on the wire", () => {
  assert.equal(replyText(REPLY.ok), "250 2.0.0 Ok\r\n");
  assert.equal(replyText(REPLY.startData), "354 End data with <CR><LF>.<CR><LF>\r\n");
  assert.equal(replyText(reply(250, "2.1.0", "one", "two")), "250-2.1.0 one\r\n250 2.1.0 two\r\n");
});

test("no text of a client can add a line", () => {
  assert.equal(replyText(reply(550, "5.1.1", "<a\r\n250 ok\0\x7f>: no")), "550 5.1.1 <a??250 ok??>: no\r\n");
  assert.equal(replyText(reply(250, "", "a\nb", "c")), "250-a?b\r\n250 c\r\n");
});

test("421 and 221 end the session", () => {
  assert.deepEqual([reply(421, "", "x").close, REPLY.bye.close, REPLY.ok.close, REPLY.pipelining.close], [
    true,
    true,
    false,
    true,
  ]);
});

test("softened", () => {
  assert.equal(replyLine(softened(REPLY.relayDenied(554, "a@b"))), "454 4.7.1 <a@b>: Relay access denied");
  assert.equal(softened(REPLY.ok), REPLY.ok);
  assert.equal(softened(REPLY.noSpace), REPLY.noSpace);
});

test("every fixed reply has a status of its code's class, where it has one", () => {
  for (const [name, value] of Object.entries(REPLY)) {
    if (typeof value === "function" || value.status === "") continue;
    assert.equal(value.status[0], String(value.code)[0], name);
    assert.match(value.status, /^[245]\.\d\.\d$/, name);
  }
});
