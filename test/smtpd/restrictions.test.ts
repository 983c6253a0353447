import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionFacts } from "../../src/smtpd/facts.ts";
import { RESTRICTIONS } from "../../src/smtpd/restrictions.ts";
import { clientFacts, judged, shown, type World } from "./policy.ts";

type Row = readonly [words: string, facts: Partial<SessionFacts>, expected: string, world?: World];

const elsewhere = { recipient: "r@elsewhere.example" };
const inside = clientFacts({ name: "a", address: "192.0.2.7" });
const nameless = clientFacts({
  name: "unknown",
  nameStatus: "permanent",
  reverseName: "unknown",
  reverseStatus: "permanent",
});
const untold = clientFacts({
  name: "unknown",
  nameStatus: "temporary",
  reverseName: "unknown",
  reverseStatus: "temporary",
});
const forged = clientFacts({ name: "unknown", nameStatus: "forged" });
const RECIPIENT = "<r@home.example>: Recipient address rejected:";

const ROWS: readonly Row[] = [
  ["permit", {}, "permit"],
  ["PERMIT", {}, "permit"],
  ["reject", {}, `554 5.7.1 ${RECIPIENT} Access denied`],
  ["reject", { recipient: null }, "554 5.7.1 <DATA>: Data command rejected: Access denied"],
  ["reject", {}, `450 4.7.1 ${RECIPIENT} Access denied`, { main: "reject_code = 450" }],
  ["reject", {}, "450 4.7.1 Service unavailable", { main: "reject_code = 250" }],
  ["defer", {}, `450 4.3.2 ${RECIPIENT} Try again later`],
  ["permit_mynetworks", {}, "dunno"],
  ["permit_mynetworks", inside, "permit"],
  ["permit_mynetworks", {}, "451 4.3.0 <r@home.example>: Temporary lookup failure", { main: "mynetworks = fail:x" }],
  ["permit_inet_interfaces", {}, "dunno"],
  ["permit_inet_interfaces", clientFacts({ address: "192.0.2.2" }), "permit"],
  ["permit_auth_destination", {}, "permit"],
  ["permit_auth_destination", elsewhere, "dunno"],
  ["permit_auth_destination", { recipient: null }, "dunno"],
  ["reject_unauth_destination", {}, "dunno"],
  ["reject_unauth_destination", elsewhere, "554 5.7.1 <r@elsewhere.example>: Relay access denied"],
  [
    "reject_unauth_destination",
    elsewhere,
    "451 4.3.0 <r@elsewhere.example>: Temporary lookup failure",
    { main: "relay_domains = fail:x" },
  ],
  ["defer_unauth_destination", elsewhere, "454 4.7.1 <r@elsewhere.example>: Relay access denied"],
  [
    "check_relay_domains",
    elsewhere,
    "554 5.7.1 <r@elsewhere.example>: Recipient address rejected: Relay access denied",
  ],
  ["check_relay_domains", {}, "permit"],
  ["check_relay_domains", elsewhere, "permit", { main: "relay_domains = isp.example" }],
  ["reject_unknown_client", {}, "dunno"],
  [
    "reject_unknown_client_hostname",
    nameless,
    "450 4.7.25 Client host rejected: cannot find your hostname, [203.0.113.9]",
  ],
  [
    "reject_unknown_client_hostname",
    forged,
    "550 5.7.25 Client host rejected: cannot find your hostname, [203.0.113.9]",
    { main: "unknown_client_reject_code = 550" },
  ],
  [
    "reject_unknown_client_hostname",
    untold,
    "450 4.7.25 Client host rejected: cannot find your hostname, [203.0.113.9]",
    { main: "unknown_client_reject_code = 550" },
  ],
  [
    "reject_unknown_reverse_client_hostname",
    untold,
    "450 4.7.1 Client host rejected: cannot find your reverse hostname, [203.0.113.9]",
    { main: "unknown_client_reject_code = 550" },
  ],
  ["reject_unknown_reverse_client_hostname", forged, "dunno"],
  ["reject_non_fqdn_sender", {}, "dunno"],
  ["reject_non_fqdn_sender", { sender: "" }, "dunno"],
  ["reject_non_fqdn_sender", { sender: "s@[1.2.3.4]" }, "dunno"],
  ["reject_non_fqdn_sender", { sender: "s" }, "504 5.5.2 <s>: Sender address rejected: need fully-qualified address"],
  [
    "reject_non_fqdn_recipient",
    { recipient: "r@host" },
    "504 5.5.2 <r@host>: Recipient address rejected: need fully-qualified address",
  ],
  ["reject_invalid_hostname", {}, "dunno"],
  ["reject_invalid_helo_hostname", { helo: "" }, "dunno"],
  ["reject_invalid_helo_hostname", { helo: "1.2.3.4" }, "dunno"],
  ["reject_invalid_helo_hostname", { helo: "a..b" }, "501 5.5.2 <a..b>: Helo command rejected: Invalid name"],
  [
    "reject_invalid_helo_hostname",
    { helo: "[1.2.3]" },
    "501 5.5.2 <[1.2.3]>: Helo command rejected: invalid ip address",
  ],
  [
    "reject_non_fqdn_helo_hostname",
    { helo: "host" },
    "504 5.5.2 <host>: Helo command rejected: need fully-qualified hostname",
  ],
  ["permit_naked_ip_address", { helo: "1.2.3.4" }, "permit"],
  ["permit_naked_ip_address", { helo: "1.2.3.4.example" }, "dunno"],
  ["reject_unauth_pipelining", {}, "dunno"],
  ["reject_unauth_pipelining", { pipelined: true }, `503 5.5.0 ${RECIPIENT} Improper use of SMTP command pipelining`],
  ["reject_multi_recipient_bounce", { sender: "", recipients: 1 }, `550 5.5.3 ${RECIPIENT} Multi-recipient bounce`],
  ["reject_multi_recipient_bounce", { sender: "", recipients: 0 }, "dunno"],
  ["reject_multi_recipient_bounce", { ...clientFacts({ where: "DATA" }), sender: "", recipients: 1 }, "dunno"],
  ["reject_plaintext_session", {}, "450 4.7.1 Session encryption is required"],
  ["permit_sasl_authenticated, permit_tls_clientcerts, permit_tls_all_clientcerts", {}, "dunno"],
  ["check_ccert_access static:OK, check_sasl_access static:OK, reject_sender_login_mismatch", {}, "dunno"],
  ["sleep 0, permit", {}, "permit"],
];

describe("a restriction", () => {
  for (const [words, facts, expected, world] of ROWS) {
    test(`${words} ${JSON.stringify(facts)} ${world?.main ?? ""}`, async () => {
      assert.equal(shown(await judged(words, facts, world)), expected);
    });
  }
});

test("old and new names say the same", () => {
  const PAIRS = [
    ["reject_unknown_client", "reject_unknown_client_hostname"],
    ["reject_invalid_hostname", "reject_invalid_helo_hostname"],
    ["reject_non_fqdn_hostname", "reject_non_fqdn_helo_hostname"],
    ["reject_unknown_hostname", "reject_unknown_helo_hostname"],
    ["reject_unknown_address", "reject_unknown_sender_domain"],
    ["check_recipient_maps", "reject_unlisted_recipient"],
    ["reject_rbl", "reject_rbl_client"],
  ] as const;
  for (const [old, name] of PAIRS) assert.equal(RESTRICTIONS.has(old), RESTRICTIONS.has(name), old);
});

test("a list whose answers are in memory makes no promise", () => {
  const verdict = judged(
    "permit_mynetworks, reject_unauth_destination, check_sender_access inline:{y.example=REJECT}, " +
      "reject_non_fqdn_sender",
  );
  assert.equal(verdict, "dunno");
});
