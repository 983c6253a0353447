/**
 * What operators do to mail that waits, beside Debian's Postfix: postsuper -r takes it through cleanup again, -e and -f
 * return it. The same mail arrives, and the log says the same. What differs by its nature (ids, ports, user ids, dates)
 * is written as a word before comparing.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { type Running, scriptCommand, sleep, startPostrider, until } from "../postrider.ts";
import { type Received, Sink } from "../sink.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix, submit } from "./debian-postfix.ts";

const settings = (port: number, folder: string): string =>
  `relayhost = [127.0.0.1]:${port}
transport_maps = inline:{ dead.example=smtp:[127.0.0.1]:1 }
virtual_alias_maps = texthash:${folder}/aliases
header_checks = pcre:${folder}/checks
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
notify_classes =
`;

class Side {
  readonly sink: Sink;
  readonly #folder: string;
  readonly #command: (name: string) => readonly string[];
  readonly port: number;
  readonly log: () => string;

  constructor(
    sink: Sink,
    { folder, port, log }: { folder: string; port: number; log: () => string },
    command: (name: string) => readonly string[],
  ) {
    this.sink = sink;
    this.#folder = folder;
    this.port = port;
    this.log = log;
    this.#command = command;
  }

  run(name: string, ...words: string[]): string {
    const [program, ...first] = this.#command(name) as [string, ...string[]];
    const { status, stdout, stderr } = spawnSync(program, [...first, "-c", `${this.#folder}/etc`, ...words], {
      encoding: "latin1",
    });
    return plain(`${status} ${stdout}${stderr}`);
  }

  /** Its queue id, once the log has that line of it. */
  async put(recipients: readonly string[], subject: string, until_: RegExp): Promise<string> {
    const before = this.log().length;
    const content = `From: s@a.example\r\nSubject: ${subject}\r\n\r\nx\r\n`;
    const reply = await submit(this.port, { sender: "s@a.example", recipients, content });
    const id = /queued as (\w+)/.exec(reply)![1]!;
    await this.told(new RegExp(`${id}: .*${until_.source}`), before);
    return id;
  }

  async told(line: RegExp, from = 0): Promise<string> {
    await until(() => line.test(this.log().slice(from)), 10_000, () => this.log());
    return line.exec(this.log().slice(from))![1] ?? "";
  }

  async arrived(count: number): Promise<readonly string[]> {
    await until(() => this.sink.messages.length >= count, 10_000, () => this.log());
    return this.sink.messages.splice(0).map(shown).sort();
  }

  lines(pattern: RegExp): readonly string[] {
    return plain(this.log()).split("\n").flatMap((line) => pattern.exec(line)?.[0] ?? []).sort();
  }
}

function plain(text: string): string {
  return text.replace(/\b[0-9A-F]{10,13}\b/g, "ID")
    .replace(/ID\.\d{10}/g, "ID.TIME")
    .replace(/\b\d{14}\.ID/g, "TIME.ID")
    .replace(/\w{3}, [ \d]?\d \w{3} \d{4} [\d:]{8} [-+]\d{4} \(\w+\)/g, "DATE")
    .replace(/(userid |uid=)\d+/g, "$1N")
    .replace(/(delays?)=[\d./]+/g, "$1=N")
    .replace(/127\.0\.0\.1\]:\d{2,}/g, "127.0.0.1]:PORT");
}

const shown = ({ sender, recipients, content }: Received): string =>
  `${sender} ${recipients.join()}\n${plain(content)}`;

describe("mail that operators change, beside Debian's Postfix", { skip: !debianPostfix }, () => {
  const folder = mkdtempSync(join(tmpdir(), "postrider-requeue-"));
  const sides: Side[] = [];
  let debian: DebianPostfix;
  let running: Running;

  /** Both know them when it resolves: Debian's services begin again some time after the reload. */
  async function tables(aliases: string, checks: string): Promise<void> {
    writeFileSync(`${folder}/aliases`, aliases);
    writeFileSync(`${folder}/checks`, checks);
    for (const side of sides) side.run("postfix", "reload");
    if (sides.length > 0) await sleep(500);
  }

  before(async () => {
    chmodSync(folder, 0o755);
    await tables("team@a.example old@dead.example\n", "/^Subject: held/ HOLD\n");
    const sinks = [await Sink.start(), await Sink.start()];
    debian = await startDebianPostfix(settings(sinks[0]!.port, folder));
    running = await startPostrider({ main: `mail_name = Postfix\n${settings(sinks[1]!.port, folder)}` });
    const { command, arguments: words } = scriptCommand("bin/postrider.ts");
    const own = { folder: running.folder, port: running.port, log: () => running.log };
    sides.push(
      new Side(sinks[0]!, debian, (name) => [name]),
      new Side(sinks[1]!, own, (name) => [command, ...words, name]),
    );
  });

  after(async () => {
    for (const { sink } of sides) await sink.close();
    debian.stop();
    await running.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Debian's looks into maildrop once a minute by itself. */
  const wakePickup = (): string => sides[0]!.run("postqueue", "-f");

  /** The same of both; what it is. */
  async function both<T>(ask: (side: Side) => T | Promise<T>): Promise<T> {
    const [theirs, ours] = [await ask(sides[0]!), await ask(sides[1]!)];
    assert.deepEqual(ours, theirs);
    return ours;
  }

  test("-r takes aliases and checks as they are now, for the recipients that still wait", async () => {
    const ids = await Promise.all(
      sides.map((side) => side.put(["team@a.example", "x@live.example"], "one", /old@dead.*status=deferred/)),
    );
    await both((side) => side.arrived(1));
    await tables("old@dead.example new@live.example\n", "/^Subject: held/ HOLD\n/^Subject:/ PREPEND X-Seen: yes\n");
    await both((side) => side.run("postsuper", "-r", ids[sides.indexOf(side)]!));
    wakePickup();
    const [mail] = await both((side) => side.arrived(1));
    assert.match(mail!, /^s@a\.example new@live\.example\nReceived: by .*from userid N\)[^]*\r\nX-Seen: yes\r\n/);
    await both((side) => side.run("postqueue", "-p"));
    await both((side) => side.lines(/ID: uid=N .*orig_id=.*|ID: to=<new@live.example>.*/));
  });

  test("-r of held mail: it is checked again, and held again", async () => {
    const ids = await Promise.all(sides.map((side) => side.put(["h@live.example"], "held", /hold: header/)));
    await both((side) => side.run("postsuper", "-r", "ALL", "hold"));
    wakePickup();
    for (const [at, side] of sides.entries()) await side.told(new RegExp(`orig_id=${ids[at]}[^]*hold: header`));
    await both(async (side) => {
      const listed = (): string => side.run("postqueue", "-j");
      await until(() => /"hold"/.test(listed()) && !listed().includes(ids[sides.indexOf(side)]!), 10_000, listed);
      return listed().replace(/"(arrival_time|message_size)": \d+/g, "$1");
    });
    await both((side) => side.lines(/ID: hold: .*/));
    await both((side) => side.run("postsuper", "-d", "ALL"));
  });

  test("-e and -f return mail without an attempt, with the reason of its last one", async () => {
    const deferred = await Promise.all(
      sides.map((side) => side.put(["old@dead.example", "d@dead.example"], "two", /d@dead.*status=deferred/)),
    );
    const held = await Promise.all(sides.map((side) => side.put(["h@live.example"], "held", /hold: header/)));
    await both((side) => side.arrived(1));
    const at = (side: Side): number => sides.indexOf(side);
    await both((side) => side.run("postsuper", "-e", deferred[at(side)]!, "-f", held[at(side)]!));
    for (const side of sides) side.run("postqueue", "-f");
    const notices = await both((side) => side.arrived(2));
    assert.match(notices[0]!, /<d@dead\.example>: connect to 127\.0\.0\.1\[127\.0\.0\.1\]:1: Connection refused/);
    assert.match(notices[1]!, /<h@live\.example>: message is administratively expired/);
    await both((side) => side.lines(/.{4}: from=<.*>, status=.*|to=.*administratively.*/));
    for (const side of sides) {
      await until(() => side.run("postqueue", "-p").includes("empty"), 10_000, () => side.log());
    }
  });
});
