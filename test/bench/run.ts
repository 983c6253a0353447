/**
 * npm run bench: Postrider on Bun and Node against Debian's Postfix, interleaved in one run; prints medians and ratios.
 * Root, Debian's postfix, gcc and make. Options are passed on to test/bench/mta/bench.mjs, for example
 *   npm run bench -- --reps 3 --secs 2 --sessions 10
 *   npm run bench -- --work reject --modes new      a connection and a refused RCPT each
 */

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import process from "node:process";

const folder = new URL("./mta/", import.meta.url).pathname;
const work = process.env.BENCH_DIR ?? "/tmp/postrider-bench";
const raw = `${work}/results.jsonl`;
mkdirSync(work, { recursive: true });
rmSync(raw, { force: true });
const standard = ["--peers", "postfix,postrider-bun,postrider-node", "--work", "relay,accept,idle", "--modes", "reuse"]
  .concat(["--sessions", "10,50", "--secs", "4", "--reps", "5", "--count", "40000", "--warmup", "15000", "--out", raw]);
const done = spawnSync(process.execPath, [`${folder}bench.mjs`, ...standard, ...process.argv.slice(2)], {
  cwd: folder,
  env: { ...process.env, BENCH_DIR: work },
  stdio: ["ignore", "ignore", "inherit"],
});

interface Row {
  readonly work: string;
  readonly peer: string;
  readonly s?: number;
  readonly per_s?: number;
  readonly cpu_per_k?: number;
  readonly idle_pss_mb?: number;
  readonly kb_per_conn?: number;
  readonly conns?: number;
  readonly startMs?: number;
}

const rows = readFileSync(raw, "utf8").trim().split("\n").map((line) => JSON.parse(line) as Row);
const median = (numbers: number[]): number => numbers.sort((a, b) => a - b)[numbers.length >> 1] ?? NaN;
const peers = [...new Set(rows.map(({ peer }) => peer))];

function middle(work: string, sessions: number, peer: string, field: "per_s" | "cpu_per_k"): number {
  return median(
    rows.filter((row) => row.work === work && row.s === sessions && row.peer === peer)
      .map((row) => row[field] ?? NaN),
  );
}

console.log("| work | sessions | who | messages/s | x Postfix | CPU s per 1000 | Postfix / it |");
console.log("| --- | --- | --- | --- | --- | --- | --- |");
for (const work of ["relay", "accept", "reject"]) {
  for (const sessions of [...new Set(rows.filter((row) => row.work === work).map((row) => row.s as number))]) {
    const base = middle(work, sessions, "postfix", "per_s");
    const cpu = middle(work, sessions, "postfix", "cpu_per_k");
    for (const peer of peers) {
      const [rate, cost] = [middle(work, sessions, peer, "per_s"), middle(work, sessions, peer, "cpu_per_k")];
      console.log(
        `| ${work} | ${sessions} | ${peer} | ${rate.toFixed(0)} | ${(rate / base).toFixed(1)} | ${cost.toFixed(2)} | ` +
          `${(cpu / cost).toFixed(1)} |`,
      );
    }
  }
}
for (const row of rows.filter(({ work }) => work === "idle")) {
  console.log(
    `idle ${row.peer}: ready after ${row.startMs?.toFixed(0)} ms, ${row.idle_pss_mb?.toFixed(0)} MB (PSS), ` +
      `${row.kb_per_conn?.toFixed(1)} KB for each of ${row.conns} idle connections`,
  );
}
process.exitCode = done.status ?? 1;
