import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SCALE } from "../corpus.ts";
import { SEED } from "../seed.ts";
import { RELAY_SCENARIOS } from "./relay-scenarios.ts";
import { SCENARIOS } from "./scenarios.ts";

const SIZE = Math.max(100, Math.round(600 * SCALE));

describe(`simulation, seed ${SEED}`, () => {
  for (const [name, scenario] of Object.entries({ ...SCENARIOS, ...RELAY_SCENARIOS })) {
    it(name, { timeout: 120_000 }, async () => {
      const { broken, told } = await scenario(SEED, SIZE);
      assert.deepEqual(broken, [], `npm run sim -- --seed ${SEED} --size ${SIZE} ${name}: ${told}`);
    });
  }
});
