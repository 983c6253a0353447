/** The resolver against a scripted name server. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { failureWords } from "../../src/dns/answer.ts";
import type { ResolverOptions } from "../../src/dns/dns.ts";
import { Resolver } from "../../src/dns/dns.ts";
import { currentRuntime } from "../../runtimes/select.ts";
import type { NameServerSettings, TestNameServer } from "./server.ts";
import { nameServer } from "./server.ts";

const runtime = await currentRuntime();

async function asking(
  settings: NameServerSettings,
  act: (resolver: Resolver, server: TestNameServer) => Promise<void>,
  options: Partial<ResolverOptions> = {},
): Promise<void> {
  const server = await nameServer(settings);
  const resolver = new Resolver({ runtime, servers: [server.address], timeout: 200, attempts: 2, ...options });
  try {
    await act(resolver, server);
  } finally {
    resolver.close();
    await server.close();
  }
}

const ZONE = {
  "x.example MX": [{ preference: 10, exchange: "mx1.x.example" }, { preference: 20, exchange: "MX2.x.example" }],
  "mx1.x.example A": ["192.0.2.1", "192.0.2.2"],
  "mx1.x.example AAAA": ["2001:db8::1"],
  "null.example MX": [{ preference: 0, exchange: "." }],
  "x.example TXT": [["v=spf1 ", "-all"], "other"],
  "1.2.0.192.in-addr.arpa PTR": ["mx1.x.example"],
  "_25._tcp.mx1.x.example TLSA": [{ usage: 3, selector: 1, matchingType: 1, certificate: Buffer.from("abc") }],
  "_smtp._tcp.x.example SRV": [{ priority: 1, weight: 2, port: 2525, target: "mx1.x.example" }],
  "x.example NS": ["ns.x.example"],
  "alias.example CNAME": ["second.example"],
  "second.example CNAME": ["mx1.x.example"],
  "far.example CNAME": ["mx1.x.example", "stop"],
  "loop.example CNAME": ["pool.example", "stop"],
  "pool.example CNAME": ["loop.example", "stop"],
  "dangling.example CNAME": ["nowhere.example"],
  "bad.example MX": [{ preference: 1, exchange: "b\tad.example" }],
} as const;

describe("records", () => {
  it("MX, A, AAAA, TXT, PTR, NS, SRV, TLSA", async () => {
    await asking({ zone: ZONE }, async (resolver) => {
      const mx = await resolver.mx("X.example.");
      assert.deepEqual(mx.kind === "found" && mx.records, [
        { preference: 10, exchange: "mx1.x.example" },
        { preference: 20, exchange: "MX2.x.example" },
      ]);
      const records = async (asked: Promise<{ kind: string; records?: readonly unknown[] }>): Promise<unknown> => {
        return (await asked).records;
      };
      assert.deepEqual(await records(resolver.addresses("mx1.x.example", 4)), ["192.0.2.1", "192.0.2.2"]);
      assert.deepEqual(await records(resolver.addresses("mx1.x.example", 6)), ["2001:db8::1"]);
      assert.deepEqual(await records(resolver.txt("x.example")), ["v=spf1 -all", "other"]);
      assert.deepEqual(await records(resolver.ptr("192.0.2.1")), ["mx1.x.example"]);
      assert.deepEqual(await records(resolver.ns("x.example")), ["ns.x.example"]);
      assert.deepEqual(await records(resolver.srv("_smtp._tcp.x.example")), [
        { priority: 1, weight: 2, port: 2525, target: "mx1.x.example" },
      ]);
      assert.deepEqual(await records(resolver.mx("null.example")), [{ preference: 0, exchange: "" }]);
      const tlsa = await resolver.tlsa("_25._tcp.mx1.x.example");
      assert.equal(tlsa.kind, "found");
      if (tlsa.kind === "found") {
        assert.deepEqual({ ...tlsa.records[0], certificate: [...tlsa.records[0]?.certificate ?? []] }, {
          usage: 3,
          selector: 1,
          matchingType: 1,
          certificate: [97, 98, 99],
        });
      }
    });
  });

  it("address literals never go to the name server", async () => {
    await asking({ zone: ZONE }, async (resolver, server) => {
      const found = await resolver.addresses("192.0.2.9", 4);
      assert.deepEqual(found.kind === "found" && found.records, ["192.0.2.9"]);
      assert.equal((await resolver.addresses("192.0.2.9", 6)).kind, "none");
      assert.equal((await resolver.mx("192.0.2.9")).kind, "none");
      assert.equal((await resolver.mx("bad name")).kind, "none");
      assert.deepEqual(server.queries, []);
    });
  });

  it("CNAME chains, within an answer and beyond it", async () => {
    await asking({ zone: ZONE }, async (resolver) => {
      for (const name of ["alias.example", "far.example"]) {
        const found = await resolver.addresses(name, 4);
        assert.deepEqual(found.kind === "found" && [found.records[0], found.name], ["192.0.2.1", "mx1.x.example"]);
      }
      assert.deepEqual(await resolver.addresses("dangling.example", 4), { kind: "none", why: "nxdomain" });
      const loop = await resolver.addresses("loop.example", 4);
      assert.deepEqual(loop, { kind: "unsure", why: "Name server loop for loop.example", fault: "loop" });
    });
  });

  it("the AD bit counts only when it was asked for", async () => {
    await asking({ zone: ZONE, secure: true }, async (resolver) => {
      const plain = await resolver.mx("x.example");
      const asked = await resolver.mx("x.example", { secure: true });
      assert.deepEqual([plain.kind === "found" && plain.secure, asked.kind === "found" && asked.secure], [false, true]);
    });
  });

  it("a server without EDNS is asked plainly", async () => {
    await asking({ zone: ZONE, noEdns: true }, async (resolver) => {
      assert.equal((await resolver.mx("x.example", { secure: true })).kind, "found");
    });
  });

  it("TCP after a short answer", async () => {
    await asking({ zone: ZONE, truncate: true }, async (resolver, server) => {
      assert.equal((await resolver.mx("x.example")).kind, "found");
      assert.equal(server.overTcp, 1);
    });
  });
});

describe("failures, in Postfix's words", () => {
  const about = (word: string): string => {
    return `Host or domain name not found. Name service error for name=f.example type=MX: ${word}`;
  };
  const rows = [
    ["SERVFAIL", "unsure", "Host not found, try again"],
    ["REFUSED", "unsure", "Host not found, try again"],
    ["drop", "unsure", "Host not found, try again"],
    ["garbage", "unsure", "Name service error for name=f.example type=MX: Malformed or unexpected name server reply"],
    ["FORMERR", "unsure", "Non-recoverable error"],
  ] as const;
  for (const [fault, kind, word] of rows) {
    it(`${fault} is ${kind}`, async () => {
      await asking({ zone: { "f.example MX": fault } }, async (resolver, server) => {
        assert.deepEqual(await resolver.mx("f.example"), { kind, why: word.includes(":") ? word : about(word) });
        assert.equal(server.queries.length, 2, "every attempt is made");
      });
    });
  }

  it("no such name, no such record", async () => {
    await asking({ zone: { "f.example A": ["192.0.2.1"] } }, async (resolver) => {
      const nodata = await resolver.mx("f.example");
      assert.deepEqual(nodata, { kind: "none", why: "nodata" });
      assert.equal(failureWords("f.example", "MX", nodata), about("Host found but no data record of requested type"));
      const missing = await resolver.mx("g.example");
      assert.deepEqual(missing, { kind: "none", why: "nxdomain" });
      assert.equal(failureWords("f.example", "MX", missing), about("Host not found"));
    });
  });

  it("a server that knows nothing and asks nobody says nothing about the name", async () => {
    await asking({ zone: { "f.example A": ["192.0.2.1"] }, lame: true }, async (resolver) => {
      assert.deepEqual(await resolver.mx("f.example"), { kind: "unsure", why: about("Host not found, try again") });
      assert.equal((await resolver.addresses("f.example", 4)).kind, "found");
    });
  });

  it("a record that names no host is no answer", async () => {
    await asking({ zone: ZONE }, async (resolver) => assert.equal((await resolver.mx("bad.example")).kind, "unsure"));
  });

  it("the next server is asked", async () => {
    const dead = await nameServer({ zone: { "x.example MX": "SERVFAIL" } });
    const live = await nameServer({ zone: ZONE });
    const resolver = new Resolver({ runtime, servers: [dead.address, live.address], timeout: 200 });
    assert.equal((await resolver.mx("x.example")).kind, "found");
    resolver.close();
    await dead.close();
    await live.close();
  });

  it("a closed resolver is unsure at once", async () => {
    await asking({ zone: { "f.example MX": "drop" } }, async (resolver) => {
      const asked = resolver.mx("f.example");
      resolver.close();
      assert.equal((await asked).kind, "unsure");
    }, { timeout: 5000 });
  });
});

describe("work saved", () => {
  it("answers are kept, failures for a moment only, TTL 0 not at all", async () => {
    await asking({ zone: { ...ZONE, "f.example MX": "SERVFAIL" } }, async (resolver, server) => {
      for (let count = 0; count < 3; count++) {
        await resolver.mx("x.example");
        await resolver.mx("none.example");
        await resolver.mx("f.example");
      }
      assert.equal(server.queries.length, 4);
      resolver.clear();
      await resolver.mx("x.example");
      assert.equal(server.queries.length, 5);
    });
    await asking({ zone: ZONE, ttl: 0 }, async (resolver, server) => {
      await resolver.mx("x.example");
      await resolver.mx("x.example");
      assert.equal(server.queries.length, 2);
    });
  });

  it("the same question in flight is asked once", async () => {
    await asking({ zone: ZONE, delay: 20 }, async (resolver, server) => {
      await Promise.all(Array.from({ length: 20 }, () => resolver.mx("x.example")));
      assert.equal(server.queries.length, 1);
    });
  });

  it("many questions wait for a free place", async () => {
    const zone = Object.fromEntries(Array.from({ length: 300 }, (_, at) => [`h${at}.example A`, ["192.0.2.1"]]));
    await asking({ zone, delay: 2 }, async (resolver) => {
      const answers = await Promise.all(
        Array.from({ length: 300 }, (_, at) => resolver.addresses(`h${at}.example`, 4)),
      );
      assert.ok(answers.every((answer) => answer.kind === "found"));
    }, { concurrencyLimit: 10, timeout: 2000 });
  });
});

describe("the host's own table", () => {
  it("answers first for native lookups", async () => {
    await asking({ zone: ZONE }, async (resolver, server) => {
      const found = await resolver.nativeAddresses("localhost", 4);
      assert.deepEqual(found.kind === "found" && found.records, ["127.0.0.1"]);
      assert.deepEqual(server.queries, []);
      assert.equal((await resolver.nativeAddresses("mx1.x.example", 4)).kind, "found");
    });
  });
});
