import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { replyLine } from "../../src/reply.ts";
import { commandWords } from "../../src/smtpd/engine/commands.ts";
import { isRefusal, parseBdat, parseMail, parseNotify, parseRcpt, parseVerify } from "../../src/smtpd/transaction.ts";

const LAX = { strict: false, noDsn: false, utf8: "yes" } as const;

function shown(value: object): string {
  return isRefusal(value) ? replyLine(value.refused) : JSON.stringify(value).replaceAll('"', "");
}

const MAIL: readonly (readonly [string, string])[] = [
  ["MAIL FROM:<a@b.c>", "{sender:a@b.c,encoding:,size:0,ret:,envid:,smtputf8:false}"],
  ["mail from: <a@b.c>", "{sender:a@b.c,encoding:,size:0,ret:,envid:,smtputf8:false}"],
  ["MAIL FROM:<>", "{sender:,encoding:,size:0,ret:,envid:,smtputf8:false}"],
  ["MAIL FROM:<a@b.c> SIZE=12 BODY=8BITMIME", "{sender:a@b.c,encoding:8bit,size:12,ret:,envid:,smtputf8:false}"],
  [
    "MAIL FROM:<a@b.c> body=7bit ret=full envid=a+2Bb",
    "{sender:a@b.c,encoding:7bit,size:0,ret:full,envid:a+b,smtputf8:false}",
  ],
  ["MAIL FROM:<a@b.c> AUTH=<>", "{sender:a@b.c,encoding:,size:0,ret:,envid:,smtputf8:false}"],
  ["MAIL", "501 5.5.4 Syntax: MAIL FROM:<address>"],
  ["MAIL TO:<a@b.c>", "501 5.5.4 Syntax: MAIL FROM:<address>"],
  ["MAIL FROM:<a@b.c", "501 5.1.7 Bad sender address syntax"],
  ["MAIL FROM:<a@b.c> SIZE=x", "501 5.5.4 Bad message size syntax"],
  ["MAIL FROM:<a@b.c> SIZE=99999999999999999999", "552 5.3.4 Message size exceeds file system imposed limit"],
  ["MAIL FROM:<a@b.c> RET=SOME", "501 5.5.4 Bad RET parameter syntax"],
  ["MAIL FROM:<a@b.c> RET=FULL RET=FULL", "501 5.5.4 Bad RET parameter syntax"],
  ["MAIL FROM:<a@b.c> ENVID=", "501 5.5.4 Bad ENVID parameter syntax"],
  ["MAIL FROM:<a@b.c> ENVID=a+0Ab", "501 5.5.4 Bad ENVID parameter syntax"],
  ["MAIL FROM:<a@b.c> SIZE=9223372036854775808", "552 5.3.4 Message size exceeds file system imposed limit"],
  ["MAIL FROM:<a@b.c> AUTH=a auth=<>", "503 5.5.4 Error: multiple AUTH= options"],
  ["MAIL FROM:<a@b.c> FOO=1", "555 5.5.4 Unsupported option: FOO=1"],
];

const RCPT: readonly (readonly [string, string])[] = [
  ["RCPT TO:<a@b.c>", "{recipient:a@b.c,originalRecipient:,notify:[]}"],
  ["RCPT TO:<@x,@y:a@b.c>", "{recipient:a@b.c,originalRecipient:rfc822;@x,@y:a@b.c,notify:[]}"],
  ['RCPT TO:<"a"@b.c>', "{recipient:a@b.c,originalRecipient:rfc822;\\a\\@b.c,notify:[]}"],
  ["RCPT TO:a@b.c", "{recipient:a@b.c,originalRecipient:rfc822;a@b.c,notify:[]}"],
  [
    "RCPT TO:<a@b.c> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x+2By@z",
    "{recipient:a@b.c,originalRecipient:rfc822;x+y@z,notify:[success,delay]}",
  ],
  ["RCPT TO:<>", "501 5.1.3 Bad recipient address syntax"],
  ['RCPT TO:<"">', "501 5.1.3 Bad recipient address syntax"],
  ["RCPT FROM:<a@b.c>", "501 5.5.4 Syntax: RCPT TO:<address>"],
  ["RCPT TO:<a@b.c> NOTIFY=NEVER,DELAY", "501 5.5.4 Error: Bad NOTIFY parameter syntax"],
  ["RCPT TO:<a@b.c> NOTIFY=DELAY NOTIFY=DELAY", "501 5.5.4 Error: Bad NOTIFY parameter syntax"],
  ["RCPT TO:<a@b.c> ORCPT=x", "501 5.5.4 Error: Bad ORCPT parameter syntax"],
  ["RCPT TO:<a@b.c> ORCPT=rfc822;", "{recipient:a@b.c,originalRecipient:rfc822;,notify:[]}"],
  ["RCPT TO:<a@b.c> ORCPT=x;a+2bb+00c", "{recipient:a@b.c,originalRecipient:x;a+b,notify:[]}"],
  ["RCPT TO:<a@b.c> ORCPT=x;a+0A", "{recipient:a@b.c,originalRecipient:x;a,notify:[]}"],
  ["RCPT TO:<a@b.c> ORCPT=utf-8;\\x{110000}", "501 5.5.4 Error: Bad ORCPT parameter syntax"],
  ["RCPT TO:<a@b.c> NOTIFY=,DELAY,", "{recipient:a@b.c,originalRecipient:,notify:[delay]}"],
  ["RCPT TO:<a@b.c> NOTIFY=,", "501 5.5.4 Error: Bad NOTIFY parameter syntax"],
  ["RCPT TO:<a%b@b.c>", "{recipient:a%b@b.c,originalRecipient:rfc822;a%b@b.c,notify:[]}"],
  ["RCPT TO:<a@b.c> X", "555 5.5.4 Unsupported option: X"],
];

describe("MAIL", () => {
  for (const [line, expected] of MAIL) {
    test(line, () => assert.equal(shown(parseMail(commandWords(line), LAX)), expected));
  }
  test("without DSN its options are unknown", () => {
    const line = "MAIL FROM:<a@b.c> RET=FULL";
    assert.equal(
      shown(parseMail(commandWords(line), { ...LAX, noDsn: true })),
      "501 5.7.1 DSN support is disabled",
    );
  });
});

describe("RCPT", () => {
  for (const [line, expected] of RCPT) {
    test(line, () => assert.equal(shown(parseRcpt(commandWords(line), LAX)), expected));
  }
});

test("what the resolver refuses is an illegal address before its parameters are looked at", async () => {
  const words = commandWords("RCPT TO:<a%@b.c> FOO");
  const refused = await parseRcpt(words, LAX, false, () => Promise.resolve(false));
  assert.equal(shown(refused), "501 5.1.3 Bad recipient address syntax");
  assert.ok(isRefusal(refused) && refused.illegalAddress);
  assert.equal(shown(parseRcpt(words, LAX, false, () => true)), "555 5.5.4 Unsupported option: FOO");
});

test("VRFY", () => {
  assert.equal(parseVerify("name <a@b.c>", LAX, false), "a@b.c");
  assert.equal(shown(parseVerify("<>", LAX, false) as object), "501 5.1.3 Bad recipient address syntax");
});

test("NOTIFY", () => {
  assert.deepEqual(parseNotify("never"), ["never"]);
  assert.deepEqual(parseNotify("Success,SUCCESS"), ["success"]);
  for (const bad of ["", "never,success", "often"]) assert.equal(parseNotify(bad), null);
});

test("BDAT", () => {
  const rows = [["BDAT 0", 0, false], ["BDAT 12 last", 12, true]] as const;
  for (const [line, bytes, last] of rows) assert.deepEqual(parseBdat(commandWords(line)), { bytes, last });
  for (const bad of ["BDAT", "BDAT x", "BDAT -1", "BDAT 1 FIRST", "BDAT 1 LAST x", "BDAT 9223372036854775808"]) {
    assert.equal(parseBdat(commandWords(bad)), null);
  }
});
