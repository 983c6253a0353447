import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, it } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import { NO_CLIENT, plainRecipient } from "../../src/envelope.ts";
import { latin1Encode } from "../../src/latin1.ts";
import { Drop } from "../../src/sendmail/drop.ts";
import { submit, type SubmitOptions, type SubmitResult } from "../../src/sendmail/sendmail.ts";
import { MaildropSink } from "../../src/sendmail/sink.ts";

const runtime = await currentRuntime();
let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "postrider-sendmail-"));
  mkdirSync(join(root, "maildrop"));
});
afterEach(() => rmSync(root, { recursive: true }));

const files = (): string[] => readdirSync(join(root, "maildrop"));
const whole = (): string => readFileSync(join(root, "maildrop", files()[0]!), "latin1");
const recipients = (): string[] => (JSON.parse(whole().split("\n")[1]!) as { recipients: string[] }).recipients;

function send(text: string, to: readonly string[], options: Partial<SubmitOptions> = {}): Promise<SubmitResult> {
  const submission = {
    sender: "s@x",
    fullName: null,
    recipients: to,
    encoding: "" as const,
    notify: [],
    ret: "" as const,
    envid: "",
  };
  const all = {
    runtime,
    queueDirectory: root,
    sizeLimit: 0,
    submission,
    fromHeaders: false,
    dotEnds: true,
    emptyRecipient: "MAILER-DAEMON",
    ...options,
  };
  return submit(
    all,
    (async function* () {
      await Promise.resolve();
      for (let at = 0; at < text.length; at += 5) yield latin1Encode(text.slice(at, at + 5));
    })(),
  );
}

describe("submission", () => {
  it("leaves one complete file with a name that nobody guesses", async () => {
    assert.equal(await send("Subject: x\n\nbody\n", ["a@b"]), "submitted");
    assert.match(files()[0]!, /^[0-9a-f]{32}$/);
    assert.equal(statSync(join(root, "maildrop", files()[0]!)).mode & 0o7777, 0o744);
    assert.match(whole(), /^postrider-maildrop 1\n\{.*"recipients":\["a@b"\].*\}\nSubject: x\n\nbody\n$/);
  });
  it("takes recipients from the headers, hidden ones too, beside those given", async () => {
    const text = "To: a@b, c@d\nCc: (x) e@f\nBcc: g@h\nReply-To: no@x\n\nTo: no@y\n";
    assert.equal(await send(text, ["z@z"], { fromHeaders: true }), "submitted");
    assert.deepEqual(recipients(), ["z@z", "a@b", "c@d", "e@f", "g@h"]);
    assert.ok(whole().endsWith(text));
  });
  it("takes those of Resent- headers alone where there are any", async () => {
    await send("To: a@b\nResent-To: c@d\nResent-Bcc: e@f\n\n", [], { fromHeaders: true });
    assert.deepEqual(recipients(), ["c@d", "e@f"]);
  });
  it("writes the configured name for an empty address", async () => {
    await send("x\n", [""]);
    assert.deepEqual(recipients(), ["MAILER-DAEMON"]);
  });
  for (const fromHeaders of [false, true]) {
    it(`leaves nothing without recipients (-t: ${fromHeaders})`, async () => {
      assert.equal(await send("Subject: x\n\nbody\n", [], { fromHeaders }), "no recipients");
      assert.deepEqual(files(), []);
    });
  }
  it("leaves nothing of a message that is too big", async () => {
    assert.equal(await send("x".repeat(2000), ["a@b"], { sizeLimit: 1000 }), "too big", "one line without its end");
    assert.equal(await send("0123456789\n".repeat(100), ["a@b"], { sizeLimit: 1000 }), "too big");
    assert.deepEqual(files(), []);
  });
  it("leaves nothing when the input breaks", async () => {
    const broken = (async function* () {
      yield await Promise.resolve(latin1Encode("Subject: x\n\n"));
      throw new Error("broken");
    })();
    const options = {
      runtime,
      queueDirectory: root,
      sizeLimit: 0,
      fromHeaders: false,
      dotEnds: true,
      emptyRecipient: "",
    };
    const submission = {
      sender: null,
      fullName: null,
      recipients: ["a"],
      encoding: "" as const,
      notify: [],
      ret: "" as const,
      envid: "",
    };
    await assert.rejects(submit({ ...options, submission }, broken), /broken/);
    assert.deepEqual(files(), []);
  });
  it("says so when there is no folder", async () => {
    rmSync(join(root, "maildrop"), { recursive: true });
    await assert.rejects(send("x\n", ["a"]), { code: "ENOENT" });
  });
});

describe("Drop", () => {
  it("cannot be taken for complete before commit()", async () => {
    const drop = await Drop.open(runtime, root);
    await drop.write(latin1Encode("x"));
    await drop.written();
    assert.equal(statSync(drop.path).mode & 0o7777, 0o600);
    await drop.abort();
    assert.deepEqual(files(), []);
  });
  it("never writes over a file", async () => {
    await (await Drop.open(runtime, root, "same")).commit();
    await assert.rejects(Drop.open(runtime, root, "same"), { code: "EEXIST" });
  });
});

describe("MaildropSink", () => {
  it("writes the envelope before the content that came first", async () => {
    const sink = new MaildropSink(runtime, root);
    sink.begin(null, "Received: y\r\n");
    sink.data(latin1Encode("Subject: x\r\n\r\n"));
    assert.equal(sink.size, 27);
    assert.deepEqual(files(), []);
    const envelope = {
      sender: "",
      recipients: [plainRecipient("a@b")],
      arrived: 0,
      client: NO_CLIENT,
      encoding: "8bit" as const,
      ret: "" as const,
      envid: "",
    };
    assert.deepEqual(await sink.finish(envelope), { queuedAs: sink.id });
    assert.deepEqual(files(), [sink.id]);
    assert.match(whole(), /^postrider-maildrop 1\n\{"sender":"",.*"8bit".*\}\nReceived: y\r\nSubject: x\r\n\r\n$/);
  });
});
