/**
 * A power cut: the queue lives on an ext4 image of its own (loop device), which is copied the instant after an
 * acknowledgement, while the system stands still. The copy is what a disk would have kept; a system that starts on it
 * must deliver, whole, all that was acknowledged. Debian's Postfix is held against the same.
 * `npm run test:powercut` prints the table; POSTRIDER_TEST_SCALE makes more cuts.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, describe, it } from "node:test";
import { SCALE } from "../corpus.ts";
import { Account, generator } from "../loss.ts";
import { freePort, sleep, startPostrider, until } from "../postrider.ts";
import { SEED } from "../seed.ts";
import { Sink } from "../sink.ts";
import { debianPostfix, startDebianPostfix } from "./debian-postfix.ts";

const MESSAGES = 200;
const CUTS = Math.max(1, Math.round(SCALE));

/** A file system in a file. */
class Disk {
  readonly folder: string = mkdtempSync(join(tmpdir(), "postrider-power-"));
  readonly path: string = `${this.folder}/disk`;
  #mounted = false;

  constructor() {
    writeFileSync(`${this.folder}/image`, "");
    truncateSync(`${this.folder}/image`, 256 << 20);
    execFileSync("mkfs.ext4", ["-q", "-m", "0", `${this.folder}/image`]);
    mkdirSync(this.path);
    this.#mount();
  }

  #mount(): void {
    execFileSync("mount", ["-o", "loop", `${this.folder}/image`, this.path]);
    this.#mounted = true;
  }

  /** Keeps what the device has at this moment. Nothing else runs meanwhile. */
  photograph(): void {
    execFileSync("cp", ["--sparse=always", `${this.folder}/image`, `${this.folder}/kept`]);
  }

  /** The power is back: the file system is what it was in the photograph. */
  revive(): void {
    execFileSync("umount", ["-l", this.path]);
    execFileSync("mv", [`${this.folder}/kept`, `${this.folder}/image`]);
    this.#mount();
  }

  remove(): void {
    if (this.#mounted) execFileSync("umount", ["-l", this.path]);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A mail system on the disk. */
interface Subject {
  readonly port: number;
  /** SIGSTOP to all of it. */
  freeze(): void;
  kill(): Promise<void>;
  start(): Promise<void>;
  log(): string;
  remove(): Promise<void>;
}

const settings = (disk: Disk, sink: number): string =>
  `queue_directory = ${disk.path}/spool
relayhost = [127.0.0.1]:${sink}
minimal_backoff_time = 1s
maximal_backoff_time = 1s
queue_run_delay = 1s
`;

async function ours(runtime: string, disk: Disk, sink: number): Promise<Subject> {
  const running = await startPostrider({ runtime, main: settings(disk, sink) });
  return {
    port: running.port,
    freeze: () => process.kill(running.pid, "SIGSTOP"),
    kill: async () => void await running.kill(),
    start: async () => void await running.start(),
    log: () => running.log.slice(-3000),
    remove: () => running.remove(),
  };
}

async function theirs(disk: Disk, sink: number): Promise<Subject> {
  mkdirSync(`${disk.path}/spool`);
  const debian = await startDebianPostfix(`${settings(disk, sink)}smtpd_client_connection_count_limit = 0`);
  const each = (signal: string): void => {
    const master = readFileSync(`${disk.path}/spool/pid/master.pid`, "utf8").trim();
    const children = execFileSync("pgrep", ["-P", master], { encoding: "utf8" }).split("\n").filter(Boolean);
    for (const pid of [master, ...children]) process.kill(Number(pid), signal as NodeJS.Signals);
  };
  return {
    port: debian.port,
    freeze: () => each("SIGSTOP"),
    kill: async () => {
      each("SIGKILL");
      await sleep(200);
    },
    start: () => Promise.resolve(debian.start()),
    log: () => debian.log().slice(-3000),
    remove: () => Promise.resolve(debian.stop()),
  };
}

interface Outcome {
  readonly acknowledged: number;
  readonly lost: number;
  /** "" when all arrived whole. */
  readonly trouble: string;
}

/** Messages until that many are acknowledged, the cut, and what is left of them. */
async function cut(
  make: (disk: Disk, sink: number) => Promise<Subject>,
  sessions: number,
  acknowledged: number,
  random: () => number,
): Promise<Outcome> {
  const disk = new Disk();
  const port = await freePort();
  let subject: Subject | null = null;
  let sink: Sink | null = null;
  try {
    const system = subject = await make(disk, port);
    let done = false;
    const account = new Account(random, (count) => {
      if (done || count < acknowledged) return;
      done = true;
      system.freeze();
      disk.photograph();
    });
    const loads = Array.from({ length: sessions }, () => account.load(system.port));
    await until(() => done, 60_000, () => system.log());
    const counted = account.acknowledged;
    await system.kill();
    await Promise.all(loads);
    disk.revive();
    sink = await Sink.start({}, port);
    await system.start();
    const trouble = await account.settle(sink, 1, () => system.log()).then(() => "", String);
    return { acknowledged: counted, lost: account.lost(sink), trouble };
  } finally {
    await subject?.remove();
    await sink?.close();
    disk.remove();
  }
}

const SUBJECTS: readonly (readonly [string, (disk: Disk, sink: number) => Promise<Subject>])[] = [
  ...["node", "bun", "deno"].map((runtime) =>
    [`Postrider on ${runtime}`, (disk: Disk, sink: number) => ours(runtime, disk, sink)] as const
  ),
  ["Postfix", theirs],
];

const root = process.getuid?.() === 0;

describe(`a power cut (POSTRIDER_TEST_SEED=${SEED}, ${CUTS} cuts each)`, { skip: !root }, () => {
  const rows: string[] = [];
  after(() => console.log(["| system | sessions | cuts | acknowledged | lost |", ...rows].join("\n")));
  for (const [name, make] of SUBJECTS) {
    for (const sessions of [1, 20]) {
      const options = { skip: name === "Postfix" && !debianPostfix, timeout: 120_000 * CUTS };
      it(`${name} with ${sessions} sessions`, options, async () => {
        const random = generator(SEED + sessions);
        let [acknowledged, lost] = [0, 0];
        const troubles: string[] = [];
        for (let round = 0; round < CUTS; round++) {
          // The first after the last of them, the others somewhere.
          const most = round === 0 ? MESSAGES : 1 + Math.floor(random() * MESSAGES);
          const outcome = await cut(make, sessions, most, random);
          acknowledged += outcome.acknowledged;
          lost += outcome.lost;
          if (outcome.trouble !== "") troubles.push(outcome.trouble);
        }
        rows.push(`| ${name} | ${sessions} | ${CUTS} | ${acknowledged} | ${lost} |`);
        // What Postfix loses is for the table.
        if (name !== "Postfix") assert.deepEqual(troubles, []);
      });
    }
  }
});
