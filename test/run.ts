/**
 * Runs the checks and the suites: types, lint, format, then every *.test.ts on Node, Bun and Deno; with --system the
 * tests of test/system instead, which need Debian's packages and root. Prints the time of each and one closing line.
 *   node test/run.ts [--system] [--runtime node|bun|deno] [FILE…]
 */

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import process from "node:process";
import { NODE_COMPILE_CACHE } from "./postrider.ts";

interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly code: number;
}

const RUNTIMES = {
  node: { command: "node", arguments: ["--test", "--test-reporter=spec", "--test-concurrency=2"] },
  bun: { command: "bun", arguments: ["test", "--timeout", "120000"] },
  deno: { command: "deno", arguments: ["test", "-A", "--no-check", "--quiet"] },
} as const;
type RuntimeName = keyof typeof RUNTIMES;

/** Process groups under way: they end with this program, and each at its time limit. */
const running = new Set<number>();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    for (const group of running) process.kill(-group, "SIGKILL");
    process.exit(1);
  });
}

function run(
  command: string,
  words: readonly string[],
  count: (output: string) => Outcome,
  quiet = false,
  limit = 30 * 60,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const started = performance.now();
    const child = spawn(command, words, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, DENO_JOBS: "2", ...command === "node" ? { NODE_COMPILE_CACHE } : {} },
      detached: true,
    });
    running.add(child.pid!);
    let output = "";
    // What never ends must still say what it was, and let the rest run.
    const timer = setTimeout(() => {
      output += `\nkilled after ${limit} s: ${[command, ...words].join(" ")}\n`;
      process.kill(-child.pid!, "SIGKILL");
    }, limit * 1000);
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text) => output += text);
    child.on("error", (error) => resolve({ passed: 0, failed: 1, code: 1, ...report(String(error)) }));
    child.on("close", (code) => {
      clearTimeout(timer);
      running.delete(child.pid!);
      const outcome = { ...count(output), code: code ?? 1 };
      const label = [command, words[0], words.at(-1)?.includes("test/system/") ? words.at(-1) : ""].join(" ");
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      if (outcome.code !== 0) report(output.length > 60_000 ? `…${output.slice(-60_000)}` : output);
      if (!quiet) {
        report(`${outcome.code === 0 ? "ok  " : "FAIL"} ${seconds.padStart(6)} s  ${label}`);
      }
      resolve(outcome);
    });
  });
}

function report(text: string): object {
  console.log(text);
  return {};
}

/** A process for each file, as node's runner has it: files of one process share descriptors and what they do wrong. */
async function eachApart(name: RuntimeName, files: readonly string[], system: boolean): Promise<Outcome> {
  const sum = { passed: 0, failed: 0, code: 0 };
  const waiting = [...files];
  const { command, arguments: before } = RUNTIMES[name];
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const { passed, failed, code } = await run(command, [...before, file], COUNTS[name], !system, 15 * 60);
      sum.passed += passed;
      sum.failed += Math.max(failed, code === 0 ? 0 : 1);
      sum.code ||= code;
    }
  };
  await Promise.all(Array.from({ length: system ? 1 : 2 }, worker));
  return sum;
}

const number = (pattern: RegExp, text: string): number => Number(pattern.exec(text)?.[1] ?? 0);

/** The counts in each runner's own closing lines. */
const COUNTS: Readonly<Record<RuntimeName, (output: string) => Outcome>> = {
  node: (text) => ({ passed: number(/^ℹ pass (\d+)/m, text), failed: number(/^ℹ fail (\d+)/m, text), code: 0 }),
  bun: (text) => ({ passed: number(/^\s*(\d+) pass$/m, text), failed: number(/^\s*(\d+) fail$/m, text), code: 0 }),
  deno: (text) => ({ passed: number(/(\d+) passed/, text), failed: number(/(\d+) failed/, text), code: 0 }),
};

const check = (): Outcome => ({ passed: 1, failed: 0, code: 0 });

function testFiles(system: boolean): string[] {
  return readdirSync("test", { recursive: true }).map((name) => `test/${String(name)}`)
    .filter((name) => name.endsWith(".test.ts") && name.startsWith("test/system/") === system).sort();
}

/** System tests that run on Bun and Deno too, with fewer random tables; the others spawn Debian's programs only. */
const EVERYWHERE = ["test/system/postmap.test.ts", "test/system/patterns.test.ts"];

const words = process.argv.slice(2);
const system = words.includes("--system");
const only = words.includes("--runtime") ? words[words.indexOf("--runtime") + 1] : undefined;
const named = words.filter((word) => word.endsWith(".test.ts"));
const files = named.length > 0 ? named : testFiles(system);
const outcomes: Outcome[] = [];
const started = performance.now();
if (!system && named.length === 0 && only === undefined) {
  outcomes.push(await run("tsc", ["-p", "tsconfig.test.json"], check));
  outcomes.push(await run("eslint", ["."], check));
  outcomes.push(await run("deno", ["fmt", "--check"], check));
}
for (const name of Object.keys(RUNTIMES) as RuntimeName[]) {
  if (only !== undefined && only !== name) continue;
  const { command, arguments: before } = RUNTIMES[name];
  const sampled = system && named.length === 0 && only === undefined && name !== "node";
  const chosen = sampled ? files.filter((file) => EVERYWHERE.includes(file)) : files;
  const listed = name === "bun" ? chosen.map((file) => `./${file}`) : chosen;
  // System tests share ports, accounts and the load of the machine: one file after the other.
  const outcome = name === "deno" || system
    ? await eachApart(name, listed, system)
    : await run(command, [...before, ...listed], COUNTS[name]);
  report(`     ${name}: ${outcome.passed} passed, ${outcome.failed} failed`);
  outcomes.push(outcome);
}
const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
const failed = outcomes.reduce((sum, outcome) => sum + Math.max(outcome.failed, outcome.code === 0 ? 0 : 1), 0);
report(`total ${((performance.now() - started) / 1000).toFixed(0)} s`);
report(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
