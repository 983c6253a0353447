/**
 * SMTPUTF8 beside Debian's Postfix: the same commands get the same replies, and a next hop with SMTPUTF8 and one
 * without get the same mail, or none.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { latin1Of } from "../../src/latin1.ts";
import { type Running, scriptCommand, startPostrider, until } from "../postrider.ts";
import { Sink } from "../sink.ts";
import { SmtpClient } from "../smtp-client.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix } from "./debian-postfix.ts";

const FIRST_PORT = 14_400;
const ADDRESSES = ["é@x.example", "u@é.example", "u@MÜNCHEN.example", "u@xn--9ca.example", "é", '"é é"@x.example']
  .concat("u@-é.example", "u@é-.example", `u@${"é".repeat(70)}.example`, "é@é.example", "u@x.é", "+é+@x.example")
  .map(latin1Of).concat("\xe9@x.example", "u@\xe9.example", "u\xc3@x.example", "plain@x.example");
const OPTIONS = ["", " SMTPUTF8", " BODY=8BITMIME SMTPUTF8", " smtputf8", " SMTPUTF8=1", " SMTPUTF8 FOO"];
const ORCPTS = ["utf-8;u@x.example", "utf-8;é@x.example", "utf-8;\\x{E9}@x.example", "utf-8;\\x{e9}x", "utf-8;\\xE9"]
  .concat("rfc822;+C3+A9@x.example", "utf-8;", "UTF-8;\\x{1F600}@x").map(latin1Of);
const SERVICES = ["", "-o smtputf8_enable=no", "-o strict_smtputf8=yes", "-o strict_rfc821_envelopes=yes"];

/** Debian's server takes its time over refusals of a strict one: it is asked less. */
function commands(strict: boolean): string[] {
  const transactions = ADDRESSES.flatMap((address) =>
    OPTIONS.slice(0, strict ? 2 : OPTIONS.length).map((
      option,
    ) => [`MAIL FROM:<${address}>${option}`, `RCPT TO:<${address}>`, "RSET"])
  );
  if (strict) return [...transactions.flat(), ...ADDRESSES.slice(0, 4).map((address) => `VRFY ${address}`)];
  const given = ORCPTS.flatMap((orcpt) =>
    ["", " SMTPUTF8"].map((
      option,
    ) => [`MAIL FROM:<a@b.example>${option}`, `RCPT TO:<u@b.example> ORCPT=${orcpt}`, "RSET"])
  );
  const others = ADDRESSES.flatMap((address) => [`VRFY ${address}`, `VRFY ${address} SMTPUTF8`]);
  return [...transactions.flat(), ...given.flat(), ...others, "NOOP \xff", latin1Of("RCPT é"), "R\xff", latin1Of("é")];
}

async function replies(port: number, strict: boolean): Promise<string[]> {
  const client = await SmtpClient.connect(port);
  const say = async (line: string): Promise<string> => {
    client.write(Uint8Array.from(`${line}\r\n`, (char) => char.charCodeAt(0)));
    return (await client.reply()).replaceAll("\r", "");
  };
  await client.reply();
  const heard = [(await say("EHLO client.example")).includes("SMTPUTF8") ? "announced" : "not announced"];
  for (const line of commands(strict)) heard.push(`${line} -> ${await say(line)}`);
  client.close();
  return heard;
}

const PARTS = "Content-Type: multipart/mixed; boundary=b";

/** sender, recipients, options of MAIL, a header line, or all of the headers and the first part of the body. */
const MAILS: readonly (readonly [string, readonly string[], string, string])[] = [
  ["s@x.example", ["u@far.example"], "", "Subject: plain"],
  ["s@x.example", ["u@far.example"], " SMTPUTF8", "Subject: plain"],
  ["s@x.example", ["u@far.example"], " SMTPUTF8", "Subject: né"],
  ["s@x.example", ["u@far.example"], "", "Subject: né"],
  ["é@x.example", ["u@far.example"], " SMTPUTF8", "Subject: plain"],
  ["é@x.example", ["u@far.example"], "", "Subject: plain"],
  ["s@x.example", ["é@far.example", "v@far.example"], " BODY=8BITMIME SMTPUTF8", "Subject: plain"],
  ["s@x.example", ["u@é.example"], " SMTPUTF8", "Subject: plain"],
  [
    "s@x.example",
    ["u@far.example"],
    " SMTPUTF8",
    `Mime-Version: 1.0\r\n${PARTS}\r\n\r\n--b\r\nX-Y: né\r\n\r\nx\r\n--b--`,
  ],
  ["s@x.example", ["u@far.example"], " SMTPUTF8", `Mime-Version: 1.0\r\n${PARTS}\r\n\r\n--b\r\n\r\nné\r\n--b--`],
  ["s@x.example", ["u@far.example"], " SMTPUTF8", "Content-Type: message/rfc822\r\n\r\nSubject: né"],
];

/** What the next hop got, notices too, without what differs between systems. */
function shown(sink: Sink): string[] {
  const mails = sink.messages;
  const envelopes = mails.map(({ sender, recipients }) => `${sender} > ${[...recipients].sort().join(" ")}`);
  const commands = sink.commands.filter((line) => /^MAIL FROM:/.test(line)).map((line) =>
    line.replace(/ SIZE=\d+/, "")
  );
  const headers = mails.map(({ content }) =>
    content.split("\r\n\r\n")[0]!.replace(/\sid \w+/g, " id X").replace(/[;,] [A-Z][a-z]{2}, .*/g, "; DATE")
      .replace(/\((?:Postrider|Postfix)\)/g, "(X)").replace(/^(Date|Message-Id):.*/gm, "$1: X")
      .replace("; DATE\r\n", ";\r\n").replace(/boundary=.*/, "boundary=X")
  );
  return [...envelopes, ...commands, ...headers].sort();
}

describe("SMTPUTF8", { skip: !debianPostfix }, () => {
  let ours: Running;
  let theirs: DebianPostfix;
  const sinks: Record<"with" | "without", { ours: Sink; theirs: Sink }> = {} as never;

  const main = (with_: number, without: number): string =>
    `mydestination = home.example
local_recipient_maps =
minimal_backoff_time = 1s
transport_maps = inline:{ {with.example=smtp:[127.0.0.1]:${with_}} {*=smtp:[127.0.0.1]:${without}} }
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_soft_error_limit = 10000
smtpd_hard_error_limit = 10000
smtpd_junk_command_limit = 10000
smtpd_error_sleep_time = 0
smtpd_reject_unlisted_recipient = no
smtp_dns_support_level = disabled
bounce_notice_recipient = nobody
`;
  before(async () => {
    const keywords = ["PIPELINING", "8BITMIME", "SIZE 0", "DSN"];
    for (const which of ["with", "without"] as const) {
      const options = { keywords: which === "with" ? [...keywords, "SMTPUTF8"] : keywords };
      sinks[which] = { ours: await Sink.start(options), theirs: await Sink.start(options) };
    }
    const lines = (first: number): string =>
      SERVICES.map((options, at) => `127.0.0.1:${first + at} inet n - n - - smtpd ${options}`).join("\n");
    ours = await startPostrider({
      main: main(sinks.with.ours.port, sinks.without.ours.port),
      master: lines(FIRST_PORT),
    });
    theirs = await startDebianPostfix(main(sinks.with.theirs.port, sinks.without.theirs.port), {
      services: lines(FIRST_PORT + 50),
    });
  });
  after(async () => {
    await ours?.remove();
    theirs?.stop();
    for (const pair of Object.values(sinks)) await Promise.all([pair.ours.close(), pair.theirs.close()]);
  });

  for (const [at, options] of SERVICES.entries()) {
    it(`commands get Postfix's replies ${options}`, async () => {
      const [mine, other] = await Promise.all([
        replies(FIRST_PORT + at, at > 1),
        replies(FIRST_PORT + 50 + at, at > 1),
      ]);
      assert.deepEqual(
        mine.filter((line, index) => line !== other[index]),
        other.filter((line, index) => line !== mine[index]),
      );
    });
  }

  for (const which of ["with", "without"] as const) {
    it(`a next hop ${which} SMTPUTF8 gets what Postfix sends`, { timeout: 60_000 }, async () => {
      for (const [sender, recipients, option, header] of MAILS) {
        for (const [port, sink] of [[ours.port, sinks[which].ours], [theirs.port, sinks[which].theirs]] as const) {
          const client = await (await SmtpClient.connect(port)).greeted();
          const say = async (line: string): Promise<void> => {
            client.write(line + "\r\n");
            assert.match(await client.reply(), /^[23]/, line);
          };
          await say(`MAIL FROM:<${sender}>${option}`);
          for (const one of recipients) {
            await say(`RCPT TO:<${which === "with" ? one.replace("far", "with").replace("@é.", "@with.") : one}>`);
          }
          await say("DATA");
          const before = sink.messages.length;
          await say(`${header}\r\n\r\nbody\r\n.`);
          client.close();
          await until(() => sink.messages.length > before, 2_000, () => "").catch(() => {});
        }
      }
      await until(
        () => shown(sinks[which].ours).length === shown(sinks[which].theirs).length,
        5_000,
        () => "",
      ).catch(() => {});
      assert.deepEqual(shown(sinks[which].ours), shown(sinks[which].theirs));
      assert.ok(sinks[which].ours.messages.length >= 3);
    });
  }

  it("mail that cannot go on is refused with Postfix's words", async () => {
    const words = (log: string): string[] =>
      [...log.matchAll(/status=bounced \((SMTPUTF8 is required.*)\)/g)].map((found) =>
        found[1]!.replace(/\[127.*/, "")
      );
    const [mine, other] = [() => words(ours.log), () => words(theirs.log())];
    await until(() => mine().length > 0 && mine().length === other().length, 5_000, () => "").catch(() => {});
    assert.ok(other().length > 0);
    assert.deepEqual([...new Set(mine())], [...new Set(other())]);
  });

  it("sendmail's mail is found to need it", async () => {
    const letter = latin1Of("Subject: né\n\nbody\n");
    const { command, arguments: words } = scriptCommand("bin/postrider.ts");
    const given = ["-f", "s@x.example", "u@with.example"];
    const input = Uint8Array.from(letter, (char) => char.charCodeAt(0));
    sinks.with.ours.commands.length = sinks.with.theirs.commands.length = 0;
    const own = spawnSync(command, [...words, "sendmail", "-C", `${ours.folder}/etc`, ...given], { input });
    assert.equal(own.status, 0, String(own.stderr));
    const debian = spawnSync("/usr/sbin/sendmail", ["-C", `${theirs.folder}/etc`, ...given], { input });
    assert.equal(debian.status, 0, String(debian.stderr));
    const mail = (sink: Sink): string | undefined =>
      sink.commands.find((line) => line.startsWith("MAIL"))?.replace(/ SIZE=\d+/, "");
    const [mine, other] = [sinks.with.ours, sinks.with.theirs];
    await until(
      () => mail(mine) !== undefined && mail(other) !== undefined,
      10_000,
      () => `${mail(mine)} ${mail(other)}`,
    );
    assert.equal(mail(mine), mail(other));
    assert.match(mail(mine)!, / SMTPUTF8/);
  });
});
