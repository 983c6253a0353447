/**
 * Address verification beside Debian's Postfix: the same next hop, addresses and settings; the same replies, probes and
 * log lines. Ours answers as soon as the probe does; Postfix looks every address_verify_poll_delay.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Running, startPostrider, until } from "../postrider.ts";
import { Sink } from "../sink.ts";
import { SmtpClient } from "../smtp-client.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix } from "./debian-postfix.ts";

/** By the recipient's name. */
const ANSWERS: Readonly<Record<string, string>> = {
  bad: "550 5.1.1 no such user",
  slow: "451 4.2.0 later",
  odd: "352 what",
  closed: "",
};

function answer(line: string): string | null {
  const [, name = ""] = /^RCPT TO:<([a-z]+)/.exec(line) ?? [];
  if (/^MAIL FROM:<(?!(?:double-bounce|probe)[0-9B-Z]*@)/.test(line)) return "550 5.7.1 only probes";
  return ANSWERS[name] ?? null;
}

const main = (port: number): string => `
mydomain = test.example
myorigin = home.example
mydestination = home.example
alias_maps =
local_recipient_maps =
virtual_alias_maps = inline:{{alias@home.example=good8@far.example},
 {group@home.example=bad9@far.example good9@far.example}}
virtual_mailbox_domains = vm.example
virtual_mailbox_maps = inline:{m@vm.example=m/, f@vm.example=f}
virtual_mailbox_base = /nowhere
virtual_uid_maps = static:1000
virtual_gid_maps = static:1000
transport_maps = inline:{{error.example=error:5.1.2 not here}, {dead.example=smtp:[127.0.0.1]:1},
 {probe.example=discard:}}
address_verify_transport_maps = $transport_maps inline:{{odd.example=error:5.1.2 for probes},
 {retry.example=retry:4.0.0 wait}}
relayhost = [127.0.0.1]:9
address_verify_relayhost = [127.0.0.1]:${port}
defer_transports =
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_reject_unlisted_recipient = no
address_verify_poll_count = 2
address_verify_poll_delay = 1s
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtp_destination_concurrency_failed_cohort_limit = 0
`;

interface Case {
  readonly title: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly lines: readonly string[];
}

const RECIPIENT = { smtpd_recipient_restrictions: "reject_unverified_recipient" };
const SENDER = { smtpd_sender_restrictions: "reject_unverified_sender" };
const to = (
  ...addresses: string[]
): string[] => ["MAIL FROM:<>", ...addresses.map((address) => `RCPT TO:<${address}>`)];
const from = (...addresses: string[]): string[] =>
  addresses.flatMap((address) => [`MAIL FROM:<${address}>`, "RCPT TO:<x@far.example>", "RSET"]);

const CASES: readonly Case[] = [
  {
    title: "recipients that the next hop decides about",
    settings: RECIPIENT,
    lines: to("good1@far.example", "bad1@far.example", "slow1@far.example", "odd1@far.example", "closed1@far.example"),
  },
  {
    title: "recipients of this host",
    settings: RECIPIENT,
    lines: to("root@home.example", "nobody-here@home.example", "m@vm.example", "f@vm.example", "n@vm.example"),
  },
  {
    title: "recipients by routes and aliases",
    settings: RECIPIENT,
    lines: to("x@error.example", "x@dead.example", "x@odd.example", "x@retry.example", "alias@home.example"),
  },
  {
    title: "permanent codes, and a reason of the site's own",
    settings: {
      ...RECIPIENT,
      unverified_recipient_reject_code: "550",
      unverified_recipient_defer_code: "451",
      unverified_recipient_reject_reason: "Go away",
    },
    lines: to("bad2@far.example", "slow2@far.example", "good2@far.example"),
  },
  {
    title: "permanent code with the next hop's reason",
    settings: { ...RECIPIENT, unverified_recipient_reject_code: "577" },
    lines: to("bad3@far.example", '"bad 3"@far.example', "bad@home.example"),
  },
  {
    title: "codes that let pass",
    settings: { ...RECIPIENT, unverified_recipient_reject_code: "250", unverified_recipient_defer_code: "250" },
    lines: to("bad4@far.example", "slow4@far.example"),
  },
  {
    title: "defer at once",
    settings: {
      smtpd_recipient_restrictions: "reject_unverified_recipient, reject",
      unverified_recipient_tempfail_action: "defer",
    },
    lines: to("slow5@far.example", "good5@far.example"),
  },
  {
    title: "defer_if_permit, and a refusal behind it",
    settings: { smtpd_recipient_restrictions: "reject_unverified_recipient, reject" },
    lines: to("slow6@far.example"),
  },
  {
    title: "senders",
    settings: { ...SENDER, unverified_sender_reject_code: "550" },
    lines: from(
      "good7@far.example",
      "bad7@far.example",
      "slow7@far.example",
      "root@home.example",
      "",
      "gone@vm.example",
    ),
  },
  {
    title: "senders, with codes by default",
    settings: { ...SENDER, unverified_sender_reject_reason: "unknown to us" },
    lines: from("bad8@far.example", "slow8@far.example"),
  },
  {
    title: "only a warning",
    settings: { smtpd_recipient_restrictions: "warn_if_reject reject_unverified_recipient" },
    lines: to("bad10@far.example"),
  },
  {
    title: "the sender of probes is always taken",
    settings: { smtpd_recipient_restrictions: "reject" },
    lines: to("double-bounce@home.example", "double-bounce", "Double-Bounce@home.example", "other@home.example"),
  },
];

const FIRST_PORT = 12_400;

describe("address verification beside Debian's Postfix", { skip: !debianPostfix }, () => {
  let sinks: { readonly ours: Sink; readonly theirs: Sink };
  let ours: Running;
  let theirs: DebianPostfix;
  const told: Record<"ours" | "theirs", string[][]> = { ours: [], theirs: [] };

  before(async () => {
    sinks = { ours: await Sink.start({ answer }), theirs: await Sink.start({ answer }) };
    const services = (first: number): string =>
      CASES.map(({ settings }, at) => {
        const options = Object.entries(settings).map(([name, value]) => ` -o { ${name} = ${value} }`).join("");
        return `127.0.0.1:${first + 2 * at} inet n - n - - smtpd${options}`;
      }).join("\n");
    theirs = await startDebianPostfix(main(sinks.theirs.port), { services: services(FIRST_PORT + 1) });
    ours = await startPostrider({ main: main(sinks.ours.port), master: services(FIRST_PORT) });
    const dialogue = async (port: number, lines: readonly string[]): Promise<string[]> => {
      const client = await (await SmtpClient.connect(port)).greeted();
      const replies: string[] = [];
      for (const line of lines) replies.push(`${line} -> ${await client.ask(line)}`);
      client.close();
      return replies;
    };
    for (const [side, first] of [["ours", FIRST_PORT], ["theirs", FIRST_PORT + 1]] as const) {
      told[side] = await Promise.all(CASES.map(({ lines }, at) => dialogue(first + 2 * at, lines)));
    }
  });
  after(async () => {
    await ours?.remove();
    theirs?.stop();
    await sinks?.ours.close();
    await sinks?.theirs.close();
  });

  const plain = (text: string): string =>
    text.replaceAll(String(sinks.ours.port), "PORT")
      .replaceAll(String(sinks.theirs.port), "PORT");

  for (const [at, { title }] of CASES.entries()) {
    test(`the same replies: ${title}`, () => {
      assert.deepEqual(told.ours[at]!.map(plain), told.theirs[at]!.map(plain));
    });
  }

  test("the next hop hears the same probes", () => {
    const heard = ({ commands }: Sink): string[] =>
      commands.map((line) => line.replace(/ (?:SIZE|ORCPT)=.*/, "")).filter((line) => /^(?:MAIL|RCPT|DATA)/.test(line))
        .sort();
    assert.deepEqual(heard(sinks.ours), heard(sinks.theirs));
    assert.deepEqual(sinks.ours.messages, []);
  });

  test("the log tells the same of them, and nothing is left in the queue", async () => {
    const lines = (log: string): string[] =>
      [...log.matchAll(/: (?:to=<[^>]*>, .*status=.*|from=<double-bounce.*)$/gm)].map(([line]) =>
        plain(line).replace(/ delays?=[\d./]+,/g, "").replace(/conn_use=\d+, /, "").replace(/size=\d+/, "")
      ).sort();
    await until(() => lines(ours.log).length === lines(theirs.log()).length, 5_000, () => "").catch(() => {});
    assert.deepEqual(lines(ours.log), lines(theirs.log()));
    const probes = (log: string): number => [...log.matchAll(/from=<double-bounce/g)].length;
    const removed = (log: string): number => [...log.matchAll(/: removed$/gm)].length;
    await until(() => removed(ours.log) === probes(ours.log), 5_000, () => ours.log);
  });
});
