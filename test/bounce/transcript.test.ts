import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Transcript, TroubleNotices } from "../../src/bounce/transcript.ts";
import type { Trouble } from "../../src/bounce/postmaster.ts";
import type { Posted } from "../../src/bounce/post.ts";
import { desk } from "./desk.ts";

function account(troubles: readonly Trouble[], ...said: string[]) {
  const transcript = new Transcript();
  for (const text of said) transcript.add("In", text);
  for (const trouble of troubles) transcript.blame(trouble);
  return { by: "SMTP server", peer: "a.example[192.0.2.1]", transcript, before: [], after: ["", "end"] };
}

async function told(main: string, troubles: readonly Trouble[], ...said: string[]) {
  const at = await desk(main);
  await new TroubleNotices(at.services, at.services.log.service("smtpd")).send(account(troubles, ...said));
  await at.close();
  return at.sent;
}

describe("the postmaster's notice of a session", () => {
  it("is from double_bounce_sender and tells all of it", async () => {
    const [one] = await told("mail_name = Postfix\nnotify_classes = policy", ["policy", "protocol"], "EHLO x\r\n", "Q");
    const notice: Posted["notice"] = "postmaster";
    assert.equal(one!.envelope.notice, notice);
    assert.equal(one!.envelope.sender, "double-bounce@mx.example.com");
    assert.match(
      one!.text.replaceAll("\r\n", "\n"),
      new RegExp(
        "^Received: by mx.example.com \\(Postfix\\)\n\tid \\w+; .*\nDate: .*\n" +
          "From: Mail Delivery System <MAILER-DAEMON@example.com>\nTo: Postmaster <postmaster@example.com>\n" +
          "Subject: Postfix SMTP server: errors from a.example\\[192.0.2.1\\]\nMessage-Id: .*\n\n" +
          "Transcript of session follows.\n\n In:  EHLO x\n In:  Q\n\nend\n$",
      ),
    );
  });

  it("is not sent where nobody wants to hear of that class", async () => {
    for (const main of ["", "notify_classes = policy", "notify_classes ="]) {
      assert.deepEqual(await told(main, ["protocol"], "x"), []);
    }
    assert.equal((await told("", ["software"], "x")).length, 1);
  });

  it("goes to bounce_notice_recipient when the session is a bounce, else to error_notice_recipient", async () => {
    const main = "notify_classes = bounce, policy\nbounce_notice_recipient = b\nerror_notice_recipient = e";
    for (const [troubles, to] of [[["bounce"], "b"], [["policy"], "e"], [["policy", "bounce"], "b"]] as const) {
      const [one] = await told(main, troubles, "x");
      assert.equal(one!.envelope.recipients[0]!.address, `${to}@example.com`);
      assert.match(one!.text, /\r\nTo: Postmaster <e@example\.com>\r\n/);
    }
  });

  it("keeps what a client wrote in its place: no line can be added, none is too long", async () => {
    const [one] = await told("notify_classes = policy", ["policy"], `A\rBcc: x\0\xff ${"word ".repeat(40)}`);
    const body = one!.text.split("\r\n\r\n").slice(2).join("\r\n\r\n").split("\r\n");
    assert.ok(body[0]!.startsWith(" In:  A?Bcc: x?? word word"));
    for (const line of body.slice(0, 3)) assert.ok(line.startsWith(" ") && line.length <= 79, line);
  });

  it("that cannot be queued is a warning", async () => {
    const at = await desk("notify_classes = policy");
    await at.store.close();
    const broken = {
      ...at.services,
      cleanup: {
        open: () => {
          throw new Error("no space");
        },
      },
    };
    const notices = new TroubleNotices(broken as unknown as typeof at.services, at.services.log.service("bounce"));
    await notices.send(account(["policy"], "x"));
    assert.deepEqual(at.lines(), ["warning: postmaster notify: no space"]);
  });
});

describe("Transcript", () => {
  it("stops at a limit of bytes", () => {
    const transcript = new Transcript();
    for (let at = 0; at < 1000; at++) transcript.add("In", "x".repeat(1024));
    assert.equal(transcript.lines().length, 256);
    transcript.clear();
    transcript.add("Out", "250 x\r\n");
    assert.deepEqual(transcript.lines(), ["Out: 250 x"]);
  });
});
