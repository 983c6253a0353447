/**
 * npm run sim -- [--seed N] [--seeds COUNT] [--size MESSAGES] [SCENARIO...]: replays scenarios of the simulation and
 * tells what each of them came to. Exit status 1 when a rule was broken.
 */

import process from "node:process";
import { RELAY_SCENARIOS } from "./relay-scenarios.ts";
import { SCENARIOS as LIGHT } from "./scenarios.ts";

const SCENARIOS = { ...LIGHT, ...RELAY_SCENARIOS };
const words = process.argv.slice(2);
const option = (name: string, otherwise: number): number => {
  const at = words.indexOf(`--${name}`);
  return at < 0 ? otherwise : Number(words.splice(at, 2)[1]);
};
const first = option("seed", Date.now() % 1_000_000);
const count = option("seeds", 1);
const size = option("size", 1000);
const chosen = words.length > 0 ? words : Object.keys(SCENARIOS);
for (let seed = first; seed < first + count; seed++) {
  for (const name of chosen) {
    const scenario = SCENARIOS[name];
    if (scenario === undefined) {
      throw new Error(`no scenario "${name}"; there are: ${Object.keys(SCENARIOS).join(" ")}`);
    }
    const started = performance.now();
    const { broken, told } = await scenario(seed, size);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    console.log(`${broken.length === 0 ? "ok  " : "FAIL"} ${seconds.padStart(6)} s  seed ${seed} ${name}: ${told}`);
    for (const rule of broken.slice(0, 10)) console.log(`     ${rule}`);
    if (broken.length > 0) process.exitCode = 1;
  }
}
