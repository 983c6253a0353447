/**
 * The lookup tables against their goals on Node, Bun and Deno: test/bench/maps/hash.ts (hash:, cidr:) and regex.ts
 * (regexp:, pcre:), one after the other. Each prints what it compares with, measured in the same process.
 *   npm run bench:maps [-- entries]
 */

import { spawnSync } from "node:child_process";
import process from "node:process";

const RUNTIMES = [["node"], ["bun"], ["deno", "run", "-A", "--no-check"]] as const;

for (const [command, ...before] of RUNTIMES) {
  for (const part of ["hash", "regex"]) {
    console.log(`\n## ${command}: ${part}`);
    const words = [...before, `test/bench/maps/${part}.ts`, ...process.argv.slice(2)];
    const { status } = spawnSync(command, words, { stdio: "inherit" });
    if (status !== 0) process.exitCode = 1;
  }
}
