import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConfigError } from "../../src/errors.ts";
import { NONE } from "../../src/lookup.ts";
import { openTable } from "../../src/maps/map.ts";
import { pipemapTable } from "../../src/maps/pipemap.ts";
import { unionmapTable } from "../../src/maps/unionmap.ts";
import { tablesInBraces, wordsInBraces } from "../../src/maps/words.ts";
import { fakeRuntime } from "../config/fake-runtime.ts";

const { runtime } = fakeRuntime({});

describe("tables made of tables", () => {
  const rows: readonly (readonly [string, string, string | null | "unsure"])[] = [
    ["pipemap:{inline:{x=y},inline:{y=2}}", "x", "2"],
    ["pipemap:{inline:{X=y},inline:{Y=2}}", "X", "2"],
    ["pipemap:{inline:{x=y}, inline:{z=2}}", "x", null],
    ["pipemap:{static:y}", "x", "y"],
    ["pipemap:{inline:{x=y} fail:z}", "x", "unsure"],
    ["pipemap:{inline:{x=y} fail:z}", "other", null],
    ["unionmap:{static:a,static:b}", "x", "a,b"],
    ["unionmap:{inline:{x=1},inline:{y=2},static:z}", "x", "1,z"],
    ["unionmap:{inline:{x=1},inline:{y=2}}", "z", null],
    ["unionmap:{static:y,fail:x}", "x", "unsure"],
    ["unionmap:{pipemap:{static:y,static:z},static:a}", "x", "z,a"],
  ];
  for (const [name, key, value] of rows) {
    it(`${name} ${key}`, async () => {
      const answer = await openTable(name, runtime).get(key);
      if (value === "unsure") assert.equal(answer.kind, "unsure");
      else assert.deepEqual(answer, value === null ? { kind: "none" } : { kind: "found", value });
    });
  }
  it("wait for tables that take time", async () => {
    const open = (name: string) => ({
      name,
      pattern: false,
      get: (key: string) => Promise.resolve(name === "t:none" ? NONE : { kind: "found" as const, value: `${key}+` }),
    });
    const context = (type: string) => ({
      name: `${type}:x`,
      type,
      runtime,
      options: {},
      warn: () => {},
      fault: (text: string) => assert.fail(text),
      open,
    });
    const made = (make: typeof pipemapTable, type: string, rest: string) => make(rest, context(type)).get("k");
    assert.deepEqual(await made(pipemapTable, "pipemap", "{t:a t:b t:c}"), { kind: "found", value: "k+++" });
    assert.deepEqual(await made(pipemapTable, "pipemap", "{t:a t:none t:c}"), NONE);
    assert.deepEqual(await made(unionmapTable, "unionmap", "{t:a t:none t:c}"), { kind: "found", value: "k+,k+" });
    assert.equal(tablesInBraces("{t:a,t:b}", context("x")).length, 2);
  });
  const faults: readonly (readonly [string, string])[] = [
    ["pipemap:x", 'bad syntax: "pipemap:x"; need "pipemap:{type:name...}"'],
    ["pipemap:{}", 'bad syntax: "pipemap:{}"; need "pipemap:{type:name...}"'],
    ["pipemap:{foo}", 'bad syntax: "pipemap:{foo}"; need "pipemap:{type:name...}"'],
    ["pipemap:{nosuch:x}", "unsupported dictionary type: nosuch"],
    ["unionmap:{}", 'bad syntax: "unionmap:{}"; need "unionmap:{type:name...}"'],
    ["unionmap:{foo}", 'bad syntax: "unionmap:{foo}"; need "unionmap:{type:name...}"'],
  ];
  for (const [name, text] of faults) {
    it(`${name} is a fault`, () =>
      assert.throws(
        () => openTable(name, runtime),
        (caught) => caught instanceof ConfigError && caught.faults[0] === `fatal: ${text}`,
      ));
  }
  it("words keep what is in braces together", () => {
    assert.deepEqual(wordsInBraces("{a:{b c}, d}"), ["a:{b c}", "d"]);
    for (const text of ["", "a", "{a", "{a} b", "{,}"]) assert.deepEqual(wordsInBraces(text), []);
  });
});
