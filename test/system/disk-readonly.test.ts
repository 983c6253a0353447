/**
 * A disk that turns read-only while mail comes in (root, loop device). Nothing that was acknowledged is lost, what the
 * disk does not take is answered 451 or 452, and the system goes on by itself when it may write again.
 * The kernel makes no file system read-only whose files are open for writing, but after an error of its own; then it
 * has to be mounted anew. So the way back is shown with the kernel's answers put into the system calls (strace).
 */

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import * as fs from "node:fs";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { after, test } from "node:test";
import { Account, generator } from "../loss.ts";
import { type Running, sleep, startPostrider, until } from "../postrider.ts";
import { SEED } from "../seed.ts";
import { Sink } from "../sink.ts";

const folder = fs.mkdtempSync(join(tmpdir(), "postrider-readonly-"));
const disk = `${folder}/disk`;
const run = (command: string, ...words: string[]): string => execFileSync(command, words, { encoding: "utf8" });
const mount = (): void => void run("mount", "-o", "loop,errors=remount-ro", `${folder}/image`, disk);
const mounted = (): boolean => readFileSync("/proc/mounts", "utf8").includes(` ${disk} `);
const started: Running[] = [];

after(async () => {
  for (const running of started) await running.remove();
  if (mounted()) run("umount", "-l", disk);
  rmSync(folder, { recursive: true, force: true });
});

async function start(name: string, main: string): Promise<Running> {
  const running = await startPostrider({ folder: `${folder}/${name}`, main });
  started.push(running);
  return running;
}

const settings = (spool: string, sink: Sink): string =>
  `queue_directory = ${spool}\nrelayhost = [127.0.0.1]:${sink.port}
minimal_backoff_time = 1s\nmaximal_backoff_time = 1s`;

/** Mail over several sessions until it is told to end. */
function loadOn(running: Running, account: Account): () => Promise<void> {
  let loading = true;
  const session = async (): Promise<void> => {
    for (; loading; await sleep(20)) await account.load(running.port, 5);
  };
  const sessions = Promise.all([1, 2, 3, 4].map(session));
  return async () => {
    loading = false;
    await sessions;
  };
}

const refusals = ({ refused }: Account): number => [...refused.values()].reduce((sum, count) => sum + count, 0);

function assertRefusedWell({ refused }: Account): void {
  assert.deepEqual([...refused.keys()].filter((code) => code !== "451" && code !== "452"), []);
}

test(
  "the kernel turns the file system read-only: no 250 any more, and nothing lost",
  { timeout: 120_000 },
  async () => {
    writeFileSync(`${folder}/image`, "");
    fs.truncateSync(`${folder}/image`, 256 << 20);
    run("mkfs.ext4", "-q", "-m", "0", `${folder}/image`);
    mkdirSync(disk);
    mount();
    const trigger = `/sys/fs/ext4/${basename(run("findmnt", "-n", "-o", "SOURCE", disk).trim())}/trigger_fs_error`;
    assert.ok(existsSync(trigger), trigger);
    const sink = await Sink.start();
    const account = new Account(generator(SEED));
    let endLoad = (): Promise<void> => Promise.resolve();
    const running = await start("a", settings(`${disk}/spool`, sink));
    try {
      endLoad = loadOn(running, account);
      await until(() => account.acknowledged > 100, 20_000, () => running.log.slice(-2000));
      writeFileSync(trigger, "read-only");
      await until(() => refusals(account) > 20, 10_000, () => running.log.slice(-2000));
      const reached = account.acknowledged;
      await sleep(1_000);
      assert.equal(account.acknowledged, reached);
      assertRefusedWell(account);
      assert.throws(() => writeFileSync(`${disk}/spool/x`, ""), /EROFS/);
      await endLoad();
      await running.kill();
      run("umount", disk);
      // 1: errors were corrected.
      try {
        run("e2fsck", "-p", `${folder}/image`);
      } catch (caught) {
        assert.equal((caught as { status?: number }).status, 1);
      }
      mount();
      const again = await start("b", settings(`${disk}/spool`, sink));
      await account.load(again.port, 5);
      assert.equal(account.acknowledged, reached + 5);
      await account.settle(sink, 1, () => again.log.slice(-2000));
      await again.stop();
    } finally {
      await running.remove();
      await sink.close();
    }
  },
);

/** By which the spool writes. */
const CALLS = "pwritev,pwrite64,fdatasync,ftruncate,rename,unlink,mkdir";

test("EROFS for a while under load: on by itself on a new segment, nothing lost", { timeout: 120_000 }, async () => {
  const sink = await Sink.start();
  const account = new Account(generator(SEED));
  let endLoad = (): Promise<void> => Promise.resolve();
  const running = await start("c", settings(`${folder}/spool`, sink));
  const segments = (): string[] => readdirSync(`${folder}/spool/shard-0`).filter((name) => name.endsWith(".log"));
  try {
    endLoad = loadOn(running, account);
    await until(() => account.acknowledged > 100, 20_000, () => running.log.slice(-2000));
    const fault = ["-e", `trace=${CALLS}`, "-e", `inject=${CALLS}:error=EROFS`];
    const tracer = spawn("strace", ["-f", "-qq", "-o", "/dev/null", "-p", `${running.pid}`, ...fault]);
    const gone = new Promise((resolve) => tracer.once("exit", resolve));
    await until(() => refusals(account) > 20, 20_000, () => running.log.slice(-2000));
    const [reached, before] = [account.acknowledged, segments()];
    await sleep(1_000);
    assert.equal(account.acknowledged, reached, "nothing is acknowledged that the disk does not take");
    assertRefusedWell(account);
    tracer.kill("SIGINT");
    await gone;
    await until(() => account.acknowledged > reached + 50, 20_000, () => running.log.slice(-2000));
    assert.ok(segments().some((name) => !before.includes(name)), "on a new segment");
    await endLoad();
    await running.kill();
    const again = await start("d", settings(`${folder}/spool`, sink));
    await account.settle(sink, 1, () => again.log.slice(-2000));
    await again.stop();
  } finally {
    await endLoad();
    await running.remove();
    await sink.close();
  }
});
