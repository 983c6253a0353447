/**
 * Delivery on demand beside Debian's Postfix: ETRN, postqueue -s, -i, -f and sendmail -q, with the same replies, texts
 * and exit statuses, and the same mail on its way.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { type Running, scriptCommand, startPostrider, until } from "../postrider.ts";
import { Sink } from "../sink.ts";
import { SmtpClient } from "../smtp-client.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix, submit } from "./debian-postfix.ts";

const settings = (port: number): string =>
  `relay_domains = etrn.example, other.example, refused.example
transport_maps = inline:{etrn.example=later:[127.0.0.1]:${port}, other.example=later:[127.0.0.1]:${port},
  elsewhere.example=later:[127.0.0.1]:${port}}
defer_transports = later
smtpd_etrn_restrictions = check_etrn_access inline:{{refused.example=450 4.7.9 not now}}
`;
const SERVICES = "later unix - - n - - smtp\n";

interface Side {
  readonly sink: Sink;
  readonly port: number;
  readonly folder: string;
  log(): string;
  tool(name: string, ...words: string[]): string;
}

const COMMANDS = ["ETRN etrn.example", "EHLO x", "ETRN", "ETRN a b", "ETRN a..b", "ETRN elsewhere.example"]
  .concat(["ETRN #etrn.example", "ETRN @etrn.example", "ETRN refused.example", "MAIL FROM:<a@b.example>"])
  .concat(["ETRN etrn.example", "QUIT"]);

async function etrn(port: number): Promise<readonly string[]> {
  const client = await SmtpClient.connect(port);
  await client.reply();
  const replies: string[] = [];
  for (const command of COMMANDS) {
    client.write(`${command}\r\n`);
    const reply = await client.reply();
    replies.push(`${command}: ${command.startsWith("EHLO") ? /250[- ]ETRN/.exec(reply)?.[0] : reply}`);
  }
  client.socket.destroy();
  return replies;
}

const result = ({ status, stdout, stderr }: { status: number | null; stdout: string; stderr: string }): string =>
  `${status} ${stdout}${stderr}`;

describe("delivery on demand beside Debian's Postfix", { skip: !debianPostfix }, () => {
  let debian: DebianPostfix;
  let running: Running;
  const sides: Side[] = [];

  before(async () => {
    const sinks = [await Sink.start(), await Sink.start()];
    debian = await startDebianPostfix(settings(sinks[0]!.port), { services: SERVICES });
    running = await startPostrider({ main: settings(sinks[1]!.port), master: SERVICES });
    const { command, arguments: words } = scriptCommand("bin/postrider.ts");
    sides.push({
      sink: sinks[0]!,
      port: debian.port,
      folder: debian.folder,
      log: () => debian.log(),
      tool: (name, ...rest) =>
        result(
          spawnSync(
            name,
            ["-C", `${debian.folder}/etc`, ...rest].map((word, at) => at === 0 && name === "postqueue" ? "-c" : word),
            { encoding: "latin1" },
          ),
        ),
    }, {
      sink: sinks[1]!,
      port: running.port,
      folder: running.folder,
      log: () => running.log,
      tool: (name, ...rest) =>
        result(
          spawnSync(command, [...words, name, name === "postqueue" ? "-c" : "-C", `${running.folder}/etc`, ...rest], {
            encoding: "latin1",
          }),
        ),
    });
  });

  after(async () => {
    for (const { sink } of sides) await sink.close();
    debian.stop();
    await running.remove();
  });

  /** Mail that is deferred; its queue id. What Debian's takes up first after a flush it may deliver, unasked. */
  async function put(side: Side, recipient: string, tries = 4): Promise<string> {
    await submit(side.port, { sender: "s@a.example", recipients: [recipient], content: "Subject: x\r\n\r\nx\r\n" });
    const line = new RegExp(`(\\w+): to=<${recipient}>, relay=none.*\\(deferred transport\\)`);
    await until(() => line.test(side.log()) || came(side, recipient), 10_000, () => side.log());
    const found = line.exec(side.log());
    if (found !== null) return found[1]!;
    assert.ok(side === sides[0] && tries > 0, side.log());
    side.sink.messages.splice(0);
    return await put(side, recipient, tries - 1);
  }

  const came = ({ sink }: Side, recipient: string): boolean =>
    sink.messages.some(({ recipients }) => recipients.includes(recipient));

  const arrives = (side: Side, recipient: string): Promise<void> =>
    until(() => came(side, recipient), 10_000, () => `${recipient}: ${side.log()}`);

  test("ETRN: the same replies; the site's mail goes, other mail stays", async () => {
    const replies: (readonly string[])[] = [];
    for (const side of sides) {
      await put(side, "1@etrn.example");
      await put(side, "1@other.example");
      replies.push(await etrn(side.port));
      await arrives(side, "1@etrn.example");
      assert.ok(!came(side, "1@other.example"));
      const refused = /warning: reject: ETRN elsewhere\.example\.\.\. from localhost\[127\.0\.0\.1\]/;
      await until(() => refused.test(side.log()), 10_000, () => side.log());
    }
    assert.deepEqual(replies[1], replies[0]);
  });

  test("postqueue -s, -i, -f and sendmail -qR, -qI, -q: the same texts, and the mail goes", async () => {
    const texts: string[][] = [];
    for (const side of sides) {
      const told: string[] = [];
      const id = await put(side, "2@other.example");
      const second = await put(side, "3@other.example");
      await put(side, "2@etrn.example");
      told.push(side.tool("postqueue", "-s", "elsewhere.example"), side.tool("sendmail", "-qRelsewhere.example"));
      told.push(side.tool("postqueue", "-i", id));
      await arrives(side, "2@other.example");
      assert.ok(!came(side, "3@other.example") && !came(side, "2@etrn.example"));
      told.push(side.tool("sendmail", `-qI${second}`));
      await arrives(side, "3@other.example");
      told.push(side.tool("postqueue", "-s", "etrn.example"));
      await arrives(side, "2@etrn.example");
      assert.ok(!came(side, "1@elsewhere.example"));
      await put(side, "3@etrn.example");
      told.push(side.tool("sendmail", "-qRetrn.example"));
      await arrives(side, "3@etrn.example");
      await put(side, "4@elsewhere.example");
      told.push(side.tool("postqueue", "-f"));
      await arrives(side, "4@elsewhere.example");
      await put(side, "5@elsewhere.example");
      told.push(side.tool("sendmail", "-q"));
      await arrives(side, "5@elsewhere.example");
      texts.push(told);
    }
    assert.deepEqual(texts[1], texts[0]);
  });
});
