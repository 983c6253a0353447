/**
 * Rules that were broken on purpose, each seen by a test here or in notice.test.ts: a notice for nobody, double bounces
 * bounced again, control characters of a server's reply let through.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { simpleParser } from "mailparser";
import type { ContentSource } from "../../src/agent.ts";
import { type Notify, plainRecipient } from "../../src/envelope.ts";
import { latin1Encode } from "../../src/latin1.ts";
import type { Failed } from "../../src/notices.ts";
import { BROKEN_CONTENT } from "../mailboxes.ts";
import { desk, type Sent } from "./desk.ts";

function failed(address: string, notify: Notify = []): Failed {
  return {
    waiting: { recipient: { ...plainRecipient(address), notify }, index: 0 },
    result: {
      outcome: "bounced",
      scope: "recipient",
      status: "5.1.1",
      reason: `unknown user: "${address}"`,
      remote: null,
      relay: "local",
      connectionUse: 0,
      connectedAt: 0,
    },
  };
}

const finals = (text: string): string[] =>
  [...text.matchAll(/^Final-Recipient: rfc822; (.*)\r$/gm)].map((match) => match[1]!);

describe("mail that cannot be delivered", () => {
  it("goes back to its sender, from the null sender, with the message", async () => {
    const { bounce, sent, lines, message, close } = await desk();
    await bounce.undeliverable(await message(), [failed("x@d.example"), failed("y@d.example", ["failure"])]);
    await close();
    assert.deepEqual(lines(), ["QID: sender non-delivery notification: NOTICE"]);
    const [{ envelope, text }] = sent as [Sent];
    assert.equal(envelope.sender, "");
    assert.equal(envelope.notice, "bounce");
    assert.deepEqual(envelope.recipients, [plainRecipient("s@orig.example")]);
    assert.match(text, /^Received: by mx\.example\.com \(Postrider\)\r\n\tid [0-9A-F]+; \w{3}, .*\r\nDate: /);
    assert.match(
      text,
      /\r\nContent-Transfer-Encoding: 8bit\r\nMessage-Id: <\d{14}\.[0-9A-F]+@mx\.example\.com>\r\n\r\nThis is a MIME/,
    );
    assert.deepEqual(finals(text), ["x@d.example", "y@d.example"]);
    assert.match(text, /\r\n\r\nReturn-Path: <s@orig\.example>\r\nSubject: one\r\n\r\nbody\r\n\r\n--[^\r]+--\r\n$/);
  });

  it("is a report that a MIME parser understands", async () => {
    const { bounce, sent, message, close } = await desk("mail_name = Postfix");
    await bounce.undeliverable(await message({}, "Subject: one\r\n\r\nno line end"), [failed("x@d.example")]);
    await close();
    const parsed = await simpleParser(sent[0]!.text, { keepDeliveryStatus: true });
    assert.equal(parsed.subject, "Undelivered Mail Returned to Sender");
    assert.equal(parsed.from?.text, '"Mail Delivery System" <MAILER-DAEMON@example.com>');
    const types = parsed.attachments.map(({ contentType }) => contentType);
    assert.deepEqual(types, ["message/delivery-status", "message/rfc822"]);
    assert.match(parsed.text!, /I'm sorry to have to inform you/);
  });

  it("comes back with headers only for RET=HDRS, and over bounce_size_limit", async () => {
    for (const [main, ret] of [["", "hdrs"], ["bounce_size_limit = 10", "full"]] as const) {
      const { bounce, sent, message, close } = await desk(main);
      await bounce.undeliverable(await message({ ret }), [failed("x@d.example")]);
      await close();
      assert.match(sent[0]!.text, /Undelivered Message Headers\r\nContent-Type: text\/rfc822-headers\r\n/);
      assert.match(sent[0]!.text, /Return-Path: <s@orig\.example>\r\nSubject: one\r\n\r\n--[^\r]+--\r\n$/);
    }
  });

  it("is told only of recipients that may be told of", async () => {
    const { bounce, sent, message, close } = await desk();
    const all = [
      failed("a@d.example", ["never"]),
      failed("b@d.example", ["success"]),
      failed("c@d.example", ["failure"]),
    ];
    await bounce.undeliverable(await message(), all.slice(0, 2));
    await bounce.undeliverable(await message(), all);
    await close();
    assert.deepEqual(sent.map(({ text }) => finals(text)), [["c@d.example"]]);
  });

  it("is copied to the postmaster with notify_classes = bounce: all recipients, headers only", async () => {
    const { bounce, sent, lines, message, close } = await desk("notify_classes = bounce");
    await bounce.undeliverable(await message(), [failed("a@d.example", ["never"]), failed("b@d.example")]);
    await close();
    assert.deepEqual(lines(), [
      "QID: sender non-delivery notification: NOTICE",
      "QID: postmaster non-delivery notification: NOTICE",
    ]);
    const { envelope, text } = sent[1]!;
    assert.equal(envelope.sender, "double-bounce@mx.example.com");
    assert.equal(envelope.notice, "postmaster");
    assert.deepEqual(envelope.recipients.map(({ address, original }) => [address, original]), [[
      "postmaster@example.com",
      "postmaster",
    ]]);
    assert.match(
      text,
      /\r\nSubject: Postmaster Copy: Undelivered Mail\r\nTo: postmaster@example\.com\r\nAuto-Submitted: auto-gen/,
    );
    assert.deepEqual(finals(text), ["a@d.example", "b@d.example"]);
    assert.match(text, /text\/rfc822-headers/);
  });
});

describe("a notice that cannot be delivered", () => {
  it("is nobody's concern by default", async () => {
    const { bounce, sent, lines, message, close } = await desk();
    await bounce.undeliverable(await message({ sender: "" }), [failed("x@d.example")]);
    await close();
    assert.deepEqual([sent, lines()], [[], []]);
  });

  it("goes to the postmaster whole, with 2bounce or bounce in notify_classes", async () => {
    for (const name of ["bounce", "2bounce"]) {
      const { bounce, sent, lines, message, close } = await desk(`notify_classes = ${name}`);
      await bounce.undeliverable(await message({ sender: "" }), [failed("x@d.example", ["never"])]);
      await close();
      assert.deepEqual(lines(), ["QID: postmaster non-delivery notification: NOTICE"]);
      assert.equal(sent[0]!.envelope.sender, "double-bounce@mx.example.com");
      assert.equal(sent[0]!.envelope.notice, "double-bounce");
      assert.match(sent[0]!.text, /Content-Type: message\/rfc822\r\n/);
    }
  });

  it("to the postmaster is dropped, with a warning", async () => {
    const { bounce, sent, lines, message, close } = await desk("notify_classes = bounce, 2bounce");
    const entry = await message({ sender: "double-bounce@mx.example.com" });
    await bounce.undeliverable(entry, [failed("x@d.example")]);
    await bounce.delayed(entry, [failed("x@d.example")]);
    await close();
    assert.deepEqual(sent, []);
    assert.deepEqual(lines().map((line) => line.replace(/[0-9A-F]{6,}/, "QID")), [
      "warning: QID: undeliverable postmaster notification discarded",
      "warning: QID: undeliverable postmaster notification discarded",
    ]);
  });
});

describe("mail that is late", () => {
  it("is told of once by headers, unless NOTIFY= leaves delays out", async () => {
    const { bounce, sent, lines, message, close } = await desk();
    const all = [failed("a@d.example", ["failure"]), failed("b@d.example"), failed("c@d.example", ["delay"])];
    await bounce.delayed(await message(), all);
    await close();
    assert.deepEqual(lines(), ["QID: sender delay notification: NOTICE"]);
    assert.deepEqual(finals(sent[0]!.text), ["b@d.example", "c@d.example"]);
    assert.match(sent[0]!.text, /Subject: Delayed Mail \(still being retried\)[^]*text\/rfc822-headers/);
  });

  it("is copied to the postmaster with notify_classes = delay", async () => {
    const { bounce, sent, lines, message, close } = await desk("notify_classes = delay\ndelay_notice_recipient = late");
    await bounce.delayed(await message(), [failed("a@d.example")]);
    await close();
    assert.deepEqual(lines(), [
      "QID: sender delay notification: NOTICE",
      "QID: postmaster delay notification: NOTICE",
    ]);
    assert.equal(sent[1]!.envelope.recipients[0]!.address, "late@example.com");
  });
});

describe("mail that was delivered", () => {
  it("is told of where NOTIFY=SUCCESS asks for it", async () => {
    const { bounce, sent, lines, message, close } = await desk();
    await bounce.delivered(await message(), [failed("a@d.example", ["success"])]);
    await close();
    assert.deepEqual(lines(), ["QID: sender delivery status notification: NOTICE"]);
    assert.deepEqual(finals(sent[0]!.text), ["a@d.example"]);
  });

  it("is not told of where there is nobody to tell", async () => {
    const { bounce, sent, lines, message, close } = await desk();
    await bounce.delivered(await message({ sender: "" }), [failed("a@d.example", ["success"])]);
    await close();
    assert.deepEqual(sent, []);
    assert.deepEqual(lines(), ["QID: not sending trace/success notification for single-bounce message"]);
  });

  it("is told the postmaster for a null sender, with 2bounce in notify_classes", async () => {
    const { bounce, sent, lines, message, close } = await desk("notify_classes = 2bounce");
    await bounce.delivered(await message({ sender: "" }), [failed("a@d.example", ["success"])]);
    await close();
    assert.deepEqual(lines(), ["QID: sender delivery status notification: NOTICE"]);
    assert.equal(sent[0]!.envelope.sender, "double-bounce@mx.example.com");
    assert.equal(sent[0]!.envelope.recipients[0]!.address, "postmaster@example.com");
    assert.match(sent[0]!.text, /^Subject: Successful Mail Delivery Report\r?$/m);
  });
});

describe("storage that fails", () => {
  it("rejects the call and queues nothing: the message stays", async () => {
    const { bounce, sent, lines, message, close } = await desk("notify_classes = bounce", BROKEN_CONTENT);
    await assert.rejects(bounce.undeliverable(await message(), [failed("x@d.example")]));
    await close();
    assert.deepEqual([sent, lines()], [[], []]);
  });

  it("does not lose the sender's notice for the postmaster's copy", async () => {
    let reads = 0;
    const once: ContentSource = {
      pieces: () => reads++ === 0 ? [latin1Encode("Subject: x\r\n\r\n")] : null,
      read: BROKEN_CONTENT.read,
    };
    const { bounce, lines, message, close } = await desk("notify_classes = bounce", once);
    await bounce.undeliverable(await message(), [failed("x@d.example")]);
    await close();
    assert.equal(lines()[0], "QID: sender non-delivery notification: NOTICE");
    assert.match(lines()[1]!, /^warning: [0-9A-F]+: postmaster notice failed while bouncing to s@orig\.example: EIO$/);
  });
});

describe("a large message", () => {
  it("comes back whole", async () => {
    const { bounce, sent, message, close } = await desk("bounce_size_limit = 10000000");
    const body = `${"x".repeat(78)}\r\n`.repeat(12_000);
    await bounce.undeliverable(await message({}, `Subject: big\r\n\r\n${body}`), [failed("x@d.example")]);
    await close();
    assert.ok(sent[0]!.text.includes(`Subject: big\r\n\r\n${body}\r\n--`));
  });
});
