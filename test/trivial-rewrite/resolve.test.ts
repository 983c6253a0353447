import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadConfig } from "../../src/config/config.ts";
import { plainRecipient } from "../../src/envelope.ts";
import { AddressClasses } from "../../src/trivial-rewrite/resolve.ts";
import { AddressResolver } from "../../src/trivial-rewrite/resolver.ts";
import { configured } from "../config/fake-runtime.ts";

const CLASSES = `myhostname = mx.example.com
mydestination = mx.example.com, home.example
virtual_alias_domains = alias.example
virtual_mailbox_domains = box.example
relay_domains = relay.example
inet_interfaces = all
parent_domain_matches_subdomains = relay_domains
`;

function made(main = ""): { classes: AddressClasses; resolve: (address: string, filter?: string) => Promise<string> } {
  const { runtime } = configured(CLASSES + main);
  const config = loadConfig(runtime, "/etc/postfix").main;
  const classes = new AddressClasses(config, runtime);
  const resolver = new AddressResolver(config, classes, runtime);
  return {
    classes,
    resolve: async (address, filter) => {
      const found = await resolver.resolve(plainRecipient(address), filter === undefined ? {} : { filter });
      return found.kind === "unsure"
        ? `unsure: ${found.why}`
        : `${found.transport} ${found.nexthop} ${found.recipient}`;
    },
  };
}

describe("the class of an address", () => {
  const { classes } = made();
  for (
    const [address, expected] of [
      ["user", "local"],
      ["u@home.example", "local"],
      ["u@HOME.example", "local"],
      ["u@sub.home.example", "default"],
      ["u@[192.0.2.2]", "local"],
      ["u@[127.0.0.1]", "local"],
      ["u@[ipv6:fd00::2]", "local"],
      ["u@[192.0.2.3]", "default"],
      ["u@alias.example", "virtual-alias"],
      ["u@box.example", "virtual"],
      ["u@relay.example", "relay"],
      ["u@sub.relay.example", "relay"],
      ["u@elsewhere.example", "default"],
    ] as const
  ) test(`${address}: ${expected}`, async () => assert.equal(await classes.of(address), expected));

  test("a table that cannot answer makes it unsure, never default", async () => {
    const answer = await made("relay_domains = fail:here").classes.of("u@elsewhere.example");
    assert.equal(answer, "unsure");
  });
});

const ROWS: readonly (readonly [string, string, string])[] = [
  ["", "u@elsewhere.example", "smtp elsewhere.example u@elsewhere.example"],
  ["", "u@home.example", "local mx.example.com u@home.example"],
  ["", "u@box.example", "virtual box.example u@box.example"],
  ["", "u@relay.example", "relay relay.example u@relay.example"],
  ["", "u@alias.example", "error 5.1.1 User unknown in virtual alias table u@alias.example"],
  ["relayhost = [r.example]:587", "u@elsewhere.example", "smtp [r.example]:587 u@elsewhere.example"],
  ["relayhost = r.example", "u@relay.example", "relay r.example u@relay.example"],
  ["relayhost = r.example", "u@home.example", "local mx.example.com u@home.example"],
  ["virtual_transport = lmtp:unix:/run/lmtp", "u@box.example", "lmtp unix:/run/lmtp u@box.example"],
  ["transport_maps = inline:{ {x.example = smtp:[a]:26} }", "u@x.example", "smtp [a]:26 u@x.example"],
  [
    "transport_maps = inline:{ {u@x.example = slow:} {x.example = smtp:[a]} }",
    "u@x.example",
    "slow x.example u@x.example",
  ],
  ["transport_maps = inline:{ {.x.example = :[b]} }", "u@s.x.example", "smtp [b] u@s.x.example"],
  ["transport_maps = inline:{ {.x.example = :[b]} }", "u@x.example", "smtp x.example u@x.example"],
  ["transport_maps = inline:{ {* = other:c} {x.example = :} }", "u@x.example", "smtp x.example u@x.example"],
  ["transport_maps = inline:{ {* = other:c} }", "u@home.example", "other c u@home.example"],
  ["relayhost = r\ntransport_maps = inline:{ {x.example = slow:} }", "u@x.example", "slow x.example u@x.example"],
  ["transport_maps = fail:here", "u@x.example", "unsure: address resolver failure"],
  ["relay_domains = fail:here", "u@x.example", "unsure: address resolver failure"],
];

describe("transport and next hop", () => {
  for (const [main, address, expected] of ROWS) {
    test(`${main} ${address}`, async () => assert.equal(await made(main).resolve(address), expected));
  }
});

describe("routing within the local part", () => {
  const rows: readonly (readonly [string, string, string])[] = [
    ["", "u%far.example@home.example", "smtp far.example u@far.example"],
    ["", '"u@far.example"@home.example', "smtp far.example u@far.example"],
    ["", '"u%far.example"@[127.0.0.1]', "smtp far.example u@far.example"],
    ["", "far.example!u@home.example", "smtp far.example u@far.example"],
    ["", "u%far.example@relay.example", "relay relay.example u%far.example@relay.example"],
    ["allow_percent_hack = no", "u%far.example@home.example", "local mx.example.com u%far.example@home.example"],
    ["", "-u@far.example", "error 5.1.3 bad address syntax -u@far.example"],
    ["allow_min_user = yes", "-u@far.example", "smtp far.example -u@far.example"],
    ["resolve_numeric_domain = yes", "u@192.0.2.2", "local mx.example.com u@[192.0.2.2]"],
    [
      "relocated_maps = inline:{ {u@far.example = new@x.example} }",
      "u@far.example",
      "error 5.1.6 User has moved to new@x.example u@far.example",
    ],
    ["sender_dependent_relayhost_maps = inline:{ {<> = [r]} }", "u@far.example", "smtp [r] u@far.example"],
    [
      "sender_dependent_default_transport_maps = inline:{ {<> = slow:} }",
      "u@far.example",
      "slow far.example u@far.example",
    ],
  ];
  for (const [main, address, expected] of rows) {
    test(`${address} ${main}`, async () => assert.equal(await made(main).resolve(address), expected));
  }

  test("is told where another host may take it for a route", async () => {
    const { runtime } = configured(CLASSES);
    const config = loadConfig(runtime, "/etc/postfix").main;
    const resolver = new AddressResolver(config, new AddressClasses(config, runtime), runtime);
    for (const address of ["u%far.example@relay.example", "far!u@relay.example", '"u@far.example"@relay.example']) {
      assert.ok((await resolver.find(address, "")).routed, address);
    }
    assert.ok(!(await resolver.find("u@relay.example", "")).routed);
  });
});

describe("a content filter", () => {
  const rows: readonly (readonly [string, string, string, string])[] = [
    ["", "smtp:[127.0.0.1]:10025", "u@home.example", "smtp [127.0.0.1]:10025 u@home.example"],
    ["", "scan:", "u@far.example", "scan far.example u@far.example"],
    ["", "scan:", "u", "scan mx.example.com u"],
    ["default_filter_nexthop = [10.0.0.1]\n", "scan:", "u@far.example", "scan [10.0.0.1] u@far.example"],
    ["", "", "u@relay.example", "relay relay.example u@relay.example"],
  ];
  for (const [main, filter, address, expected] of rows) {
    test(`${filter} for ${address} ${main}`, async () =>
      assert.equal(await made(main).resolve(address, filter), expected));
  }
});

describe("mail for double_bounce_sender", () => {
  const { resolve } = made("double_bounce_sender = twice\n");
  const dropped = "discard undeliverable postmaster notification discarded";
  for (
    const [address, expected] of [
      ["twice@home.example", `${dropped} twice@home.example`],
      ["Twice@mx.example.com", `${dropped} Twice@mx.example.com`],
      ["twice+x@home.example", "local mx.example.com twice+x@home.example"],
      ["twice@far.example", "smtp far.example twice@far.example"],
      ["double-bounce@home.example", "local mx.example.com double-bounce@home.example"],
    ] as const
  ) {
    test(`${address} goes by ${expected.split(" ")[0]}`, async () => {
      assert.equal(await resolve(address), expected);
    });
  }
});
