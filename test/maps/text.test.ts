import assert from "node:assert/strict";
import { it } from "node:test";
import { latin1Encode } from "../../src/latin1.ts";
import { textEntries } from "../../src/maps/text.ts";

// The same input as was given to Debian's postmap.
const TEXT = '# c\nfoo  bar baz \nFOO x\nFoo@X.Y  z\n  more\n\nempty\n"a b" c\n"q\\"r" d\na: b\ntab\tval\n  #c2\n x\n' +
  'noval   \n"a b\n"c d"e f\na\\ b c\n';

it("reads text tables as postmap does", () => {
  const read = textEntries(latin1Encode(TEXT), "/t");
  assert.deepEqual([...read.entries], [
    ["foo", "bar baz"],
    ["foo@x.y", "z  more"],
    ['"a b"', "c"],
    ['"q\\"r"', "d"],
    ["a:", "b"],
    ["tab", "val x"],
    ['"c d"e', "f"],
    ["a\\ b", "c"],
  ]);
  assert.deepEqual(read.warnings, [
    '/t, line 3: duplicate entry: "FOO"',
    "/t, line 7: expected format: key whitespace value -- ignoring this line",
    '/t, line 10: record is in "key: value" format; is this an alias file?',
    "/t, line 14: expected format: key whitespace value -- ignoring this line",
    `/t, line 15: unbalanced '"' in '"a b' -- ignoring this line`,
  ]);
});

it("leaves out a first line that starts with white space", () => {
  const read = textEntries(latin1Encode("  lead x\n  more y\nk v\n"), "/t");
  assert.deepEqual([...read.entries], [["k", "v"]]);
  assert.equal(read.warnings.length, 1);
});
