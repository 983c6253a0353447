import assert from "node:assert/strict";
import { chmodSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import type { DeliveryRequest } from "../../src/agent.ts";
import { loadConfig } from "../../src/config/config.ts";
import { plainRecipient } from "../../src/envelope.ts";
import { latin1Encode } from "../../src/latin1.ts";
import { LocalAgent } from "../../src/local/local.ts";
import type { Files, Runtime } from "../../src/runtime.ts";
import { configured } from "../config/fake-runtime.ts";
import { bytesOf, contentOf, letter, names, runtime, SELF, systemError, temporary } from "../mailboxes.ts";
import { keepingLog } from "../smtp/delivering.ts";

const folder = temporary();
after(() => folder.remove());
let count = 0;

interface Desk {
  readonly root: string;
  readonly lines: string[];
  /** Results as "outcome status reason", the folder written as ROOT. */
  deliver(...recipients: string[]): Promise<string[]>;
}

function desk(main = "", content = "Subject: x\r\n\r\nhello\r\n", passwdFails = false, others = {}): Desk {
  const root = `${folder.path}/root${++count}`;
  for (const name of ["", "/spool", "/home", "/home/joe"]) mkdirSync(root + name);
  const uid = SELF.uid === 0 ? 5001 : SELF.uid;
  const entries = ["joe", "a+b"].map((name) => `${name}:x:${uid}:${SELF.gid}:Joe:${root}/home/joe:/bin/sh\n`);
  const files: Files = {
    ...runtime.files!,
    read: (path) => {
      if (path !== "/etc/passwd") return runtime.files!.read(path);
      return passwdFails ? Promise.reject(systemError("EMFILE")) : Promise.resolve(latin1Encode(entries.join("")));
    },
    ...others,
  };
  const text = `mail_spool_directory = ${root}/spool\nrecipient_delimiter = +\n${main}\n`;
  const config = loadConfig(configured(text).runtime, "/etc/postfix").main;
  // The rights of root are tested in test/system.
  const asUser: Runtime = {
    ...runtime,
    files,
    processes: { ...runtime.processes!, uid: () => SELF.uid === 0 ? 5001 : SELF.uid },
  };
  const lines: string[] = [];
  const agent = new LocalAgent({ runtime: asUser, config, content: contentOf(content), log: keepingLog(lines) });
  const deliver = async (...recipients: string[]): Promise<string[]> => {
    const request: DeliveryRequest = { ...letter().request, recipients: recipients.map(plainRecipient) };
    const results = await agent.deliver(request, new AbortController().signal);
    for (const result of results) assert.equal(result.relay, "local");
    return results.map(({ outcome, status, reason }) => `${outcome} ${status} ${reason.replaceAll(root, "ROOT")}`);
  };
  return { root, lines, deliver };
}

const LAX = "strict_mailbox_ownership = no\n";

describe("local delivery", () => {
  it("goes to the account's file in mail_spool_directory", async () => {
    const { root, deliver } = desk(LAX);
    assert.deepEqual(await deliver("Joe@here.example"), ["sent 2.0.0 delivered to mailbox"]);
    assert.match(
      bytesOf(`${root}/spool/joe`),
      /^From s@orig\.example {2}.*\n.*\n.*\nDelivered-To: Joe@here\.example\n/,
    );
    assert.equal(statSync(`${root}/spool/joe`).mode & 0o777, 0o600);
  });

  it("goes to a maildir below it when it ends in /", async () => {
    const { root, deliver } = desk(`mail_spool_directory = ${folder.path}/spools/`);
    assert.deepEqual(await deliver("joe@here.example"), ["sent 2.0.0 delivered to maildir"]);
    assert.equal(names(`${folder.path}/spools/joe/new`).length, 1);
    assert.deepEqual(names(`${root}/spool`), []);
  });

  it("goes to home_mailbox where it is set", async () => {
    const maildir = desk("home_mailbox = Maildir/");
    assert.deepEqual(await maildir.deliver("joe@here.example"), ["sent 2.0.0 delivered to maildir"]);
    assert.deepEqual(names(`${maildir.root}/home/joe/Maildir`), ["cur", "new", "tmp"]);
    const file = desk(`${LAX}home_mailbox = mbox`);
    assert.deepEqual(await file.deliver("joe@here.example"), ["sent 2.0.0 delivered to mailbox"]);
    assert.deepEqual(names(`${file.root}/home/joe`), ["mbox"]);
  });

  it("passes over the extension of a name that is unknown with it", async () => {
    const { root, deliver } = desk(LAX);
    assert.deepEqual(
      await deliver("joe+Ext@here.example", "a+b@here.example", "No+Ext@here.example", "joe@x.example"),
      [
        "sent 2.0.0 delivered to mailbox",
        "sent 2.0.0 delivered to mailbox",
        'bounced 5.1.1 unknown user: "no"',
        "sent 2.0.0 delivered to mailbox",
      ],
    );
    assert.deepEqual(names(`${root}/spool`), ["a+b", "joe"]);
  });

  it("leaves out Delivered-To: without file in prepend_delivered_header", async () => {
    const { root, deliver } = desk(`${LAX}prepend_delivered_header = command`);
    await deliver("joe@here.example");
    assert.doesNotMatch(bytesOf(`${root}/spool/joe`), /Delivered-To/);
  });

  it("stops loops", async () => {
    const { deliver } = desk(LAX, "Subject: x\r\ndelivered-TO:\r\n JOE@here.example\r\n\r\nhello\r\n");
    assert.deepEqual(await deliver("joe@here.example", "joe@other.example"), [
      "bounced 5.4.6 mail forwarding loop for joe@here.example",
      "sent 2.0.0 delivered to mailbox",
    ]);
  });

  it("waits while the accounts cannot be read: nobody is unknown then", async () => {
    const { deliver, lines } = desk("", undefined, true);
    assert.deepEqual(await deliver("nobody@here.example"), ["deferred 4.0.0 user lookup error"]);
    assert.deepEqual(lines, ["warning: error looking up passwd info for nobody: Too many open files"]);
  });

  it("waits without the home folder where require_home_directory says so", async () => {
    const { deliver } = desk("require_home_directory = yes", undefined, false, {
      stat: () => Promise.reject(systemError("ENOENT")),
    });
    assert.deepEqual(await deliver("joe@here.example"), [
      "deferred 4.3.0 cannot access home directory ROOT/home/joe: No such file or directory",
    ]);
  });

  it("names mailbox and user in faults", async () => {
    const { root, deliver } = desk(`${LAX}deliver_lock_attempts = 1`);
    writeFileSync(`${root}/spool/joe.lock`, "");
    assert.deepEqual(await deliver("joe@here.example"), [
      "deferred 4.2.0 cannot update mailbox ROOT/spool/joe for user joe. " +
      "unable to create lock file ROOT/spool/joe.lock: File exists",
    ]);
    chmodSync(`${root}/spool`, 0o700);
  });

  it("bounces at mailbox_size_limit", async () => {
    const { deliver } = desk(`${LAX}mailbox_size_limit = 60\nmessage_size_limit = 50`);
    assert.deepEqual(await deliver("joe@here.example"), [
      "bounced 5.2.2 cannot update mailbox ROOT/spool/joe for user joe. error writing message: File too large",
    ]);
  });
});
