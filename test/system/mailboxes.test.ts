/**
 * Mailboxes of ours beside those that Debian's virtual(8) and local(8) write for the same mail, the rights that root
 * gives away, and what Python's mailbox module reads of them.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from "node:fs";
import { symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type Running, startPostrider, until } from "../postrider.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix, submit } from "./debian-postfix.ts";

const OWNER = 5000;
const HEAD = "From: a@orig.example\r\nTo: x@v.example\r\nSubject: one\r\nMessage-Id: <m1@orig.example>\r\n" +
  "Date: Sun, 22 Nov 2026 18:00:00 +0000\r\n\r\n";

/** Sender and content, handed in one after the other. */
const MAIL: readonly (readonly [string, string])[] = [
  ["s1@orig.example", `${HEAD}hello\r\n.dot\r\nFrom here\r\n>From there\r\nFromage\r\n`],
  ["", `${HEAD}\xe4\xf6 8-bit\r\n`],
  ['"s 3"@orig.example', HEAD],
  ["s4@orig.example", `${HEAD}\r\n\r\n\r\nFrom \r\n\r\n`],
  ["s5@orig.example", `${HEAD}${`${"x".repeat(900)}\r\n`.repeat(500)}`],
];

interface Side {
  readonly name: string;
  readonly root: string;
  readonly port: () => number;
  readonly log: () => string;
}

function settings(root: string): string {
  for (const name of ["v", "noperm", "trap", "elsewhere", "spool"]) mkdirSync(`${root}/${name}`);
  for (const name of ["v", "trap"]) chownSync(`${root}/${name}`, OWNER, OWNER);
  chmodSync(root, 0o755);
  // As Debian has /var/mail.
  execFileSync("chown", ["root:mail", `${root}/spool`]);
  chmodSync(`${root}/spool`, 0o2775);
  return `virtual_mailbox_domains = v.example
virtual_mailbox_base = ${root}
virtual_mailbox_maps = inline:{ {md@v.example=v/md/} {mb@v.example=v/mb} {noperm@v.example=noperm/md/}
 {nodir@v.example=none/mb} {trap@v.example=trap/md/} {link@v.example=trap/link} {lock@v.example=v/lock} }
virtual_uid_maps = static:${OWNER}
virtual_gid_maps = static:${OWNER}
deliver_lock_attempts = 1
mydestination = local.example
mail_spool_directory = ${root}/spool
recipient_delimiter = +
smtpd_relay_restrictions = permit_mynetworks, reject
`;
}

const normalised = (text: string): string =>
  text
    .replace(/\b[0-9A-F]{10,12}\b/g, "QID")
    .replace(/\w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)/g, "DATE")
    .replace(/^(From .* {2})\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}$/gm, "$1DATE");

const read = (path: string): string => normalised(readFileSync(path, "latin1"));
const rights = (path: string): string => {
  const { uid, gid, mode } = statSync(path);
  return `${uid}:${gid} ${(mode & 0o7777).toString(8)}`;
};

/** What Python's standard library reads: sender, subject and payload length of each message. */
function python(kind: "mbox" | "Maildir", path: string): string[] {
  const program = `import mailbox, sys
box = mailbox.${kind}(sys.argv[1], create=False)
for message in box:
    print(message["Return-Path"], message["Subject"], len(message.get_payload(decode=True)))`;
  return execFileSync("python3", ["-c", program, path], { encoding: "utf8" }).trimEnd().split("\n").sort();
}

describe("mailboxes beside Debian's Postfix", { skip: !debianPostfix }, () => {
  const roots = [0, 1].map(() => mkdtempSync(join(tmpdir(), "mailboxes-")));
  let theirs: DebianPostfix;
  let ours: Running;
  const sides: Side[] = [];

  before(async () => {
    theirs = await startDebianPostfix(settings(roots[0]!));
    const rest = "local_recipient_maps =\nmail_name = Postfix\n";
    ours = await startPostrider({ main: settings(roots[1]!) + rest });
    sides.push({ name: "postfix", root: roots[0]!, port: () => theirs.port, log: () => theirs.log() });
    sides.push({ name: "postrider", root: roots[1]!, port: () => ours.port, log: () => ours.log });
  });
  after(async () => {
    theirs.stop();
    await ours.remove();
    for (const root of roots) rmSync(root, { recursive: true, force: true });
  });

  /** Delivery lines for an address on each side, from "dsn=" on; paths and names that differ made the same. */
  async function outcomes(address: string, count = 1): Promise<string[]> {
    const lines = ({ log, root }: Side): string[] =>
      [...log().matchAll(/ (to=<[^>]*>).* relay=(\S+),.* (dsn=.*)$/gm)]
        .filter((match) => match[1] === `to=<${address}>`)
        .map((match) => `${match[2]} ${match[3]}`.replaceAll(root, "ROOT").replace(/\d{10}\.P[^:]*/g, "NAME"));
    await until(
      () => sides.every((side) => lines(side).length >= count),
      20_000,
      () => sides.map((side) => side.log()).join(),
    );
    return sides.map((side) => lines(side).slice(0, count).join("\n"));
  }

  async function send(sender: string, content: string, ...recipients: string[]): Promise<void> {
    for (const { port } of sides) {
      assert.match(await submit(port(), { sender, recipients, content }), /^250 2\.0\.0 Ok: queued/);
    }
  }

  it("hold the same bytes, with the same rights", async () => {
    for (const [at, [sender, content]] of MAIL.entries()) {
      await send(sender, content, "mb@v.example", "md@v.example", "nobody+x@local.example");
      for (const address of ["mb@v.example", "md@v.example", "nobody+x@local.example"]) {
        const [of, by] = await outcomes(address, at + 1);
        assert.equal(by, of);
      }
    }
    const [of, by] = sides.map(({ root }) => {
      const mails = readdirSync(`${root}/v/md/new`).map((name) => `${root}/v/md/new/${name}`);
      return {
        mailbox: read(`${root}/v/mb`),
        spool: read(`${root}/spool/nobody`),
        maildir: mails.map(read).sort(),
        rights: ["v/mb", "v/md", "v/md/new", "v/md/tmp", "v/md/cur", "spool/nobody"].map((name) =>
          rights(`${root}/${name}`)
        ),
        mailRights: mails.map(rights),
        left: [readdirSync(`${root}/v`).sort(), readdirSync(`${root}/v/md/tmp`), readdirSync(`${root}/spool`)],
      };
    });
    assert.deepEqual(by, of);
    for (const { root } of sides) {
      for (const name of readdirSync(`${root}/v/md/new`)) assert.match(name, /^\d{10}\.V[0-9a-f]+I[0-9a-f]+M\d+\.\S+$/);
    }
  });

  it("are read by Python's mailbox module", () => {
    const [of, by] = sides.map(({ root }) => [python("mbox", `${root}/v/mb`), python("Maildir", `${root}/v/md`)]);
    assert.deepEqual(by, of);
    assert.equal(by![0]!.length, MAIL.length);
    assert.equal(by![1]!.length, MAIL.length);
  });

  it("that cannot be written make the mail wait, in the same words", async () => {
    for (const { root } of sides) writeFileSync(`${root}/v/lock.lock`, "");
    const addresses = ["noperm@v.example", "nodir@v.example", "lock@v.example"];
    await send("s@orig.example", `${HEAD}x\r\n`, ...addresses);
    for (const address of addresses) {
      const [of, by] = await outcomes(address);
      assert.equal(by, of);
    }
  });

  it("that do not exist bounce in the same words", async () => {
    const addresses = ["No+One@local.example", "nobody@local.example"];
    const last = (lines: string[]): string[] => lines.map((text) => text.split("\n").at(-1)!);
    for (let attempt = 1;; attempt++) {
      await send("s@orig.example", `Delivered-To: NOBODY@local.example\r\n${HEAD}x\r\n`, ...addresses);
      const results: string[][] = [];
      for (const address of addresses) results.push(last(await outcomes(address, attempt)));
      // At times Debian's bounce(8) fails for reasons of its own.
      if (attempt < 3 && results.flat().some((text) => text.endsWith("(bounce or trace service failure)"))) continue;
      for (const [of, by] of results) assert.equal(by, of);
      return;
    }
  });

  it("of a user who set a trap are not written where the trap leads", async () => {
    for (const { root } of sides) {
      mkdirSync(`${root}/trap/md`);
      for (const name of ["tmp", "cur"]) mkdirSync(`${root}/trap/md/${name}`);
      for (const name of ["md", "md/tmp", "md/cur"]) chownSync(`${root}/trap/${name}`, OWNER, OWNER);
      symlinkSync(`${root}/elsewhere`, `${root}/trap/md/new`);
      writeFileSync(`${root}/elsewhere/secret`, "root's", { mode: 0o600 });
      symlinkSync(`${root}/elsewhere/secret`, `${root}/trap/link`);
      for (const name of ["md/new", "link"]) execFileSync("chown", ["-h", `${OWNER}:${OWNER}`, `${root}/trap/${name}`]);
    }
    await send("s@orig.example", `${HEAD}x\r\n`, "trap@v.example", "link@v.example");
    for (const address of ["trap@v.example", "link@v.example"]) {
      for (const line of await outcomes(address)) assert.match(line, /dsn=4\.2\.0, status=deferred/);
    }
    for (const { root } of sides) {
      assert.deepEqual(readdirSync(`${root}/elsewhere`), ["secret"]);
      assert.equal(readFileSync(`${root}/elsewhere/secret`, "utf8"), "root's");
      assert.deepEqual(readdirSync(`${root}/trap/md/tmp`), []);
      assert.ok(!existsSync(`${root}/trap/link.lock`));
    }
  });
});
