import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseMainCf } from "../../src/config/main-cf.ts";

function entries(text: string): Record<string, string> {
  return Object.fromEntries([...parseMainCf(text, "F").entries.values()].map(({ name, value }) => [name, value]));
}

describe("main.cf", () => {
  it("joins continuation lines over comments and blank lines", () => {
    assert.deepEqual(entries("a = 1\n# c\n\n  2\n \t \n#d\n 3\nb=x\n"), { a: "1  2 3", b: "x" });
  });
  it("drops white space around = and at the end, and CR", () =>
    assert.deepEqual(entries("a   =  b c \r\n"), { a: "b c" }));
  it("takes = from a continuation line", () => assert.deepEqual(entries("a\n  = z\n"), { a: "z" }));
  it("keeps later = in the value", () => assert.deepEqual(entries("a=b=c"), { a: "b=c" }));
  it("lets the last entry win, and says so", () => {
    const read = parseMainCf("a=1\nb=2\na=3\n", "F");
    assert.equal(read.entries.get("a")!.value, "3");
    assert.equal(read.entries.get("a")!.line, 3);
    assert.deepEqual(read.warnings, ["F, line 3: overriding earlier entry: a=1"]);
  });
  it("finds every fault, with its line", () => {
    const read = parseMainCf("\njunk\n more\nok=1\n= x\nmy name = y\n", "F");
    assert.deepEqual(read.faults, [
      `F, line 2: missing '=' after attribute name: "junk more"`,
      'F, line 5: missing attribute name: "= x"',
      `F, line 6: missing '=' after attribute name: "my name = y"`,
    ]);
  });
  it("leaves out a first line that starts with white space", () => {
    const read = parseMainCf("  a = 1\n b\nc=2", "F");
    assert.deepEqual([...read.entries.keys()], ["c"]);
    assert.deepEqual(read.warnings, ['F: logical line must not start with whitespace: "  a = 1 b"']);
  });
});
