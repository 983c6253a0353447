/**
 * The matcher of regexp: and pcre: tables against the runtime's own regular expressions, where both mean the same.
 * Seen to fail when broken on purpose: choices of the backtracker turned round; byte classes of some sets left out; a
 * start state that outlives the forgetting of states; states without a bound; texts that end inside others forgotten;
 * the step limit a hundred times higher; one byte more than a pattern needs; the bytes of one of its alternatives; what
 * may be repeated no times; look-ahead at the first line only; states taken for failed at their first visit; counts of
 * rounds left out of states; no states kept; states taken for failed when a cut drops them.
 */

import assert from "node:assert/strict";
import { it } from "node:test";
import { OPTION, PatternEngine } from "../../src/maps/pattern-engine.ts";
import { SEED } from "../seed.ts";
import { type Chance, chanceOf } from "../system/pattern-tables.ts";

interface Made {
  readonly text: string;
  /** JavaScript forgets the groups of a former round, and takes no empty round. */
  readonly sameGroups: boolean;
  readonly groups: number;
  readonly mayBeEmpty: boolean;
  /** A group from its first character to its last. */
  readonly isGroup: boolean;
}

const plain = (text: string, mayBeEmpty: boolean): Made => ({
  text,
  sameGroups: true,
  groups: 0,
  mayBeEmpty,
  isGroup: false,
});

/** All patterns of that many leaves and operators. */
function patternsOf(size: number, known = new Map<number, readonly Made[]>()): readonly Made[] {
  const former = known.get(size);
  if (former !== undefined) return former;
  const made: Made[] = [];
  if (size === 1) {
    made.push(plain("a", false), plain("b", false), plain(".", false), plain("^", true), plain("$", true));
  }
  if (size > 1) {
    for (const inner of patternsOf(size - 1, known)) {
      made.push({ ...inner, text: `(${inner.text})`, groups: inner.groups + 1, isGroup: true });
      if (!inner.text.endsWith(")")) continue;
      for (const mark of ["*", "??", "{2}"]) {
        const sameGroups = inner.groups === (inner.isGroup ? 1 : 0) && !inner.mayBeEmpty;
        const mayBeEmpty = inner.mayBeEmpty || mark !== "{2}";
        made.push({ ...inner, text: inner.text + mark, sameGroups, mayBeEmpty, isGroup: false });
      }
    }
  }
  for (let left = 1; left < size - 1; left++) {
    for (const one of patternsOf(left, known)) {
      for (const other of patternsOf(size - 1 - left, known)) {
        const sameGroups = one.sameGroups && other.sameGroups;
        const both = { sameGroups, groups: one.groups + other.groups, isGroup: false };
        made.push({ ...both, text: one.text + other.text, mayBeEmpty: one.mayBeEmpty && other.mayBeEmpty });
        made.push({ ...both, text: `(?:${one.text}|${other.text})`, mayBeEmpty: one.mayBeEmpty || other.mayBeEmpty });
      }
    }
  }
  known.set(size, made);
  return made;
}

const keysTo = (length: number): string[] =>
  length === 0 ? [""] : ["", ...keysTo(length - 1).flatMap((key) => ["a", "b"].map((letter) => letter + key))];

const KEYS = [...new Set(keysTo(6))];

/** What repeats a run. */
const SEEDED = `POSTRIDER_TEST_SEED=${SEED}`;

function engineOf(patterns: readonly string[], options: number): PatternEngine {
  const engine = new PatternEngine();
  for (const text of patterns) {
    const number = engine.add({ text, options, match: true });
    assert.equal(typeof number, "number", `${text}: ${JSON.stringify(number)}`);
    engine.rule("match", number as number, true);
  }
  engine.finish();
  return engine;
}

function pairs(engine: PatternEngine, rule: number, groups: number): number[] {
  const places = engine.captures(rule);
  assert.ok(places !== null);
  return [...places.subarray(0, 2 * (groups + 1))];
}

/** Empty and unset groups are the same to a table. */
const filled = (offsets: readonly number[], from: number): string =>
  Array.from({ length: offsets.length / 2 }, (_, at) => offsets.slice(2 * at, 2 * at + 2))
    .slice(from).map(([start, end]) => start === end ? "-" : `${start}-${end}`).join(" ");

function javascript(pattern: RegExp, key: string): number[] | null {
  const match = pattern.exec(key);
  if (match === null) return null;
  return match.indices!.flatMap((pair) => pair === undefined ? [-1, -1] : [...pair]);
}

it("finds the first of many rules, as trying them one after the other does", () => {
  const patterns = patternsOf(5).filter((_, index) => index % 3 === 0);
  for (let at = 0; at < patterns.length; at += 60) {
    // Anchored at the end, so that not the first of them takes all.
    const texts = patterns.slice(at, at + 60).map(({ text }) => `(?:${text})$`);
    const engine = engineOf(texts, 0);
    const known = texts.map((text) => new RegExp(text, "s"));
    for (const key of KEYS) {
      const expected = known.findIndex((pattern) => pattern.test(key));
      assert.equal(engine.find(key), expected, `${texts[expected] ?? "none"} on "${key}"`);
    }
  }
});

it("finds where the groups of the rule match, leftmost and first", () => {
  const patterns = patternsOf(5).filter((made, index) => made.sameGroups && made.groups > 0 && index % 5 === 0);
  for (const { text, groups } of patterns) {
    const engine = engineOf([text], OPTION.captures | OPTION.dotAll);
    const known = new RegExp(text, "ds");
    for (const key of KEYS) {
      const expected = javascript(known, key);
      assert.equal(engine.find(key), expected === null ? -1 : 0, `${text} on "${key}"`);
      if (expected !== null) {
        assert.equal(filled(pairs(engine, 0, groups), 1), filled(expected, 1), `${text} on "${key}"`);
      }
    }
  }
});

function randomPattern(chance: Chance, depth: number): string {
  const parts = ["a", "b", "c", "[ab]", "[^a]", ".", "\\w", "\\d", "\\s", "^", "$", "\\b", "\\B"];
  const pick = (): string => parts[chance(parts.length)]!;
  const repeat = (): string => ["", "", "", "*", "+", "?", "*?", "{1,2}", "{2}"][chance(9)]!;
  const atom = (): string => {
    const kind = chance(10);
    if (kind < 6 || depth === 0) {
      const made = pick();
      return /^(?:\^|\$|\\[bB])$/.test(made) ? made : made + repeat();
    }
    const inner = randomPattern(chance, depth - 1);
    if (kind < 8) return `(?:${inner})${repeat()}`;
    return ["(?=", "(?!", "(?<=a|b", "(?<!b|c"][kind === 8 ? chance(2) : 2 + chance(2)]! +
      (kind === 8 ? `${inner})` : ")");
  };
  const branch = (): string => Array.from({ length: 1 + chance(3) }, atom).join("");
  return Array.from({ length: chance(4) === 0 ? 2 : 1 }, branch).join("|");
}

/** Compares rounds of tables with JavaScript, each pattern behind `before` and each key behind `start`. */
function agrees(rounds: number, before: string, start: string): void {
  const chance = chanceOf(SEED);
  for (let round = 0; round < rounds; round++) {
    const texts = Array.from({ length: 12 }, () => randomPattern(chance, 2));
    const engine = engineOf(texts.map((text) => `${before}(?:${text})\\z`), OPTION.dotAll);
    const known = texts.map((text) => new RegExp(`(?:${text})(?![^])`, "s"));
    for (let turn = 0; turn < 60; turn++) {
      const key = start + Array.from({ length: chance(9) }, () => "aabc1 _"[chance(7)]!).join("");
      const expected = known.findIndex((pattern) => pattern.test(key));
      assert.equal(engine.find(key), expected, `${SEEDED} ${texts[expected] ?? texts.join("  ")} on "${key}"`);
    }
  }
}

it("agrees on random patterns with look-around, classes, lazy and counted repetition", () => {
  agrees(60, "", "");
});

/** Holds everywhere, after more steps than a search takes before it keeps its failed states. */
const LONG = "(?!(?:.*?.*?.*?.*?.*?.*?.*?.*?(?<=~))+)";

it("agrees on random patterns when a search keeps its failed states", () => {
  agrees(15, LONG, "b1 c__a ");
});

/** Choices within choices: without keeping what has failed, these take more steps than a search may. */
const MULTIPLIED = [
  { pattern: "(?:(?:\\b|.*?(?:[^a]*?[^a]*?.*?|[ab]?c{2})(?<!b|c))+)\\z", key: "  a111c", groups: "" },
  { pattern: "(?:\\b|.*?.*?.*?.*?(?<!c))+\\z", key: "  a111c", groups: "" },
  { pattern: "(?:\\b|.*?.*?.*?.*?(?<!c))+\\z", key: `${"1".repeat(200)}c`, groups: "" },
  { pattern: "(?:(\\w)\\b|.*?.*?.*?.*?(?<!c))+?\\z", key: "  a1111c", groups: "7-8" },
  { pattern: "(?:(a)|.*?.*?.*?.*?(?<!c))+(?=c)(\\B)?(c)\\z", key: "  a1111c", groups: "2-3 - 7-8" },
  { pattern: "(?=(?:.*?.*?.*?.*?.*?(?<!c)|(a))+z)|(?>(?:.*?.*?(?<!c))+)(c)\\z", key: "  a1111c", groups: "- 7-8" },
  { pattern: "(?:.*?.*?.*?.*?(?<!c)){2,3}\\z", key: "  a1111c", groups: null },
  // An atomic group whose choices were cut off has not failed.
  { pattern: `${LONG}(?<!b)(?>.*?(?:b|_(?<!x)))d\\z`, key: "a1   aa aabbd", groups: null },
];

it("matches where choices within choices would multiply", () => {
  for (const { pattern, key, groups } of MULTIPLIED) {
    const engine = engineOf([pattern, "^"], OPTION.dotAll | OPTION.captures);
    assert.equal(engine.find(key), groups === null ? 1 : 0, pattern);
    assert.deepEqual(engine.limits(), [], pattern);
    if (groups === null) continue;
    assert.equal(filled(pairs(engine, 0, groups === "" ? 0 : groups.split(" ").length), 1), groups, pattern);
  }
});

it("leaves out keys that lack what a pattern needs, and no others", () => {
  const chance = chanceOf(SEED);
  const of = (list: readonly string[]): string => list[chance(list.length)]!;
  const atoms = [
    "<",
    "[@#]",
    "(?:<|@)",
    "(?:<a|#)",
    "(?:a|#b|@)",
    "[\\d<]",
    "#{2,3}",
    "@*",
    "(?:<|)",
    "(?:@#){0,2}",
    "a",
  ];
  const loops = [".*", ".+", "\\w*", ".{0,3}", "[^#]*"];
  const body = (): string => `${of(atoms)}${of(loops)}${of(atoms)}${of(loops)}${of(atoms)}`;
  const starts = ["", "", "^", "^(?!a)", "^(?=[a@])", "^(?!.*#)", "^(?=.*@)(?!<)", "(?=a)", "(?!<)"];
  const tails = ["", "", "$", "(?!#)", "(?<!a)", "(a|#)\\1", "(?:@(?=b)|<)"];
  for (let round = 0; round < 300; round++) {
    const multiline = chance(2) === 0;
    const texts = Array.from({ length: 3 }, () => `${of(starts)}${body()}${of(tails)}`);
    const engine = engineOf(texts, OPTION.dotAll | (multiline ? OPTION.multiline : 0));
    const known = texts.map((text) =>
      new RegExp(text.replace(/\$$/, multiline ? "$" : "(?=\n?$)"), multiline ? "ms" : "s")
    );
    for (let turn = 0; turn < 60; turn++) {
      const key = `${Array.from({ length: chance(14) }, () => "aab<@#1\n"[chance(8)]!).join("")}b`;
      const expected = known.findIndex((pattern) => pattern.test(key));
      const said = `${SEEDED} ${JSON.stringify(texts)} on ${JSON.stringify(key)}`;
      assert.equal(engine.find(key), expected, said);
    }
  }
});

const LIMITED = [
  { pattern: "(a+)+$", key: "a".repeat(20_000) + "b", limited: false },
  { pattern: "(a|a)*b", key: "a".repeat(20_000), limited: false },
  { pattern: "(.*)*x", key: "a".repeat(20_000), limited: false },
  { pattern: "^(a?){30}a{30}$", key: "a".repeat(29), limited: false },
  { pattern: "(x+x+)+y", key: "x".repeat(20_000), limited: false },
  { pattern: "(a*)*\\1b", key: "a".repeat(20_000), limited: false },
  { pattern: "(a*)*\\1b", key: "a".repeat(20_000) + "cb", limited: true },
  { pattern: "(?=(a+)+$)a", key: "a".repeat(20_000) + "c", limited: true },
  { pattern: "(?>a|b)*(a|a)*(?=c)d", key: "a".repeat(20_000) + "xd", limited: true },
];

it("takes a bounded time for patterns that explode elsewhere, and says so where it gives a match up", () => {
  for (const { pattern, key, limited } of LIMITED) {
    for (const options of [OPTION.dotAll, OPTION.dotAll | OPTION.captures]) {
      const engine = engineOf([pattern, "^"], options);
      const start = performance.now();
      const rule = engine.find(key);
      const took = performance.now() - start;
      assert.equal(rule, 1, pattern);
      assert.deepEqual(engine.limits(), limited ? [{ rule: 0, outcome: 2 }] : [], pattern);
      assert.ok(took < 150, `${pattern}: ${took.toFixed(0)} ms`);
    }
  }
});

it("finds groups in long keys in a bounded time", () => {
  for (const pattern of ["^(a+)+(b?)$", "^(?:(a)|a)*$", "^(.*)*(a)$"]) {
    const engine = engineOf([pattern], OPTION.dotAll | OPTION.captures);
    assert.equal(engine.find("a".repeat(20_000)), 0, pattern);
    const start = performance.now();
    assert.ok(engine.captures(0) !== null, pattern);
    assert.ok(performance.now() - start < 250, pattern);
  }
});

it("stays right within a small memory when the states of its automata never end", () => {
  const chance = chanceOf(7);
  // To know what is so many places back, an automaton needs thousands of states.
  const patterns = Array.from({ length: 6 }, (_, at) => `a[ab]{${14 - at}}[cd]`);
  const known = patterns.map((text) => new RegExp(text));
  const engine = engineOf(patterns, 0);
  const before = engine.memory();
  engine.limitStates(1 << 18);
  for (let turn = 0; turn < 300; turn++) {
    const letter = (): string => chance(14) === 0 ? "dc"[chance(2)]! : "ab"[chance(2)]!;
    const key = Array.from({ length: turn % 2 === 0 ? 200 : 12 }, letter).join("");
    assert.equal(engine.find(key), known.findIndex((pattern) => pattern.test(key)), key);
  }
  assert.ok(engine.memory() - before < 400 << 10, `${(engine.memory() - before) >> 10} KB`);
});

it("finds texts that overlap each other", () => {
  const chance = chanceOf(8);
  const letters = (length: number): string => Array.from({ length }, () => "ab"[chance(2)]!).join("");
  for (let round = 0; round < 30; round++) {
    const texts = Array.from({ length: 5 }, () => letters(3 + chance(5)));
    // A plain text, and a text that gates a machine or the backtracker.
    const patterns = texts.map((text, at) => ["", "(?:a|b$)?", "(?!bb)"][at % 3]! + text);
    const known = patterns.map((text) => new RegExp(text, "i"));
    const engine = engineOf(patterns, OPTION.caseless);
    for (let turn = 0; turn < 40; turn++) {
      const key = letters(chance(14)).replaceAll("bab", "bAb");
      assert.equal(
        engine.find(key),
        known.findIndex((pattern) => pattern.test(key)),
        `${patterns.join(" ")} on ${key}`,
      );
    }
  }
});

it("never traps on random bytes as patterns and keys", () => {
  assert.doesNotThrow(() => tryRandomBytes(chanceOf(SEED)), SEEDED);
});

function tryRandomBytes(chance: Chance): void {
  const bytes = "()[]{}|*+?.^$\\-:=!<>abcdwsnAZ019,PRQEgk'&#x \xff";
  const random = (length: number): string =>
    Array.from({ length: chance(length) }, () => bytes[chance(bytes.length)]!).join("");
  for (let round = 0; round < 40; round++) {
    const engine = new PatternEngine();
    for (let turn = 0; turn < 60; turn++) {
      const options = chance(8192) & (chance(2) === 0 ? 0x3ff : 0x1fff);
      const number = engine.add({ text: random(14), options, match: true });
      if (typeof number === "number") engine.rule("match", number, chance(3) > 0);
    }
    engine.finish();
    for (let turn = 0; turn < 10; turn++) {
      const rule = engine.find(random(30));
      if (rule >= 0) engine.captures(rule);
    }
  }
}
