import assert from "node:assert/strict";
import process from "node:process";
import { describe, it, test } from "node:test";
import { SCALE } from "../corpus.ts";
import { SEED } from "../seed.ts";
import { RELAY_SCENARIOS } from "./relay-scenarios.ts";
import { SCENARIOS } from "./scenarios.ts";

const SIZE = Math.max(100, Math.round(600 * SCALE));

const SEEDS = 3;

for (let seed = SEED; seed < SEED + SEEDS; seed++) {
  describe(`simulation, seed ${seed}`, () => {
    for (const [name, scenario] of Object.entries({ ...SCENARIOS, ...RELAY_SCENARIOS })) {
      it(name, { timeout: 120_000 }, async () => {
        const { broken, told } = await scenario(seed, SIZE);
        assert.deepEqual(broken, [], `npm run sim -- --seed ${seed} --size ${SIZE} ${name}: ${told}`);
      });
    }
  });
}

// Seventeen seconds on Node; what it shows is not of the runtime.
if (process.versions.bun === undefined && process.versions.deno === undefined) {
  test("100,000 messages within a minute, 1,000 destinations, 50 of them dead", { timeout: 300_000 }, async () => {
    const { broken, told } = await SCENARIOS.storm!(SEED, 100_000);
    assert.deepEqual(broken, [], `npm run sim -- --seed ${SEED} --size 100000 storm: ${told}`);
  });
}
