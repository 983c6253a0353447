import assert from "node:assert/strict";
import { test } from "node:test";
import { SCALE } from "./corpus.ts";
import { Account, generator } from "./loss.ts";
import { type Running, sleep, startPostrider, until } from "./postrider.ts";
import { type Received, Sink } from "./sink.ts";
import { SEED } from "./seed.ts";

const ROUNDS = Math.max(2, Math.round(6 * SCALE));

/** Results are durable within 100 ms; the rest is for answers on their way, and for a machine that is busy. */
const MAY_REPEAT = 250;

/** When each message arrived, and when the server was killed and started again. */
class Lives {
  readonly #arrived = new Map<string, number[]>();
  readonly #killed: number[] = [];
  readonly #begun: number[] = [0];

  readonly received = ({ recipients: [to = ""] }: Received): void => {
    const times = this.#arrived.get(to);
    if (times === undefined) this.#arrived.set(to, [performance.now()]);
    else times.push(performance.now());
  };

  async restart(running: Running, meanwhile: () => Promise<unknown>): Promise<void> {
    this.#killed.push(performance.now());
    await running.kill();
    await meanwhile();
    this.#begun.push(performance.now());
    await running.start();
  }

  /** Of each delivery that was made again: how long before the kill it was answered. */
  repeated(): number[] {
    return [...this.#arrived.values()].flatMap((times) => times.slice(0, -1)).map((time) => {
      const life = this.#begun.filter((begun) => begun <= time).length - 1;
      return Math.round((this.#killed[life] ?? Infinity) - time);
    });
  }
}

test("kill -9 repeats nothing that was delivered a moment before", { timeout: 120_000 }, async () => {
  const sink = await Sink.start();
  const running = await startPostrider({ main: `relayhost = [127.0.0.1]:${sink.port}` });
  const account = new Account(generator(SEED));
  try {
    for (let round = 0; round < 2; round++) {
      await Promise.all(Array.from({ length: 5 }, () => account.load(running.port, 40)));
      await until(() => account.lost(sink) === 0, 30_000, () => running.log.slice(-4000));
      await sleep(MAY_REPEAT);
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
    const lives = new Lives();
    const sink = await Sink.start({ received: lives.received });
    const main = `relayhost = [127.0.0.1]:${sink.port}\nminimal_backoff_time = 1s\nmaximal_backoff_time = 1s`;
    const running = await startPostrider({ main });
    const account = new Account(random);
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const loads = Array.from({ length: 10 }, () => account.load(running.port));
        await sleep(100 + random() * 700);
        await lives.restart(running, () => Promise.all(loads));
      }
      const duplicates = await account.settle(sink, ROUNDS, () => running.log.slice(-4000));
      const oldest = Math.max(0, ...lives.repeated());
      const what = `${account.acknowledged} acknowledged, ${ROUNDS} crashes, ${duplicates} duplicates`;
      console.log(`${what}, the oldest answered ${oldest} ms before its crash`);
      assert.ok(oldest <= MAY_REPEAT, `${oldest} ms`);
    } finally {
      await running.remove();
      await sink.close();
    }
  },
);
