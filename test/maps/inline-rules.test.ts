import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inlineRules } from "../../src/maps/inline-rules.ts";

// As Debian's postmap reads cidr:{…}.
const ROWS: readonly (readonly [string, ReturnType<typeof inlineRules>])[] = [
  ["{{1.2.3.4 a b}, { 1.2.3.5   c }}", { text: "1.2.3.4 a b\n1.2.3.5   c\n" }],
  ["{ {a {b} c} }", { text: "a {b} c\n" }],
  ["{}", { text: "" }],
  ["{{a b} x", { fault: `missing '}' in "{{a b} x"` }],
  ["{a b, c d}", { fault: `no '{' at start of text in "a"` }],
  ["{{a b},} z", { fault: `syntax error after '}' in "{{a b},} z"` }],
  ["{{a b}c}", { fault: `syntax error after '}' in "{a b}c"` }],
];

describe("rules written in main.cf", () => {
  for (const [name, read] of ROWS) it(name, () => assert.deepEqual(inlineRules(name), read));
});
