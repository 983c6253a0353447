import assert from "node:assert/strict";
import { it } from "node:test";
import { faultText, limitText } from "../../src/maps/pattern-faults.ts";

it("has the words of PCRE2, of regcomp and its own", () => {
  const at = { offset: 7 };
  assert.equal(faultText("pcre", { code: 114, ...at }), "error in regex at offset 7: missing closing parenthesis");
  assert.equal(faultText("pcre", { code: 900, ...at }), "error in regex at offset 7: this construct is not supported");
  assert.equal(faultText("regexp", { code: 8, ...at }), "Unmatched ( or \\(");
  assert.equal(faultText("regexp", { code: 901, ...at }), "regular expression is too large");
  assert.equal(limitText(2), "match limit exceeded");
});
