/**
 * regexp: and pcre: tables against Debian's postmap: values, exit code and warnings. Needs root and the packages
 * postfix and postfix-pcre; SpamAssassin's rules are tried where Debian's package is there.
 * Where regexp: differs from glibc on purpose: see DIFFERENCES.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { after, it } from "node:test";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { openTable } from "../../src/maps/map.ts";
import type { PatternTable } from "../../src/maps/regexp.ts";
import { fakeRuntime } from "../config/fake-runtime.ts";
import { corpus, SCALE } from "../corpus.ts";
import { debianPostfix } from "./debian-postfix.ts";
import { chanceOf, keysOf, tableText } from "./pattern-tables.ts";
import { SEED } from "../seed.ts";

const isNode = process.versions.bun === undefined && !("Deno" in globalThis);
const folder = mkdtempSync(join(tmpdir(), "patterns-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, "table");

type Type = "regexp" | "pcre";

interface Answer {
  readonly output: string;
  readonly warnings: string;
  readonly code: number;
}

/** `words`: -u to ask for keys that are not UTF-8. */
function theirs(type: Type, text: string, keys: readonly string[], ...words: string[]): Answer {
  writeFileSync(path, text, "latin1");
  const input = Buffer.from(keys.map((key) => `${key}\n`).join(""), "latin1");
  const done = spawnSync("postmap", [...words, "-q", "-", `${type}:${path}`], { input, maxBuffer: 1 << 28 });
  // postmap's own warning about empty values.
  const warnings = done.stderr.toString("latin1").replace(
    /postmap: warning: table .*(?:empty string|NO RESULT).*\n/g,
    "",
  );
  return { output: done.stdout.toString("latin1"), warnings, code: done.status ?? -1 };
}

/** What postmap -q - does with our table. */
function ours(type: Type, text: string, keys: readonly string[], utf8 = true): Answer {
  let warnings = "";
  const { runtime } = fakeRuntime({ [path]: text });
  const warn = (words: string): void => {
    warnings += `postmap: warning: ${words}\n`;
  };
  const table = openTable(`${type}:${path}`, runtime, { warn }) as PatternTable;
  let output = "";
  for (const key of keys) {
    const answer = utf8 ? table.get(key) : table.find(key);
    if (answer.kind === "unsure") {
      return { output: "", warnings: `${warnings}postmap: fatal: ${answer.why}\n`, code: 1 };
    }
    if (answer.kind === "found") output += `${key}\t${answer.value}\n`;
  }
  return { output, warnings, code: output === "" ? 1 : 0 };
}

const TABLES = Number(process.env.TABLES ?? (isNode ? 350 : 25));

for (const type of ["pcre", "regexp"] as const) {
  for (const faulty of [false, true]) {
    it(
      `answers as postmap does: random ${type} tables${faulty ? " with faults" : ""}`,
      { skip: !debianPostfix },
      () => {
        for (let seed = SEED; seed < SEED + TABLES; seed++) {
          const chance = chanceOf(seed);
          const text = tableText(chance, type === "pcre", faulty).replaceAll("\u00e9", "\u00c3\u00a9");
          const keys = keysOf(chance, 300);
          assert.deepEqual(ours(type, text, keys), theirs(type, text, keys), `POSTRIDER_TEST_SEED=${seed}\n${text}`);
        }
      },
    );
  }
}

/** Kinds of difference from glibc, each once: our value and glibc's. */
const DIFFERENCES: readonly (readonly [why: string, rule: string, key: string, ours: string, theirs: string])[] = [
  ["glibc forgets a word edge in the copies of a counted group", "/^( .|A\\b){2}$/ x", "AA", "", "AA\tx\n"],
];

it("differs from glibc in the listed cases only as listed", { skip: !debianPostfix }, () => {
  for (const [why, rule, key, expected, known] of DIFFERENCES) {
    assert.equal(ours("regexp", `${rule}\n`, [key]).output, expected, why);
    assert.equal(theirs("regexp", `${rule}\n`, [key]).output, known, why);
  }
});

const RULES = "/usr/share/spamassassin";

/** `header NAME Header =~ /re/flags` as rules of a pcre table. */
function spamAssassin(): string[] {
  const lines = readdirSync(RULES).filter((name) => name.endsWith(".cf")).sort()
    .flatMap((name) => readFileSync(`${RULES}/${name}`, "latin1").split("\n"));
  return lines.flatMap((line) => {
    const match = /^\s*header\s+(\S+)\s+\S+\s+[=!]~\s+\/(.*)\/([a-z]*)\s*(?:$|#|\[)/.exec(line);
    if (match === null) return [];
    const [, name, pattern, flags] = match as unknown as [string, string, string, string];
    const toggled = [..."ims"].filter((flag) => flags.includes(flag) !== (flag !== "m")).join("");
    return [`/${pattern}/${toggled}${flags.includes("x") ? "x" : ""} ${name}`];
  });
}

/** Every how many headers one is taken: all of them with POSTRIDER_TEST_SCALE=150. */
const every = (step: number): number => Math.max(1, Math.round(step / SCALE));

const skipRules = !debianPostfix || !existsSync(RULES);

/** Headers on one line each, as postmap takes keys. */
const headers = (): string[] =>
  corpus().flatMap(({ content }) => content.split("\r\n\r\n", 1)[0]!.replace(/\r\n(?=[ \t])/g, " ").split("\r\n"))
    .filter((header) => header !== "" && !header.includes("\0"));

it("agrees with PCRE2 on each of SpamAssassin's header rules", { skip: skipRules }, () => {
  const rules = spamAssassin();
  assert.ok(rules.length > 500, `${rules.length} rules`);
  const all = headers();
  const step = every(isNode ? 150 : 1500);
  const keys = all.filter((_, at) => at % step === SEED % step);
  for (const rule of isNode ? rules : rules.filter((_, at) => at % 10 === 0)) {
    assert.deepEqual(
      ours("pcre", `${rule}\n`, keys, false),
      theirs("pcre", `${rule}\n`, keys, "-u"),
      `POSTRIDER_TEST_SEED=${SEED} ${rule}`,
    );
  }
});

it("agrees with PCRE2 on which of SpamAssassin's rules is the first for real headers", { skip: skipRules }, () => {
  const chance = chanceOf(SEED);
  // In random order, so that each rule gets its turn in some run.
  const rules = spamAssassin().map((rule) => ({ rule, at: chance(1 << 30) })).sort((a, b) => a.at - b.at);
  const text = `${rules.map(({ rule }) => rule).join("\n")}\n`;
  const step = every(isNode ? 6 : 100);
  const keys = headers().filter((_, at) => at % step === SEED % step);
  assert.deepEqual(ours("pcre", text, keys, false), theirs("pcre", text, keys, "-u"), `POSTRIDER_TEST_SEED=${SEED}`);
});
