/**
 * From next hop to servers, and the walk over them, with a scripted name server. Reasons and codes without a server are
 * those of Debian's Postfix 3.7.11 against the same zone.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Zone } from "../dns/server.ts";
import { nameServer } from "../dns/server.ts";
import type { Script } from "./scripted-server.ts";
import { scriptedServer } from "./scripted-server.ts";
import type { Desk } from "./delivering.ts";
import { alone, desk, never, request } from "./delivering.ts";

async function withZone(
  zone: Zone,
  config: Readonly<Record<string, unknown>>,
  act: (desk: Desk) => Promise<void>,
): Promise<void> {
  const dns = await nameServer({ zone });
  const at = desk({ inet_interfaces: ["192.0.2.99", "192.0.2.97"], ...config }, undefined, "smtp", [dns.address]);
  try {
    await act(at);
  } finally {
    await at.close();
    await dns.close();
  }
}

const mx = (...hosts: readonly string[]) => hosts.map((exchange, at) => ({ preference: (at + 1) * 10, exchange }));
const NSE = "Host or domain name not found. Name service error for name=";

describe("where there is nobody to talk to", () => {
  const rows: readonly (readonly [string, Zone, Readonly<Record<string, unknown>>, string, string, string])[] = [
    ["no such domain", {}, {}, "d.example", "5.4.4", `${NSE}d.example type=AAAA: Host not found`],
    ["IPv4 only", {}, { inet_protocols: ["ipv4"] }, "d.example", "5.4.4", `${NSE}d.example type=A: Host not found`],
    [
      "a domain without address",
      { "d.example TXT": ["x"] },
      {},
      "d.example",
      "5.4.4",
      `${NSE}d.example type=AAAA: Host found but no data record of requested type`,
    ],
    [
      "MX cannot be looked up",
      { "d.example MX": "SERVFAIL" },
      {},
      "d.example",
      "4.4.3",
      `${NSE}d.example type=MX: Host not found, try again`,
    ],
    [
      "an address cannot be looked up",
      { "d.example A": "SERVFAIL" },
      {},
      "d.example",
      "4.4.3",
      `${NSE}d.example type=A: Host not found, try again`,
    ],
    [
      "one exchanger unknown, one not to be looked up: soft",
      { "d.example MX": mx("m1.example", "m2.example"), "m1.example A": "SERVFAIL" },
      { inet_protocols: ["ipv4"] },
      "d.example",
      "4.4.4",
      `${NSE}m2.example type=A: Host not found`,
    ],
    [
      "exchanger without address",
      { "d.example MX": mx("m1.example") },
      { inet_protocols: ["ipv4"] },
      "d.example",
      "5.4.4",
      `${NSE}m1.example type=A: Host not found`,
    ],
    [
      "the same, to be deferred",
      { "d.example MX": mx("m1.example") },
      { inet_protocols: ["ipv4"], smtp_defer_if_no_mx_address_found: true },
      "d.example",
      "4.4.4",
      `${NSE}m1.example type=A: Host not found`,
    ],
    [
      "null MX",
      { "d.example MX": [{ preference: 0, exchange: "." }] },
      {},
      "d.example",
      "5.1.0",
      "Domain d.example does not accept mail (nullMX)",
    ],
    [
      "this host is the best MX",
      { "d.example MX": mx("me.example", "m2.example"), "me.example A": ["192.0.2.99"], "m2.example A": ["127.0.0.1"] },
      {},
      "d.example",
      "5.4.6",
      "mail for d.example loops back to myself",
    ],
    [
      "this host is a backup, the best MX unknown",
      { "d.example MX": mx("m1.example", "me.example"), "me.example A": ["192.0.2.99"] },
      {},
      "d.example",
      "4.4.4",
      "unable to find primary relay for d.example",
    ],
    [
      "this host by name",
      { "me.example A": ["192.0.2.99"] },
      {},
      "[me.example]",
      "5.4.6",
      "mail for me.example loops back to myself",
    ],
    [
      "a proxy in front of this host",
      { "me.example A": ["192.0.2.98"] },
      { proxy_interfaces: ["192.0.2.98"] },
      "me.example",
      "5.4.6",
      "mail for me.example loops back to myself",
    ],
    [
      "native lookup",
      {},
      { disable_dns_lookups: true },
      "d.example",
      "5.4.4",
      "unable to look up host d.example: Name or service not known",
    ],
    ["unknown service", {}, {}, "d.example:nonsense", "4.3.5", "unknown service: nonsense/tcp"],
  ];
  for (const [name, zone, config, nexthop, status, reason] of rows) {
    it(name, async () => {
      await withZone(zone, config, async (desk) => {
        const [result] = await desk.agent.deliver(request(nexthop), never, alone);
        assert.deepEqual([result?.status, result?.reason, result?.relay], [status, reason, "none"]);
        assert.equal(result?.outcome, status[0] === "4" ? "deferred" : "bounced");
        assert.equal(result?.scope, status[0] === "4" ? "destination" : "message");
      });
    });
  }

  it("a relayhost that does not exist is a fault of the configuration: mail waits", async () => {
    await withZone({}, { relayhost: ["[relay.example]"] }, async (desk) => {
      const [result] = await desk.agent.deliver(request("[relay.example]"), never, alone);
      assert.deepEqual([result?.outcome, result?.status], ["deferred", "4.3.5"]);
      assert.deepEqual(desk.lines, ["warning: relayhost configuration problem"]);
    });
  });
});

/** Servers on 127.0.0.2, .3, … and one port; the port is that of the first. */
async function withServers(
  scripts: readonly Script[],
  config: Readonly<Record<string, unknown>>,
  act: (at: { desk: Desk; port: number; seen: () => number[]; zone: Zone }) => Promise<void>,
): Promise<void> {
  const first = await scriptedServer(scripts[0] ?? {}, { host: "127.0.0.2" });
  const servers = [first];
  for (const [at, script] of scripts.slice(1).entries()) {
    servers.push(await scriptedServer(script, { host: `127.0.0.${at + 3}`, port: first.port }));
  }
  const zone = {
    "d.example MX": mx(...scripts.map((_, at) => `m${at}.example`)),
    ...Object.fromEntries(scripts.map((_, at) => [`m${at}.example A`, [`127.0.0.${at + 2}`]])),
  };
  try {
    await withZone(zone, { inet_protocols: ["ipv4"], ...config }, async (desk) => {
      await act({ desk, port: first.port, zone, seen: () => servers.map((server) => server.sessions.length) });
    });
  } finally {
    for (const server of servers) await server.close();
  }
}

describe("the walk over servers", () => {
  const faults: readonly (readonly [string, Script])[] = [
    ["a greeting of 421", { greeting: "421 4.3.2 busy" }],
    ["a greeting of 554", { greeting: "554 5.7.1 go away" }],
    ["a hang-up at EHLO", { ehlo: "close" }],
    ["450 to MAIL", { mail: "450 4.3.0 no" }],
    ["450 to RCPT", { rcpt: "450 4.2.0 no" }],
    ["a hang-up at DATA", { data: "close" }],
    ["451 after the dot", { dot: "451 4.3.0 no" }],
  ];
  for (const [name, script] of faults) {
    it(`goes on to the next after ${name}`, async () => {
      await withServers([script, {}], {}, async ({ desk, port, seen }) => {
        const results = await desk.agent.deliver(
          request(`d.example:${port}`, ["a@d.example", "b@d.example"]),
          never,
          alone,
        );
        assert.deepEqual(results.map((result) => result.relay), Array(2).fill(`m1.example[127.0.0.3]:${port}`));
        assert.ok(results.every((result) => result.outcome === "sent"));
        assert.deepEqual(seen(), [1, 1]);
        assert.match(desk.lines[0] ?? "", /^QID: .*m0\.example\[127\.0\.0\.2\]/);
      });
    });
  }

  it("stops at a 5xx", async () => {
    await withServers([{ rcpt: "550 5.1.1 no" }, {}], {}, async ({ desk, port, seen }) => {
      const [result] = await desk.agent.deliver(request(`d.example:${port}`), never, alone);
      assert.equal(result?.outcome, "bounced");
      assert.deepEqual(seen(), [1, 0]);
    });
  });

  it("takes only the recipients that are left along", async () => {
    await withServers([{ rcpt: ["250 ok", "450 4.2.0 later"] }, {}], {}, async ({ desk, port }) => {
      const results = await desk.agent.deliver(
        request(`d.example:${port}`, ["a@d.example", "b@d.example"]),
        never,
        alone,
      );
      assert.deepEqual(results.map((result) => result.relay.slice(0, 10)), ["m0.example", "m1.example"]);
    });
  });

  it("ends after smtp_mx_session_limit sessions, the last one deferring", async () => {
    const late: Script = { rcpt: "450 4.2.0 later" };
    await withServers([late, late, late], {}, async ({ desk, port, seen }) => {
      const [result] = await desk.agent.deliver(request(`d.example:${port}`), never, alone);
      assert.deepEqual(seen(), [1, 1, 0]);
      assert.match(result?.reason ?? "", /^host m1\.example/);
      assert.equal(result?.scope, "recipient");
    });
  });

  it("handshakes that fail do not count as sessions", async () => {
    const shy: Script = { greeting: "421 4.3.2 busy" };
    await withServers([shy, shy, shy, {}], {}, async ({ desk, port, seen }) => {
      const [result] = await desk.agent.deliver(request(`d.example:${port}`), never, alone);
      assert.equal(result?.outcome, "sent");
      assert.deepEqual(seen(), [1, 1, 1, 1]);
    });
  });

  it("ends after smtp_mx_address_limit addresses", async () => {
    const shy: Script = { greeting: "421 4.3.2 busy" };
    await withServers([shy, shy, {}], { smtp_mx_address_limit: 2 }, async ({ desk, port, seen }) => {
      const [result] = await desk.agent.deliver(request(`d.example:${port}`), never, alone);
      assert.equal(result?.reason, "host m1.example[127.0.0.3] refused to talk to me: 421 4.3.2 busy");
      assert.deepEqual(seen(), [1, 1, 0]);
    });
  });

  it("falls back to smtp_fallback_relay", async () => {
    await withServers([{}], {}, async ({ port, zone }) => {
      await withZone(
        zone,
        { smtp_fallback_relay: [`[m0.example]:${port}`], inet_protocols: ["ipv4"] },
        async (desk) => {
          const [result] = await desk.agent.deliver(request("gone.example"), never, alone);
          assert.equal(result?.outcome, "sent");
        },
      );
    });
  });

  it("a server that answers with this host's name is this host", async () => {
    await withServers([{ ehlo: "250 client.example" }], {}, async ({ desk, port }) => {
      const [result] = await desk.agent.deliver(request(`d.example:${port}`), never, alone);
      assert.deepEqual([result?.status, result?.reason], ["5.4.6", "mail for d.example loops back to myself"]);
    });
  });

  it("a local address that cannot be used is overlooked, unless it is enforced", async () => {
    await withServers([{}], { smtp_bind_address: "192.0.2.5" }, async ({ desk, port }) => {
      assert.equal((await desk.agent.deliver(request(`d.example:${port}`), never, alone))[0]?.outcome, "sent");
      assert.match(desk.lines[0] ?? "", /^warning: bind 192\.0\.2\.5: /);
    });
    const enforced = { smtp_bind_address: "192.0.2.5", smtp_bind_address_enforce: true };
    await withServers([{}], enforced, async ({ desk, port }) => {
      const [result] = await desk.agent.deliver(request(`d.example:${port}`), never, alone);
      assert.deepEqual([result?.status, result?.reason], ["4.4.0", "server configuration error"]);
    });
  });

  it("equal preferences are shuffled, unless told otherwise", async () => {
    const zone: Zone = { "d.example A": Array.from({ length: 20 }, (_, at) => `192.0.2.${at + 1}`) };
    const firsts = async (config: Readonly<Record<string, unknown>>): Promise<number> => {
      const found = new Set<string>();
      await withZone(zone, config, async (desk) => {
        for (let count = 0; count < 20; count++) {
          const servers = await desk.agent.servers("[d.example]");
          if (servers.kind === "found") found.add(servers.servers[0]?.address ?? "");
        }
      });
      return found.size;
    };
    assert.ok(await firsts({}) > 3);
    assert.equal(await firsts({ smtp_randomize_addresses: false }), 1);
  });
});
