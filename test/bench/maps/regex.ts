/**
 * node test/bench/maps/regex.ts: header rules over the headers of 6,046 real mails. Prints the time a header of 100
 * header_checks rules beside the runtime's own regular expressions one after the other, of 1000 rules of SpamAssassin's
 * kind (where Debian's package is installed), of 10,000 rules, and the slowest header beside the median one.
 */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { latin1Encode } from "../../../src/latin1.ts";
import { PatternEngine } from "../../../src/maps/pattern-engine.ts";
import { readRules } from "../../../src/maps/pattern-rules.ts";
import { nativeFigures } from "./native.ts";
import { corpus } from "../../corpus.ts";

const RULES = "/usr/share/spamassassin";

/** Header blocks with CRLF line ends, and their headers as rules see them. */
function headers(): { readonly blocks: Uint8Array[]; readonly keys: string[] } {
  const blocks: Uint8Array[] = [];
  const keys: string[] = [];
  for (const { content } of corpus()) {
    const end = content.indexOf("\r\n\r\n");
    const block = end < 0 ? content : content.slice(0, end + 2);
    blocks.push(latin1Encode(block));
    keys.push(...block.replace(/\r\n$/, "").replaceAll("\r\n", "\n").split(/\n(?![ \t])/));
  }
  return { blocks, keys };
}

const WORDS =
  "viagra cialis xanax mortgage refinance casino lottery winner prize free money cash credit debt loan pills"
    .concat(
      " pharmacy degree diploma rolex replica enlarge weight singles dating adult click offer guarantee income work",
    )
    .split(" ");

/** What mail sites have in header_checks. */
function headerChecks(count: number): string {
  const shapes = [
    (word: string) => `/^Subject:.*${word}/ REJECT no ${word}`,
    (word: string) => `/^From:.*@${word}\\.(com|net|biz)/ REJECT`,
    (word: string) => `/^X-Mailer: *${word} ?v?[0-9.]+/ REJECT mailer`,
    (word: string) => `/^Received: from [^ ]*${word}[^ ]* / HOLD`,
    (word: string) => `/^Content-(Type|Disposition):.*name="?[^"]*${word}\\.(exe|pif|scr|bat)/ REJECT`,
    (word: string) => `/^To:.*<${word}[0-9]{2,}@/ DISCARD`,
    (word: string) => `/^Subject:.*\\b${word}s?\\b.*\\$[0-9]+/ REJECT`,
  ];
  return Array.from({ length: count }, (_, at) => {
    const turn = Math.floor(at / (WORDS.length * shapes.length));
    const word = WORDS[Math.floor(at / shapes.length) % WORDS.length]! + (turn === 0 ? "" : String(turn));
    return shapes[at % shapes.length]!(word);
  }).join("\n");
}

/**
 * The patterns of SpamAssassin's rules on headers and bodies, as a table, without those that hold for many headers:
 * SpamAssassin asks them of one header each.
 */
function spamAssassin(count: number, sample: readonly string[]): string {
  const lines = readdirSync(RULES).filter((name) => name.endsWith(".cf")).sort()
    .flatMap((name) => readFileSync(`${RULES}/${name}`, "latin1").split("\n"));
  const rules = lines.flatMap((line) => {
    const match = /^\s*(?:header\s+\S+\s+\S+\s+=~|body\s+\S+|rawbody\s+\S+|uri\s+\S+)\s+\/(.*)\/([ismx]*)\s*(?:$|#|\[)/
      .exec(line);
    if (match === null) return [];
    const flags = (match[2]!.includes("i") ? "" : "i") + (match[2]!.includes("s") ? "" : "s") +
      match[2]!.replace(/[is]/g, "");
    return [`/${match[1]}/${flags} rule`];
  });
  return rules.filter((rule) => !isBroad(rule, sample)).slice(0, count).join("\n");
}

/** Whether the rule holds for one of 20 headers or more. */
function isBroad(rule: string, sample: readonly string[]): boolean {
  const { engine } = engineOf(rule);
  return sample.filter((key) => engine.find(key) === 0).length * 20 > sample.length;
}

function engineOf(text: string): { readonly engine: PatternEngine; readonly ready: number; readonly rules: number } {
  const start = performance.now();
  const { engine, rules } = readRules(text, { type: "pcre", path: "table" });
  return { engine, ready: performance.now() - start, rules: rules.length };
}

function scanAll(
  engine: PatternEngine,
  blocks: readonly Uint8Array[],
): { readonly ms: number; readonly matches: number } {
  let matches = 0;
  const start = performance.now();
  for (const block of blocks) matches += engine.scanHeaders(block).length / 3;
  return { ms: performance.now() - start, matches };
}

const { blocks, keys } = headers();
const bytes = blocks.reduce((sum, block) => sum + block.length, 0);
console.log(`${keys.length} headers, ${(bytes / 1e6).toFixed(1)} MB`);
const perHeader = (ms: number): string => `${(1e6 * ms / keys.length).toFixed(0)} ns a header`;
const rate = (ms: number): string => `${(bytes / 1000 / ms).toFixed(0)} MB/s`;

function bench(name: string, text: string): void {
  const { engine, ready, rules } = engineOf(text);
  const first = scanAll(engine, blocks);
  const second = scanAll(engine, blocks);
  console.log(
    `${name}: ${rules} rules ready in ${ready.toFixed(0)} ms; unseen mail ${perHeader(first.ms)} (${
      rate(first.ms)
    }), ` +
      `again ${perHeader(second.ms)} (${rate(second.ms)}); ${first.matches} matches; ${
        (engine.memory() / 1e6).toFixed(1)
      } MB`,
  );
}

function slowest(name: string, text: string): void {
  const { engine } = engineOf(text);
  scanAll(engine, blocks);
  const samples = keys.filter(({ length }) => length >= 40).map((key) => {
    const start = performance.now();
    for (let turn = 0; turn < 20; turn++) engine.find(key);
    return (performance.now() - start) * 1e6 / 20 / key.length;
  }).sort((one, other) => one - other);
  const at = (share: number): number => samples[Math.min(samples.length - 1, Math.floor(share * samples.length))]!;
  console.log(
    `${name}: median ${at(0.5).toFixed(1)} ns a byte, 99.9 % ${at(0.999).toFixed(1)}, slowest ${at(1).toFixed(1)}`,
  );
}

const checks = headerChecks(100);
bench("100 header_checks rules", checks);
const native = checks.split("\n").map((rule) => new RegExp(rule.slice(1, rule.lastIndexOf("/")), "is"));
const start = performance.now();
let count = 0;
for (const key of keys) if (native.some((pattern) => pattern.test(key))) count++;
console.log(`the same by RegExp in sequence: ${perHeader(performance.now() - start)}; ${count} matches`);
nativeFigures(checks, keys);
const sample = keys.toSorted().filter((_, at) => at % 1000 === 0);
const spam = existsSync(RULES) ? spamAssassin(1000, sample) : null;
if (spam !== null) {
  bench("1000 SpamAssassin rules", spam);
  nativeFigures(spam, keys);
}
bench("10,000 header_checks rules", headerChecks(10_000));
slowest("100 rules", checks);
if (spam !== null) slowest("1000 SpamAssassin rules", spam);
