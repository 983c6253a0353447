import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { mailq, newaliases, sendmail } from "../../src/commands/sendmail.ts";
import { SELF, Site } from "./site.ts";

const WHO = `${SELF.name}(${SELF.uid})`;
let site: Site;
beforeEach(() => site = new Site());
afterEach(() => site.remove());

/** Options, standard error, status. Texts are those of Debian's (test/system/commands.test.ts compares). */
const REFUSED: readonly (readonly [string[], string])[] = [
  [[], `${WHO}: Recipient addresses must be specified on the command line or via the -t option`],
  [["-t"], `${WHO}: No recipient addresses found in message header`],
  [["-n", "a"], "-n option not supported"],
  [["-bz"], "unsupported: -bz"],
  [["-bp", "x"], "display queue mode requires no recipient"],
  [["-q", "x"], "flush queue mode requires no recipient"],
  [["-bd", "x"], "daemon mode requires no recipient"],
  [["-bi", "x"], "alias initialization mode requires no recipient"],
  [["-bs", "x"], "stand-alone mode requires no recipient"],
  [["-qx"], "-qx is not implemented"],
  [["-qR"], "specify: -qRsitename"],
  [["-qI"], "specify: -qIqueueid"],
  [["-qRfoo", "x"], "flush site requires no recipient"],
  [["-qIABC", "x"], "flush queue_id requires no recipient"],
  [["-B", "x", "a"], "-B option needs 8BITMIME or 7BIT"],
  [["-oA"], "-oA requires pathname"],
  [["-Xq"], "unsupported: -Xq"],
  [["-XVab", "a"], "-V requires two characters from -=+"],
  [["-t", "-bp"], "-t can be used only in delivery mode"],
  [["-C", "/nonexistent", "a"], "open /nonexistent/main.cf: No such file or directory"],
];

describe("sendmail", () => {
  for (const [words, text] of REFUSED) {
    it(`refuses ${JSON.stringify(words)}`, async () => {
      assert.deepEqual(await site.run(sendmail, words), {
        status: 75,
        output: "",
        errors: `sendmail: fatal: ${text}\n`,
      });
      assert.deepEqual(site.dropped(), []);
    });
  }
  it("tells a wrong option as getopt does", async () => {
    assert.match((await site.run(sendmail, ["-s", "-bp"])).errors, /^sendmail: invalid option -- 's'/);
    const { errors, status } = await site.run(sendmail, ["-Z"]);
    assert.deepEqual([status, errors], [
      75,
      "sendmail: invalid option -- 'Z'\nsendmail: fatal: usage: sendmail [options]\n",
    ]);
  });
  it("writes what the command line says", async () => {
    const words = [
      "-F",
      "Full Name",
      "-f",
      "Foo <foo@bar>",
      "-N",
      "success,delay",
      "-R",
      "hdrs",
      "-V",
      "abc",
      "-B8BITMIME",
    ];
    const { status, errors } = await site.run(sendmail, [...words, "a@b, c@d", "--x"], {
      input: "Subject: s\n\nb\n.\nno\n",
    });
    assert.deepEqual([status, errors], [0, ""]);
    const [one] = site.dropped();
    assert.deepEqual(one!.envelope, {
      sender: "foo@bar",
      fullName: "Full Name",
      recipients: ["a@b", "c@d", "--x"],
      encoding: "8bit",
      notify: ["success", "delay"],
      ret: "hdrs",
      envid: "abc",
    });
    assert.equal(one!.content, "Subject: s\n\nb\n");
  });
  it("keeps the bytes of UTF-8 on its command line", async () => {
    const words = ["-F", "J\xf6rg", "-f", "\u65e5@x.example", "\xfc@y.example"];
    assert.deepEqual(await site.run(sendmail, words, { input: "x\n" }), { status: 0, output: "", errors: "" });
    const [one] = site.dropped();
    const { sender, fullName, recipients } = one!.envelope;
    assert.deepEqual([sender, fullName, recipients], ["\xe6\x97\xa5@x.example", "J\xc3\xb6rg", ["\xc3\xbc@y.example"]]);
    await site.run(sendmail, ["a"], { input: "x\n", environment: { NAME: "\xe9" } });
    assert.ok(site.dropped().some(({ envelope }) => envelope.fullName === "\xc3\xa9"));
  });
  it("takes and ignores what Sendmail had", async () => {
    const ignored = [
      "-v",
      "-G",
      "-Ox=y",
      "-U",
      "-h",
      "3",
      "-m",
      "-L",
      "tag",
      "-Ac",
      "-p",
      "proto",
      "-eq",
      "-om",
      "-o7",
    ];
    const { status, errors } = await site.run(sendmail, [...ignored, "-oi", "-bm", "a"], {
      input: "x\n.\ny\n",
    });
    assert.deepEqual([status, errors], [0, ""]);
    assert.equal(site.dropped()[0]!.content, "x\n.\ny\n");
  });
  it("asks for reports: -bv of what would become of a message, -v of its first attempt, -vv of none", async () => {
    const run = (...words: string[]): Promise<{ status: number; output: string; errors: string }> =>
      site.run(sendmail, ["-f", "s@x", ...words, "a@b", "c@d"], { input: "Subject: x\n\ny\n" });
    const said = { status: 0, output: "Mail Delivery Status Report will be mailed to <s@x>.\n", errors: "" };
    assert.deepEqual(await run("-bv"), said);
    assert.deepEqual(await run("-v"), said);
    assert.deepEqual(await run("-vv"), { ...said, output: "" });
    const dropped = site.dropped().map(({ envelope, content }) => [String(envelope.report), content]);
    assert.deepEqual(dropped.sort(), [
      ["attempt", "Subject: x\n\ny\n"],
      ["deliverability", "From: s@x\nSubject: probe\nTo:\ta@b,\n\tc@d\n"],
      ["undefined", "Subject: x\n\ny\n"],
    ]);
    assert.deepEqual(await run("-bv", "-N", "never"), {
      status: 75,
      output: "",
      errors: "sendmail: fatal: -N option cannot be used with -bv\n",
    });
    await site.run(sendmail, ["-bv", "-f", "", "a@b"]);
    assert.ok(site.dropped().some(({ content }) => content === "Subject: probe\nTo:\ta@b\n"));
  });
  it("warns of what it cannot use, and goes on", async () => {
    const words = ["-N", "foo", "-R", "bar", "-V", "x".repeat(101), "-f", "a b", "a"];
    const { status, errors } = await site.run(sendmail, words, { input: "x\n" });
    assert.equal(status, 0);
    assert.equal(
      errors,
      [
        'unknown DSN NOTIFY command value "foo" in "foo"',
        "bad -N option value -- ignored",
        "bad -R option value -- ignored",
        "too long -V option value -- ignored",
        "-f option specified malformed sender: a b",
        "",
      ].join("\n").replace(/^(?=.)/gm, "sendmail: warning: "),
    );
    assert.equal(site.dropped()[0]!.envelope.sender, "a");
  });
  it("has the null sender with -f ''", async () => {
    for (const sender of ["", "<>"]) await site.run(sendmail, ["-f", sender, "a"], { input: "x\n" });
    assert.deepEqual(site.dropped().map(({ envelope }) => envelope.sender), ["", ""]);
  });
  it("leaves the sender to pickup without -f, and takes the full name from NAME", async () => {
    await site.run(sendmail, ["a"], { input: "x\n", environment: { NAME: "N" } });
    assert.deepEqual(site.dropped().map(({ envelope }) => [envelope.sender, envelope.fullName]), [[null, "N"]]);
  });
  it("knows nobody without an account", async () => {
    const { status, errors } = await site.run(sendmail, ["a"], { uid: 54321 });
    assert.deepEqual([status, errors], [75, "sendmail: fatal: no login name found for user ID 54321\n"]);
  });
  it("refuses a message over message_size_limit", async () => {
    const small = new Site("message_size_limit = 1000");
    const { status, errors } = await small.run(sendmail, ["a"], { input: "0123456789\n".repeat(100) });
    assert.deepEqual([status, errors], [75, `sendmail: fatal: ${WHO}: message file too big\n`]);
    assert.deepEqual(small.dropped(), []);
    small.remove();
  });
  it("says why the folder cannot be written", async () => {
    rmSync(join(site.root, "spool/maildrop"), { recursive: true });
    const { status, errors } = await site.run(sendmail, ["a"], { input: "x\n" });
    assert.equal(status, 75);
    assert.match(errors, /^sendmail: fatal: \S+: queue file write error: maildrop: No such file or directory\n$/);
  });
  it("does nothing, well, for -bh, -bH and aliases without a database", async () => {
    for (const words of [["-bh"], ["-bH"], ["-bi"], ["-I"]]) {
      assert.deepEqual(await site.run(sendmail, words), { status: 0, output: "", errors: "" });
    }
    assert.deepEqual(await site.run(newaliases, []), { status: 0, output: "", errors: "" });
  });
  it("is postqueue for -bp, -q, -qR and -qI", async () => {
    assert.equal((await site.run(sendmail, ["-bp"])).output, "Mail queue is empty\n");
    assert.equal((await site.run(mailq, [])).output, "Mail queue is empty\n");
    for (const words of [["-q"], ["-qRfoo.example"], ["-qIABCDEF0"]]) {
      const { status, errors } = await site.run(sendmail, words);
      assert.deepEqual([status, errors], [69, "postqueue: fatal: Cannot flush mail queue - mail system is down\n"]);
    }
  });
  it("is newaliases with -bi under the name of mailq too, as in Postfix", async () => {
    assert.deepEqual(await site.run(mailq, ["-bi"]), { status: 0, output: "", errors: "" });
  });
});

describe("sendmail -bs", () => {
  it("speaks SMTP and drops what it took", async () => {
    const commands = [
      "EHLO me",
      "MAIL FROM:<a@b>",
      "RCPT TO:<c@d>",
      "RCPT TO:<x>",
      "DATA",
      "Subject: hi",
      "",
      "..dot",
      ".",
    ];
    const { status, output, errors } = await site.run(sendmail, ["-bs"], {
      input: [...commands, "QUIT", ""].join("\r\n"),
    });
    assert.deepEqual([status, errors], [0, ""]);
    const [one] = site.dropped();
    assert.deepEqual(one!.envelope.recipients, ["c@d", "x"]);
    assert.match(
      one!.content,
      /^Received: from me \(localhost \[127\.0\.0\.1\]\)\r\n[^]*\r\nSubject: hi\r\n\r\n\.dot\r\n$/,
    );
    assert.deepEqual(output.split("\r\n").filter((line) => !line.startsWith("250-")), [
      "220 mx.test.example ESMTP Postrider",
      "250 CHUNKING",
      "250 2.1.0 Ok",
      "250 2.1.5 Ok",
      "250 2.1.5 Ok",
      "354 End data with <CR><LF>.<CR><LF>",
      `250 2.0.0 Ok: queued as ${one!.name}`,
      "221 2.0.0 Bye",
      "",
    ]);
  });
  it("drops nothing of a message that breaks off", async () => {
    await site.run(sendmail, ["-bs"], { input: "HELO me\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\nSubject: x\n" });
    assert.deepEqual(site.dropped(), []);
  });
});
