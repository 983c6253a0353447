/**
 * Notices of ours beside those of Debian's Postfix for the same mail and the same next hop: byte by byte after ids and
 * dates are made the same, and field by field as mailparser reads them.
 */

import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { after, before, describe, it } from "node:test";
import { simpleParser } from "mailparser";
import { type Running, startPostrider, until } from "../postrider.ts";
import { type Received, Sink } from "../sink.ts";
import { type DebianPostfix, debianPostfix, type Mail, startDebianPostfix, submit } from "./debian-postfix.ts";

const HEAD = "From: a@orig.example\r\nTo: x@d.example\r\nSubject: one\r\nMessage-Id: <m1@orig.example>\r\n" +
  "Date: Sun, 22 Nov 2026 18:00:00 +0000\r\n\r\n";
const CONTENT = `${HEAD}hello\r\n.dot\r\nFrom here\r\n--not-a-boundary\r\n\xe4\xf6\r\n`;

/** What the next hop says to a recipient, by the first letters of its name. */
function answer(line: string, seen: Map<string, number>): string | null {
  if (!/^RCPT/i.test(line)) return null;
  if (line.includes("<thrice")) {
    const times = (seen.get(line) ?? 0) + 1;
    seen.set(line, times);
    return times > 3 ? null : "450 4.2.0 not yet";
  }
  if (/<"?bad/.test(line)) {
    return "550 5.1.1 <x>: Recipient address rejected: User unknown in virtual mailbox table, sorry";
  }
  if (line.includes("<multi")) {
    return "550-5.7.1 first line\r\n550 5.7.1 second line of a rather long reply that goes on";
  }
  if (line.includes("<plain")) return "553 no enhanced status";
  return line.includes("<later") ? "450 4.2.0 try later" : null;
}

const dot = ({ recipients }: Received): string | null =>
  recipients.some((address) => address.startsWith("data")) ? "554 5.6.0 content refused" : null;

/** The last one has a fault: the built-in one holds. */
const TEMPLATES = `# texts of notices
failure_template = <<EOF
Charset: iso-8859-1
From: Postman (of this house) <postman>
Subject: It failed
Postmaster-Subject: It failed, and you should know

F\xfcr $myhostname: $$ \${relayhost?{relay}:{none}} $maximal_queue_lifetime_hours
  indented
EOF
delay_template = <<END
From: late
Subject: It is late
Postmaster-Subject: It is late, and you should know

After $delay_warning_time_seconds s; $maximal_queue_lifetime_days d.
END
success_template = <<EOF
Postmaster-Subject: no such thing

text
EOF
`;
const TEMPLATE_FILE = `${tmpdir()}/bounce-templates-${process.pid}.cf`;

interface Case extends Mail {
  readonly what: string;
  /** How many notices come of it. */
  readonly notices: number;
}

const SETTINGS: readonly { readonly name: string; readonly main: string; readonly cases: readonly Case[] }[] = [
  {
    name: "defaults",
    main: "delay_warning_time = 1s\nminimal_backoff_time = 1s\nmaximal_backoff_time = 1s\nqueue_run_delay = 1s\n" +
      "confirm_delay_cleared = yes\n",
    cases: [
      { what: "one recipient", sender: "s1@orig.example", recipients: ["bad@d.example"], content: CONTENT, notices: 1 },
      {
        what: "several, NOTIFY, ORCPT, ENVID, RET=HDRS",
        sender: "s2@orig.example",
        options: "ENVID=env+2B1 RET=HDRS",
        recipients: [
          "bad@d.example NOTIFY=FAILURE ORCPT=rfc822;Orig+2BX@y.example",
          "multi@d.example NOTIFY=FAILURE,DELAY",
          "good@d.example NOTIFY=SUCCESS",
          "plain@d.example",
          "bad2@d.example NOTIFY=NEVER",
        ],
        content: CONTENT,
        notices: 2,
      },
      {
        what: "a refusal after the message",
        sender: "s3@orig.example",
        options: "BODY=8BITMIME RET=FULL",
        recipients: ["data1@d.example", "data2@d.example"],
        content: CONTENT,
        notices: 1,
      },
      {
        what: "a message over bounce_size_limit",
        sender: "s4@orig.example",
        recipients: ["bad@d.example"],
        content: HEAD + `${"x".repeat(70)}\r\n`.repeat(900),
        notices: 1,
      },
      {
        what: "a quoted sender and recipient",
        sender: '"s 5"@orig.example',
        recipients: ['"bad 6"@d.example'],
        content: CONTENT,
        notices: 1,
      },
      {
        what: "recipients written in other ways than they are kept",
        sender: "s9@orig.example",
        recipients: ["b\\ad10@d.example", '"bad9"@d.example'],
        content: CONTENT,
        notices: 1,
      },
      {
        what: "BODY=7BIT",
        sender: "s7@orig.example",
        options: "BODY=7BIT",
        recipients: ["bad@d.example"],
        content: `${HEAD}x\r\n`,
        notices: 1,
      },
      { what: "a delay", sender: "s6@orig.example", recipients: ["later@d.example"], content: CONTENT, notices: 1 },
      {
        what: "a delay that is over",
        sender: "s8@orig.example",
        recipients: ["thrice1@d.example NOTIFY=DELAY", "thrice2@d.example NOTIFY=FAILURE", "thrice3@d.example"],
        content: CONTENT,
        notices: 2,
      },
    ],
  },
  {
    name: "aliases, deliveries that are told of",
    main: `virtual_alias_maps = inline:{ {one@v.example = a@d.example} {two@v.example = a@d.example, b@d.example}
 {mix@v.example = bad@d.example, b@d.example} {nest@v.example = two@v.example, c@d.example} }
virtual_alias_domains = v.example
recipient_canonical_maps = inline:{ {can@d.example = one@v.example} }
transport_maps = inline:{ {discard.example = discard:} }
enable_threaded_bounces = yes
`,
    cases: [
      {
        what: "an alias",
        sender: "u1@orig.example",
        options: "ENVID=env",
        recipients: ["one@v.example NOTIFY=SUCCESS ORCPT=rfc822;orig@y.example"],
        content: CONTENT,
        notices: 1,
      },
      {
        what: "a list, its failures, and one beside it",
        sender: "u2@orig.example",
        recipients: ["mix@v.example NOTIFY=SUCCESS,FAILURE", "c@d.example NOTIFY=SUCCESS"],
        content: CONTENT,
        notices: 2,
      },
      {
        what: "a list in a list",
        sender: "u3@orig.example",
        recipients: ["nest@v.example NOTIFY=SUCCESS", "can@d.example NOTIFY=SUCCESS"],
        content: CONTENT,
        notices: 1,
      },
      {
        what: "mail that is dropped",
        sender: "u4@orig.example",
        recipients: ["x@discard.example NOTIFY=SUCCESS"],
        content: CONTENT,
        notices: 1,
      },
      {
        what: "a message in a thread",
        sender: "u5@orig.example",
        recipients: ["bad@d.example"],
        content: `References: <r1@x>\r\n\t<r2@x>\r\n${CONTENT}`,
        notices: 1,
      },
    ],
  },
  {
    name: "templates of a file",
    main: `bounce_template_file = ${TEMPLATE_FILE}
notify_classes = bounce, delay
delay_warning_time = 1s
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
`,
    cases: [
      { what: "a failure", sender: "v1@orig.example", recipients: ["bad@d.example"], content: CONTENT, notices: 2 },
      { what: "a delay", sender: "v2@orig.example", recipients: ["later@d.example"], content: CONTENT, notices: 2 },
      {
        what: "a success, by the built-in text",
        sender: "v3@orig.example",
        recipients: ["good@d.example NOTIFY=SUCCESS"],
        content: CONTENT,
        notices: 1,
      },
    ],
  },
  {
    name: "postmaster's copies, expiry, no SMTPUTF8",
    main: "notify_classes = bounce, 2bounce, delay\nsmtputf8_enable = no\nmaximal_queue_lifetime = 0\n",
    cases: [
      {
        what: "7bit",
        sender: "t1@orig.example",
        options: "BODY=7BIT",
        recipients: ["bad@d.example"],
        content: `${HEAD}x\r\n`,
        notices: 2,
      },
      {
        what: "8bit",
        sender: "t2@orig.example",
        options: "BODY=8BITMIME",
        recipients: ["bad@d.example", "multi@d.example NOTIFY=NEVER"],
        content: CONTENT,
        notices: 2,
      },
      { what: "expiry", sender: "t3@orig.example", recipients: ["later@d.example"], content: CONTENT, notices: 2 },
      { what: "a bounce", sender: "", recipients: ["bad@d.example"], content: CONTENT, notices: 1 },
      {
        what: "a success that a null sender asked for",
        sender: "",
        recipients: ["good@d.example NOTIFY=SUCCESS"],
        content: CONTENT,
        notices: 1,
      },
      {
        what: "a bounce of a bounce",
        sender: "bad@orig.example",
        recipients: ["bad@d.example"],
        content: CONTENT,
        notices: 2,
      },
    ],
  },
  {
    name: "SMTPUTF8",
    main: "",
    cases: [
      {
        what: "a message that asks for it",
        sender: "q1@orig.example",
        options: "SMTPUTF8 BODY=8BITMIME",
        recipients: ["bad@d.example"],
        content: CONTENT,
        notices: 1,
      },
      {
        what: "a recipient that is not ASCII",
        sender: "q2@orig.example",
        options: "SMTPUTF8 BODY=8BITMIME",
        recipients: ["bad\xf6@d.example ORCPT=utf-8;bad\\x{F6}@d.example"],
        content: CONTENT,
        notices: 1,
      },
      {
        what: "headers alone, and a delivery",
        sender: "q3@orig.example",
        options: "SMTPUTF8 BODY=8BITMIME RET=HDRS",
        recipients: ["bad@d.example", "good@d.example NOTIFY=SUCCESS"],
        content: `Subject: \xc3\xa4\r\n${HEAD}x\r\n`,
        notices: 2,
      },
      {
        what: "a message that does not ask for it",
        sender: "q4@orig.example",
        recipients: ["bad@d.example"],
        content: CONTENT,
        notices: 1,
      },
    ],
  },
  {
    name: "a limit below the size of the headers",
    main: "bounce_size_limit = 100\n",
    cases: [
      { what: "all headers", sender: "p1@orig.example", recipients: ["bad@d.example"], content: CONTENT, notices: 1 },
      {
        what: "a message that is not one",
        sender: "p2@orig.example",
        recipients: ["bad@d.example"],
        content: "Subject: x\r\nno header\r\nX-Y: z\r\n\r\nbody\r\n",
        notices: 1,
      },
    ],
  },
];

function normalised(text: string, port: number): string {
  return text
    .replace(/\d{14}\.[0-9A-F]{10,12}(?=@)/g, "STAMP.QID")
    .replace(/\b[0-9A-F]{10,12}\b/g, "QID")
    .replace(/QID\.\d{10}\//g, "QID.TIME/")
    .replace(/\w{3}, [ \d]\d \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4} \(\w+\)/g, "DATE")
    .replaceAll(String(port), "PORT");
}

/** Notices in an order that does not depend on timing. */
function notices(sink: Sink): string[] {
  const kept = sink.messages.filter(({ content }) => /\r\nContent-Type: multipart\/report;/.test(content));
  return kept.map(({ sender, recipients, content }) => {
    return `MAIL ${sender}\r\nRCPT ${recipients.join()}\r\n${normalised(content, sink.port)}`;
  }).sort();
}

interface Fields {
  readonly subject: string | undefined;
  readonly from: string | undefined;
  readonly text: string | undefined;
  readonly parts: readonly string[];
  readonly status: readonly string[];
}

async function fieldsOf(notice: string): Promise<Fields> {
  const mail = await simpleParser(notice.replace(/^MAIL.*\r\nRCPT.*\r\n/, ""), { keepDeliveryStatus: true });
  return {
    subject: mail.subject,
    from: mail.from?.text,
    text: mail.text,
    parts: mail.attachments.map(({ contentType, content }) => `${contentType} ${content.length}`),
    status: mail.attachments[0]!.content.toString("latin1").split(/\r?\n(?! )/),
  };
}

const bounceLines = (log: string): string[] =>
  [...log.matchAll(/postfix\/bounce\[\d+\]: (.* notification: .*)$/gm)].map((match) =>
    match[1]!.replace(/\b[0-9A-F]{10,12}\b/g, "QID")
  )
    .sort();

describe("notices beside Debian's Postfix", { skip: !debianPostfix }, () => {
  for (const { name, main, cases } of SETTINGS) {
    describe(name, () => {
      const sinks: Sink[] = [];
      let theirs: DebianPostfix;
      let ours: Running;
      before(async () => {
        writeFileSync(TEMPLATE_FILE, TEMPLATES, "latin1");
        for (let at = 0; at < 2; at++) {
          const seen = new Map<string, number>();
          const keywords = ["8BITMIME", "SIZE 0", ...name === "SMTPUTF8" ? ["SMTPUTF8"] : []];
          sinks.push(await Sink.start({ answer: (line) => answer(line, seen), dot, keywords }));
        }
        const settings = (port: number): string =>
          `${main}relayhost = [127.0.0.1]:${port}\nsmtpd_relay_restrictions = permit_mynetworks, reject\n`;
        theirs = await startDebianPostfix(settings(sinks[0]!.port));
        ours = await startPostrider({ main: `${settings(sinks[1]!.port)}mail_name = Postfix\n` });
      });
      after(async () => {
        theirs.stop();
        await ours.remove();
        for (const sink of sinks) await sink.close();
        rmSync(TEMPLATE_FILE);
      });

      for (const { what, notices: expected, ...mail } of cases) {
        it(`are the same for ${what}`, async () => {
          for (const sink of sinks) sink.messages.length = 0;
          for (const { port } of [theirs, ours]) assert.match(await submit(port, mail), /^250 2\.0\.0 Ok: queued/);
          const counts = (): string => sinks.map((sink) => notices(sink).length).join();
          await until(
            () => counts() === `${expected},${expected}`,
            20_000,
            () => `${counts()}\n${ours.log}\n${theirs.log()}`,
          );
          const [of, by] = sinks.map(notices) as [string[], string[]];
          assert.deepEqual(await Promise.all(by.map(fieldsOf)), await Promise.all(of.map(fieldsOf)));
          assert.deepEqual(by, of);
        });
      }

      it("are logged the same", async () => {
        const both = (): string => [ours.log, theirs.log()].map((log) => bounceLines(log).join("\n")).join("\n\n");
        await until(() => bounceLines(ours.log).length === bounceLines(theirs.log()).length, 5_000, both);
        assert.deepEqual(bounceLines(ours.log), bounceLines(theirs.log()));
      });
    });
  }
});
