import assert from "node:assert/strict";
import { test } from "node:test";
import type { Resolver } from "../../src/dns/dns.ts";
import type { Clock } from "../../src/runtime.ts";
import { type PeerName, PeerNames } from "../../src/smtpd/peer.ts";

interface Zone {
  /** address -> name */
  readonly names: Readonly<Record<string, string>>;
  /** name -> addresses; a name that is not here cannot be looked up now. */
  readonly addresses: Readonly<Record<string, readonly string[]>>;
}

function made(
  { names, addresses }: Zone,
): {
  of: (address: string) => Promise<string>;
  full: (address: string) => Promise<PeerName>;
  pass: (ms: number) => void;
  asked: string[];
} {
  let now = 0;
  const asked: string[] = [];
  const resolver = {
    nativeNames: (address: string) => {
      asked.push(address);
      const name = names[address];
      return Promise.resolve(name === undefined ? { kind: "none" } : { kind: "found", records: [name] });
    },
    nativeAddresses: (name: string, family: 4 | 6) => {
      const found = addresses[name]?.filter((one) => one.includes(":") === (family === 6));
      return Promise.resolve(
        found === undefined ? { kind: "unsure", why: "timeout" } : { kind: "found", records: found },
      );
    },
  } as unknown as Resolver;
  const peers = new PeerNames(resolver, { monotonic: () => now } as Clock);
  const full = async (address: string): Promise<PeerName> => await peers.of(address);
  return { full, of: async (address) => (await full(address)).name, pass: (ms) => void (now += ms), asked };
}

test("a name counts when it points back", async () => {
  const { of } = made({
    names: {
      "192.0.2.1": "a.example",
      "192.0.2.2": "forged.example",
      "192.0.2.3": "slow.example",
      "2001:db8::1": "six.example",
    },
    addresses: {
      "a.example": ["192.0.2.1"],
      "forged.example": ["198.51.100.1"],
      "six.example": ["192.0.2.9", "2001:db8::1"],
    },
  });
  assert.equal(await of("192.0.2.1"), "a.example");
  assert.equal(await of("2001:db8::1"), "six.example");
  for (const unknown of ["192.0.2.2", "192.0.2.3", "192.0.2.4"]) assert.equal(await of(unknown), "unknown");
});

test("tells a forged name from one that cannot be looked up now, and keeps the reverse name", async () => {
  const { full } = made({
    names: { "192.0.2.2": "forged.example", "192.0.2.3": "slow.example" },
    addresses: { "forged.example": ["198.51.100.1"] },
  });
  const shown = async (address: string): Promise<string> => Object.values(await full(address)).join(" ");
  assert.equal(await shown("192.0.2.2"), "unknown forged forged.example ok");
  assert.equal(await shown("192.0.2.3"), "unknown temporary slow.example ok");
  assert.equal(await shown("192.0.2.4"), "unknown permanent unknown permanent");
});

test("a name that could harm the log is no name", async () => {
  const { of } = made({ names: { "192.0.2.1": "a b[1]\n.example" }, addresses: { "a b[1]\n.example": ["192.0.2.1"] } });
  assert.equal(await of("192.0.2.1"), "unknown");
});

test("answers are kept for a minute", async () => {
  const { of, pass, asked } = made({ names: { "192.0.2.1": "a.example" }, addresses: { "a.example": ["192.0.2.1"] } });
  await of("192.0.2.1");
  await of("192.0.2.1");
  assert.equal(asked.length, 1);
  pass(61_000);
  await of("192.0.2.1");
  assert.equal(asked.length, 2);
});
