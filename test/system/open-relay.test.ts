/**
 * No open relay, beside Debian's Postfix: whatever form a stranger gives to an address elsewhere, and whatever address
 * the stranger comes from, no mail for elsewhere leaves. Recipients get the same replies; what is taken stays here.
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { type Running, startPostrider, until } from "../postrider.ts";
import { Sink } from "../sink.ts";
import { SmtpClient } from "../smtp-client.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix } from "./debian-postfix.ts";

const FIRST_PORT = 12_520;
const FAR = "far.example";
const HERE = "home.example";

const RECIPIENTS: readonly string[] = [
  `<v@${FAR}>`,
  `<v%${FAR}@${HERE}>`,
  `<v%${FAR}%${HERE}@${HERE}>`,
  `<v%${FAR}@[127.0.0.1]>`,
  `<v%${FAR}@relay.example>`,
  `<v%${FAR}@sub.relay.example>`,
  `<v%${FAR}@valias.example>`,
  `<v%${FAR}@vmail.example>`,
  `<v%${FAR}>`,
  `<${FAR}!v>`,
  `<${FAR}!v@${HERE}>`,
  `<${HERE}!${FAR}!v>`,
  `<${HERE}!v%${FAR}>`,
  `<${FAR}!v@relay.example>`,
  `<@${HERE}:v@${FAR}>`,
  `<@${HERE},@relay.example:v@${FAR}>`,
  `<@${FAR}:v@${HERE}>`,
  `<@[127.0.0.1]:v@${FAR}>`,
  `<"v@${FAR}"@${HERE}>`,
  `<"v%${FAR}"@${HERE}>`,
  `<"${FAR}!v"@${HERE}>`,
  `<"v@${FAR}"@relay.example>`,
  `<"v@${FAR}">`,
  `<"v%${FAR}">`,
  `<v\\@${FAR}@${HERE}>`,
  `<"v\\@${FAR}"@${HERE}>`,
  `<v@${FAR}@${HERE}>`,
  `<v@${FAR}.>`,
  `<v@${FAR.toUpperCase()}>`,
  "<v@[192.0.2.1]>",
  "<v@192.0.2.1>",
  "<v@[IPv6:2001:db8::1]>",
  "<v@[IPv6:::ffff:192.0.2.1]>",
  "<v@[IPv6:64:ff9b::c000:201]>",
  `<v@${HERE}.${FAR}>`,
  `<v@x${HERE}>`,
  `<v@xrelay.example>`,
  `<v@${FAR}%${HERE}>`,
  `<v@${FAR} @${HERE}>`,
  `<"v@${FAR} "@${HERE}>`,
  `v@${FAR}`,
  `<postmaster%${FAR}@${HERE}>`,
  `<postmaster@${FAR}>`,
  `<double-bounce@${FAR}>`,
  `<double-bounce%${FAR}@${HERE}>`,
];

/** Refused by both, if not always for the same reason: syntax, or relaying. */
const ODD: readonly string[] = [
  `<v%[192.0.2.1]@${HERE}>`,
  `<v@"${FAR}">`,
  `<v@${FAR}\0@${HERE}>`,
  `<v(@${HERE})@${FAR}>`,
];

/** Strangers who look like somebody we trust (10.0.0.0/8, 127.0.0.0/8, ::1). */
const CLIENTS: readonly string[] = [
  "203.0.113.9",
  "IPV6:::ffff:203.0.113.9",
  "IPV6:64:ff9b::7f00:1",
  "IPV6:64:ff9b::a00:1",
  "IPV6:2002:7f00:1::1",
  "IPV6:2002:a00:1::1",
  "IPV6:::7f00:1",
  "IPV6:2001:db8::127.0.0.1",
  "IPV6:::2",
  "[UNAVAILABLE]",
];

const SITE = (port: number): string =>
  `inet_protocols = all
mydomain = test.example
myorigin = ${HERE}
mydestination = ${HERE}
alias_maps =
local_recipient_maps =
smtpd_reject_unlisted_recipient = no
virtual_alias_domains = valias.example
virtual_alias_maps =
virtual_mailbox_domains = vmail.example
virtual_mailbox_base = /nowhere
relay_domains = relay.example
relay_transport = discard:
local_transport = discard:
virtual_transport = discard:
default_transport = smtp:[127.0.0.1]:${port}
mynetworks = 10.0.0.0/8, 127.0.0.0/8, [::1]/128
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_soft_error_limit = 10000
smtpd_hard_error_limit = 10000
smtpd_peername_lookup = no
`;

/** Each is a service. */
const SETTINGS: readonly string[] = [
  "-o smtpd_relay_restrictions=permit_mynetworks,reject_unauth_destination",
  "-o smtpd_relay_restrictions=permit_mynetworks,defer_unauth_destination",
  "-o smtpd_relay_restrictions= -o smtpd_recipient_restrictions=permit_mynetworks,check_relay_domains",
  "-o smtpd_relay_restrictions= -o smtpd_recipient_restrictions=permit_auth_destination,reject",
  "-o allow_percent_hack=no -o swap_bangpath=no",
  "-o strict_rfc821_envelopes=yes -o resolve_dequoted_address=no",
];

describe("no open relay, beside Debian's Postfix", { skip: !debianPostfix }, () => {
  let far: { readonly ours: Sink; readonly theirs: Sink };
  let ours: Running;
  let theirs: DebianPostfix;

  before(async () => {
    far = { ours: await Sink.start(), theirs: await Sink.start() };
    const services = (first: number): string =>
      SETTINGS.map((options, at) => `127.0.0.1:${first + 2 * at} inet n - n - - smtpd ${options}`).join("\n");
    theirs = await startDebianPostfix(SITE(far.theirs.port), { services: services(FIRST_PORT + 1) });
    ours = await startPostrider({ main: SITE(far.ours.port), master: services(FIRST_PORT) });
  });
  after(async () => {
    await ours?.remove();
    theirs?.stop();
    await far?.ours.close();
    await far?.theirs.close();
  });

  /** A mail to each recipient that is taken. */
  async function relayed(port: number, address: string, recipients: readonly string[]): Promise<string[]> {
    const client = await SmtpClient.connect(port);
    await client.reply();
    await client.ask(`XCLIENT ADDR=${address}`);
    await client.ask("EHLO client.example");
    const replies: string[] = [];
    for (const recipient of recipients) {
      await client.ask("MAIL FROM:<s@stranger.example>");
      const reply = await client.ask(`RCPT TO:${recipient}`);
      replies.push(`${recipient} -> ${reply}`);
      if (reply.startsWith("250")) {
        await client.ask("DATA");
        await client.ask("Subject: x\r\n\r\n.");
      } else await client.ask("RSET");
    }
    client.close();
    return replies;
  }

  for (const [at, settings] of SETTINGS.entries()) {
    test(`the same replies: ${settings}`, async () => {
      const [mine, other] = await Promise.all([
        relayed(FIRST_PORT + 2 * at, "203.0.113.9", RECIPIENTS),
        relayed(FIRST_PORT + 2 * at + 1, "203.0.113.9", RECIPIENTS),
      ]);
      assert.deepEqual(
        mine.map((reply) => reply.replace(/\r/g, "")),
        other.map((reply) => reply.replace(/\r/g, "")),
      );
    });
  }

  test("odd forms are refused everywhere", async () => {
    for (let at = 0; at < 2 * SETTINGS.length; at++) {
      for (const reply of await relayed(FIRST_PORT + at, "203.0.113.9", ODD)) assert.match(reply, / -> [45]\d\d /);
    }
  });

  test("strangers whose addresses look like ours are strangers", async () => {
    for (const address of CLIENTS) {
      const [mine, other] = await Promise.all([
        relayed(FIRST_PORT, address, [`<v@${FAR}>`]),
        relayed(FIRST_PORT + 1, address, [`<v@${FAR}>`]),
      ]);
      assert.deepEqual(mine, other, address);
      assert.match(mine[0]!, / -> 554 5\.7\.1 .*Relay access denied/, address);
    }
  });

  test("nothing left for elsewhere", async () => {
    const queued = (log: string): number => [...log.matchAll(/: (?:from=<s@stranger.example>)/g)].length;
    const done = (log: string): number => [...log.matchAll(/: removed$/gm)].length;
    await until(() => done(ours.log) >= queued(ours.log), 10_000, () => ours.log.slice(-3000));
    assert.deepEqual([far.ours.messages, far.theirs.messages], [[], []]);
    assert.ok(queued(ours.log) > 0, "what is for here was taken");
  });
});
