import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionFacts } from "../../src/smtpd/facts.ts";
import { addressQuery, domainQuery, parseDnsList, unescaped } from "../../src/smtpd/rbl.ts";
import { clientFacts, type FakeZone, judged, shown } from "./policy.ts";

const ZONE: FakeZone = {
  "9.113.0.203.bl.example A": ["127.0.0.2"],
  "9.113.0.203.bl.example TXT": ["see $why", "and more"],
  "9.113.0.203.slow.example A": "unsure",
  "9.113.0.203.wl.example A": ["127.0.0.1"],
  "x.example.rhs.example A": ["127.0.0.3"],
  "c.isp.example.rhs.example A": ["127.0.0.3"],
};

const LISTED = "554 5.7.1 Service unavailable; Client host [203.0.113.9] blocked using bl.example; see $why / and more";
const ROWS: readonly (readonly [string, Partial<SessionFacts>, string, string?])[] = [
  ["reject_rbl_client bl.example", {}, LISTED],
  ["reject_rbl_client bl.example=127.0.0.2", {}, LISTED],
  ["reject_rbl_client bl.example=127.0.0.[1..3;9]", {}, LISTED],
  ["reject_rbl_client bl.example=127.0.0.[3..9]", {}, "dunno"],
  ["reject_rbl_client bl.example", clientFacts({ address: "203.0.113.8" }), "dunno"],
  ["reject_rbl_client slow.example", {}, "dunno"],
  ["reject_rbl_client slow.example, reject_rbl_client bl.example", {}, LISTED],
  ["reject_maps_rbl", {}, LISTED, "maps_rbl_domains = slow.example bl.example"],
  [
    "reject_rhsbl_sender rhs.example",
    {},
    "554 5.7.1 Service unavailable; Sender address [s@x.example] blocked using rhs.example",
  ],
  ["reject_rhsbl_sender rhs.example", { sender: "" }, "dunno"],
  ["reject_rhsbl_sender rhs.example", { sender: "s@[1.2.3.4]" }, "dunno"],
  [
    "reject_rhsbl_client rhs.example",
    {},
    "554 5.7.1 Service unavailable; Client host [c.isp.example] blocked using rhs.example",
  ],
  ["reject_rhsbl_client rhs.example", clientFacts({ name: "unknown" }), "dunno"],
  ["permit_dnswl_client wl.example", {}, "permit"],
  ["permit_dnswl_client wl.example", { recipient: "r@elsewhere.example" }, "dunno"],
  ["permit_dnswl_client bl.example=127.0.0.9", {}, "dunno"],
  [
    "permit_dnswl_client slow.example, reject",
    {},
    "450 4.7.1 <203.0.113.9>: Client host rejected: Service unavailable",
  ],
  [
    "reject_rbl_client bl.example",
    {},
    "450 4.7.1 x c.isp.example[203.0.113.9] s x.example helo.example c.isp.example",
    "rbl_reply_maps = static:{450 x $$client $$sender_name $$sender_domain $$helo_name $$reverse_client_name}",
  ],
  ["reject_rbl_client bl.example", {}, LISTED, "rbl_reply_maps = static:{550 $$nonsense}"],
  ["reject_rbl_client bl.example", {}, "450 4.7.1 Service unavailable", "default_rbl_reply = $rbl_txt"],
  [
    "reject_rbl_client bl.example",
    {},
    "554 5.7.1 x s_____",
    "default_rbl_reply = 554 5.7.1 x $sender\nsmtpd_expansion_filter = s",
  ],
  ["reject_rbl_client bl.example", {}, "451 4.3.5 Server configuration error", "rbl_reply_maps = fail:x"],
];

describe("DNS lists", () => {
  for (const [words, facts, expected, main] of ROWS) {
    test(`${words} ${JSON.stringify(facts)} ${main ?? ""}`, async () => {
      const verdict = shown(await judged(words, facts, { zone: ZONE, ...main === undefined ? {} : { main } }));
      assert.equal(verdict.replace(/_{5,}$/, "_____"), expected);
    });
  }
});

test("all lists are asked before the first has answered", async () => {
  const asked: string[] = [];
  await judged("reject_rbl_client a.example, permit_mynetworks, reject_rbl_client b.example", {}, { asked });
  assert.deepEqual(asked.slice(0, 2), ["9.113.0.203.b.example A", "9.113.0.203.a.example A"]);
});

test("malformed filters", () => {
  for (
    const filter of ["", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.[4", "1.2.3.[]", "1.2.3.[5..4]", "a.b.c.d", "1..2.3"]
  ) {
    assert.equal(parseDnsList(`x.example=${filter}`), null, filter);
  }
  for (const filter of ["1.2.3.4", "[1.2.3.4]", "[1..2].2.3.[4;5..6]"]) {
    assert.notEqual(parseDnsList(`x.example=${filter}`), null, filter);
  }
});

test("questions", () => {
  const list = parseDnsList("x.example=127.0.0.1")!;
  assert.equal(addressQuery(list, "1.2.3.4"), "4.3.2.1.x.example");
  assert.match(addressQuery(list, "2001:db8::1")!, /^1\.0\.0\.(0\.){20}0\.8\.b\.d\.0\.1\.0\.0\.2\.x\.example$/);
  assert.equal(domainQuery(list, "s@a.example"), "a.example.x.example");
  for (const what of ["", "s@", "s@[1.2.3.4]", "1.2.3.4", "a.1", "-bad.example"]) {
    assert.equal(domainQuery(list, what), null, what);
  }
});

test("escapes of smtpd_expansion_filter", () => assert.equal(unescaped("\\t\\40\\\\a\\101"), "\t \\aA"));
