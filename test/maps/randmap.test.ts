import assert from "node:assert/strict";
import { it } from "node:test";
import { ConfigError } from "../../src/errors.ts";
import { openTable } from "../../src/maps/map.ts";
import { randmapTable } from "../../src/maps/randmap.ts";
import { fakeRuntime } from "../config/fake-runtime.ts";

const { runtime } = fakeRuntime({});

it("randmap: answers with each of its values in turn as chance has it", async () => {
  let next = 0;
  const chosen = { ...runtime, random: { below: (limit: number) => next++ % limit, bytes: () => new Uint8Array(0) } };
  const table = openTable("randmap:{a, b { c d }}", chosen);
  const values = [];
  for (let count = 0; count < 4; count++) values.push(await table.get("x"));
  assert.deepEqual(values.map((answer) => answer.kind === "found" && answer.value), ["a", "b", "{ c d }", "a"]);
  assert.equal(table.pattern, true);
});

it("randmap: without values is a fault", () => {
  assert.equal(typeof randmapTable, "function");
  for (const rest of ["a", "{}", "{,}"]) {
    assert.throws(
      () => openTable(`randmap:${rest}`, runtime),
      (caught) =>
        caught instanceof ConfigError &&
        caught.faults[0] === `fatal: bad syntax: "randmap:${rest}"; need "randmap:{value...}"`,
    );
  }
});
