import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NoticeText, originalOf, wrapped } from "../../src/bounce/notice.ts";
import { BUILT_IN, expandTemplate } from "../../src/bounce/template.ts";
import { type Envelope, NO_CLIENT, plainRecipient } from "../../src/envelope.ts";
import { latin1Decode } from "../../src/latin1.ts";
import type { Failed, NoticeSubject } from "../../src/notices.ts";
import type { DeliveryResult, Remote } from "../../src/status.ts";
import { contentOf } from "../mailboxes.ts";

const PARAMETERS = {
  myhostname: "mx.example.com",
  mail_name: "Postfix",
  smtputf8_enable: true,
  delay_warning_time: 4 * 3_600_000,
  maximal_queue_lifetime: 5 * 86_400_000,
};
const UTC = { zoneMinutes: () => 0, zoneName: () => "UTC" };
const AT = Date.UTC(2026, 10, 22, 18, 17, 7);

const message: NoticeSubject = {
  id: "1118320C1BD",
  envelope: {
    sender: "s1@orig.example",
    recipients: [],
    arrived: AT - 7_000,
    client: NO_CLIENT,
    encoding: "",
    ret: "",
    envid: "",
  },
  size: 100,
};

function failed(address: string, change: Partial<DeliveryResult> = {}, original = ""): Failed {
  return {
    waiting: { recipient: { ...plainRecipient(address), original }, index: 0 },
    result: {
      outcome: "bounced",
      scope: "recipient",
      status: "5.1.1",
      reason: `unknown user: "x"`,
      remote: null,
      relay: "local",
      connectionUse: 0,
      connectedAt: 0,
      ...change,
    },
  };
}

const remote: Remote = { host: "mx.d.example", reply: "550 5.1.1 no such user", diagnosticType: "smtp" };

type Change = Partial<ConstructorParameters<typeof NoticeText>[0]>;

function text(change: Change = {}, parameters: Partial<typeof PARAMETERS> = {}): string {
  const notice = {
    kind: "failure" as const,
    message,
    recipients: [failed("x@d.example")],
    from: "MAILER-DAEMON@example.com",
    to: "s1@orig.example",
    postmaster: false,
    headersOnly: false,
    at: AT,
    ...change,
  };
  const template = BUILT_IN[notice.kind];
  const all = { ...PARAMETERS, ...parameters };
  const value = (name: string): string => name === "myhostname" ? all.myhostname : "";
  const words = notice.postmaster ? [] : expandTemplate(template, { ...all, raw: value, text: value }, () => {});
  return new NoticeText({ ...notice, template, words, thread: change.thread ?? "" }, all, UTC).before();
}

const lines = (...all: string[]): string => all.join("\r\n");

describe("wrapped", () => {
  /** As Postfix 3.7 broke them. */
  const ROWS: readonly (readonly string[])[] = [
    ["short"],
    [""],
    [
      "<bad1@d.example>: host 127.0.0.1[127.0.0.1] said: 550 5.1.1 <x>: Recipient",
      "    address rejected: User unknown in virtual mailbox table, sorry (in reply to",
      "    RCPT TO command)",
    ],
    [
      "Diagnostic-Code: smtp; 550-5.7.1 first line 550 5.7.1 second line of a rather",
      "    long reply that goes on and on",
    ],
    [`a ${"b".repeat(77)}`],
    ["a", `    ${"b".repeat(78)}`],
    ["x".repeat(200)],
    ["x".repeat(200), "    y"],
  ];
  for (const expected of ROWS) {
    it(`makes ${expected.length} of ${expected.join("").slice(0, 20)}`, () => {
      assert.deepEqual(wrapped(expected.map((line) => line.trim()).join(" ")), expected);
    });
  }
});

describe("a notice of failure", () => {
  it("is laid out as Postfix does", () => {
    const boundary = "1118320C1BD.1795371427/mx.example.com";
    assert.equal(
      text(),
      lines(
        "Date: Sun, 22 Nov 2026 18:17:07 +0000 (UTC)",
        "From: Mail Delivery System <MAILER-DAEMON@example.com>",
        "Subject: Undelivered Mail Returned to Sender",
        "To: s1@orig.example",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        `\tboundary="${boundary}"`,
        "Content-Transfer-Encoding: 8bit",
        "",
        "This is a MIME-encapsulated message.",
        "",
        `--${boundary}`,
        "Content-Description: Notification",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        "This is the mail system at host mx.example.com.",
        "",
        "I'm sorry to have to inform you that your message could not",
        "be delivered to one or more recipients. It's attached below.",
        "",
        "For further assistance, please send mail to postmaster.",
        "",
        "If you do so, please include this problem report. You can",
        "delete your own text from the attached returned message.",
        "",
        "                   The mail system",
        "",
        '<x@d.example>: unknown user: "x"',
        "",
        `--${boundary}`,
        "Content-Description: Delivery report",
        "Content-Type: message/delivery-status",
        "",
        "Reporting-MTA: dns; mx.example.com",
        "X-Postfix-Queue-ID: 1118320C1BD",
        "X-Postfix-Sender: rfc822; s1@orig.example",
        "Arrival-Date: Sun, 22 Nov 2026 18:17:00 +0000 (UTC)",
        "",
        "Final-Recipient: rfc822; x@d.example",
        "Original-Recipient: rfc822;x@d.example",
        "Action: failed",
        "Status: 5.1.1",
        'Diagnostic-Code: X-Postfix; unknown user: "x"',
        "",
        `--${boundary}`,
        "Content-Description: Undelivered Message",
        "Content-Type: message/rfc822",
        "Content-Transfer-Encoding: 8bit",
        "",
        "Return-Path: <s1@orig.example>",
        "",
      ),
    );
  });

  it("names the server that said no", () => {
    const all = text({ recipients: [failed("x@d.example", { remote, reason: "host mx.d.example said: 550" })] });
    assert.ok(all.includes("Remote-MTA: dns; mx.d.example\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n"));
  });

  it("shows the address before rewriting, unless it differs in case alone", () => {
    const [one, two] = [failed("x@d.example", {}, "alias"), failed("y@d.example", {}, "Y@d.example")];
    const all = text({ recipients: [one, two] });
    assert.ok(all.includes("\r\n\r\n<x@d.example> (expanded from <alias>): unknown user"));
    assert.ok(all.includes("\r\n\r\n<y@d.example>: unknown user"));
    assert.ok(all.includes("Final-Recipient: rfc822; x@d.example\r\nOriginal-Recipient: rfc822;alias\r\n"));
  });

  it("uses ORCPT and ENVID as they came", () => {
    const one = failed("x@d.example");
    const recipient = { ...one.waiting.recipient, originalRecipient: "rfc822;O+r@y.example" };
    const envelope = { ...message.envelope, envid: "env 1" };
    const all = text({ message: { ...message, envelope }, recipients: [{ ...one, waiting: { recipient, index: 0 } }] });
    assert.ok(all.includes("Original-Recipient: rfc822;O+r@y.example\r\n"));
    assert.ok(all.includes("Reporting-MTA: dns; mx.example.com\r\nOriginal-Envelope-Id: env 1\r\nX-Postfix-Queue-ID:"));
  });

  it("keeps a server's control characters to itself: no line can be added", () => {
    const evil = { ...remote, reply: "550 x\r\nBcc: all@x.example\0", host: "mx" };
    const all = text({ recipients: [failed("x@d.example", { remote: evil, reason: "a\r\n\r\nb\xc3\xa4\xff" })] });
    assert.ok(all.includes("Diagnostic-Code: smtp; 550 x??Bcc: all@x.example?\r\n"));
    assert.ok(all.includes("<x@d.example>: a????b\xc3\xa4?\r\n"));
  });

  it("says nothing of 8 bits without smtputf8_enable", () => {
    const all = text({}, { smtputf8_enable: false });
    assert.doesNotMatch(all, /Content-Transfer-Encoding/);
    assert.ok(all.includes("charset=us-ascii\r\n\r\nThis is"));
    const seven = text({ message: { ...message, envelope: { ...message.envelope, encoding: "7bit" } } }, {
      smtputf8_enable: false,
    });
    assert.equal([...seven.matchAll(/Content-Transfer-Encoding: 7bit/g)].length, 1);
  });

  it("comes from MAILER-DAEMON where the message had no sender, and uses mail_name", () => {
    const all = text({ message: { ...message, envelope: { ...message.envelope, sender: "" } }, postmaster: true }, {
      mail_name: "Our Mailer",
    });
    assert.ok(all.includes("X-Our-Mailer-Sender: rfc822; MAILER-DAEMON@mx.example.com\r\n"));
    assert.ok(all.includes("Return-Path: <MAILER-DAEMON@mx.example.com>\r\n"));
    assert.ok(all.includes("Subject: Postmaster Copy: Undelivered Mail\r\n"));
    assert.ok(all.includes("Auto-Submitted: auto-generated\r\n"));
    assert.ok(all.includes("Content-Transfer-Encoding: 8bit\r\n\r\n\r\n<x@d.example>: unknown"), "no apology");
  });
});

describe("of a message that is SMTPUTF8", () => {
  const of = (change: Partial<Envelope>): NoticeSubject => ({
    ...message,
    envelope: { ...message.envelope, smtputf8: "requested", ...change },
  });

  it("has the types of RFC 6533", () => {
    const whole = text({ message: of({}) });
    assert.ok(whole.includes(lines(
      "Content-Type: message/global-delivery-status",
      "Content-Transfer-Encoding: 8bit",
      "",
      "Reporting-MTA:",
    )));
    assert.ok(whole.includes("Content-Description: Undelivered Message\r\nContent-Type: message/global\r\n"));
    assert.ok(text({ message: of({}), headersOnly: true }).includes("\r\nContent-Type: message/global-headers\r\n"));
    assert.doesNotMatch(text({}), /global/);
  });

  it("tells which addresses are UTF-8", () => {
    const all = text({ message: of({ sender: "\xc3\xa4@orig.example" }), recipients: [failed("\xc3\xb6@d.example")] });
    assert.ok(all.includes("-Sender: utf-8; \xc3\xa4@orig.example\r\n"));
    assert.ok(all.includes(lines(
      "Final-Recipient: utf-8; \xc3\xb6@d.example",
      "Original-Recipient: utf-8;\xc3\xb6@d.example",
      "",
    )));
    const other = text({ message: of({}), recipients: [failed("\xf6@d.example")] });
    assert.ok(other.includes("-Sender: rfc822; ") && other.includes("Final-Recipient: rfc822; \xf6@d.example\r\n"));
  });
});

describe("other notices", () => {
  it("of delay say how long mail is tried", () => {
    const waiting = failed("x@d.example", { outcome: "deferred", status: "4.4.1", reason: "later" });
    const all = text({ kind: "delay", headersOnly: true, recipients: [waiting] });
    assert.ok(all.includes("Subject: Delayed Mail (still being retried)\r\n"));
    assert.ok(all.includes("delivered for more than 4 hour(s).\r\nIt will be retried until it is 5 day(s) old.\r\n"));
    assert.ok(all.includes("Action: delayed\r\nStatus: 4.4.1\r\n"));
    assert.ok(all.includes("\r\nWill-Retry-Until: Fri, 27 Nov 2026 18:17:00 +0000 (UTC)\r\n"));
    assert.ok(all.includes("Undelivered Message Headers\r\nContent-Type: text/rfc822-headers\r\n"));
  });

  it("of success tell delivered from relayed", () => {
    const here = failed("x@d.example", { outcome: "sent", status: "2.0.0", reason: "delivered to mailbox" });
    const on = failed("y@d.example", {
      outcome: "sent",
      status: "2.0.0",
      reason: "250 ok",
      remote,
      relay: "mx[1.2.3.4]:25",
    });
    const all = text({ kind: "success", headersOnly: true, recipients: [here, on] });
    assert.ok(all.includes("Subject: Successful Mail Delivery Report\r\n"));
    assert.ok(all.includes("<x@d.example>: delivery via local: delivered to mailbox\r\n"));
    assert.ok(all.includes("Diagnostic-Code: X-Postfix; delivery via local: delivered to mailbox\r\n"));
    assert.ok(all.includes("<y@d.example>: delivery via mx[1.2.3.4]:25: 250 ok\r\n"));
    const gone = {
      ...failed("z@d.example", { outcome: "sent", status: "2.0.0", reason: "alias expanded", relay: "none" }),
    };
    const expanded = text({ kind: "success", headersOnly: true, recipients: [{ ...gone, action: "expanded" }] });
    assert.ok(expanded.includes("<z@d.example>: alias expanded\r\n"));
    assert.ok(expanded.includes("Action: expanded\r\nStatus: 2.0.0\r\nDiagnostic-Code: X-Postfix; alias expanded\r\n"));
    assert.deepEqual([...all.matchAll(/^Action: (\w+)/gm)].map((match) => match[1]), ["delivered", "relayed"]);
    assert.ok(all.includes("Content-Description: Message Headers\r\n"));
  });
});

describe("originalOf", () => {
  /** Content, its headers, itself with a line end. */
  const ROWS: readonly (readonly [string, string, string])[] = [
    ["a: b\r\nc: d\r\n\r\nbody\r\n", "a: b\r\nc: d\r\n", "a: b\r\nc: d\r\n\r\nbody\r\n"],
    ["a: b\r\n\r\nbody", "a: b\r\n", "a: b\r\n\r\nbody\r\n"],
    ["a: b\r\n", "a: b\r\n", "a: b\r\n"],
    ["a: b", "a: b\r\n", "a: b\r\n"],
    ["\r\nbody\r\n", "", "\r\nbody\r\n"],
    ["a: b\r\n\rx: y\r\n\r\nz\r\n", "a: b\r\n\rx: y\r\n", "a: b\r\n\rx: y\r\n\r\nz\r\n"],
    ["", "", ""],
  ];
  it("gives the headers, or everything, wherever the pieces are cut", async () => {
    for (const [content, headers, whole] of ROWS) {
      for (const length of [0, 1, 2, 3, 5]) {
        for (const only of [true, false]) {
          let all = "";
          for await (const piece of originalOf(contentOf(content, length), "QID", only)) all += latin1Decode(piece);
          assert.equal(all, only ? headers : whole, `${JSON.stringify(content)} by ${length}`);
        }
      }
    }
  });
});
