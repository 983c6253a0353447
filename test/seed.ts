/**
 * The seed of every random test: POSTRIDER_TEST_SEED repeats a run. CI sets it, so that a change is judged by what it
 * changes; everywhere else each run has its own, and the tests print it.
 */

import process from "node:process";

export const SEED: number = Number(process.env.POSTRIDER_TEST_SEED ?? Date.now() % 1_000_000);
