/**
 * header_checks, mime_header_checks, nested_header_checks and body_checks of ours beside those of Debian's Postfix, for
 * the same tables and the same mail: the replies, cleanup's log lines and what the next hop gets are the same after ids
 * and dates are. Random mail prints its seed; POSTRIDER_TEST_SEED repeats it.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { corpus } from "../corpus.ts";
import { type Running, scriptCommand, startPostrider, until } from "../postrider.ts";
import { type Received, Sink } from "../sink.ts";
import { type DebianPostfix, debianPostfix, type Mail, startDebianPostfix, submit } from "./debian-postfix.ts";
import { SEED } from "../seed.ts";

const ACTIONS: readonly string[] = [
  "REJECT",
  "REJECT some text",
  "REJECT 4.7.3 later",
  "REJECT 5.9.9 code text",
  "REJECT 551 5.9.8 reply",
  "REJECT 2.0.0 weird",
  "reject   spaces",
  "DISCARD bye",
  "DISCARD",
  "HOLD",
  "HOLD with text",
  "WARN",
  "warn a text",
  "INFO some info",
  "PASS it",
  "STRIP it",
  "IGNORE it",
  "PREPEND X-Prep: yes",
  "PREPEND nothing here",
  "PREPEND",
  "REPLACE X-Repl: yes",
  "REPLACE nothing",
  "REPLACE Message-Id: <replaced@x.example>",
  "REPLACE",
  "REDIRECT new@d.example",
  "REDIRECT new",
  "BCC copy@d.example",
  "BCC copy",
  "FILTER smtp:[127.0.0.1]:@PORT@",
  "FILTER smtp",
  "FILTER",
  "BOGUS text",
  "OK",
  "DUNNO",
  "DELAY 3s",
];

const RULE = /^X-Rule: ([0-9]+)$/;

/** One table for headers of every kind and for body lines: "X-Rule: 7" has the seventh action. */
function rules(port: number, name: string): string {
  return ACTIONS.map((action, at) => `/${RULE.source.slice(0, -1).replace("([0-9]+)", String(at))}$/ ${action}\n`)
    .join("").replaceAll("@PORT@", String(port)) +
    `/^X-Name: (.*)$/ WARN ${name} $1\n/^X-Long: (.{20})/ INFO $1\n` +
    `/^--/ WARN dashes\n/^X+$/ WARN exes\n` +
    `/^Content-Type:(.*)/ INFO type $1\n/^Subject:.*(free|money|re:)/ PREPEND X-Word: $1\n/^<html/ INFO html\n` +
    `/^Return-Path:/ WARN path\n/^X-Mailer: (.*)/ REPLACE X-Was-Mailer: $1\n/^Content-Id: (.*)/ STRIP $1\n`;
}

const SETTINGS: readonly { readonly name: string; readonly main: string; readonly random: number }[] = [
  { name: "one table for all", main: "header_checks = pcre:@H@\nbody_checks = pcre:@B@\n", random: 150 },
  {
    name: "a table for each, small limits",
    main: "header_checks = pcre:@H@\nmime_header_checks = pcre:@M@\nnested_header_checks = regexp:@N@\n" +
      "body_checks = regexp:@B@\nmime_nesting_limit = 2\nmime_boundary_length_limit = 4\nheader_size_limit = 200\n" +
      "body_checks_size_limit = 600\nline_length_limit = 512\n",
    random: 150,
  },
  {
    name: "strict",
    main: "strict_8bitmime = yes\nstrict_mime_encoding_domain = yes\nmime_header_checks = pcre:@M@\n",
    random: 80,
  },
  {
    name: "no MIME",
    main:
      "disable_mime_input_processing = yes\nheader_checks = pcre:@H@\nbody_checks = pcre:@B@\nstrict_8bitmime = yes\n",
    random: 40,
  },
];

/** Deterministic pseudo-random numbers (mulberry32). */
function chance(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function randomMail(below: (limit: number) => number): string {
  const one = <T>(...choices: readonly T[]): T => choices[below(choices.length)] as T;
  const boundaries = ["b", "bound", "bounded", "a b", "--", 'q"x', "b1"];
  const header = (): string =>
    one(
      () => `X-Rule: ${below(ACTIONS.length)}\r\n`,
      () => `X-Name: ${one("a", "b c", "\xe4")}\r\n${one("", " folded\r\n", "\tand\r\n again\r\n")}`,
      () => `X-Name : ${"spaced".repeat(below(30))}\r\n`,
      () => `X-Long: ${"0123456789".repeat(below(40))}\r\n`,
      () => `Subject: ${one("x", "\xf6", "y\r\n z")}\r\n`,
      () => `Content-Type: text/${one("plain", "html; charset=x", "(c) plain")}\r\n`,
      () => `Content-Type: message/${one("rfc822", "RFC822 (x)", "partial", "external-body", "global", "x")}\r\n`,
      () => {
        const name = one(...boundaries);
        const quoted = name.replace(/["\\]/g, "\\$&");
        return `Content-Type: ${one("multipart/mixed", "Multipart/Digest", "multipart / x")}; x=y;\r\n` +
          ` ${one("boundary", "BOUNDARY ")}=${one(`"${quoted}"`, name, `(c) "${quoted}"; boundary=b1`)}\r\n`;
      },
      () => `Content-Transfer-Encoding: ${one("7bit", "8BIT", "base64", "binary", "quoted-printable", "x")}\r\n`,
      () => `Mime-Version: 1.0${one("", "\r\n (X-Rule: 0)")}\r\n`,
      () => `Message-Id: <m${below(9)}@x.example>\r\n`,
      () => `Bcc: x@y\r\n more\r\n`,
      () => `Received: from x by y\r\n`,
    )();
  const line = (): string =>
    one(
      () => `--${one(...boundaries)}${one("", "--", " ", "x")}\r\n`,
      () => `--${one(...boundaries)}${one("", "--")}\r\n`,
      () => "\r\n",
      () => "some text\r\n",
      () => "\xe4 8-bit\r\n",
      () => `X-Rule: ${below(ACTIONS.length)}\r\n`,
      () => `${"X".repeat(below(1300))}\r\n`,
      () => " leading space\r\n",
      () => "not a header\r\n",
      () => "body\0X\r\n",
      header,
    )();
  const several = (count: number, make: () => string): string => Array.from({ length: below(count) }, make).join("");
  let text = below(12) === 0 ? one("From joe\r\n", ">From x\r\n", " x\r\n", "From a\r\n>>From b\r\n") : "";
  text += several(6, header);
  for (let blocks = below(5); blocks > 0; blocks--) text += `\r\n${several(5, line)}${several(4, header)}`;
  return text;
}

/** Ids, dates, ports and generated message ids made the same. */
function normal(text: string): string {
  return text.replace(/\b[0-9A-Za-z]{10,20}@mx\.test\.example>/g, "ID@mx>")
    .replace(/[0-9]{14}\.[0-9A-Za-z]+@mx\.test\.example/g, "STAMP@mx")
    .replace(/\b(id|as) [0-9A-Za-z]{8,20}\b/g, "$1 ID")
    .replace(/\w{3}, [ 0-9]\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)/g, "DATE");
}

/** cleanup's lines with their ids taken off. */
function cleanupLines(log: string, from: number): string[] {
  return log.slice(from).split("\n").filter((line) => /\/cleanup\[\d+\]: /.test(line))
    .map((line) => normal(line.replace(/^.*?\/cleanup\[\d+\]: /, "").replace(/\b[0-9A-Za-z]{8,20}: /, "ID: ")))
    // Bytes that are not UTF-8 are "?" in Postfix's log.
    .map((line) => line.replace(/[\x80-\xff]/g, "?"))
    .filter((line) => !/statistics|is unavailable|overriding|file system clock|resetting file time/.test(line));
}

interface Side {
  readonly name: string;
  readonly port: number;
  readonly sink: Sink;
  readonly etc: string;
  log(): string;
}

/** Hands mail in by the sendmail command of that side. */
function sendmail(side: Side, words: readonly string[], input: string): void {
  const ours = scriptCommand("bin/postrider.ts");
  const line = side.name === "ours" ? [ours.command, ...ours.arguments, "sendmail"] : ["/usr/sbin/sendmail"];
  execFileSync(line[0]!, [...line.slice(1), "-C", side.etc, ...words], { input });
}

interface Seen {
  readonly reply: string;
  readonly lines: readonly string[];
  readonly got: readonly string[];
}

const received = ({ sender, recipients, content }: Received): string =>
  normal(`${sender} ${[...recipients].sort().join()}\n${content}`);

async function play(side: Side, mail: Mail): Promise<Seen> {
  const from = side.log().length;
  side.sink.messages.length = 0;
  const reply = normal(await submit(side.port, mail));
  const over = (): boolean => side.log().slice(from).includes(": disconnect from");
  await until(over, 10_000, () => `${side.name}: ${side.log()}`);
  const lines = cleanupLines(side.log(), from);
  const stays = lines.some((line) => /^ID: (?:discard|hold): /.test(line));
  if (reply.startsWith("250") && !stays) {
    await until(() => side.sink.messages.length > 0, 10_000, () => `${side.name}: ${side.log()}`);
  }
  return {
    reply,
    lines: lines.map((line) => line.replace(`]:${side.sink.port}`, "]:PORT")),
    got: side.sink.messages.map(received),
  };
}

for (const { name, main, random } of SETTINGS) {
  describe(`content checks like Debian's: ${name}`, { skip: debianPostfix ? false : "needs Debian's Postfix" }, () => {
    const sides: Side[] = [];
    const sinks: Sink[] = [];
    const folders: string[] = [];
    let ours: Running | null = null;
    let debian: DebianPostfix | null = null;

    /** The settings with tables of their own, which know the port of their next hop. */
    async function settings(): Promise<string> {
      const sink = await Sink.start();
      sinks.push(sink);
      const folder = mkdtempSync(join(tmpdir(), "checks-"));
      folders.push(folder);
      chmodSync(folder, 0o755);
      for (const letter of ["H", "M", "N", "B"]) writeFileSync(`${folder}/${letter}`, rules(sink.port, letter));
      return `${main.replace(/@(.)@/g, (_all, letter: string) => `${folder}/${letter}`)}relayhost = ` +
        `[127.0.0.1]:${sink.port}\nsmtp_destination_recipient_limit = 50\nlocal_header_rewrite_clients =\n` +
        "mail_name = Postfix\nsmtputf8_enable = no\nsmtp_line_length_limit = 0\nhopcount_limit = 8\n";
    }

    before(async () => {
      const one = ours = await startPostrider({ main: await settings() });
      const other = debian = await startDebianPostfix(await settings());
      sides.push({ name: "ours", etc: `${one.folder}/etc`, port: one.port, sink: sinks[0]!, log: () => one.log });
      sides.push({
        name: "Debian's",
        etc: `${other.folder}/etc`,
        port: other.port,
        sink: sinks[1]!,
        log: () => other.log(),
      });
    });

    after(async () => {
      await ours?.remove();
      debian?.stop();
      for (const sink of sinks) await sink.close();
      for (const folder of folders) rmSync(folder, { recursive: true, force: true });
    });

    async function compare(mail: Mail): Promise<void> {
      const [mine, theirs] = await Promise.all(sides.map((side) => play(side, mail)));
      assert.deepEqual(mine, theirs, JSON.stringify(mail.content));
    }

    const plain = { sender: "s@orig.example", recipients: ["r1@d.example", "r2@d.example"] };

    it("each action, on a header, on a part's header, on a nested header and on a body line", async () => {
      for (let at = 0; at < ACTIONS.length; at++) {
        const rule = `X-Rule: ${at}\r\n`;
        await compare({
          ...plain,
          content: `Subject: x\r\n${rule}X-Name: a\r\n b\r\nMessage-Id: <x@y>\r\n\r\nbody\r\n`,
        });
        const type = "Content-Type: multipart/mixed; boundary=b\r\n";
        await compare({
          ...plain,
          content: `${type}\r\n--b\r\n${rule}X-Name: c\r\n\r\n${rule}next\r\n--b--\r\nend\r\n`,
        });
        const nested =
          `${type}\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n${rule}X-Name: n\r\n\r\nin it\r\n--b--\r\n`;
        await compare({ ...plain, content: nested });
      }
    });

    const refuses = /^header_checks/m.test(main);
    it("mail of sendmail that is refused goes back to its sender", { skip: !refuses }, async () => {
      const submitted: readonly (readonly [rule: number, sender: string, sent: number])[] = [
        [1, "joe@orig.example", 1],
        [0, "", 0],
        [7, "joe@orig.example", 0],
      ];
      for (const [rule, sender, sent] of submitted) {
        const text = `Subject: x\nX-Rule: ${rule}\nMessage-Id: <a@b>\nDate: now\nFrom: joe\nTo: r1\n\nbody\n`;
        const all: unknown[] = [];
        for (const side of sides) {
          side.sink.messages.length = 0;
          const from = side.log().length;
          sendmail(side, ["-f", sender, "r1@d.example", "r2@d.example"], text);
          const settled = (): boolean =>
            side.sink.messages.length >= sent && /: (?:reject|discard): /.test(side.log().slice(from)) &&
            (rule === 7 || (side.log().slice(from).match(/status=bounced/g) ?? []).length === 2);
          await until(settled, 15_000, () => `${side.name}: ${side.log()}`);
          const lines = cleanupLines(side.log(), from).map((line) => line.replace(/delays?=[\d./]+/g, "delay"));
          const notices = side.sink.messages.map(({ sender, recipients, content }) => [
            sender,
            ...recipients,
            /^Diagnostic-Code: .*/m.exec(content)?.[0],
            /^Status: .*/m.exec(content)?.[0],
            /^X-Rule: .*/m.exec(content)?.[0],
            content.includes("\r\nbody\r\n"),
            /^Content-Description: Undelivered.*/m.exec(content)?.[0],
          ]);
          all.push({ lines: lines.filter((line) => !/message-id=<\d{14}/.test(line)), notices });
        }
        assert.deepEqual(all[0], all[1], `${rule} ${sender}`);
      }
    });

    it("real mail (every 150th of the corpus)", async () => {
      for (const { content } of corpus().filter((_mail, at) => at % 150 === 0)) await compare({ ...plain, content });
    });

    it(`${random} random messages (seed ${SEED})`, async () => {
      const below = chance(SEED);
      for (let count = 0; count < random; count++) await compare({ ...plain, content: randomMail(below) });
    });
  });
}
