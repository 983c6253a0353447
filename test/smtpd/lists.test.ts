import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConfigError } from "../../src/errors.ts";
import { Lists } from "../../src/smtpd/lists.ts";
import { restrictionServices } from "../../src/smtpd/stages.ts";
import { judged, services, shown } from "./policy.ts";

const CLASSES = `smtpd_restriction_classes = one, two, loop
one = check_sender_access inline:{x.example=two}
two = defer
loop = check_sender_access inline:{x.example=loop}
`;

describe("lists", () => {
  const RECIPIENT = "<r@home.example>: Recipient address rejected:";
  const ROWS: readonly (readonly [string, string])[] = [
    ["one", "450 4.3.2 <s@x.example>: Sender address rejected: Try again later"],
    ["two, reject", `450 4.3.2 ${RECIPIENT} Try again later`],
    ["loop", "451 4.3.5 Server configuration error"],
    ["warn_if_reject reject, permit", "permit"],
    ["warn_if_reject two, permit", "permit"],
    ["warn_if_reject, reject, reject", `554 5.7.1 ${RECIPIENT} Access denied`],
    ["warn_if_reject check_client_access fail:x, permit", "permit"],
    ["defer_if_reject, reject", `450 4.7.0 ${RECIPIENT} defer_if_reject requested`],
    ["defer_if_reject, defer", `450 4.3.2 ${RECIPIENT} Try again later`],
    ["defer_if_permit, defer_if_reject, reject", "dunno"],
    ["check_sender_access static:DISCARD, reject", "permit"],
  ];
  for (const [words, expected] of ROWS) {
    test(words, async () => assert.equal(shown(await judged(words, {}, { main: CLASSES })), expected));
  }
});

test("all faults of a list are told at once", () => {
  assert.throws(
    () => judged("nonsense, permit, reject_rbl_client a.example=1.2, check_helo_access, check_helo_access"),
    (caught) => {
      assert.ok(caught instanceof ConfigError);
      assert.deepEqual(caught.faults, [
        'own_list: unknown restriction "nonsense"',
        'own_list: RBL reply error: bad address pattern in "a.example=1.2"',
        'own_list: restriction check_helo_access: bad argument "check_helo_access": need maptype:mapname',
      ]);
      return true;
    },
  );
});

test("a class needs a definition", () => {
  const lists = new Lists(restrictionServices(services({ main: "smtpd_restriction_classes = nowhere" })));
  assert.deepEqual(lists.faults, ["restriction class `nowhere' needs a definition"]);
});

describe("relay control", () => {
  const ROWS: readonly (readonly [string, boolean])[] = [
    ["permit_mynetworks reject", true],
    ["permit_mynetworks defer_unauth_destination", true],
    ["permit_mynetworks two", true],
    ["permit_mynetworks permit reject", false],
    ["warn_if_reject reject", false],
    ["permit_mynetworks", false],
    ["loop", false],
  ];
  for (const [words, expected] of ROWS) {
    test(words, () => {
      const lists = new Lists(restrictionServices(services({ main: CLASSES })));
      assert.equal(lists.hasRelayControl(words.split(" ")), expected);
    });
  }
});

test("warn_if_reject leaves a line instead of a refusal", async () => {
  const lines: string[] = [];
  assert.equal(await judged("warn_if_reject reject", {}, { lines }), "dunno");
  assert.deepEqual(lines, [
    "NOQUEUE: reject_warning: RCPT from c.isp.example[203.0.113.9]: 554 5.7.1 <r@home.example>: Recipient address " +
    "rejected: Access denied; from=<s@x.example> to=<r@home.example> proto=ESMTP helo=<helo.example>",
  ]);
});
