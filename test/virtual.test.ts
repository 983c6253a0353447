import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, describe, it } from "node:test";
import type { DeliveryRequest } from "../src/agent.ts";
import { loadConfig } from "../src/config/config.ts";
import { plainRecipient } from "../src/envelope.ts";
import { addressKeys, VirtualAgent } from "../src/virtual.ts";
import { configured } from "./config/fake-runtime.ts";
import { bytesOf, contentOf, faulty, letter, names, runtime, SELF, temporary } from "./mailboxes.ts";
import { keepingLog } from "./smtp/delivering.ts";

const folder = temporary();
after(() => folder.remove());
let count = 0;

interface Desk {
  readonly base: string;
  readonly lines: string[];
  /** Results as "outcome status reason", the base folder written as BASE. */
  deliver(...recipients: string[]): Promise<string[]>;
}

function desk(main = "", files = runtime.files!): Desk {
  const base = `${folder.path}/base${++count}`;
  mkdirSync(base);
  const uid = Math.max(1, SELF.uid);
  const text = `virtual_mailbox_base = ${base}
virtual_mailbox_maps = inline:{ {md@v.example = md/} {mb@v.example = box} {both+x@v.example = own/}
 {both@v.example = both/} {@any.example = any/} }
virtual_uid_maps = static:${uid}
virtual_gid_maps = static:${Math.max(1, SELF.gid)}
virtual_minimum_uid = 1
recipient_delimiter = +
strict_mailbox_ownership = no
${main}
`;
  const config = loadConfig(configured(text).runtime, "/etc/postfix").main;
  const lines: string[] = [];
  const content = contentOf("Subject: x\r\n\r\nhello\r\n");
  // As root the folder is not the mailbox owner's: the tests of rights are in test/system.
  const asSelf = { ...runtime, files, processes: { ...runtime.processes!, uid: () => uid } };
  const agent = new VirtualAgent({ runtime: asSelf, config, content, log: keepingLog(lines) });
  const deliver = async (...recipients: string[]): Promise<string[]> => {
    const request: DeliveryRequest = { ...letter().request, recipients: recipients.map(plainRecipient) };
    const results = await agent.deliver(request, new AbortController().signal);
    for (const result of results) assert.equal(result.relay, "virtual");
    return results.map(({ outcome, status, reason }) => `${outcome} ${status} ${reason.replaceAll(base, "BASE")}`);
  };
  return { base, lines, deliver };
}

describe("addressKeys", () => {
  it("go from the whole address to its domain", () => {
    assert.deepEqual(addressKeys("a+b@d.example", "+"), ["a+b@d.example", "a@d.example", "@d.example"]);
    assert.deepEqual(addressKeys("a-b+c@d.example", "+-"), ["a-b+c@d.example", "a@d.example", "@d.example"]);
    assert.deepEqual(addressKeys("a+b@d.example", ""), ["a+b@d.example", "@d.example"]);
    assert.deepEqual(addressKeys("+b@d.example", "+"), ["+b@d.example", "@d.example"]);
  });
});

describe("virtual delivery", () => {
  it("goes to a maildir or a file, as the table's value ends", async () => {
    const { base, deliver } = desk();
    assert.deepEqual(await deliver("MD@v.example", "mb@v.example"), [
      "sent 2.0.0 delivered to maildir",
      "sent 2.0.0 delivered to mailbox",
    ]);
    assert.equal(names(`${base}/md/new`).length, 1);
    assert.match(bytesOf(`${base}/box`), /^From s@orig\.example {2}.*\nReturn-Path: <s@orig\.example>\n/);
    assert.match(bytesOf(`${base}/md/new/${names(`${base}/md/new`)[0]}`), /^Delivered-To: MD@v\.example$/m);
  });

  it("takes the closest key: with the extension, without it, the domain", async () => {
    const { base, deliver } = desk();
    await deliver("both+x@v.example", "both+y@v.example", "who@any.example");
    for (const name of ["own", "both", "any"]) assert.equal(names(`${base}/${name}/new`).length, 1, name);
  });

  it("bounces what no table knows", async () => {
    assert.deepEqual(await desk().deliver("No+One@v.example"), ['bounced 5.1.1 unknown user: "no+one@v.example"']);
  });

  /** Settings that make no sense, and the warning. */
  const FAULTS: readonly (readonly [string, string])[] = [
    ["virtual_mailbox_base = relative", "do not specify relative pathname: virtual_mailbox_base = relative"],
    ["virtual_uid_maps = inline:{x=1}", "recipient md@v.example: not found in virtual_uid_maps"],
    [
      "virtual_uid_maps = static:99\nvirtual_minimum_uid = 100",
      "recipient md@v.example: bad uid 99 in virtual_uid_maps",
    ],
    ["virtual_gid_maps = static:0", "recipient md@v.example: bad gid 0 in virtual_gid_maps"],
    ["virtual_uid_maps = fail:x", "table fail:x: lookup md@v.example: table fail:x: query error"],
    ["virtual_mailbox_maps = fail:x", "table fail:x: lookup md@v.example: table fail:x: query error"],
  ];
  for (const [main, warning] of FAULTS) {
    it(`waits while ${main.replace("\n", ", ")}`, async () => {
      const { deliver, lines } = desk(main);
      assert.deepEqual(await deliver("md@v.example"), ["deferred 4.3.5 mail system configuration error"]);
      assert.deepEqual(lines, [`warning: ${warning}`]);
    });
  }

  it("waits where folders may not be made, and says so", async () => {
    const { deliver, lines } = desk("", faulty(runtime.files!, { call: "makeFolder", code: "EACCES" }));
    const [result] = await deliver("md@v.example");
    assert.match(
      result!,
      /^deferred 4\.2\.0 maildir delivery failed: create maildir file BASE\/md\/tmp\/\S+: Permission denied$/,
    );
    assert.match(lines[0]!, /^warning: maildir access problem for UID\/GID=\d+\/\d+: create maildir file /);
    assert.equal(lines[1], "warning: perhaps you need to create the maildirs in advance");
  });

  it("names the mailbox in faults", async () => {
    const { base, deliver } = desk();
    mkdirSync(`${base}/box`);
    assert.deepEqual(await deliver("mb@v.example"), [
      "deferred 4.2.0 delivery failed to mailbox BASE/box: cannot open file: Is a directory",
    ]);
  });

  it("bounces at virtual_mailbox_limit", async () => {
    assert.deepEqual(await desk("virtual_mailbox_limit = 60").deliver("mb@v.example"), [
      "bounced 5.2.2 delivery failed to mailbox BASE/box: error writing message: File too large",
    ]);
  });
});
