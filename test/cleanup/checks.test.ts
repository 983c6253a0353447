import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Checks } from "../../src/cleanup/checks.ts";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import type { Lookup } from "../../src/lookup.ts";
import { found, NONE } from "../../src/lookup.ts";
import type { LookupTable } from "../../src/maps/map.ts";
import type { PatternTable } from "../../src/maps/regexp.ts";

/** Answers "<name> <text>" for texts that hold the word. */
function pattern(name: string, word: string, state: { calls: number; unsure?: boolean } = { calls: 0 }): PatternTable {
  const get = (key: string): Lookup =>
    state.unsure ? { kind: "unsure", why: "" } : key.includes(word) ? found(`${name} ${key}`) : NONE;
  const scan = (block: Uint8Array, expression: RegExp) => {
    state.calls++;
    return [...latin1Decode(block).matchAll(expression)].flatMap(({ index, 0: text }) => {
      const answer = get(text.replaceAll("\r\n", "\n"));
      return answer.kind === "found" ? [{ offset: index, length: text.length, value: answer.value }] : [];
    });
  };
  return {
    name,
    pattern: true,
    ready: state.unsure !== true,
    get,
    find: get,
    scanHeaders: (block) => scan(block, /[^\r\n]+(?:\r\n[ \t][^\r\n]*)*/g),
    scanLines: (block, limit = 2048) => scan(block, new RegExp(`[^\\r\\n]{1,${limit}}`, "g")),
  };
}

const later = (table: LookupTable): LookupTable => ({
  name: table.name,
  pattern: true,
  get: async (key) => await table.get(key),
});

const HEADERS = latin1Encode("A: one\r\n two\r\nB: two\r\nC: three\r\n");
const PLACES = [{ start: 0, end: 14 }, { start: 14, end: 22 }, { start: 22, end: 32 }];

async function values(checks: Checks): Promise<string[]> {
  return (await checks.headers(HEADERS, PLACES)).map(({ answer }) =>
    answer.kind === "found" ? answer.value : `unsure ${answer.why}`
  );
}

describe("headers", () => {
  const one = (name: string, word: string): PatternTable => pattern(name, word);
  const rows: readonly (readonly [string, readonly LookupTable[], readonly string[]])[] = [
    ["one pattern table", [one("p", "two")], ["p A: one\n two", "p B: two"]],
    ["the first of two counts", [one("p", "one"), one("q", "e")], ["p A: one\n two", "q C: three"]],
    ["a table that is no pattern table", [later(one("p", "three"))], ["p C: three"]],
    ["both kinds", [later(one("p", "one")), one("q", "two")], ["p A: one\n two", "q B: two"]],
    ["a table that cannot answer", [pattern("bad", "x", { calls: 0, unsure: true })], Array(3).fill("unsure bad")],
    ["… after one that can", [one("p", "one"), pattern("bad", "x", { calls: 0, unsure: true })], [
      "p A: one\n two",
      "unsure bad",
      "unsure bad",
    ]],
    ["… and takes time", [later(pattern("bad", "x", { calls: 0, unsure: true }))], Array(3).fill("unsure bad")],
  ];
  for (const [name, tables, expected] of rows) {
    it(name, async () => assert.deepEqual(await values(new Checks("header_checks", tables)), expected));
  }
  it("are one call a table", async () => {
    const [first, second] = [{ calls: 0 }, { calls: 0 }];
    await values(new Checks("header_checks", [pattern("p", "x", first), pattern("q", "y", second)]));
    assert.deepEqual([first.calls, second.calls], [1, 1]);
  });
});

describe("records of a body", () => {
  const texts = async (checks: Checks, body: string, limit = 2048): Promise<string[]> =>
    (await checks.records(latin1Encode(body), limit)).map(({ text, place }) => `${place.start} ${text}`);
  const tables: readonly (readonly [string, readonly LookupTable[]])[] = [
    ["one pattern table", [pattern("p", "x")]],
    ["two", [pattern("p", "nothing"), pattern("q", "x")]],
    ["a table that takes time", [later(pattern("p", "x"))]],
  ];
  for (const [name, list] of tables) {
    it(`${name}: lines, and pieces of long lines`, async () => {
      const checks = new Checks("body_checks", list);
      assert.deepEqual(await texts(checks, "x1\r\n\r\nno\r\nx2\r\n"), ["0 x1", "10 x2"]);
      assert.deepEqual(await texts(checks, "xxxxyyyyxx\r\nx\r\n", 4), ["0 xxxx", "8 xx", "12 x"]);
    });
    it(`${name}: a NUL ends the text`, async () => {
      assert.deepEqual(await texts(new Checks("body_checks", list), "ax\0b\r\na\0x\r\n"), ["0 ax"]);
    });
  }
});
