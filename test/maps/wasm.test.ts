import assert from "node:assert/strict";
import { it } from "node:test";
import { instanceOf, type ModuleName } from "../../src/maps/wasm.ts";
import { MODULES } from "../../src/maps/wasm-modules.ts";

it("makes each module with a memory of its own", () => {
  for (const name of Object.keys(MODULES) as ModuleName[]) {
    const [one, other] = [instanceOf(name), instanceOf(name)];
    assert.notEqual(one.memory, other.memory);
  }
});
