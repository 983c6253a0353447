/**
 * Before-queue filters and XFORWARD beside Debian's Postfix: what the client hears, what the filter or the next hop
 * hears, and what the log says.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Running, startPostrider, until } from "../postrider.ts";
import { Sink } from "../sink.ts";
import { SmtpClient } from "../smtp-client.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix } from "./debian-postfix.ts";

const FIRST_PORT = 12_480;
const XFORWARD = "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE";

function answer(line: string): string | null {
  if (/^RCPT.*bad@/.test(line)) return "550 5.1.1 filter: no such user";
  if (/^MAIL.*bad@/.test(line)) return "550-5.7.1 filter: one\r\n550 5.7.1 filter: two";
  return /^RCPT.*close@/.test(line) ? "" : null;
}

const filter = (): Promise<Sink> =>
  Sink.start({
    keywords: ["PIPELINING", "8BITMIME", "SIZE 0", "DSN", XFORWARD],
    answer,
    dot: ({ content }) => {
      if (content.includes("spam")) return "554-5.7.1 spam\r\n554 5.7.1 really";
      if (content.includes("gone")) return "";
      return content.includes("later") ? "451 4.7.1 later" : "250 2.0.0 Ok: filtered as XYZ";
    },
  });

const DIALOGUE: readonly string[] = [
  "EHLO client.example",
  ...["MAIL FROM:<a@x.example> BODY=8BITMIME SIZE=100 ENVID=abc", "RCPT TO:<u@y.example> NOTIFY=SUCCESS"],
  ...["RCPT TO:<bad@y.example>", "RCPT TO:<rej@y.example>", "DATA"],
  "Subject: x\r\nReceived: from somewhere\r\n\r\nbody\r\n..dot\r\n.",
  ...[
    "MAIL FROM:<a@x.example>",
    "RCPT TO:<u@y.example>",
    "RCPT TO:<v@y.example>",
    "DATA",
    "Subject: spam\r\n\r\nbody\r\n.",
  ],
  ...["MAIL FROM:<a@x.example>", "RCPT TO:<u@y.example>", "DATA", "Subject: gone\r\n\r\nbody\r\n."],
  ...["MAIL FROM:<a@x.example>", "RCPT TO:<u@y.example>", "DATA", "Subject: later\r\n\r\nbody\r\n."],
  ...["MAIL FROM:<bad@x.example>", "RCPT TO:<u@y.example>", "RSET"],
  ...["XFORWARD NAME=orig.example ADDR=192.0.2.7 PORT=77 PROTO=SMTP HELO=orig.helo IDENT=ABC SOURCE=REMOTE"],
  ...["MAIL FROM:<a@x.example>", "RCPT TO:<u@y.example>", "BDAT 20 LAST\r\nSubject: b\r\n\r\nbody"],
  ...["MAIL FROM:<a@x.example>", "RCPT TO:<u@y.example>", "RSET", "NOOP"],
];
/** What Debian's server gives up on when the message is replayed. */
const DIRECT: readonly string[] = [
  ...["MAIL FROM:<a@x.example>", "RCPT TO:<bad@y.example>", "DATA", "RSET"],
  ...["MAIL FROM:<a@x.example>", "RCPT TO:<close@y.example>", "RCPT TO:<u@y.example>", "RSET"],
];

interface Side {
  readonly filter: Sink;
  readonly nextHop: Sink;
  readonly first: number;
  log(): string;
}

describe("before-queue filters and XFORWARD beside Debian's Postfix", { skip: !debianPostfix }, () => {
  let ours: Side & { readonly running: Running };
  let theirs: Side & { readonly postfix: DebianPostfix };

  const settings = (nextHop: number): string =>
    `relay_domains = y.example
relay_transport = smtp:[127.0.0.1]:${nextHop}
smtp_send_xforward_command = yes
smtpd_authorized_xforward_hosts = 127.0.0.1
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_recipient_restrictions = check_recipient_access inline:{{rej@y.example=REJECT}}, reject_unauth_destination
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
`;
  const services = (first: number, filterPort: number): string =>
    [
      `-o smtpd_proxy_filter=127.0.0.1:${filterPort}`,
      `-o smtpd_proxy_filter=inet:127.0.0.1:${filterPort} -o smtpd_proxy_options=speed_adjust`,
      "-o smtpd_proxy_filter=127.0.0.1:1",
      "",
    ].map((options, at) => `127.0.0.1:${first + 2 * at} inet n - n - - smtpd ${options}`).join("\n");

  before(async () => {
    const sinks = async () => ({
      filter: await filter(),
      nextHop: await Sink.start({ keywords: ["PIPELINING", XFORWARD] }),
    });
    const [one, two] = [await sinks(), await sinks()];
    const postfix = await startDebianPostfix(settings(two.nextHop.port), {
      services: services(FIRST_PORT + 1, two.filter.port),
    });
    const running = await startPostrider({
      main: settings(one.nextHop.port),
      master: services(FIRST_PORT, one.filter.port),
    });
    ours = { ...one, running, first: FIRST_PORT, log: () => running.log };
    theirs = { ...two, postfix, first: FIRST_PORT + 1, log: () => postfix.log() };
  });
  after(async () => {
    await ours?.running.remove();
    theirs?.postfix.stop();
    for (const side of [ours, theirs]) await Promise.all([side?.filter.close(), side?.nextHop.close()]);
  });

  /** Without what differs from one run, or one program, to the other. */
  const plain = (text: string, side: Side): string =>
    text.replaceAll(String(side.filter.port), "PORT").replace(/ PORT=\d{4,}/g, " PORT=N").replace(
      /IDENT=[0-9A-F]{6,}/,
      "IDENT=Q",
    )
      .replace(/\((?:Postfix|Postrider)\)/g, "(MTA)").replace(/; \w{3}, .*$/gm, "; DATE").replace(
        /\t\w{3}, .*$/gm,
        "\tDATE",
      );

  async function talk(side: Side, at: number, lines: readonly string[]): Promise<string[]> {
    const client = await SmtpClient.connect(side.first + 2 * at);
    const replies = [(await client.reply()).replace(/ESMTP .*/, "")];
    for (const line of lines) {
      const reply = await client.ask(line);
      replies.push(`${line} -> ${line.startsWith("EHLO") ? "" : plain(reply, side)}`);
    }
    client.close();
    return replies;
  }

  for (const [at, name, lines] of [[0, "at once", [...DIALOGUE, ...DIRECT]], [1, "speed_adjust", DIALOGUE]] as const) {
    test(`a filter hears and says the same (${name})`, async () => {
      const heard: string[][] = [];
      for (const side of [ours, theirs]) {
        const marks = [side.filter.commands.length, side.filter.messages.length];
        const replies = await talk(side, at, lines);
        await until(() => side.filter.commands.at(-1) !== "DATA", 2_000, () => "").catch(() => {});
        heard.push([
          ...replies,
          ...side.filter.commands.slice(marks[0]).filter((line) => line !== "QUIT").map((line) => plain(line, side)),
          ...side.filter.messages.slice(marks[1]).map(({ content }) => plain(content, side)),
        ]);
      }
      assert.deepEqual(heard[0], heard[1]);
    });
  }

  test("a filter that is not there", async () => {
    const lines = ["EHLO x", "MAIL FROM:<a@x.example>", "RCPT TO:<u@y.example>", "RCPT TO:<rej@y.example>", "DATA"];
    assert.deepEqual(await talk(ours, 2, lines), await talk(theirs, 2, lines));
  });

  test("the log tells the same of the filter", async () => {
    const lines = (side: Side): string[] =>
      [...side.log().matchAll(/smtpd\[\d+\]: (.*proxy.*|NOQUEUE: .*)$/gm)].map((match) => plain(match[1]!, side));
    await until(() => lines(ours).length === lines(theirs).length, 5_000, () => "").catch(() => {});
    assert.deepEqual(lines(ours), lines(theirs));
  });

  test("the next hop hears the same XFORWARD", async () => {
    const said: string[][] = [];
    for (const side of [ours, theirs]) {
      const mail = ["MAIL FROM:<a@x.example>", "RCPT TO:<u@y.example>", "DATA", "Subject: x\r\n\r\nbody\r\n."];
      await talk(side, 3, ["EHLO client.example", ...mail]);
      await talk(side, 3, ["EHLO x", "XFORWARD NAME=o.example ADDR=IPV6:2001:db8::1 IDENT=Z SOURCE=REMOTE", ...mail]);
      await talk(side, 3, ["EHLO x", "XFORWARD NAME=o.example", ...mail]);
      await talk(side, 3, ["XCLIENT NAME=[UNAVAILABLE] ADDR=203.0.113.9 PORT=5000", "HELO he+lo.example", ...mail]);
      await until(() => side.nextHop.messages.length === 4, 10_000, () => side.log());
      // What XCLIENT says does not change what Debian's server thinks of the client's place.
      said.push(
        side.nextHop.commands.filter((line) => line.startsWith("XFORWARD"))
          .map((line) => plain(line, side).replace(/(HELO=he\+.*) SOURCE=.*/, "$1")).sort(),
      );
    }
    assert.deepEqual(said[0], said[1]);
    assert.equal(said[0]!.length, 8);
  });
});
