/**
 * What name servers fail to say never refuses for good. Seen to fail when: unsure is refused like none; OK of
 * check_*_mx_access permits.
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionFacts } from "../../src/smtpd/facts.ts";
import { Stages } from "../../src/smtpd/stages.ts";
import { FACTS, type FakeZone, judged, memory, services, shown, type World } from "./policy.ts";

const mx = (...hosts: string[]) => hosts.map((exchange, at) => ({ preference: at, exchange }));
const ZONE: FakeZone = {
  "x.example MX": mx("mx.x.example"),
  "aonly.example A": ["198.51.100.1"],
  "six.example AAAA": ["2001:db8::1"],
  "null.example MX": [{ preference: 0, exchange: "" }],
  "slow.example MX": "unsure",
  "slow.example A": "unsure",
  "half.example MX": "unsure",
  "half.example A": ["198.51.100.1"],
  "bad.example MX": "records",
  "loop.example MX": "loop",
  "loop.example A": "loop",
  "loop.example AAAA": "loop",
  "helo.example A": ["203.0.113.10"],
  "mx.x.example A": ["198.51.100.25"],
  "x.example NS": ["ns.x.example"],
  "ns.x.example A": ["198.51.100.53"],
  "here.example MX": mx("mx.x.example", "me.example"),
  "first.example MX": mx("me.example", "mx.x.example"),
  "me.example A": ["192.0.2.2"],
};

const sender = (domain: string): Partial<SessionFacts> => ({ sender: `s@${domain}` });
const recipient = (domain: string): Partial<SessionFacts> => ({ recipient: `r@${domain}` });
const HARD = "unknown_address_reject_code = 550\nunknown_hostname_reject_code = 550";

const ROWS: readonly (readonly [string, Partial<SessionFacts>, string, string?])[] = [
  ["reject_unknown_sender_domain", sender("x.example"), "dunno"],
  ["reject_unknown_sender_domain", sender("aonly.example"), "dunno"],
  ["reject_unknown_sender_domain", sender("six.example"), "dunno"],
  ["reject_unknown_sender_domain", sender("half.example"), "dunno"],
  ["reject_unknown_sender_domain", { sender: "" }, "dunno"],
  ["reject_unknown_sender_domain", sender("home.example"), "dunno"],
  ["reject_unknown_sender_domain", sender("[203.0.113.9]"), "dunno"],
  [
    "reject_unknown_sender_domain",
    sender("gone.example"),
    "550 5.1.8 <s@gone.example>: Sender address rejected: Domain not found",
    HARD,
  ],
  ["reject_unknown_sender_domain", sender("slow.example"), "dunno", HARD],
  [
    "reject_unknown_sender_domain",
    sender("slow.example"),
    "450 4.1.8 <s@slow.example>: Sender address rejected: Domain not found",
    `${HARD}\nreject_tempfail_action = defer`,
  ],
  [
    "reject_unknown_sender_domain",
    sender("null.example"),
    "550 5.7.27 <s@null.example>: Sender address rejected: Domain null.example does not accept mail (nullMX)",
  ],
  [
    "reject_unknown_recipient_domain",
    recipient("null.example"),
    "556 5.1.10 <r@null.example>: Recipient address rejected: Domain null.example does not accept mail (nullMX)",
  ],
  [
    "reject_unknown_recipient_domain",
    recipient("gone.example"),
    "450 4.1.2 <r@gone.example>: Recipient address rejected: Domain not found",
  ],
  [
    "reject_unknown_recipient_domain",
    recipient("bad.example"),
    "450 4.1.2 <r@bad.example>: Recipient address rejected: Malformed DNS server reply",
  ],
  [
    "reject_unknown_sender_domain",
    sender("loop.example"),
    "450 4.1.8 <s@loop.example>: Sender address rejected: Domain not found",
  ],
  ["reject_unknown_helo_hostname", {}, "dunno"],
  ["reject_unknown_helo_hostname", { helo: "null.example" }, "dunno"],
  ["reject_unknown_helo_hostname", { helo: "slow.example" }, "dunno", HARD],
  [
    "reject_unknown_helo_hostname",
    { helo: "gone.example" },
    "550 5.7.1 <gone.example>: Helo command rejected: Host not found",
    HARD,
  ],
  [
    "check_sender_mx_access inline:{{mx.x.example=450 name}}",
    {},
    "450 4.7.1 <s@x.example>: Sender address rejected: name",
  ],
  ["check_sender_mx_access inline:{{198.51.100=450 net}}", {}, "450 4.7.1 <s@x.example>: Sender address rejected: net"],
  [
    "check_sender_ns_access inline:{{198.51.100=450 net}}",
    { sender: "s@a.b.x.example" },
    "450 4.7.1 <s@a.b.x.example>: Sender address rejected: net",
  ],
  ["check_sender_ns_access inline:{{198.51.100=450 net}}", sender("slow.example"), "dunno"],
  ["check_helo_a_access inline:{{203.0.113=450 a}}", {}, "450 4.7.1 <helo.example>: Helo command rejected: a"],
  ["check_sender_mx_access static:OK", {}, "451 4.3.5 Server configuration error"],
  ["check_sender_mx_access static:OK", sender("null.example"), "dunno"],
  ["check_sender_mx_access static:OK", sender("slow.example"), "dunno"],
  ["permit_mx_backup", recipient("here.example"), "permit"],
  ["permit_mx_backup", recipient("first.example"), "dunno"],
  ["permit_mx_backup", recipient("x.example"), "dunno"],
  ["permit_mx_backup", recipient("here.example"), "permit", "permit_mx_backup_networks = 198.51.100.0/24"],
  ["permit_mx_backup", recipient("here.example"), "dunno", "permit_mx_backup_networks = 203.0.113.0/24"],
  [
    "permit_mx_backup, reject_unauth_destination",
    recipient("slow.example"),
    "450 4.4.4 <r@slow.example>: Recipient address rejected: Unable to look up mail exchanger information: " +
    "Host not found, try again",
  ],
];

describe("name servers", () => {
  for (const [words, facts, expected, main = ""] of ROWS) {
    test(`${words} ${JSON.stringify(facts)} ${main.replaceAll("\n", " ")}`, async () => {
      const world: World = { main: `${main}\ninet_protocols = ipv4`, zone: ZONE };
      assert.equal(shown(await judged(words, facts, world)), expected);
    });
  }
});

test("an outage refuses nobody for good: whatever cannot be looked up is put off at the end", async () => {
  const words = ["reject_unknown_sender_domain", "reject_unknown_helo_hostname", "reject_unknown_recipient_domain"];
  for (const word of words) {
    const main = `${HARD}\nsmtpd_recipient_restrictions = ${word}, permit\nrelay_domains = slow.example`;
    const facts = { ...FACTS, helo: "slow.example", sender: "s@slow.example", recipient: "r@slow.example" };
    const verdict = await new Stages(services({ main, zone: ZONE })).at("recipient", facts, memory());
    assert.match(shown(verdict), /^450 4\./, word);
  }
});
