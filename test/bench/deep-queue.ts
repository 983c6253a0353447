/**
 * A long queue: the time and memory that the tools need, the time from start to banner, and the latency of new mail
 * while all of the queue, for a destination that refuses connections, is due. Prints one table, beside Debian's
 * Postfix where that is installed and the user is root. The program runs as it is installed. What is short is the
 * median of several rounds.
 *   node test/bench/deep-queue.ts [messages]
 */

import { spawn, spawnSync } from "node:child_process";
import { copyFileSync, linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { statSync, unlinkSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import process from "node:process";
import { currentRuntime } from "../../runtimes/select.ts";
import { NO_CLIENT, plainRecipient } from "../../src/envelope.ts";
import { latin1Encode } from "../../src/latin1.ts";
import { openQueue } from "../../src/queue/open.ts";
import {
  freePort,
  type Running,
  type RunningOptions,
  scriptCommand,
  sleep,
  startPostrider,
  until,
} from "../postrider.ts";
import { Sink } from "../sink.ts";
import { SmtpClient } from "../smtp-client.ts";
import { debianPostfix, startDebianPostfix, submit } from "../system/debian-postfix.ts";

const COUNT = Number(process.argv[2] ?? 100_000);
const ROUNDS = 3;
const LATER = 3_600_000;
const REASON = "connect to 127.0.0.1[127.0.0.1]:1: Connection refused";
const runtime = await currentRuntime();
const rows = new Map<string, Map<string, string>>();

function report(side: string, what: string, value: string): void {
  const row = rows.get(what) ?? new Map<string, string>();
  rows.set(what, row.set(side, value));
  console.error(`${side}: ${what}: ${value}`);
}

interface Side {
  readonly name: string;
  readonly port: number;
  readonly pid: () => number;
  readonly tool: (name: string, ...words: string[]) => string[];
  readonly aQueueId: () => string;
  readonly makeAllDue: () => void;
}

const settings = (sink: number): string =>
  `relayhost = [127.0.0.1]:${sink}
transport_maps = inline:{ dead.example=smtp:[127.0.0.1]:1 }
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
disable_dns_lookups = yes
queue_run_delay = 3s
default_destination_concurrency_failed_cohort_limit = 1
`;

const median = (numbers: readonly number[]): number => numbers.toSorted((a, b) => a - b)[numbers.length >> 1]!;

interface Run {
  readonly seconds: number;
  readonly kilobytes: number;
}

/** Medians of both over the rounds, of a command whose output is thrown away. */
async function measured(command: readonly string[], rounds = ROUNDS): Promise<string> {
  const runs: Run[] = [];
  for (let round = 0; round < rounds; round++) runs.push(await measuredOnce(command));
  return medians(runs);
}

function medians(runs: readonly Run[]): string {
  const seconds = median(runs.map((run) => run.seconds)).toFixed(2);
  const kilobytes = median(runs.map((run) => run.kilobytes));
  return kilobytes === 0 ? `${seconds} s` : `${seconds} s, ${Math.round(kilobytes / 1024)} MB`;
}

/** Seconds and resident kilobytes. */
function measuredOnce(command: readonly string[]): Promise<Run> {
  return new Promise((resolve, reject) => {
    const start = performance.now();
    const child = spawn("/usr/bin/env", ["time", "-f", "%M", ...command], { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => errors += text);
    child.on("close", (code) => {
      // Debian's postsuper cannot open this log for a last line, when all is done.
      if (code !== 0 && !errors.includes("fatal: open logfile")) {
        return reject(new Error(`${command.join(" ")}: ${errors}`));
      }
      const kilobytes = Number(/(\d+)\s*$/.exec(errors)?.[1] ?? 0);
      resolve({ seconds: (performance.now() - start) / 1000, kilobytes });
    });
  });
}

async function tools(side: Side): Promise<void> {
  const id = side.aQueueId();
  const commands: readonly (readonly [string, readonly string[]])[] = [
    ["postqueue -p", side.tool("postqueue", "-p")],
    ["postqueue -j", side.tool("postqueue", "-j")],
    ["qshape deferred", side.tool("qshape", "deferred")],
    ["postcat -q", side.tool("postcat", "-q", id)],
    ["postsuper -h, one", side.tool("postsuper", "-h", id)],
    ["postsuper -H, one", side.tool("postsuper", "-H", id)],
  ];
  for (const [what, command] of commands) report(side.name, what, await measured(command));
  // Each leaves the queue as the next one wants it.
  for (const option of ["-h", "-H"]) {
    report(side.name, `postsuper ${option} ALL`, await measured(side.tool("postsuper", option, "ALL"), 1));
  }
}

/** While nothing runs, the programs in turns; each command leaves the queue as the next one wants it. */
async function stoppedTools(side: string, programs: ReadonlyMap<string, Side["tool"]>): Promise<void> {
  const commands = ["postqueue -p", "postqueue -j", "qshape deferred", "postsuper -h ALL", "postsuper -H ALL"];
  const runs = new Map(commands.map((command) => [command, [...programs].map((): Run[] => [])]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [at, tool] of [...programs.values()].entries()) {
      for (const command of commands) {
        const [name, ...words] = command.split(" ") as [string, ...string[]];
        runs.get(command)![at]!.push(await measuredOnce(tool(name, ...words)));
      }
    }
  }
  const names = [...programs.keys()];
  for (const [command, of] of runs) {
    report(side, `${command}, stopped`, of.map((one, at) => `${names[at]}${medians(one)}`).join("; "));
  }
}

/** Median and 99th percentile, in milliseconds, from MAIL to the arrival at the sink. */
async function latency(port: number, sink: Sink, count: number): Promise<{ median: number; most: number }> {
  const times: number[] = [];
  for (let at = 0; at < count; at++) {
    const start = performance.now();
    const before = sink.messages.length;
    await submit(port, { sender: "s@a.example", recipients: ["r@new.example"], content: "Subject: x\r\n\r\nx\r\n" });
    while (sink.messages.length === before) await new Promise((resolve) => setImmediate(resolve));
    times.push(performance.now() - start);
    await sleep(5);
  }
  times.sort((a, b) => a - b);
  return { median: times[times.length >> 1]!, most: times[Math.floor(times.length * 0.99)]! };
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function sweep(side: Side, sink: Sink, log: () => string, put: RegExp): Promise<void> {
  await latency(side.port, sink, 20);
  const quiet = await latency(side.port, sink, 150);
  report(side.name, "new mail, quiet", `median ${quiet.median.toFixed(1)} ms, 99 % ${quiet.most.toFixed(1)} ms`);
  const cpu = cpuSeconds(side.pid());
  const before = [...log().matchAll(put)].length;
  side.makeAllDue();
  await sleep(300);
  const busy = await latency(side.port, sink, 150);
  const during = [...log().matchAll(put)].length - before;
  report(
    side.name,
    "new mail, while swept",
    `median ${busy.median.toFixed(1)} ms, 99 % ${busy.most.toFixed(1)} ms (${during} put off meanwhile)`,
  );
  await until(() => [...log().matchAll(put)].length - before >= COUNT, 600_000, () => "the sweep did not end");
  const used = cpuSeconds(side.pid()) - cpu;
  report(side.name, "CPU of the queue manager for each", `${(used * 1000 / COUNT).toFixed(3)} ms`);
}

/** Seconds. */
interface Start {
  readonly banner: number;
  /** To the 250 after the content of a message. */
  readonly message: number;
}

async function connected(port: number): Promise<SmtpClient> {
  for (;;) {
    try {
      return await SmtpClient.connect(port);
    } catch {
      await sleep(2);
    }
  }
}

/** From now on. */
async function startOf(port: number): Promise<Start> {
  const start = performance.now();
  const client = await connected(port);
  const seconds = (): number => (performance.now() - start) / 1000;
  await client.reply();
  const banner = seconds();
  await client.ask("EHLO client.example");
  const reply = await client.send("s@a.example", ["r@new.example"], "Subject: x\r\n\r\nx\r\n");
  if (!reply.startsWith("250")) throw new Error(reply);
  const message = seconds();
  client.close();
  return { banner, message };
}

const told = ({ banner, message }: Start): string =>
  `${banner.toFixed(2)} s, a message taken after ${message.toFixed(2)} s`;

/** Medians. */
async function startsOf(options: RunningOptions): Promise<Start> {
  const starts: Start[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const port = await freePort();
    const times = startOf(port);
    const running = await startPostrider({ ...options, port });
    starts.push(await times);
    await (options.folder === undefined ? running.remove() : running.stop());
  }
  return { banner: median(starts.map(({ banner }) => banner)), message: median(starts.map(({ message }) => message)) };
}

/** The folder of the program as the package ships it. */
function compiled(): string {
  const folder = mkdtempSync(`${tmpdir()}/deep-queue-dist-`);
  const root = new URL("../..", import.meta.url).pathname;
  const { status } = spawnSync("node_modules/.bin/bun", ["bin/build.ts", folder], { cwd: root });
  if (status !== 0) throw new Error("the build failed");
  copyFileSync(`${root}/package.json`, `${folder}/package.json`);
  return folder;
}

async function postrider(): Promise<void> {
  const folder = mkdtempSync(`${tmpdir()}/deep-queue-`);
  const program = `${compiled()}/bin/postrider.js`;
  const sink = await Sink.start();
  mkdirSync(`${folder}/spool/spool`, { recursive: true });
  const store = await openQueue(`fs:${folder}/spool/spool`, { runtime });
  let first = "";
  const now = runtime.clock.now();
  for (let at = 0; at < COUNT; at += 500) {
    await Promise.all(Array.from({ length: 500 }, async (_, number) => {
      const incoming = store.begin();
      void incoming.append(latin1Encode(`Subject: ${at + number}\r\n\r\n${"x".repeat(600)}\r\n`));
      const recipient = plainRecipient(`r${at + number}@dead.example`);
      const envelope = { sender: "s@a.example", recipients: [recipient], arrived: now, client: NO_CLIENT };
      const { entry } = await incoming.commit({ ...envelope, encoding: "", ret: "", envid: "" });
      store.activate(entry.id);
      const deferred = [{ index: 0, reason: REASON, status: "4.4.1" }];
      await store.defer(entry.id, now + LATER, { done: [], deferred });
      first = entry.id;
    }));
  }
  await store.close();
  const main = settings(sink.port);
  const queue = `queue_storage = fs:${folder}/spool/spool\n`;
  for (const runtime of ["node", "bun"]) {
    report(
      "Postrider",
      `start to banner, ${runtime}`,
      told(await startsOf({ folder, main: main + queue, program, runtime })),
    );
    report("Postrider", `an empty queue, ${runtime}`, told(await startsOf({ main, program, runtime })));
  }
  const stopped = ["node", "bun", "deno"].map((name): [string, Side["tool"]] => {
    const { command, arguments: words } = scriptCommand(program, name);
    return [`${name} `, (tool, ...rest) => [command, ...words, tool, "-c", `${folder}/etc`, ...rest]];
  });
  await stoppedTools("Postrider", new Map(stopped));
  const running: Running = await startPostrider({ folder, main: main + queue, program });
  const [command, words] = [process.execPath, [program]];
  const side: Side = {
    name: "Postrider",
    port: running.port,
    pid: () => running.pid,
    tool: (name, ...rest) => [command, ...words, name, "-c", `${folder}/etc`, ...rest],
    aQueueId: () => first,
    makeAllDue: () => void spawnSync(command, [...words, "postqueue", "-c", `${folder}/etc`, "-f"]),
  };
  await tools(side);
  await sweep(side, sink, () => running.log, /to=<r\d+@dead\.example>.*status=deferred/g);
  const resident = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${running.pid}/status`, "latin1"))![1]!;
  report("Postrider", "resident at most", `${Math.round(Number(resident) / 1024)} MB (all of the system)`);
  await running.remove();
  await sink.close();
}

/** Files of the deferred queue, named by their inodes as Postfix wants it. */
function cloneDeferred(folder: string, model: string, log: string): string {
  let id = "";
  for (let at = 0; at < COUNT; at++) {
    const fresh = `${folder}/spool/deferred/new`;
    copyFileSync(model, fresh);
    id = `${(0x10000 + at % 0xf0000).toString(16)}${statSync(fresh).ino.toString(16)}`.toUpperCase();
    for (const [queue, file] of [["deferred", fresh], ["defer", log]] as const) {
      mkdirSync(`${folder}/spool/${queue}/${id[0]}`, { recursive: true });
      const path = `${folder}/spool/${queue}/${id[0]}/${id}`;
      if (queue === "defer") copyFileSync(file, path);
      else linkSync(file, path);
    }
    unlinkSync(fresh);
    utimesSync(`${folder}/spool/deferred/${id[0]}/${id}`, Date.now() / 1000 + 3600, Date.now() / 1000 + 3600);
  }
  spawnSync("chown", ["-R", "postfix:postfix", `${folder}/spool/deferred`, `${folder}/spool/defer`]);
  spawnSync("chmod", ["-R", "u=rwX", `${folder}/spool/deferred`]);
  spawnSync("find", [`${folder}/spool/deferred`, "-type", "f", "-exec", "chmod", "0700", "{}", "+"]);
  return id;
}

async function debian(): Promise<void> {
  const sink = await Sink.start();
  const postfix = await startDebianPostfix(settings(sink.port));
  const { folder } = postfix;
  await submit(postfix.port, {
    sender: "s@a.example",
    recipients: ["r1@dead.example"],
    content: `Subject: x\r\n\r\n${"x".repeat(600)}\r\n`,
  });
  await until(() => /status=deferred/.test(postfix.log()), 10_000, () => postfix.log());
  await sleep(500);
  const find = (queue: string): string => {
    const names = readdirSync(`${folder}/spool/${queue}`, { recursive: true }).map(String);
    return `${folder}/spool/${queue}/${names.find((name) => name.includes("/"))!}`;
  };
  spawnSync("postfix", ["-c", `${folder}/etc`, "stop"]);
  const id = cloneDeferred(folder, find("deferred"), find("defer"));
  const tool = (name: string, ...rest: string[]): string[] => [name, "-c", `${folder}/etc`, ...rest];
  await stoppedTools("Postfix", new Map([["", tool]]));
  const start = startOf(postfix.port);
  spawn("postfix", ["-c", `${folder}/etc`, "start"], { stdio: "ignore" });
  report("Postfix", "start to banner", told(await start));
  const qmgr = (): number =>
    Number(
      spawnSync("pgrep", ["-P", readFileSync(`${folder}/spool/pid/master.pid`, "latin1").trim(), "qmgr"], {
        encoding: "latin1",
      }).stdout.trim(),
    );
  const side: Side = {
    name: "Postfix",
    port: postfix.port,
    pid: qmgr,
    tool,
    aQueueId: () => id,
    makeAllDue: () => void spawnSync("postqueue", ["-c", `${folder}/etc`, "-f"]),
  };
  await tools(side);
  await sweep(side, sink, () => postfix.log(), /to=<r\d+@dead\.example>.*status=deferred/g);
  postfix.stop();
  await sink.close();
}

await postrider();
if (debianPostfix) await debian();
console.log(`\n${COUNT} deferred messages for a destination that refuses connections\n`);
console.log("| | Postrider | Postfix |\n| --- | --- | --- |");
for (const [what, row] of rows) {
  console.log(`| ${what} | ${row.get("Postrider") ?? ""} | ${row.get("Postfix") ?? ""} |`);
}
process.exit(0);
