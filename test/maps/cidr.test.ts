import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { addressBytes } from "../../src/ip-address.ts";
import { latin1Encode } from "../../src/latin1.ts";
import { CidrRules } from "../../src/maps/cidr.ts";
import { openTable } from "../../src/maps/map.ts";
import { fakeRuntime } from "../config/fake-runtime.ts";
import { address, type Chance, chanceOf } from "./table-texts.ts";
import { SEED } from "../seed.ts";

const rules = (text: string): CidrRules => new CidrRules(latin1Encode(text), "/t");
const value = (table: CidrRules, key: string): string => {
  const answer = table.get(key);
  return answer.kind === "found" ? answer.value : answer.kind;
};

// What Debian's postmap says of this file.
const TEXT = `  lead x
1.2.3.4
1.2.3.4/33 a
1.2.3.4/24 b
if 10.0.0.0/8
10.1.0.0/16 x
endif
endif
endif foo
if
!! x
[1.2.3.4 x
[1.2.3.4]x y
1.2.3.4/x z
2001:db8::1/32 x
::ffff:1.2.3.4/96 x
01.2.3.4 oct
1/8 e
[1.2.3.4]/32 y
[2001:db8::]/32 six
IF !1.0.0.0/8
0.0.0.0/0   rest  \n`;

const COMPLAINTS = [
  '/t: logical line must not start with whitespace: "  lead x"',
  "cidr map /t, line 2: no lookup result: skipping this rule",
  'cidr map /t, line 3: bad mask length in "1.2.3.4/33": skipping this rule',
  'cidr map /t, line 4: non-null host address bits in "1.2.3.4/24", perhaps you should use "1.2.3.0/24" instead: ' +
  "skipping this rule",
  "cidr map /t, line 8: ENDIF without IF: skipping this rule",
  "cidr map /t, line 9: garbage after ENDIF: skipping this rule",
  "cidr map /t, line 10: no address pattern: skipping this rule",
  'cidr map /t, line 11: bad address pattern: "x": skipping this rule',
  `cidr map /t, line 12: missing ']' character after "[1.2.3.4": skipping this rule`,
  'cidr map /t, line 13: garbage after "[1.2.3.4]": skipping this rule',
  'cidr map /t, line 14: bad mask value in "1.2.3.4/x": skipping this rule',
  'cidr map /t, line 15: non-null host address bits in "2001:db8::1/32", perhaps you should use "2001:db8::/32" ' +
  "instead: skipping this rule",
  'cidr map /t, line 16: non-null host address bits in "::ffff:1.2.3.4/96", perhaps you should use ' +
  '"::ffff:0.0.0.0/96" instead: skipping this rule',
  'cidr map /t, line 17: bad address pattern: "01.2.3.4": skipping this rule',
  'cidr map /t, line 18: bad network value in "1/8": skipping this rule',
  "cidr map /t, line 21: IF has no matching ENDIF",
];

describe("a cidr: table", () => {
  it("leaves out what it cannot read, with Postfix's words", () => {
    assert.deepEqual(rules(TEXT).warnings, COMPLAINTS);
  });

  const ROWS: readonly (readonly [string, string])[] = [
    ["10.1.2.3", "x"],
    ["1.2.3.4", "y"],
    ["1.2.3.5", "none"],
    ["2.2.2.2", "rest"],
    ["2001:DB8:0::7", "six"],
    ["::ffff:2.2.2.2", "none"],
    ["[2.2.2.2]", "none"],
    ["x", "none"],
    ["", "none"],
    [":".repeat(300), "none"],
  ];
  for (const [key, expected] of ROWS) {
    it(`answers ${expected} to ${key.slice(0, 20)}`, () => assert.equal(value(rules(TEXT), key), expected));
  }

  it("may be written in main.cf", async () => {
    const { runtime } = fakeRuntime({});
    const table = openTable("cidr:{{1.2.3.4 a b}, {::1   c}}", runtime);
    assert.deepEqual(await table.get("1.2.3.4"), { kind: "found", value: "a b" });
    assert.deepEqual(await table.get("::1"), { kind: "found", value: "c" });
    assert.throws(() => openTable("cidr:{1.2.3.4 x}", runtime), /cidr map: no '\{' at start of text in "1\.2\.3\.4"/);
  });
});

interface Rule {
  readonly kind: "rule" | "if" | "endif";
  readonly negated: boolean;
  readonly bytes: Uint8Array;
  readonly bits: number;
  readonly number: number;
}

function matches(rule: Rule, bytes: Uint8Array): boolean {
  if (rule.bytes.length !== bytes.length) return false;
  for (let bit = 0; bit < rule.bits; bit++) {
    if (((rule.bytes[bit >> 3]! ^ bytes[bit >> 3]!) & (0x80 >> (bit & 7))) !== 0) return rule.negated;
  }
  return !rule.negated;
}

/** One rule after the other. */
function slowly(list: readonly Rule[], bytes: Uint8Array): number {
  let skipping = 0;
  for (const rule of list) {
    if (skipping > 0) {
      if (rule.kind === "if") skipping++;
      else if (rule.kind === "endif") skipping--;
    } else if (rule.kind === "if" && !matches(rule, bytes)) skipping = 1;
    else if (rule.kind === "rule" && matches(rule, bytes)) return rule.number;
  }
  return 0;
}

const hex = (bytes: Uint8Array): string =>
  Array.from({ length: 8 }, (_, at) => (bytes[2 * at]! << 8 | bytes[2 * at + 1]!).toString(16)).join(":");
const text = (bytes: Uint8Array): string => bytes.length === 4 ? bytes.join(".") : hex(bytes);

function randomBytes(chance: Chance, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => chance.pick([0, 0, 1, 127, 128, 255, 255, chance.below(256)]));
}

function randomRule(chance: Chance, number: number, depth: number, plain: boolean): Rule {
  const kind = plain ? "rule" : chance.pick(["rule", "rule", "rule", "if", depth > 0 ? "endif" : "rule"] as const);
  const bytes = randomBytes(chance, chance.pick([4, 16]));
  const bits = chance.pick([chance.below(bytes.length * 8 + 1), bytes.length * 8, 8, 0]);
  for (let bit = bits; bit < bytes.length * 8; bit++) bytes[bit >> 3]! &= ~(0x80 >> (bit & 7));
  return { kind, negated: !plain && chance.below(4) === 0, bytes, bits, number };
}

it(`the first rule in the order of the file wins, seed ${SEED}`, () => {
  for (let round = 0; round < 120; round++) {
    const chance = chanceOf(SEED + round);
    const list: Rule[] = [];
    let depth = 0;
    const plain = round % 3 === 0;
    for (let left = chance.below(plain ? 400 : 40); left > 0; left--) {
      const rule = randomRule(chance, list.filter(({ kind }) => kind === "rule").length + 1, depth, plain);
      if (rule.kind === "if") depth++;
      if (rule.kind === "endif") depth--;
      list.push(rule);
    }
    const lines = list.map(({ kind, negated, bytes, bits, number }) => {
      const pattern = `${negated ? "!" : ""}${text(bytes)}/${bits}`;
      return kind === "endif" ? "endif" : kind === "if" ? `if ${pattern}` : `${pattern} ${number}`;
    });
    const table = rules(`${lines.join("\n")}\n`);
    const around = list.flatMap(({ bytes }) =>
      [-1, 0, 1].map((step) => {
        const near = bytes.slice();
        near[near.length - 1]! += step;
        return near;
      })
    );
    const asked = [...around, ...Array.from({ length: 40 }, () => randomBytes(chance, chance.pick([4, 16])))];
    for (const bytes of asked) {
      const rule = slowly(list, bytes);
      const got = value(table, text(bytes));
      assert.equal(
        got,
        rule === 0 ? "none" : String(rule),
        `seed ${SEED + round}: ${text(bytes)}\n${lines.join("\n")}`,
      );
    }
  }
});

it(`reads addresses as strictly as the system does, seed ${SEED}`, () => {
  const chance = chanceOf(SEED);
  const table = rules("0.0.0.0/0 4\n::/0 6\n");
  for (let turn = 0; turn < 3000; turn++) {
    const key = address(chance);
    const bytes = key.endsWith(" ") || key.endsWith("\n") ? null : addressBytes(key);
    assert.equal(value(table, key), bytes === null ? "none" : key.includes(":") ? "6" : "4", key);
  }
});

it(`takes any bytes, seed ${SEED}`, () => {
  const chance = chanceOf(SEED);
  const pieces = [
    "if ",
    "endif",
    "1.2.3.4",
    "/",
    "8",
    "!",
    "[",
    "]",
    " v",
    "\n",
    ":",
    "::",
    "\n  ",
    "#",
    "\0",
    "\xff",
    "0",
  ];
  for (let turn = 0; turn < 500; turn++) {
    let any = "";
    for (let left = chance.below(60); left > 0; left--) any += chance.pick(pieces);
    value(rules(any), "1.2.3.4");
  }
});
