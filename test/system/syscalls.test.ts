/**
 * Death and disk errors at chosen system calls (strace injects them): nothing acknowledged is lost, and a write or sync
 * that failed is answered 451 or 452 and never 250.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { SCALE } from "../corpus.ts";
import { Account, generator } from "../loss.ts";
import { type Running, startPostrider, until } from "../postrider.ts";
import { Sink } from "../sink.ts";
import { SEED } from "../seed.ts";

const RUNTIMES = ["node", "bun", "deno"];
const SESSIONS = 5;

function straceWorks(): boolean {
  try {
    execFileSync("strace", ["-f", "-qq", "-e", "trace=none", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

const inject = (calls: string, fault: string): string[] => [
  ...["strace", "-f", "-qq", "-o", "/dev/null", "-e", `trace=${calls}`],
  ...["-e", `inject=${calls}:${fault}`],
  // What strace runs dies with it.
  ...["setpriv", "--pdeathsig", "KILL"],
];

interface Place {
  readonly running: Running;
  readonly sink: Sink;
  readonly account: Account;
}

async function at(runtime: string, random: () => number, act: (place: Place) => Promise<void>): Promise<void> {
  const sink = await Sink.start();
  const main = `relayhost = [127.0.0.1]:${sink.port}\nminimal_backoff_time = 1s\nmaximal_backoff_time = 1s`;
  const running = await startPostrider({ main, runtime });
  try {
    await running.stop();
    await act({ running, sink, account: new Account(random) });
  } finally {
    await running.remove();
    await sink.close();
  }
}

/** Calls by which the spool writes; those of sockets and of the log are others. */
const KILLED: readonly (readonly [string, number])[] = [
  ["fdatasync", 12],
  ["pwritev,pwrite64", 20],
  ["?rename,?renameat,?unlink,ftruncate", 3],
];

describe(`faults at system calls (POSTRIDER_TEST_SEED=${SEED})`, { skip: !straceWorks() }, () => {
  for (const runtime of RUNTIMES) {
    for (const [calls, most] of KILLED) {
      it(`${runtime}: killed at ${calls}`, { timeout: 120_000 }, async () => {
        const random = generator(SEED);
        await at(runtime, random, async ({ running, sink, account }) => {
          const crashes = Math.max(3, Math.round(3 * SCALE));
          for (let crash = 0; crash < crashes; crash++) {
            const when = 1 + Math.floor(random() * most);
            // It may die before it greets.
            await running.start(inject(calls, `signal=SIGKILL:when=${when}`)).catch(() => {});
            await Promise.all(Array.from({ length: SESSIONS }, () => account.load(running.port, 40)));
            await running.kill();
          }
          await running.start();
          await account.load(running.port, 5);
          await account.settle(sink, crashes, () => running.log.slice(-4000));
          assert.ok(account.acknowledged >= 5);
        });
      });
    }

    for (const [calls, fault] of [["fdatasync", "error=EIO"], ["pwritev,pwrite64", "error=EIO"]] as const) {
      it(`${runtime}: ${calls} fails with ${fault}`, { timeout: 120_000 }, async () => {
        const random = generator(SEED);
        await at(runtime, random, async ({ running, sink, account }) => {
          // Counted by thread: each of the pool's threads meets it a few times, then never again.
          await running.start(inject(calls, `${fault}:when=2..40+2`));
          await Promise.all(Array.from({ length: SESSIONS }, () => account.load(running.port, 60)));
          const codes = [...account.refused.keys()];
          // Deno spreads its writes over so many threads that a fault may meet none that a client waits for.
          assert.ok(codes.length > 0 || runtime === "deno", "no client met the fault");
          assert.ok(codes.every((code) => code === "451" || code === "452"), `answers to faults: ${codes.join(" ")}`);
          const before = account.acknowledged;
          await until(
            async () => {
              await account.load(running.port, 3);
              return account.acknowledged > before;
            },
            10_000,
            () => running.log.slice(-2000),
          );
          await running.kill();
          await running.start();
          await account.settle(sink, 1, () => running.log.slice(-4000));
        });
      });
    }
  }
});
