import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { wordsOutsideBraces } from "../src/logical-lines.ts";
import { ConfigError } from "../src/errors.ts";
import { matchAddress, matchClient, matchDomain, matchString, parseMatchList } from "../src/match-list.ts";
import type { MatchList } from "../src/match-list.ts";
import { fakeRuntime } from "./config/fake-runtime.ts";

const { runtime } = fakeRuntime({
  "/domains": "# mine\nOne.example,\n  two.example !three.example\n",
  "/table": "t.example OK\n.sub.example OK\n192.0.2.7 OK\n",
});

function list(text: string, parents = false): MatchList {
  return parseMatchList(wordsOutsideBraces(text), { runtime, parents, addresses: true });
}

const kind = async (answer: ReturnType<typeof matchDomain>): Promise<string> => (await answer).kind;

describe("domains", () => {
  const rows: readonly (readonly [string, boolean, string, string])[] = [
    ["example.com, b.example", false, "Example.COM", "found"],
    ["example.com", false, "a.example.com", "none"],
    [".example.com", false, "a.b.example.com", "found"],
    [".example.com", false, "example.com", "none"],
    ["example.com", true, "a.b.example.com", "found"],
    ["example.com", true, "badexample.com", "none"],
    [".example.com", true, "a.example.com", "none"],
    ["!a.example.com, .example.com", false, "a.example.com", "none"],
    [".example.com, !a.example.com", false, "a.example.com", "found"],
    ["!!example.com", false, "example.com", "found"],
    ["/domains", false, "one.example", "found"],
    ["/domains, three.example", false, "three.example", "none"],
    ["!/domains, two.example", false, "two.example", "none"],
    ["!/domains", false, "three.example", "found"],
    ["hash:/table", false, "t.example", "found"],
    ["hash:/table", false, "x.sub.example", "found"],
    ["hash:/table", true, "x.t.example", "found"],
    ["hash:/table", true, "x.sub.example", "none"],
    ["!hash:/table, t.example", false, "t.example", "none"],
    ["a.example, hash:/table", false, "a.example", "found"],
    ["inline:{q.example=1, r.example=2}", false, "r.example", "found"],
    ["fail:x, a.example", false, "a.example", "unsure"],
    ["a.example, fail:x", false, "a.example", "found"],
    ["hash:/nosuch", false, "a.example", "unsure"],
    ["", false, "a.example", "none"],
  ];
  for (const [text, parents, domain, want] of rows) {
    it(`${text || "(empty)"}${parents ? " with parents" : ""}: ${domain} ${want}`, async () => {
      assert.equal(await kind(matchDomain(list(text, parents), domain)), want);
    });
  }
  it("answers at once without tables", () =>
    assert.equal((matchDomain(list("a"), "a") as { kind: string }).kind, "found"));
  it("strings have no parents", async () => {
    assert.equal(await kind(matchString(list(".example.com"), "a.example.com")), "none");
    assert.equal(await kind(matchString(list("Foo"), "foo")), "found");
  });
});

describe("addresses", () => {
  const rows: readonly (readonly [string, string, string])[] = [
    ["127.0.0.0/8", "127.255.0.1", "found"],
    ["127.0.0.0/8", "128.0.0.1", "none"],
    ["192.0.2.128/25", "192.0.2.127", "none"],
    ["192.0.2.128/25", "192.0.2.129", "found"],
    ["10.1.2.3", "10.1.2.3", "found"],
    ["[::1]/128", "::1", "found"],
    ["[::1]", "0:0:0:0:0:0:0:1", "found"],
    ["[fd00::]/64", "fd00::2", "found"],
    ["[fd00::]/64", "fd00:0:0:1::2", "none"],
    ["0.0.0.0/0", "::1", "none"],
    ["[::]/0", "192.0.2.1", "none"],
    ["0.0.0.0/0", "::ffff:192.0.2.1", "found"],
    ["[::ffff:127.0.0.0]/104", "127.0.0.1", "none"],
    ["!10.0.0.1, 10.0.0.0/8", "10.0.0.1", "none"],
    ["!10.0.0.1, 10.0.0.0/8", "10.0.0.2", "found"],
    ["hash:/table", "192.0.2.7", "found"],
    ["10.0.0.0/8", "unknown", "none"],
  ];
  for (const [text, address, want] of rows) {
    it(`${text}: ${address} ${want}`, async () => {
      const compiled = list(text);
      assert.equal(await kind(matchAddress(compiled, address)), want);
      assert.equal(await kind(matchAddress(compiled, address)), want, "the second time");
    });
  }
  it("remembers a bounded number of answers", () => {
    const compiled = list("10.0.0.0/8");
    for (let index = 0; index < 20_000; index++) void matchAddress(compiled, `10.${index >> 8}.${index & 255}.1`);
    assert.ok(compiled.remembered.size <= 4096);
  });
  it("clients match by name or by address", async () => {
    const compiled = list("!bad.example.com, .example.com, 10.0.0.0/8");
    assert.equal(await kind(matchClient(compiled, "a.example.com", "192.0.2.1")), "found");
    assert.equal(await kind(matchClient(compiled, "bad.example.com", "10.0.0.1")), "none");
    assert.equal(await kind(matchClient(compiled, "unknown", "10.0.0.1")), "found");
    assert.equal(await kind(matchClient(compiled, "unknown", "192.0.2.1")), "none");
  });
});

it("names every element that cannot be read", () => {
  const words = "127.0.0.1/8 10.0.0.0/33 nosuch:x /missing ! ok".split(" ");
  assert.throws(
    () => parseMatchList(words, { runtime, parents: false, addresses: true, place: "F, line 1: mynetworks" }),
    (caught) => {
      assert.ok(caught instanceof ConfigError);
      assert.equal(caught.faults.length, 5);
      assert.equal(caught.faults[0], 'fatal: F, line 1: mynetworks: non-null host address bits in "127.0.0.1/8"');
      return true;
    },
  );
});
