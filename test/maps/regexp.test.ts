import assert from "node:assert/strict";
import { it } from "node:test";
import { latin1Encode } from "../../src/latin1.ts";
import { openTable } from "../../src/maps/map.ts";
import { isPatternTable, type PatternTable } from "../../src/maps/regexp.ts";
import { fakeRuntime } from "../config/fake-runtime.ts";

interface Opened {
  readonly table: PatternTable;
  readonly warned: string[];
  readonly files: Record<string, string>;
  readonly fake: ReturnType<typeof fakeRuntime>;
}

function opened(type: "regexp" | "pcre", text: string): Opened {
  const files: Record<string, string> = { "/t": text };
  const fake = fakeRuntime(files);
  const warned: string[] = [];
  const table = openTable(`${type}:/t`, fake.runtime, { warn: (line) => warned.push(line) });
  assert.ok(isPatternTable(table));
  return { table, warned, files, fake };
}

const answer = (table: PatternTable, key: string): string | null => {
  const found = table.get(key);
  return found.kind === "found" ? found.value : null;
};

const VALUES: readonly (readonly [type: "regexp" | "pcre", text: string, key: string, value: string | null])[] = [
  ["regexp", "/^A+$/ yes", "aaa", "yes"],
  ["regexp", "/^A+$/i yes", "aaa", null],
  ["regexp", "/^a\\+$/x basic", "aa", "basic"],
  ["regexp", "/^b$/m line", "a\nb", "line"],
  ["regexp", "/^b$/ line", "a\nb", null],
  ["regexp", "/a/!/b/ not b", "ac", "not b"],
  ["regexp", "/a/!/b/ not b", "ab", null],
  ["regexp", "/(a|ab)(c|bcd)(d*)/ $1.$2.$3", "abcd", "a.bcd."],
  [
    "regexp",
    "/^(.*)-outgoing@(.*)$/ 550 Use ${1}@$(2) instead",
    "list-outgoing@example.org",
    "550 Use list@example.org instead",
  ],
  ["pcre", "/^(?<name>\\w+)@(?!my\\.domain$)/ $1", "friend@other.example", "friend"],
  ["pcre", "/^(?<name>\\w+)@(?!my\\.domain$)/ $1", "friend@my.domain", null],
  ["pcre", "/(a)|(b)/ <$1$2> $$1", "b", "<b> $1"],
  ["pcre", "!/a/ no a", "b", "no a"],
  ["pcre", "!/a/ no a", "a", null],
  ["pcre", "!!/a/ a", "a", "a"],
  ["pcre", "/a.b/s dot", "a\nb", null],
  ["pcre", "/a.b/ dot", "a\nb", "dot"],
  ["pcre", "/b/A start", "ab", null],
  ["pcre", "/a b/x free", "ab", "free"],
  ["pcre", "/a$/E end", "a\n", null],
  ["pcre", "/a$/ end", "a\n", "end"],
  ["pcre", "/(a+)(a*)/U $1.$2", "aaa", "a."],
  ["pcre", "~a/b~ slash", "a/b", "slash"],
  ["pcre", "/a\\/b/ slash", "a/b", "slash"],
  ["pcre", "if /^a/\nif !/b/\n/c/ a, no b, c\nendif\n/d/ a, d\nendif\n/./ rest", "acd", "a, no b, c"],
  ["pcre", "if /^a/\nif !/b/\n/c/ a, no b, c\nendif\n/d/ a, d\nendif\n/./ rest", "abcd", "a, d"],
  ["pcre", "if /^a/\nif !/b/\n/c/ a, no b, c\nendif\n/d/ a, d\nendif\n/./ rest", "cd", "rest"],
  ["pcre", "# comment\n\n/a/\n   a value\n# inner\n on two lines", "a", "a value on two lines"],
  ["pcre", "/^.$/ one byte", "\u00c3\u00a9", null],
  ["pcre", "/^..$/ two bytes", "\u00c3\u00a9", "two bytes"],
];

it("gives the value of the first rule that takes effect", () => {
  for (const [type, text, key, value] of VALUES) {
    const { table, warned } = opened(type, text);
    assert.equal(answer(table, key), value, `${type} ${text} on ${key}`);
    assert.deepEqual(warned, [], text);
  }
});

const FAULTS: readonly (readonly [type: "regexp" | "pcre", text: string, ...warnings: string[]])[] = [
  ["pcre", "/a(/ x", "pcre map /t, line 1: error in regex at offset 2: missing closing parenthesis"],
  ["pcre", "\n/a/q x", 'pcre map /t, line 2: unknown regexp option "q": skipping this rule'],
  ["pcre", "/a x", 'pcre map /t, line 1: no closing regexp delimiter "/": ignoring this rule'],
  ["regexp", "/a x", 'regexp map /t, line 1: no closing regexp delimiter "/": skipping this rule'],
  ["regexp", "/a(/ x", "regexp map /t, line 1: Unmatched ( or \\("],
  ["pcre", "/a/", "pcre map /t, line 1: no replacement text: using empty string"],
  ["pcre", "!", "pcre map /t, line 1: no regexp: skipping this rule"],
  ["pcre", "any x", "pcre map /t, line 1: ignoring unrecognized request"],
  ["pcre", "endif", "pcre map /t, line 1: ignoring ENDIF without matching IF"],
  [
    "pcre",
    "if /a/\nif /b/",
    "pcre map /t, line 2: IF has no matching ENDIF",
    "pcre map /t, line 1: IF has no matching ENDIF",
  ],
  ["pcre", "!/(a)/ $1", "pcre map /t, line 1: $number found in negative match replacement text: skipping this rule"],
  ["pcre", "/(a)/ $2", 'pcre map /t, line 1: out of range replacement index "2": skipping this rule'],
  [
    "regexp",
    "/(a)/ $0",
    'regexp map /t, line 1: out-of-range replacement index "0"',
    "regexp map /t, line 1: bad replacement syntax: skipping this rule",
  ],
  [
    "pcre",
    "/(a)/ $x ${1",
    'pcre map /t, line 1: non-numeric replacement index "x"',
    'truncated macro reference: "$x ${1"',
    "pcre map /t, line 1: bad replacement syntax: skipping this rule",
  ],
  [
    "pcre",
    "if /a/ /b/ c\nendif",
    'pcre map /t, line 1: ignoring extra text after IF statement: "/b/ c"',
    "pcre map /t, line 1: do not prepend whitespace to statements between IF and ENDIF",
  ],
  ["pcre", " /a/ x", '/t: logical line must not start with whitespace: " /a/ x"'],
  ["pcre", "/\\p{Han}/ x", "pcre map /t, line 1: error in regex at offset 0: this construct is not supported"],
];

it("leaves out rules that it cannot use, in Postfix's words", () => {
  for (const [type, text, ...warnings] of FAULTS) {
    assert.deepEqual(opened(type, text).warned, warnings, text);
  }
});

it("says that a match was given up and goes on with the next rule", () => {
  const { table, warned } = opened("pcre", "/(a*)*\\1b/ one\n/^a/ two\n");
  assert.equal(answer(table, `${"a".repeat(5000)}cb`), "two");
  assert.deepEqual(warned, ["pcre map /t, line 1: match limit exceeded"]);
});

it("does not find keys that are not UTF-8 where access tables ask, but does for headers", () => {
  const { table, warned } = opened("pcre", "/x/ found\n");
  assert.equal(answer(table, "x\xff"), null);
  assert.deepEqual(warned, ['pcre:/t: non-UTF-8 key "x?": malformed UTF-8 or invalid codepoint']);
  assert.deepEqual(table.find("x\xff"), { kind: "found", value: "found" });
});

const BLOCK = "Subject: one\r\nTo: a@b\r\nSubject: two\r\n\tthree\r\nX-Last: yes\r\n\r\nSubject: body\r\n";

it("finds the headers of a block that match, folded lines joined by a newline", () => {
  const { table } = opened("pcre", "/^Subject: two\\n\\tthree$/ folded\n/^Subject: (.*)/ <$1>\n/^X-/ other\n");
  assert.deepEqual(table.scanHeaders(latin1Encode(BLOCK)), [
    { offset: 0, length: 12, value: "<one>" },
    { offset: 23, length: 20, value: "folded" },
    { offset: 45, length: 11, value: "other" },
  ]);
});

it("finds headers whose lines end in LF alone, and the last without a line end", () => {
  const { table } = opened("pcre", "/^A: 1\\n 2$/ a\n/^B/ b\n");
  assert.deepEqual(table.scanHeaders(latin1Encode("A: 1\n 2\nB: x")), [
    { offset: 0, length: 7, value: "a" },
    { offset: 8, length: 4, value: "b" },
  ]);
});

it("finds the lines of a block that match, long ones piece by piece", () => {
  const { table } = opened("regexp", "/^(b+)$/ $1\n/^a+$/ a\n");
  assert.deepEqual(table.scanLines(latin1Encode("bb\r\nc\r\naaaaa\r\n"), 3), [
    { offset: 0, length: 2, value: "bb" },
    { offset: 7, length: 3, value: "a" },
    { offset: 10, length: 2, value: "a" },
  ]);
});

it("ends a key at a NUL", () => {
  const { table } = opened("pcre", "/^a$/ a\n");
  assert.equal(answer(table, "a\0b"), "a");
  assert.deepEqual(table.scanHeaders(latin1Encode("a\0b\r\nab\r\n")), [{ offset: 0, length: 3, value: "a" }]);
});

it("is read again when its file changes", () => {
  const { table, files, fake } = opened("pcre", "/a/ one\n");
  assert.equal(answer(table, "a"), "one");
  files["/t"] = "/a/ number two\n";
  fake.modified["/t"] = fake.now;
  fake.now += 1000;
  assert.equal(answer(table, "a"), "number two");
});

it("may be written in place of a file name", () => {
  const { runtime } = fakeRuntime({});
  const table = openTable("pcre:{ { /^a(.*)$/ <$1> }, {/b/ b} }", runtime) as PatternTable;
  assert.equal(answer(table, "axy"), "<xy>");
  assert.equal(answer(table, "cb"), "b");
  assert.throws(() => openTable("pcre:{ /a/ x }", runtime), /pcre map: no '\{' at start of text in "\/a\/"/);
});

it("answers unsure while its file cannot be read", () => {
  const table = openTable("pcre:/missing", fakeRuntime({}).runtime) as PatternTable;
  assert.equal(table.get("a").kind, "unsure");
  assert.equal(table.find("a").kind, "unsure");
  assert.deepEqual(table.scanHeaders(latin1Encode("A: b\r\n")), []);
});
