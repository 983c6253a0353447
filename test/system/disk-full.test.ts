/**
 * A full disk, and one that fails: loop devices (root). Nothing that was acknowledged is lost, a 250 never comes
 * without the disk having it, and the system goes on by itself when space returns.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type Running, type RunningOptions, sleep, startPostrider, until } from "../postrider.ts";
import { Sink } from "../sink.ts";
import { SmtpClient } from "../smtp-client.ts";

const folder = mkdtempSync(join(tmpdir(), "postrider-disk-"));
const mountPoint = `${folder}/spool-disk`;

before(() => {
  writeFileSync(`${folder}/image`, "");
  truncateSync(`${folder}/image`, 48 << 20);
  execFileSync("mkfs.ext4", ["-q", "-m", "0", `${folder}/image`]);
  mkdirSync(mountPoint);
  execFileSync("mount", ["-o", "loop", `${folder}/image`, mountPoint]);
});
const started: Running[] = [];

/** Started systems end before the disk goes away, whatever the test did. */
async function start(options: RunningOptions): Promise<Running> {
  const running = await startPostrider(options);
  started.push(running);
  return running;
}

after(async () => {
  for (const running of started) await running.remove();
  execFileSync("umount", ["-l", mountPoint]);
  rmSync(folder, { recursive: true, force: true });
});

/** Sends until a reply is no 250, at most `limit` times; the ids that were acknowledged and the last reply. */
async function sendUntilRefused(
  running: Running,
  first: number,
  limit: number,
): Promise<{ ids: number[]; last: string }> {
  const client = await (await SmtpClient.connect(running.port)).greeted();
  const ids: number[] = [];
  const body = "x".repeat(70).concat("\r\n").repeat(140);
  let last = "";
  for (let id = first; id < first + limit; id++) {
    last = await client.send("s@x.example", [`u${id}@y.example`], `Subject: ${id}\r\n\r\n${body}`);
    if (!last.startsWith("250")) break;
    ids.push(id);
  }
  client.close();
  return { ids, last };
}

test("a full disk: 452, nothing lost, and on by itself", { timeout: 120_000 }, async () => {
  const sink = await Sink.start();
  const running = await start({
    folder: `${folder}/a`,
    main: `queue_directory = ${mountPoint}/spool
relayhost = [127.0.0.1]:${sink.port}
defer_transports = smtp
message_size_limit = 20000
minimal_backoff_time = 1s
maximal_backoff_time = 1s`,
  });
  try {
    const early = await sendUntilRefused(running, 0, 50);
    assert.equal(early.ids.length, 50);
    const filler = `${mountPoint}/filler`;
    try {
      execFileSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=64k"], { stdio: "ignore" });
    } catch {
      // It stops when the disk is full: that is what it is for.
    }
    const full = await sendUntilRefused(running, 1000, 20_000);
    assert.equal(full.last, "452 4.3.1 Insufficient system storage");
    unlinkSync(filler);
    let later = await sendUntilRefused(running, 30_000, 50);
    for (let tries = 0; tries < 50 && later.ids.length < 50; tries++) {
      await sleep(200);
      later = await sendUntilRefused(running, 31_000 + tries * 100, 50);
    }
    assert.equal(later.ids.length, 50, `goes on by itself, not: ${later.last}`);
    // After a restart without defer_transports everything that was acknowledged arrives.
    await running.stop();
    const again = await start({
      folder: `${folder}/b`,
      main: `queue_directory = ${mountPoint}/spool\nrelayhost = [127.0.0.1]:${sink.port}`,
    });
    const wanted = [...early.ids, ...full.ids, ...later.ids];
    const arrived = (): Set<number> =>
      new Set(sink.messages.map(({ recipients }) => Number(recipients[0]!.slice(1).split("@")[0])));
    await until(() => wanted.every((id) => arrived().has(id)), 30_000, () => `${arrived().size} of ${wanted.length}`);
    await again.stop();
  } finally {
    await running.remove();
    await sink.close();
  }
});

test(
  "a frozen disk: no 250 before it takes the message; a crash then loses nothing",
  { timeout: 120_000 },
  async () => {
    const sink = await Sink.start();
    const main = (extra: string): string =>
      `queue_directory = ${mountPoint}/spool2\nrelayhost = [127.0.0.1]:${sink.port}\nmessage_size_limit = 20000
minimal_backoff_time = 1s\nmaximal_backoff_time = 1s\n${extra}`;
    const running = await start({ folder: `${folder}/c`, main: main("defer_transports = smtp") });
    try {
      const early = await sendUntilRefused(running, 0, 20);
      assert.equal(early.ids.length, 20);
      execFileSync("fsfreeze", ["-f", mountPoint]);
      const client = await (await SmtpClient.connect(running.port)).greeted();
      const frozen = client.send("s@x.example", ["u777@y.example"], "Subject: 777\r\n\r\nx\r\n");
      const answered = await Promise.race([frozen, sleep(1_500).then(() => "nothing yet")]);
      assert.doesNotMatch(answered, /^250/, "no 250 while the disk does not take it");
      execFileSync("fsfreeze", ["-u", mountPoint]);
      assert.match(await frozen, /^250/);
      client.close();
      await running.kill();
      const again = await start({ folder: `${folder}/d`, main: main("") });
      const arrived = (): number[] =>
        sink.messages.map(({ recipients }) => Number(recipients[0]!.slice(1).split("@")[0]));
      await until(() => [...early.ids, 777].every((id) => arrived().includes(id)), 20_000, () => arrived().join(" "));
      await again.stop();
    } finally {
      await running.remove();
      await sink.close();
    }
  },
);
