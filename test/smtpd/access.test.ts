import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionFacts } from "../../src/smtpd/facts.ts";
import { addressKeys, domainKeys, fittingStatus, memberKeys, networkKeys } from "../../src/smtpd/access.ts";
import { clientFacts, judged, shown, type World } from "./policy.ts";

const names = (keys: readonly (readonly [string, boolean])[]): string[] =>
  keys.map(([key, partial]) => partial ? `(${key})` : key);

describe("keys, the closest first; those in brackets are not for tables of patterns", () => {
  test("hosts", () => {
    assert.deepEqual(names(domainKeys("c.isp.example", true)), ["c.isp.example", "(isp.example)", "(example)"]);
    assert.deepEqual(names(domainKeys("c.isp.example", false)), ["c.isp.example", "(.isp.example)", "(.example)"]);
    assert.deepEqual(names(domainKeys("1.2.3.4", true)), ["1.2.3.4"]);
    assert.deepEqual(names(domainKeys("dot.example.", true)), ["dot.example.", "(example.)"]);
    assert.deepEqual(names(domainKeys("", true)), []);
  });

  test("networks", () => {
    assert.deepEqual(names(networkKeys("203.0.113.9")), ["203.0.113.9", "(203.0.113)", "(203.0)", "(203)"]);
    assert.deepEqual(names(networkKeys("2001:db8::1")), ["2001:db8::1", "(2001:db8:)", "(2001:db8)", "(2001)"]);
  });

  test("addresses", () => {
    assert.deepEqual(names(addressKeys("User+Ext@X.Example", "+", true)), [
      "user+ext@x.example",
      ...["(user@x.example)", "(x.example)", "(example)", "(user+ext@)", "(user@)"],
    ]);
    assert.deepEqual(names(addressKeys("user+ext@x.example", "", false)), [
      "user+ext@x.example",
      ...["(x.example)", "(.example)", "(user+ext@)"],
    ]);
    assert.deepEqual(names(addressKeys("a b@x.example", "", true)), [
      ...['"a b"@x.example', "a b@x.example", "(x.example)", "(example)", '("a b"@)', "(a b@)"],
    ]);
  });

  test("members of a domain", () => {
    assert.deepEqual(names(memberKeys("u+e@home.example", "+", true)), [
      ...["u+e@home.example", "(u@home.example)", "(u+e)", "(u)", "(@home.example)"],
    ]);
    assert.deepEqual(names(memberKeys("u@x.example", "+", false)), ["u@x.example", "(@x.example)"]);
  });
});

const CLIENT = "<c.isp.example[203.0.113.9]>: Client host rejected:";
const ROWS: readonly (readonly [value: string, expected: string])[] = [
  ["OK", "permit"],
  ["relay", "permit"],
  ["123", "permit"],
  ["DUNNO", "dunno"],
  ["REJECT", `554 5.7.1 ${CLIENT} Access denied`],
  ["reject go away", `554 5.7.1 ${CLIENT} go away`],
  ["REJECT 5.7.9 go away", `554 5.7.9 ${CLIENT} go away`],
  ["REJECT 5.1.1 go away", `554 5.0.0 ${CLIENT} go away`],
  ["DEFER later", `450 4.7.1 ${CLIENT} later`],
  ["450 4.2.2 later", `450 4.2.2 ${CLIENT} later`],
  ["450 5.2.2 later", `450 4.2.2 ${CLIENT} later`],
  ["551 no", `551 5.7.1 ${CLIENT} no`],
  ["550", "permit"],
  ["PREPEND X: y", "dunno"],
  ["WARN look", "dunno"],
  ["DEFER_IF_PERMIT", "dunno"],
  ["nonsense", "451 4.3.5 Server configuration error"],
  ["hash:/x", "451 4.3.5 Server configuration error"],
  ["permit_mynetworks, reject", `554 5.7.1 ${CLIENT} Access denied`],
  ["check_client_access", "451 4.3.5 Server configuration error"],
];

describe("what a table says", () => {
  for (const [value, expected] of ROWS) {
    test(JSON.stringify(value), async () => {
      assert.equal(shown(await judged(`check_client_access static:{${value}}`)), expected);
    });
  }
});

describe("421 and 521 end the session", () => {
  for (const [value, close] of [["421 x", true], ["521 x", true], ["450 x", false]] as const) {
    test(value, async () => {
      const verdict = await judged(`check_client_access static:{${value}}`);
      assert.equal(typeof verdict === "object" && verdict.close, close);
    });
  }
});

const TABLES: readonly (readonly [string, Partial<SessionFacts>, string, World?])[] = [
  ["check_sender_access inline:{<>=OK}", { sender: "" }, "permit"],
  ["check_sender_access inline:{no=OK}", { sender: "" }, "permit", { main: "smtpd_null_access_lookup_key = no" }],
  ["check_sender_access inline:{<>=OK}", { sender: null }, "dunno"],
  ["check_client_access inline:{203.0.113=OK}", {}, "permit"],
  ["check_client_access inline:{unknown=OK}", clientFacts({ name: "unknown" }), "permit"],
  ["check_client_access inline:{.isp.example=OK}", {}, "dunno"],
  ["check_client_access inline:{.isp.example=OK}", {}, "permit", { main: "parent_domain_matches_subdomains =" }],
  ["check_helo_access inline:{example=OK}", {}, "permit"],
  ["check_recipient_access inline:{home.example=OK}", { recipient: "x%y@home.example" }, "dunno"],
  [
    "check_client_access fail:x, permit",
    {},
    `451 4.3.5 ${CLIENT} Server configuration error`,
  ],
  [
    "check_reverse_client_hostname_access inline:{isp.example=OK}",
    {},
    "451 4.3.5 Server configuration error",
  ],
  ["inline:{r@home.example=OK}", {}, "permit"],
  ["check_sender_access inline:{x.example=OK}", {}, "permit"],
];

describe("tables", () => {
  for (const [words, facts, expected, world] of TABLES) {
    test(`${words} ${JSON.stringify(facts)} ${world?.main ?? ""}`, async () => {
      assert.equal(shown(await judged(words, facts, world)), expected);
    });
  }
});

test("a status about addresses fits what is refused", () => {
  const ROWS = [
    ["5.1.1", "Sender address", "4.1.7"],
    ["5.1.2", "Sender address", "4.1.8"],
    ["5.1.99", "Sender address", "4.1.0"],
    ["4.1.7", "Recipient address", "4.1.3"],
    ["4.1.8", "Recipient address", "4.1.2"],
    ["5.1.6", "Recipient address", "4.1.6"],
    ["5.1.99", "Recipient address", "4.1.0"],
    ["5.1.1", "Helo command", "4.0.0"],
    ["5.7.1", "Sender address", "5.7.1"],
  ] as const;
  for (const [status, subject, expected] of ROWS) {
    assert.equal(fittingStatus(status, subject), expected, `${status} ${subject}`);
  }
});

test("what tables want done with the message is logged", async () => {
  const lines: string[] = [];
  const words = "check_sender_access static:HOLD, check_sender_access static:{FILTER smtp:x}, check_sender_access " +
    "static:{REDIRECT a@b.example}, check_sender_access static:{BCC c@d.example}, " +
    "check_sender_access static:{WARN hm}, " +
    "check_sender_access static:{FILTER}";
  assert.equal(await judged(words, {}, { lines }), "dunno");
  const end = " from=<s@x.example> to=<r@home.example> proto=ESMTP helo=<helo.example>";
  const sender = "<s@x.example>: Sender address";
  const from = "RCPT from c.isp.example[203.0.113.9]:";
  assert.deepEqual(lines, [
    `NOQUEUE: hold: ${from} ${sender} triggers HOLD action;${end}`,
    `NOQUEUE: filter: ${from} ${sender} triggers FILTER smtp:x;${end}`,
    `NOQUEUE: redirect: ${from} ${sender} triggers REDIRECT a@b.example;${end}`,
    `NOQUEUE: bcc: ${from} ${sender} triggers BCC c@d.example;${end}`,
    `NOQUEUE: warn: ${from} hm;${end}`,
    'access table static:{FILTER} entry "s@x.example" has FILTER entry without value',
  ]);
});
