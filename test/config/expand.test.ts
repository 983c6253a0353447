import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { expand, ExpandError, namesIn } from "../../src/config/expand.ts";

const VALUES: Readonly<Record<string, string>> = {
  foo: "1",
  bar: "2",
  ref: "$empty",
  empty: "",
  loop: "$loop",
  dollar: "a$$b",
};
const lookup = (name: string): string | null => VALUES[name] ?? null;

// Each row was checked against Debian's postconf -x.
const ROWS: readonly (readonly [string, string])[] = [
  ["plain", "plain"],
  ["$foo.$bar-$(foo)${bar}", "1.2-12"],
  ["$$foo $$$foo", "$foo $1"],
  ["$nosuch|${nosuch}", "|"],
  ["${foo?a}${nosuch?b}", "a"],
  ["${foo:a}${nosuch:b}", "b"],
  ["${foo?{a}:{b}}${nosuch?{a}:{b}}", "ab"],
  ["${nosuch?{a}:b}", "b"],
  ["${foo ? {a} : {b}}", "a"],
  ["${ foo }", "1"],
  ["x${foo?{ a }:{ b }}z", "x a z"],
  ["x${foo? a }z", "x a z"],
  ["${foo?y:b}", "y:b"],
  ["${ref?y}", "y"],
  ["${ref:y}", ""],
  ["${{$ref} == {} ? {e} : {n}}", "e"],
  ["${{ a } == {a} ? {e} : {n}}", "n"],
  ["${{a}=={b}?{x}:{y}}", "y"],
  ["${{a} == {a}?x}${{a} == {b}:n}", "xn"],
  ["${{a} == {a}}${{a} == {b}}", "true"],
  ["${{10} < {9} ? {x} : {y}}", "y"],
  ["${{10} <= {9a} ? {x} : {y}}", "x"],
  ["${{10} == {010} ? {x} : {y}}", "x"],
  ["${{B} > {a} ? {x} : {y}}", "y"],
  ["${{10} >= {9} ? {x} : {y}}${{1} != {2} ? {x} : {y}}", "xx"],
  ["${{3.10} >level {3.9} ? {x} : {y}}", "x"],
  ["${{3.10} ==level {3.10.0} ? {x} : {y}}", "x"],
  ["${foo?$(bar)}$(foo?${bar})", "22"],
  ["${foo?{${nosuch?{b}:{c}}}:{${foo:{d}}}}", "c"],
  ["${foo}}", "1}"],
  ["$dollar", "a$b"],
  ["${?b}", ""],
  ["${nosuch:${nosuch2:deep}}", "deep"],
];

const FAULTS: readonly (readonly [string, string])[] = [
  ["$loop", 'unreasonable macro call nesting: "loop"'],
  ["${foo", 'truncated macro reference: "${foo"'],
  ["$(foo}", 'truncated macro reference: "$(foo}"'],
  ["${}", 'empty macro name: "${}"'],
  ["a$ b", 'empty macro name: "a$ b"'],
  ["${foo-x}", 'attribute name syntax error at: "...foo>>>-x"'],
  ["${foo:{a}:{b}}", 'unexpected input at: "...a}>>>:{b}"'],
  ["${foo?{a}{b}}", '":" expected at: "...a}>>>{b}"'],
  ["${{a} == {a} x}", '"?" or ":" expected at: "...}>>>x"'],
  ["${{x} <level {3.9}?y}", 'malformed compatibility level syntax: "x"'],
  ["${{1} <levelx {3.9}?y}", "bad operator suffix at:"],
  ["${{a} = {a} ? {e}}", '"==" or "!="'],
];

describe("$name expressions", () => {
  for (const [text, result] of ROWS) it(text, () => assert.equal(expand(text, lookup), result));
});

describe("expressions that cannot be expanded", () => {
  for (const [text, message] of FAULTS) {
    it(text, () => {
      assert.throws(() => expand(text, lookup), (caught) => {
        assert.ok(caught instanceof ExpandError);
        assert.equal(
          caught.message.replace(/"\.\.\..*>>>/, "").startsWith(message.replace(/"\.\.\..*>>>/, "")),
          true,
          caught.message,
        );
        return true;
      });
    });
  }
});

it("finds the names in a value", () => {
  assert.deepEqual(namesIn("a $b ${c?$d:{e}} $(f) $$g ${{$h} == {x}}"), ["b", "c", "d", "f", "h"]);
});
