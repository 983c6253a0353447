import assert from "node:assert/strict";
import { test } from "node:test";
import { SCALE } from "./corpus.ts";
import { Account, generator } from "./loss.ts";
import { sleep, startPostrider, until } from "./postrider.ts";
import { Sink } from "./sink.ts";
import { SEED } from "./seed.ts";

const ROUNDS = Math.max(2, Math.round(6 * SCALE));

test("kill -9 repeats nothing that was delivered a second before", { timeout: 120_000 }, async () => {
  const sink = await Sink.start();
  const running = await startPostrider({ main: `relayhost = [127.0.0.1]:${sink.port}` });
  const account = new Account(generator(SEED));
  try {
    for (let round = 0; round < 2; round++) {
      await Promise.all(Array.from({ length: 5 }, () => account.load(running.port, 40)));
      await until(() => account.lost(sink) === 0, 30_000, () => running.log.slice(-4000));
      await sleep(1_000);
      await running.kill();
      await running.start();
    }
    assert.equal(await account.settle(sink, 0, () => running.log.slice(-4000)), 0);
  } finally {
    await running.remove();
    await sink.close();
  }
});

test(
  `kill -9 under load loses nothing (POSTRIDER_TEST_SEED=${SEED}, ${ROUNDS} crashes)`,
  { timeout: 180_000 },
  async () => {
    const random = generator(SEED);
    const sink = await Sink.start();
    const main = `relayhost = [127.0.0.1]:${sink.port}\nminimal_backoff_time = 1s\nmaximal_backoff_time = 1s`;
    const running = await startPostrider({ main });
    const account = new Account(random);
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const loads = Array.from({ length: 10 }, () => account.load(running.port));
        await sleep(100 + random() * 700);
        await running.kill();
        await Promise.all(loads);
        await running.start();
      }
      const duplicates = await account.settle(sink, ROUNDS, () => running.log.slice(-4000));
      console.log(`${account.acknowledged} acknowledged, ${ROUNDS} crashes, ${duplicates} duplicates`);
    } finally {
      await running.remove();
      await sink.close();
    }
  },
);
