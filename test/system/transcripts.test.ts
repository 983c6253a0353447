/**
 * What the postmaster is told of SMTP sessions that went wrong, by ours and by Debian's Postfix: the same dialogue with
 * one service for each word of notify_classes, and of each the notices, byte by byte after ids and dates are made the
 * same.
 */

import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort, type Running, sleep, startPostrider, until } from "../postrider.ts";
import { Sink, type SinkOptions } from "../sink.ts";
import { SmtpClient } from "../smtp-client.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix, submit } from "./debian-postfix.ts";

const CLASSES = ["bounce", "data", "policy", "protocol", "resource", "software", "policy,bounce"];
const START = ["EHLO client.example", "MAIL FROM:<s@x.example>", "RCPT TO:<ok@d.example>"];

/** A line to send; CLOSE: the client goes away; WAIT: it says no more. */
const CLOSE = "\0close";
const WAIT = "\0wait";

interface Case {
  readonly what: string;
  readonly lines: readonly string[];
  /** Classes of which a notice comes. */
  readonly told: string;
}

const content = (head: string): readonly string[] => ["DATA", `${head}\r\n\r\nx\r\n.`];
const to = (address: string): readonly string[] => [...START, `RCPT TO:<${address}>`, "QUIT"];

const CASES: readonly Case[] = [
  { what: "nothing wrong", lines: [...START, ...content("Subject: x"), "QUIT"], told: "" },
  { what: "an unknown command", lines: ["EHLO x", "FOO bar", "QUIT"], told: "protocol" },
  { what: "no name", lines: ["EHLO", "QUIT"], told: "protocol" },
  { what: "a command too early", lines: ["EHLO x", "RCPT TO:<a@d.example>", "QUIT"], told: "protocol" },
  { what: "no recipient", lines: [...START.slice(0, 2), "DATA", "QUIT"], told: "" },
  { what: "two senders", lines: [...START, "MAIL FROM:<a@b.example>", "QUIT"], told: "protocol" },
  { what: "an unknown option", lines: ["EHLO x", "MAIL FROM:<a@b.example> FOO=1", "QUIT"], told: "protocol" },
  { what: "a bad address", lines: ["EHLO x", "MAIL FROM:<a b>", "QUIT"], told: "protocol" },
  { what: "an empty line", lines: ["EHLO x", "", "QUIT"], told: "protocol" },
  { what: "VRFY", lines: ["EHLO x", "VRFY a", "QUIT"], told: "policy policy,bounce" },
  { what: "relaying", lines: to("a@far.example"), told: "policy policy,bounce" },
  { what: "an unknown user", lines: to("a@list.example"), told: "bounce policy,bounce" },
  {
    what: "both",
    lines: [...START, "RCPT TO:<a@list.example>", "RCPT TO:<a@far.example>", "QUIT"],
    told: "bounce policy policy,bounce",
  },
  { what: "a table's word", lines: to("refuse@d.example"), told: "policy policy,bounce" },
  { what: "a table's temporary word", lines: to("four@d.example"), told: "policy policy,bounce" },
  { what: "HANGUP", lines: to("hangup@d.example"), told: "" },
  { what: "a configuration that makes no sense", lines: to("nonsense@d.example"), told: "software" },
  { what: "a name that is none", lines: ["EHLO =bad=", ...START.slice(1), "QUIT"], told: "policy policy,bounce" },
  {
    what: "a size too big",
    lines: ["EHLO x", "MAIL FROM:<s@x.example> SIZE=99999", "QUIT"],
    told: "policy policy,bounce",
  },
  {
    what: "content too big",
    lines: [...START, ...content("x: y\r\n\r\n" + `${"x".repeat(70)}\r\n`.repeat(80)), "QUIT"],
    told: "bounce policy,bounce",
  },
  { what: "content refused", lines: [...START, ...content("X-Bad: 1"), "QUIT"], told: "policy policy,bounce" },
  {
    what: "too many hops",
    lines: [...START, ...content("Received: a\r\n".repeat(6)), "QUIT"],
    told: "bounce policy,bounce",
  },
  {
    what: "too many recipients",
    lines: [...START, ...START.slice(2).map(() => "RCPT TO:<b@d.example>"), "RCPT TO:<c@d.example>", "QUIT"],
    told: "",
  },
  { what: "too many errors", lines: ["EHLO x", "A", "B", "C", "D", "E", "NOOP"], told: "protocol" },
  { what: "an error and silence", lines: ["EHLO x", "A", WAIT], told: "protocol" },
  { what: "an error and no goodbye", lines: ["EHLO x", "A", CLOSE], told: "protocol" },
  {
    what: "an error and half a message",
    lines: ["EHLO x", "A", ...START.slice(1), "DATA", `x\r\n${CLOSE}`],
    told: "protocol",
  },
  { what: "an error and a web browser", lines: ["EHLO x", "A", "GET / HTTP/1.1"], told: "protocol" },
  {
    what: "an error that was made good",
    lines: [...START, "RCPT TO:<a@far.example>", ...content("x: y"), "QUIT"],
    told: "",
  },
  {
    what: "an error and a reset",
    lines: [...START, "RCPT TO:<a@far.example>", "RSET", "QUIT"],
    told: "policy policy,bounce",
  },
  {
    what: "a long session",
    lines: ["HELO x", "FOO", ...Array<string>(50).fill("NOOP"), "RSET", "NOOP", "BAR", "QUIT"],
    told: "protocol protocol",
  },
  {
    what: "long lines and control characters",
    lines: ["HELO x", `FOO ${"abc def ".repeat(30)}\x01\t end`, "QUIT"],
    told: "protocol",
  },
  {
    what: "another client",
    lines: ["EHLO x", "XCLIENT NAME=a.example ADDR=1.2.3.4", "EHLO y", "FOO", "QUIT"],
    told: "protocol",
  },
  { what: "a chunk without a message", lines: ["EHLO x", "BDAT x", "QUIT"], told: "protocol" },
];

const settings = (port: number, folder: string): string =>
  `relayhost = [127.0.0.1]:${port}
smtpd_relay_restrictions = check_recipient_access inline:{ {refuse@d.example = REJECT my reasons}
 {hangup@d.example = HANGUP} {four@d.example = 450 4.7.1 later} {nonsense@d.example = nonsense_action} }
 reject_unauth_destination
smtpd_helo_restrictions = reject_invalid_helo_hostname
relay_domains = d.example, list.example
relay_recipient_maps = inline:{ {@d.example = 1} }
message_size_limit = 4000
smtpd_recipient_limit = 2
smtpd_hard_error_limit = 5
smtpd_soft_error_limit = 50
smtpd_timeout = 3s
hopcount_limit = 3
header_checks = regexp:${folder}/header-checks
disable_vrfy_command = yes
smtpd_discard_ehlo_keywords = etrn, smtputf8, silent-discard
smtpd_authorized_xclient_hosts = 127.0.0.1
mail_name = Postfix
`;

function services(ports: readonly number[]): string {
  return ports.map((port, at) => {
    const name = CLASSES[at]!;
    const address = `${name.replace(",", "-")}@notice.example`;
    return `127.0.0.1:${port} inet n - n - - smtpd -o notify_classes=${name} -o error_notice_recipient=${address}` +
      ` -o bounce_notice_recipient=b-${address}\n`;
  }).join("");
}

async function talk(port: number, lines: readonly string[]): Promise<void> {
  const client = await SmtpClient.connect(port);
  await client.reply();
  for (const line of lines) {
    if (line === WAIT) await client.reply();
    else client.write(line.endsWith(CLOSE) ? line.slice(0, -CLOSE.length) : `${line}\r\n`);
    if (line.endsWith(CLOSE) || line === WAIT) break;
    await client.reply();
  }
  if (lines.at(-1)?.endsWith(CLOSE) === true) await sleep(50);
  client.close();
}

function normalised(text: string): string {
  return text
    .replace(/\d{14}\.[0-9A-F]{8,12}(?=@)/g, "STAMP.QID")
    .replace(/\b[0-9A-F]{8,12}\b/g, "QID")
    .replace(/\w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)/g, "DATE");
}

/** Notices, as a class each, and whole. */
const noticesOf = (sink: Sink): string[] =>
  sink.messages.filter(({ recipients }) => recipients[0]!.endsWith("@notice.example")).map((message) =>
    `${message.sender} ${message.recipients.join()}\r\n${normalised(message.content)}`
  ).sort();

const classesOf = (notices: readonly string[]): string =>
  notices.map((notice) => / (?:b-)?(.*)@notice/.exec(notice)![1]!.replace("-", ",")).sort().join(" ");

describe("transcripts of sessions beside Debian's Postfix", { skip: !debianPostfix }, () => {
  const sinks: Sink[] = [];
  const ports: number[][] = [[], []];
  let folder = "";
  let theirs: DebianPostfix;
  let ours: Running;
  before(async () => {
    for (const list of ports) {
      sinks.push(await Sink.start());
      while (list.length < CLASSES.length) list.push(await freePort());
    }
    folder = mkdtempSync(join(tmpdir(), "transcripts-"));
    chmodSync(folder, 0o755);
    writeFileSync(`${folder}/header-checks`, "/^X-Bad:/ REJECT no such header\n");
    theirs = await startDebianPostfix(settings(sinks[0]!.port, folder), { services: services(ports[0]!) });
    ours = await startPostrider({ main: settings(sinks[1]!.port, folder), master: services(ports[1]!) });
  });
  after(async () => {
    theirs.stop();
    await ours.remove();
    for (const sink of sinks) await sink.close();
    rmSync(folder, { recursive: true, force: true });
  });

  for (const { what, lines, told } of CASES) {
    it(`are the same for ${what}`, async () => {
      for (const sink of sinks) sink.messages.length = 0;
      const all = (said: readonly string[]) => Promise.all(ports.flat().map((port) => talk(port, said)));
      await all(lines);
      // A notice that should not come has come when that of a later session is there.
      if (told === "") await all(["FOO", "QUIT"]);
      const expected = told === "" ? "protocol" : told;
      const seen = (): string[] => sinks.map((sink) => classesOf(noticesOf(sink)));
      const state = (): string => `${seen().join(" / ")}\n${ours.log}\n${theirs.log()}`;
      await until(() => seen().every((classes) => classes === expected), 8_000, state);
      assert.deepEqual(noticesOf(sinks[1]!), noticesOf(sinks[0]!));
    });
  }
});

/** Next hops that answer what no server should, or what any may, by the domain of the recipients. */
const SERVERS: Readonly<Record<string, SinkOptions>> = {
  recipient: { answer: (line) => /^RCPT TO:<r1/.test(line) ? "501 5.5.4 bad" : null },
  refused: { answer: (line) => /^RCPT TO:<r1/.test(line) ? "550 5.1.1 bad" : null },
  single: { answer: (line) => /^RCPT TO:<r1/.test(line) ? "555 5.5.4 bad" : null, keywords: [] },
  sender: { answer: (line) => line.startsWith("MAIL") ? "503 5.5.1 bad sequence" : null },
  garbage: { answer: (line) => /^RCPT TO:<r1/.test(line) ? "hello there\r\n250 2.1.5 Ok" : null, keywords: [] },
  content: { dot: () => "500 5.5.0 what" },
  never: { dot: () => "554 5.5.0 no" },
  hello: { answer: (line) => /^(EHLO|HELO)/.test(line) ? "500 5.5.0 go away" : null },
  greeting: { answer: (line) => line === "" ? "500 5.5.0 go away" : null },
  lost: { answer: (line) => /^RCPT TO:<r1/.test(line) ? "500 5.5.4 bad" : line === "DATA" ? "" : null, keywords: [] },
};
const SERVERS_TOLD = Object.keys(SERVERS).length - 2;

describe("transcripts of conversations with next hops beside Debian's Postfix", { skip: !debianPostfix }, () => {
  it("are the same", async () => {
    const seen: string[][] = [];
    for (const start of [startDebianPostfix, (main: string) => startPostrider({ main })]) {
      const notices = await Sink.start();
      const servers = new Map<string, Sink>();
      for (const [name, options] of Object.entries(SERVERS)) servers.set(name, await Sink.start(options));
      const map = [...servers].map(([name, { port }]) => `{${name}.example = smtp:[127.0.0.1]:${port}}`).join(" ");
      const running = await start(`relayhost = [127.0.0.1]:${notices.port}
transport_maps = inline:{ ${map} }
smtpd_relay_restrictions = permit_mynetworks, reject
notify_classes = protocol
error_notice_recipient = p@notice.example
mail_name = Postfix
`);
      try {
        for (const name of servers.keys()) {
          const recipients = [`r1@${name}.example`, `r2@${name}.example`];
          await submit(running.port, { sender: "s@x.example", recipients, content: "Subject: x\r\n\r\nx\r\n" });
        }
        const found = (): string[] => noticesOf(notices);
        await until(() => found().length === SERVERS_TOLD, 15_000, () => found().join("\n"));
        const names = new Map([...servers].map(([name, { port }]) => [String(port), name]));
        seen.push(found().map((notice) => conversation(notice, names)).sort());
      } finally {
        if ("remove" in running) await running.remove();
        else running.stop();
        for (const sink of [notices, ...servers.values()]) await sink.close();
      }
    }
    assert.deepEqual(seen[1], seen[0]);
  });
});

/** With names for ports; Postfix says QUIT before it has the reply to the dot, ours when the connection has rested. */
function conversation(notice: string, names: ReadonlyMap<string, string>): string {
  const named = notice.replace(/(\[127\.0\.0\.1\]:)(\d+)/g, (_, host: string, port: string) => host + names.get(port));
  const lines = named.replace(/ SIZE=\d+/, " SIZE=N").split("\r\n");
  return [...lines.filter((line) => line !== " Out: QUIT"), lines.includes(" Out: QUIT")].join("\n");
}
