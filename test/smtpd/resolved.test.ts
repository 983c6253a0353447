/**
 * No stranger gets mail relayed, however the recipient is written. Seen to fail when: authorised() trusts a routed
 * address; OK of check_recipient_access counts for one; an own domain is not taken off before "%", "!" and "@".
 */

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseEnvelopeAddress } from "../../src/smtpd/envelope-address.ts";
import { resolveAddress } from "../../src/smtpd/resolved.ts";
import { clientFacts, judged, services, shown } from "./policy.ts";

const MAIN = `mydomain = test.example
myorigin = home.example
relay_domains = relay.example
virtual_mailbox_domains = vmail.example
append_dot_mydomain = yes
`;

/** What RCPT TO says, and whether it is for us: all others must be denied. */
const RECIPIENTS: readonly (readonly [string, boolean])[] = [
  ["<r@home.example>", true],
  ["<r@HOME.example>", true],
  ["<r@home.example.>", true],
  ["<r>", true],
  ["<r@relay.example>", true],
  ["<r@vmail.example>", true],
  ["<@evil.example:r@home.example>", true],
  ["<r%home.example@home.example>", true],
  ["<r@evil.example>", false],
  ["<r%evil.example@home.example>", false],
  ["<r%evil.example%home.example@home.example>", false],
  ["<r%evil.example@relay.example>", false],
  ["<r%evil.example@vmail.example>", false],
  ["<r%evil.example>", false],
  ["<evil.example!r>", false],
  ["<evil.example!r@home.example>", false],
  ["<home.example!evil.example!r@home.example>", false],
  ["<evil.example!r%home.example@home.example>", false],
  ["<r@evil.example@home.example>", false],
  ["<r@evil.example@relay.example>", false],
  ['<"r@evil.example"@home.example>', false],
  ['<"r%evil.example"@home.example>', false],
  ['<"evil.example!r"@home.example>', false],
  ['<"r@evil.example"@relay.example>', false],
  ['<"r@evil.example">', false],
  ["<@home.example:r@evil.example>", false],
  ["<@home.example,@relay.example:r@evil.example>", false],
  ["<r@[203.0.113.1]>", false],
  ["<r%[203.0.113.1]@home.example>", false],
  ["<r@xhome.example>", false],
  ["<r@home.example.evil.example>", false],
];

const CLIENTS = ["203.0.113.9", "2001:db8::1", "::ffff:192.0.2.1", "::ffff:203.0.113.9", "192.0.2.1.", "::192.0.2.1"];

describe("open relay matrix", () => {
  for (const [text, own] of RECIPIENTS) {
    test(`${text} is ${own ? "ours" : "denied"}`, async () => {
      const parsed = parseEnvelopeAddress(text, false);
      if (parsed === null) return assert.ok(!own);
      for (const list of ["reject_unauth_destination", "permit_auth_destination, reject", "permit_mx_backup, reject"]) {
        for (const address of own ? CLIENTS.slice(0, 1) : CLIENTS.filter((one) => one !== "::ffff:192.0.2.1")) {
          const facts = { recipient: parsed.address, ...clientFacts({ address }) };
          const verdict = shown(await judged(`permit_mynetworks, ${list}`, facts, { main: MAIN }));
          assert.equal(/^(permit|dunno)$/.test(verdict), own, `${address} ${list}: ${verdict}`);
          assert.match(verdict, own ? /^(permit|dunno)$/ : /^554 5\.7\.1 /);
        }
      }
    });
  }
});

test("OK for a recipient that routes on does not permit", async () => {
  const facts = { recipient: "r%evil.example@relay.example" };
  assert.equal(await judged("check_recipient_access static:OK", facts, { main: MAIN }), "dunno");
});

test("resolved form", async () => {
  const { config, classes } = services({ main: MAIN });
  const ROWS = [
    ["r", "r@home.example", "local", false],
    ["r%x.example@home.example", "r@x.example", "default", false],
    ["r%x.example@relay.example", "r%x.example@relay.example", "relay", true],
    ["r@host", "r@host.test.example", "default", false],
    ['"a b"@home.example', "a b@home.example", "local", false],
    ["@relay.example:r@home.example", "r@home.example", "local", false],
    ['@relay.example:"r@x.example"@home.example', "r@x.example", "default", false],
    ['""@home.example', "MAILER-DAEMON@home.example", "local", false],
  ] as const;
  for (const [address, expected, domainClass, routed] of ROWS) {
    const found = await resolveAddress(address, config, classes);
    assert.deepEqual([found.address, found.domainClass, found.routed], [expected, domainClass, routed], address);
  }
});
