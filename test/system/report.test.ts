/**
 * Reports that a submitter asks for beside Debian's Postfix: sendmail -bv (whether it could be delivered) and -v (the
 * first attempt). The same report arrives for the same results, byte by byte but for what differs by its nature.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { type Running, scriptCommand, startPostrider, until } from "../postrider.ts";
import { type Received, Sink } from "../sink.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix } from "./debian-postfix.ts";

const settings = (port: number): string =>
  `relayhost = [127.0.0.1]:${port}
transport_maps = inline:{ dead.example=smtp:[127.0.0.1]:1 }
virtual_alias_maps = inline:{ {list@a.example=ok@b.example,x@dead.example} }
smtpd_peername_lookup = no
`;

interface Side {
  readonly sink: Sink;
  readonly log: () => string;
  readonly sendmail: (words: readonly string[]) => string;
}

/** Reports list recipients in the order in which their deliveries ended. */
function plain(text: string): string {
  return text.replace(/\b[0-9A-F]{10,13}\b/g, "ID")
    .replace(/ID\.\d{10}/g, "ID.TIME")
    .replace(/\b\d{14}\.ID/g, "TIME.ID")
    .replace(/\w{3}, [ \d]?\d \w{3} \d{4} [\d:]{8} [-+]\d{4} \(\w+\)/g, "DATE")
    .replace(/127\.0\.0\.1\]:\d{2,}/g, "127.0.0.1]:PORT")
    .split("\r\n\r\n").sort().join("\n\n");
}

const shown = ({ sender, recipients, content }: Received): string =>
  `${sender} ${recipients.join()}\n${plain(content)}`;

describe("reports that were asked for, beside Debian's Postfix", { skip: !debianPostfix }, () => {
  const sides: Side[] = [];
  let debian: DebianPostfix;
  let running: Running;

  before(async () => {
    const answer = (line: string): string | null => /RCPT TO:<bad/.test(line) ? "550 5.1.1 no such user" : null;
    const sinks = [await Sink.start({ answer }), await Sink.start({ answer })];
    debian = await startDebianPostfix(settings(sinks[0]!.port));
    running = await startPostrider({ main: `mail_name = Postfix\n${settings(sinks[1]!.port)}` });
    const { command, arguments: first } = scriptCommand("bin/postrider.ts");
    const run = (program: string, words: readonly string[]): string => {
      const input = "From: s@a.example\nSubject: hello\n\nx\n";
      const { status, stdout, stderr } = spawnSync(program, words, { encoding: "latin1", input });
      return `${status} ${stdout}${stderr}`;
    };
    sides.push({
      sink: sinks[0]!,
      log: () => debian.log(),
      sendmail: (words) => run("sendmail", ["-C", `${debian.folder}/etc`, ...words]),
    }, {
      sink: sinks[1]!,
      log: () => running.log,
      sendmail: (words) => run(command, [...first, "sendmail", "-C", `${running.folder}/etc`, ...words]),
    });
  });

  after(async () => {
    for (const { sink } of sides) await sink.close();
    debian.stop();
    await running.remove();
  });

  /** What arrives, of both. */
  async function both(words: readonly string[], count: number): Promise<readonly string[]> {
    const found: string[][] = [];
    for (const { sink, log, sendmail } of sides) {
      const said = sendmail(words);
      await until(() => sink.messages.length >= count, 10_000, log);
      found.push([said, ...sink.messages.splice(0).map(shown).sort()]);
    }
    assert.deepEqual(found[1], found[0]);
    return found[1]!;
  }

  test("-bv: nothing is delivered, and each recipient's fate is told", async () => {
    const to = ["ok@b.example", "bad@b.example", "x@dead.example", "list@a.example"];
    const [said, report] = await both(["-bv", "-f", "s@a.example", ...to], 1);
    assert.equal(said, "0 Mail Delivery Status Report will be mailed to <s@a.example>.\n");
    assert.equal(report!.match(/^Action: undeliverable/gm)?.length, 3);
    assert.equal(report!.match(/^Action: deliverable/gm)?.length, 2);
    for (const { log } of sides) assert.equal(log().match(/status=(un)?deliverable/g)?.length, 5);
  });

  test("-v: the first attempt is told, whatever comes after", async () => {
    const all = await both(["-v", "-f", "s@a.example", "ok@b.example", "bad@b.example", "x@dead.example"], 3);
    const report = all.find((text) => text.includes("Mail Delivery Status Report\r\n"))!;
    assert.match(report, /Action: delayed[^]*Action: failed[^]*Action: relayed|relayed/);
    await both(["-v", "-f", "s@a.example", "ok@b.example"], 2);
  });

  test("what cannot be asked for together, and whom nobody tells", () => {
    for (
      const words of [
        ["-bv", "-v", "a@b"],
        ["-bv", "-t", "-N", "never", "a@b"],
        ["-bv", "-N", "never", "a@b"],
        ["-bv", "-R", "hdrs", "a@b"],
        ["-bv"],
        ["-bv", "-f", "", "ok@b.example"],
      ]
    ) {
      const [theirs, ours] = sides.map(({ sendmail }) => sendmail(words));
      assert.equal(ours, theirs, words.join(" "));
    }
  });
});
