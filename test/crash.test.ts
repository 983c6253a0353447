import assert from "node:assert/strict";
import process from "node:process";
import { test } from "node:test";
import { hashOf, SCALE } from "./corpus.ts";
import { type Running, sleep, startPostrider, until } from "./postrider.ts";
import { Sink } from "./sink.ts";
import { SmtpClient } from "./smtp-client.ts";

const SEED = Number(process.env.POSTRIDER_TEST_SEED ?? Math.floor(Math.random() * 1e9));
const ROUNDS = Math.max(2, Math.round(6 * SCALE));

/** mulberry32 */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

interface Sent {
  readonly hash: string;
  acknowledged: boolean;
}

/** Sends until the server is gone; notes what was acknowledged. */
async function load(running: Running, sent: Map<number, Sent>, random: () => number): Promise<void> {
  let client: SmtpClient;
  try {
    client = await (await SmtpClient.connect(running.port)).greeted();
  } catch {
    return;
  }
  while (!client.closed) {
    const id = sent.size;
    // Now and then one that is large enough for a file of its own.
    const size = random() < 0.03 ? 300_000 : Math.floor(random() * 8000);
    const body = `mail ${id}\r\n${"line of text, dots .\r\n".repeat(size / 21)}`;
    const one = { hash: hashOf(body), acknowledged: false };
    sent.set(id, one);
    const reply = await client.send("s@x.example", [`u${id}@y.example`], `Subject: ${id}\r\n\r\n${body}`).catch(() =>
      ""
    );
    if (reply.startsWith("250")) one.acknowledged = true;
  }
}

test(
  `kill -9 under load loses nothing (POSTRIDER_TEST_SEED=${SEED}, ${ROUNDS} crashes)`,
  { timeout: 180_000 },
  async () => {
    const random = generator(SEED);
    const sink = await Sink.start();
    const main = `relayhost = [127.0.0.1]:${sink.port}\nminimal_backoff_time = 1s\nmaximal_backoff_time = 1s`;
    const running = await startPostrider({ main });
    const sent = new Map<number, Sent>();
    try {
      for (let round = 0; round < ROUNDS; round++) {
        const loads = Array.from({ length: 10 }, () => load(running, sent, random));
        await sleep(100 + random() * 700);
        await running.kill();
        await Promise.all(loads);
        await running.start();
      }
      const arrived = new Map<number, number>();
      const ids = (): void => {
        arrived.clear();
        for (const { recipients } of sink.messages) {
          const id = Number(/^u(\d+)@/.exec(recipients[0]!)![1]);
          arrived.set(id, (arrived.get(id) ?? 0) + 1);
        }
      };
      const lost = (): number[] => {
        ids();
        return [...sent].filter(([id, { acknowledged }]) => acknowledged && !arrived.has(id)).map(([id]) => id);
      };
      await until(() => lost().length === 0, 30_000, () => `lost: ${lost().join(" ")}\n${running.log.slice(-4000)}`);
      await sleep(500);
      ids();
      for (const { recipients, content } of sink.messages) {
        const id = Number(/^u(\d+)@/.exec(recipients[0]!)![1]);
        assert.equal(hashOf(content.slice(content.indexOf("\r\n\r\n") + 4)), sent.get(id)!.hash, `mail ${id} is whole`);
      }
      const tooOften = [...arrived].filter(([, count]) => count > 1 + ROUNDS);
      assert.deepEqual(tooOften, []);
      const duplicates = [...arrived.values()].reduce((sum, count) => sum + count - 1, 0);
      const acknowledged = [...sent.values()].filter((one) => one.acknowledged).length;
      console.log(`${acknowledged} acknowledged, ${ROUNDS} crashes, ${duplicates} duplicates`);
    } finally {
      await running.remove();
      await sink.close();
    }
  },
);
