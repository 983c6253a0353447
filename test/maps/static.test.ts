import assert from "node:assert/strict";
import { it } from "node:test";
import { staticValue } from "../../src/maps/static.ts";

it("static: takes all of the name, or what is in braces", () => {
  assert.deepEqual(staticValue("abc d"), { value: "abc d" });
  assert.deepEqual(staticValue("{ abc, d }"), { value: "abc, d" });
  assert.deepEqual(staticValue("{x"), { fault: `bad static:name syntax: missing '}' in "{x"` });
  assert.deepEqual(staticValue("{x}y"), { fault: `bad static:name syntax: syntax error after '}' in "{x}y"` });
});
