import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConfigError } from "../../src/errors.ts";
import { compile, evaluate, hasRelayControl, type SessionFacts } from "../../src/smtpd/restrictions.ts";
import { FACTS, services, shown } from "./policy.ts";

type Row = readonly [string, Partial<SessionFacts>, string, string?];

const elsewhere = { recipient: "r@elsewhere.example" };
const inside = { client: { name: "a", address: "192.0.2.7" } };
const CONFIGURATION = "451 4.3.5 Server configuration error";

const ROWS: readonly Row[] = [
  ["permit", {}, "permit"],
  ["reject", {}, "554 5.7.1 <r@home.example>: Recipient address rejected: Access denied"],
  ["reject", { recipient: null }, "554 5.7.1 <s@x.example>: Sender address rejected: Access denied"],
  ["reject", {}, "450 4.7.1 <r@home.example>: Recipient address rejected: Access denied", "reject_code = 450"],
  ["defer", {}, "450 4.7.1 <r@home.example>: Recipient address rejected: Access denied"],
  ["permit_mynetworks", {}, "dunno"],
  ["permit_mynetworks", inside, "permit"],
  ["permit_mynetworks", {}, CONFIGURATION, "mynetworks = fail:here"],
  ["permit_auth_destination", {}, "permit"],
  ["permit_auth_destination", elsewhere, "dunno"],
  ["reject_unauth_destination", {}, "dunno"],
  ["reject_unauth_destination", elsewhere, "554 5.7.1 <r@elsewhere.example>: Relay access denied"],
  ["reject_unauth_destination", { routed: true }, "554 5.7.1 <r@home.example>: Relay access denied"],
  ["reject_unauth_destination", { routed: true }, "dunno", "allow_untrusted_routing = yes"],
  [
    "reject_unauth_destination",
    elsewhere,
    "451 4.3.0 <r@elsewhere.example>: Temporary lookup failure",
    "relay_domains = fail:x",
  ],
  ["defer_unauth_destination", elsewhere, "454 4.7.1 <r@elsewhere.example>: Relay access denied"],
  ["reject_non_fqdn_sender", {}, "dunno"],
  ["reject_non_fqdn_sender", { sender: "" }, "dunno"],
  ["reject_non_fqdn_sender", { sender: "s" }, "504 5.5.2 <s>: Sender address rejected: need fully-qualified address"],
  [
    "reject_non_fqdn_sender",
    { sender: "s@host" },
    "504 5.5.2 <s@host>: Sender address rejected: need fully-qualified address",
  ],
  ["reject_non_fqdn_recipient", { recipient: "Postmaster" }, "dunno"],
  [
    "reject_non_fqdn_recipient",
    { recipient: "r@host" },
    "504 5.5.2 <r@host>: Recipient address rejected: need fully-qualified address",
  ],
  [
    "check_sender_access inline:{{x.example=REJECT}}",
    {},
    "554 5.7.1 <s@x.example>: Sender address rejected: Access denied",
  ],
  ["check_sender_access inline:{{y.example=REJECT}}", {}, "dunno"],
  ["check_sender_access inline:{{<>=OK}}", { sender: "" }, "permit"],
  ["check_client_access inline:{{203.0.113=OK}}", {}, "permit"],
  ["check_client_access fail:x", {}, CONFIGURATION],
  ["check_client_access fail:x, permit", {}, CONFIGURATION],
  ["check_helo_access inline:{{example=DUNNO}}, permit", {}, "permit"],
];

describe("a restriction", () => {
  for (const [text, facts, expected, main] of ROWS) {
    test(`${text} ${JSON.stringify(facts)} ${main ?? ""}`, async () => {
      const checks = compile("smtpd_recipient_restrictions", text.split(/[ ,]+/), services(main));
      assert.equal(shown(await evaluate(checks, { ...FACTS, ...facts })), expected);
    });
  }
});

test("a bare table is looked up by the parameter's own kind", async () => {
  const table = "inline:{{c.isp.example=OK}}";
  assert.equal(await evaluate(compile("smtpd_client_restrictions", [table], services()), FACTS), "permit");
  assert.equal(await evaluate(compile("smtpd_sender_restrictions", [table], services()), FACTS), "dunno");
});

test("all faults of a list are told at once", () => {
  assert.throws(
    () => compile("smtpd_helo_restrictions", ["nonsense", "permit", "check_helo_access"], services()),
    (caught) => {
      assert.ok(caught instanceof ConfigError);
      assert.deepEqual(caught.faults, [
        'smtpd_helo_restrictions: unknown or not yet implemented restriction "nonsense"',
        "smtpd_helo_restrictions: check_helo_access needs a table",
      ]);
      return true;
    },
  );
});

test("relay control", () => {
  for (const word of ["reject", "defer", "reject_unauth_destination", "defer_unauth_destination"]) {
    assert.ok(hasRelayControl(["permit_mynetworks", word]));
  }
  assert.ok(!hasRelayControl(["permit_mynetworks", "permit"]));
});
