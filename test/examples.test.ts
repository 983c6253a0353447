/** The configurations of examples/, run as they are but for places, ports and name servers. */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { SELF } from "./commands/site.ts";
import { nameServer, type TestNameServer } from "./dns/server.ts";
import { freePort, Running, scriptCommand, until } from "./postrider.ts";
import { Sink } from "./sink.ts";
import { SmtpClient } from "./smtp-client.ts";

const EXAMPLES = new URL("../examples/", import.meta.url).pathname;
/** The account that runs the tests. */
const USER = SELF.name;

/** The example in a folder of its own, listening on a port of its own; `more` is added to its main.cf. */
async function start(name: string, more: (folder: string) => string): Promise<Running> {
  const folder = mkdtempSync(join(tmpdir(), `postrider-${name}-`));
  const running = new Running(folder, await freePort(), {});
  const etc = `${folder}/etc`;
  cpSync(`${EXAMPLES}${name}`, etc, { recursive: true });
  mkdirSync(`${folder}/mail`);
  for (const file of readdirSync(etc)) {
    const text = readFileSync(`${etc}/${file}`, "latin1").replaceAll("/etc/postfix/", `${etc}/`)
      .replaceAll("user@example.com", `${USER}@example.com`)
      .replace(/^smtp( +inet)/m, `127.0.0.1:${running.port}$1`);
    writeFileSync(`${etc}/${file}`, file === "main.cf" ? `${text}${places(folder)}${more(folder)}` : text, "latin1");
  }
  return await running.start();
}

const places = (folder: string): string => `
queue_directory = ${folder}/spool
data_directory = ${folder}/lib
maillog_file = ${folder}/mail.log
mail_owner = ${USER}
mail_spool_directory = ${folder}/mail/
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
smtpd_authorized_xclient_hosts = 127.0.0.1
`;

/** What came into the mailbox so far. */
function mailbox(running: Running): string[] {
  const folder = `${running.folder}/mail/${USER}/new`;
  return existsSync(folder) ? readdirSync(folder).map((name) => readFileSync(`${folder}/${name}`, "latin1")) : [];
}

async function client(running: Running, address: string, helo = "client.isp.example"): Promise<SmtpClient> {
  const made = await SmtpClient.connect(running.port);
  await made.reply();
  await made.ask(`XCLIENT ADDR=${address} NAME=[UNAVAILABLE]`);
  await made.ask(`EHLO ${helo}`);
  return made;
}

describe("examples/article", () => {
  let zone: TestNameServer;
  let running: Running;
  before(async () => {
    zone = await nameServer({
      zone: {
        "9.113.0.203.rbl.example.net A": ["127.0.0.2"],
        "isp.example MX": [{ preference: 10, exchange: "mx.isp.example" }],
        "mx.isp.example A": ["192.0.2.1"],
        "spam.example MX": [{ preference: 10, exchange: "mx.isp.example" }],
      },
    });
    running = await start("article", () => `postrider_dns_servers = ${zone.address}\n`);
  });
  after(async () => {
    await running?.remove();
    await zone?.close();
  });

  it("takes mail for its own domain and the virtual one", async () => {
    const stranger = await client(running, "203.0.113.1");
    const content = "From: a@isp.example\r\nSubject: one\r\n\r\nhello\r\n";
    for (const recipient of [`${USER}@example.com`, "info@virtual.example"]) {
      assert.match(await stranger.send("a@isp.example", [recipient], content), /^250 2\.0\.0 Ok: queued as/);
    }
    await until(() => mailbox(running).length === 2, 10_000, () => running.log);
    assert.match(mailbox(running).join(""), /^X-Original-To: info@virtual\.example$/m);
    stranger.close();
  });

  it("refuses what its tables and lists refuse", async () => {
    const rows: readonly (readonly [string, string, string, string, RegExp])[] = [
      ["203.0.113.1", "h.example", "a@isp.example", "x@far.example", /^554 5\.7\.1 .*Relay access denied/],
      ["203.0.113.1", "h.example", "a@isp.example", "former@example.com", /^550 5\.1\.6 .*moved to former@elsewhere/],
      ["203.0.113.9", "h.example", "a@isp.example", "x@example.com", /^554 5\.7\.1 .*blocked using rbl\.example\.net/],
      ["203.0.113.66", "h.example", "a@isp.example", "x@example.com", /^554 5\.7\.1 .*Client host rejected/],
      ["203.0.113.1", "h.example", "a@spam.example", "x@example.com", /^550 5\.7\.1 .*No mail from there/],
      ["203.0.113.1", "h.example", "a@none.example", "x@example.com", /^450 4\.1\.8 .*Domain not found/],
      ["203.0.113.1", "short", "a@isp.example", "x@example.com", /^504 5\.5\.2 .*need fully-qualified hostname/],
      ["203.0.113.1", "no..name", "a@isp.example", "x@example.com", /^501 5\.5\.2 .*Invalid name/],
    ];
    for (const [address, helo, sender, recipient, expected] of rows) {
      const one = await client(running, address, helo);
      await one.ask(`MAIL FROM:<${sender}>`);
      assert.match(await one.ask(`RCPT TO:<${recipient}>`), expected);
      one.close();
    }
    const one = await client(running, "203.0.113.1");
    const content = "Subject: Make Money Fast\r\n\r\nnow\r\n";
    assert.match(await one.send("a@isp.example", [`${USER}@example.com`], content), /^550 5\.7\.1 /);
    one.close();
  });

  it("lets its own network relay, and changes addresses as canonical says", async () => {
    const own = await client(running, "192.168.1.7", "pc");
    await own.ask("MAIL FROM:<user@mail.example.com>");
    assert.match(await own.ask("RCPT TO:<x@far.example>"), /^250/);
    await own.ask("RSET");
    const header = "From: user@mail.example.com\r\nSubject: two\r\n\r\n";
    await own.send("user@mail.example.com", [`${USER}@example.com`], header);
    await until(() => mailbox(running).length === 3, 10_000, () => running.log);
    const mail = mailbox(running).find((text) => text.includes("Subject: two"))!;
    assert.match(mail, /^Return-Path: <Jane\.User@example\.com>$/m);
    own.close();
  });

  it("says which names are old, and knows all of them", () => {
    assert.match(running.log, /restriction permit_naked_ip_address is deprecated/);
    assert.match(running.log, /restriction "check_relay_domains" will be removed/);
    assert.match(running.log, /reject_maps_rbl/);
    assert.doesNotMatch(running.log + running.errors, /unused parameter|unknown parameter/);
  });
});

describe("examples/dialup", () => {
  let provider: Sink;
  let running: Running;
  before(async () => {
    provider = await Sink.start();
    running = await start("dialup", () => `relayhost = [127.0.0.1]:${provider.port}\n`);
  });
  after(async () => {
    await running?.remove();
    await provider?.close();
  });

  it("keeps mail until sendmail -q, but not mail for its own accounts", async () => {
    const own = await (await SmtpClient.connect(running.port)).greeted();
    const sent = await own.send("me@home.example", ["x@far.example", `${USER}@home.example`], "Subject: x\r\n\r\n");
    assert.match(sent, /^250 2\.0\.0 Ok: queued as/);
    await until(() => /to=<x@far\.example>.*status=deferred/.test(running.log), 10_000, () => running.log);
    assert.match(running.log, /dsn=4\.3\.2, status=deferred \(deferred transport\)/);
    await until(() => mailbox(running).length === 1, 10_000, () => running.log);
    assert.equal(provider.messages.length, 0);
    const { command, arguments: words } = scriptCommand("bin/postrider.ts");
    const flushed = spawnSync(command, [...words, "sendmail", "-C", `${running.folder}/etc`, "-q"], {
      timeout: 30_000,
    });
    assert.equal(flushed.status, 0, String(flushed.stderr));
    await until(() => provider.messages.length === 1, 10_000, () => running.log);
    assert.deepEqual(provider.messages[0]!.recipients, ["x@far.example"]);
    own.close();
  });
});
