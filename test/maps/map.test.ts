import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConfigError } from "../../src/errors.ts";
import { openTable } from "../../src/maps/map.ts";
import { fakeRuntime } from "../config/fake-runtime.ts";

const { runtime } = fakeRuntime({ "/t": "foo bar baz\nA@B.c  x\n" });

describe("openTable", () => {
  const rows: readonly (readonly [string, string, string | null])[] = [
    ["texthash:/t", "foo", "bar baz"],
    ["hash:/t", "FOO", "bar baz"],
    ["lmdb:/t", "a@b.C", "x"],
    ["proxy:hash:/t", "foo", "bar baz"],
    ["/t", "foo", "bar baz"],
    ["hash:/t", "", null],
    ["hash:/t", "constructor", null],
    ["inline:{foo=bar}", "Foo", "bar"],
    ["static:OK", "anything", "OK"],
  ];
  for (const [name, key, value] of rows) {
    it(`${name} ${key}`, async () => {
      const answer = await openTable(name, runtime).get(key);
      assert.deepEqual(answer, value === null ? { kind: "none" } : { kind: "found", value });
    });
  }
  it("is unsure about a file that is not there, with a warning", async () => {
    const warnings: string[] = [];
    const table = openTable("hash:/nosuch", runtime, { warn: (text) => warnings.push(text) });
    assert.equal((await table.get("x")).kind, "unsure");
    assert.deepEqual(warnings, ["hash:/nosuch is unavailable. open database /nosuch: No such file or directory"]);
  });
  it("fail: is unsure", async () => assert.equal((await openTable("fail:x", runtime).get("x")).kind, "unsure"));
  it("refuses an unknown type, naming the place", () => {
    assert.throws(
      () => openTable("nosuch:x", runtime, { place: "main.cf, line 3: relay_domains" }),
      (caught) =>
        caught instanceof ConfigError &&
        caught.faults[0] === "fatal: main.cf, line 3: relay_domains: unsupported dictionary type: nosuch",
    );
  });
});
