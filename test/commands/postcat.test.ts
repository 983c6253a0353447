import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { postcat } from "../../src/commands/postcat.ts";
import { sendmail } from "../../src/commands/sendmail.ts";
import { NO_CLIENT, plainRecipient } from "../../src/envelope.ts";
import { latin1Encode } from "../../src/latin1.ts";
import { Site } from "./site.ts";

let site: Site;
beforeEach(() => site = new Site());
afterEach(() => site.remove());

const HEADERS = "Subject: x\n\tfolded\nTo: y\n";
const BODY = "\nbody\n\nmore: text\n";

describe("postcat", () => {
  it("shows envelope, headers and body by their options", async () => {
    const [id] = await site.fill([{
      sender: "s@x",
      recipients: [["a@b", ""], ["c@d", "why"]],
      content: (HEADERS + BODY).replaceAll("\n", "\r\n"),
      arrived: 0,
    }]);
    const envelope = [
      `*** ENVELOPE RECORDS deferred/${id} ***`,
      "message_size:              50               0               2               0              50               0",
    ];
    const show = async (...words: string[]): Promise<string> => {
      const { status, output, errors } = await site.run(postcat, [...words, id!]);
      assert.deepEqual([status, errors], [0, ""]);
      return output;
    };
    assert.equal(await show("-qh"), HEADERS);
    assert.equal(await show("-qb"), BODY);
    assert.equal(await show("-qbh"), HEADERS + BODY);
    const whole = await show("-q");
    assert.equal(await show("-qebh"), whole);
    assert.equal(await show("-qe"), whole.replace(HEADERS + BODY, ""));
    const lines = whole.split("\n");
    assert.deepEqual(lines.slice(0, 2), envelope);
    assert.match(lines[2]!, /^message_arrival_time: ... ... [ \d]\d \d\d:\d\d:\d\d (1970|1969)$/);
    assert.deepEqual(lines.slice(4, 10), [
      "sender: s@x",
      "original_recipient: a@b",
      "recipient: a@b",
      "original_recipient: c@d",
      "recipient: c@d",
      `*** MESSAGE CONTENTS deferred/${id} ***`,
    ]);
    assert.deepEqual(lines.slice(-3), [
      `*** HEADER EXTRACTED deferred/${id} ***`,
      `*** MESSAGE FILE END deferred/${id} ***`,
      "",
    ]);
  });
  it("shows records in Postfix's order", async () => {
    const id = await site.withStore(async (store) => {
      const incoming = store.begin();
      await incoming.append(latin1Encode("Subject: x\r\n"));
      await incoming.commit({
        sender: "s@x",
        recipients: [{ ...plainRecipient("a@b"), originalRecipient: "rfc822;o@b", notify: ["success", "delay"] }],
        arrived: 0,
        client: { ...NO_CLIENT, protocol: "ESMTP", name: "c", address: "192.0.2.1", port: 5, helo: "h" },
        encoding: "8bit",
        ret: "hdrs",
        envid: "e",
      }, false);
      return incoming.id;
    });
    const { output } = await site.run(postcat, ["-qe", id]);
    assert.deepEqual(output.split("\n").slice(4, 17).map((line) => line.replace(/^named_attribute: /, "")), [
      "envelope_id=e",
      "ret_flags=2",
      "sender: s@x",
      "encoding=8bit",
      "log_client_name=c",
      "log_client_address=192.0.2.1",
      "log_client_port=5",
      "log_message_origin=c[192.0.2.1]",
      "log_helo_name=h",
      "log_protocol_name=ESMTP",
      "notify_flags=10",
      "dsn_orig_rcpt=rfc822;o@b",
      "original_recipient: a@b",
    ]);
  });
  it("shows types and offsets of the records that Postfix would write, and begins at one", async () => {
    const [id] = await site.fill([{
      sender: "s@x",
      recipients: [["a@b", ""]],
      content: `Subject: x\r\n\r\n${"y".repeat(200)}\r\nz\r\n`,
      arrived: 1_795_800_618_000,
    }]);
    const show = async (...words: string[]): Promise<readonly string[]> => {
      const { status, output, errors } = await site.run(postcat, [...words, id!]);
      assert.deepEqual([status, errors], [0, ""]);
      return output.trimEnd().split("\n");
    };
    const lines = await show("-qdov");
    assert.deepEqual(lines.map((line) => line.replace(/ \d{4}$/, "").slice(0, 32)), [
      `*** ENVELOPE RECORDS incoming/${id} ***`.slice(0, 32),
      "        0  67 message_size:     ",
      "       97  84 message_arrival_ti",
      "      116  65 create_time: Fri N",
      "      140  83 sender: s@x",
      "      145  79 original_recipient",
      "      150  82 recipient: a@b",
      "      155  77 *** MESSAGE CONTEN",
      "      157  78 regular_text: Subj",
      "      169  78 regular_text: ",
      `      171  78 regular_text: ${"y".repeat(4)}`,
      "      374  78 regular_text: z",
      "      377  88 *** HEADER EXTRACT",
      "      379  69 *** MESSAGE FILE E",
    ]);
    assert.deepEqual(await show("-qdov", "-s", "146"), lines.slice(6));
    assert.deepEqual(await show("-qr", "-s", "9999"), [""]);
    assert.deepEqual(await show("-qdb"), [" 78 ", ` 78 ${"y".repeat(200)}`, " 78 z"]);
    const { status, errors } = await site.run(postcat, ["-q", "-s", "abc", id!]);
    assert.deepEqual([status, errors], [1, "postcat: fatal: bad offset: abc\n"]);
  });
  it("reads standard input when nothing is named", async () => {
    await site.run(sendmail, ["-f", "s@x", "a@b"], { input: "Subject: x\n\nbody\n" });
    const { name } = site.dropped()[0]!;
    const input = readFileSync(join(site.root, "spool/maildrop", name), "latin1");
    const read = await site.run(postcat, [], { input });
    assert.deepEqual([read.status, read.errors], [0, ""]);
    assert.match(read.output, /\nsender: s@x\n[^]*recipient: a@b\n[^]*\nSubject: x\n\nbody\n\*\*\* HEADER/);
    const other = await site.run(postcat, ["-q"], { input: "hello" });
    assert.deepEqual(other, {
      status: 0,
      output: "",
      errors: "postcat: warning: stdin: input is not a valid queue file\n",
    });
  });
  it("tells recipients that are done with", async () => {
    const [id] = await site.fill([{ sender: "s@x", recipients: [["a@b", "why"], ["c@d", "why"]] }]);
    await site.withStore((store) => store.mark(id!, { done: [0], deferred: [] }, "durable"));
    const { output } = await site.run(postcat, ["-qe", id!]);
    assert.match(output, /\ndone_recipient: a@b\n.*\nrecipient: c@d\n/);
  });
  it("shows a message of maildrop by its name and as a file", async () => {
    await site.run(sendmail, ["-f", "s@x", "-F", "F", "a@b"], { input: "Subject: x\n\nbody" });
    const { name } = site.dropped()[0]!;
    const expected = (place: string): RegExp =>
      new RegExp(
        `^\\*\\*\\* ENVELOPE RECORDS ${place} \\*\\*\\*\nmessage_arrival_time: .*\nsender_fullname: F\nsender: s@x\n` +
          `recipient: a@b\n\\*\\*\\* MESSAGE CONTENTS ${place} \\*\\*\\*\nSubject: x\n\nbody\n\\*\\*\\* HEADER`,
      );
    assert.match((await site.run(postcat, ["-q", name])).output, expected(`maildrop/${name}`));
    const path = join(site.root, "spool/maildrop", name);
    assert.match((await site.run(postcat, [path])).output, expected(path));
  });
  it("says what it cannot show", async () => {
    const file = join(site.root, "x");
    writeFileSync(file, "no queue file");
    const rows: readonly (readonly [string[], number, RegExp])[] = [
      [["-q", "ABCDEF0"], 1, /^postcat: fatal: open queue file ABCDEF0: No such file or directory\n$/],
      [["-q", "foo!"], 1, /^postcat: fatal: bad mail queue ID: foo!\n$/],
      [["/nonexistent"], 1, /^postcat: fatal: open \/nonexistent: No such file or directory\n$/],
      [[file], 0, /^postcat: warning: \S+: input is not a valid queue file\n$/],
      [["-z"], 1, /^postcat: invalid option -- 'z'\npostcat: fatal: usage: postcat \[-b \(body text\)\]/],
      [["-n"], 1, /^postcat: invalid option -- 'n'\n/],
      [["-q", "A".repeat(256)], 1, /^postcat: fatal: bad mail queue ID: A+\n$/],
      [["-q", "A_B"], 1, /^postcat: fatal: open queue file A_B: No such file or directory\n$/],
      [["-q", "ABCDEF0", "foo!"], 1, /^postcat: fatal: open queue file ABCDEF0: No such file or directory\n$/],
      [["/\xe9"], 1, /^postcat: fatal: open \/\xc3\xa9: No such file or directory\n$/],
      [["/dev"], 0, /^postcat: warning: close \/dev: Is a directory\n$/],
      [["/dev/null"], 0, /^$/],
      [["-q"], 0, /^$/],
    ];
    for (const [words, status, errors] of rows) {
      const ran = await site.run(postcat, words);
      assert.equal(ran.status, status, words.join(" "));
      assert.match(ran.errors, errors);
    }
    const { status, errors } = await site.run(postcat, ["-q", "ABCDEF0"], { uid: 54321 });
    assert.deepEqual([status, errors], [1, "postcat: fatal: open queue file ABCDEF0: Permission denied\n"]);
  });
});
