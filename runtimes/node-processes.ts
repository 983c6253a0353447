/**
 * Processes on node:process and node:child_process, the same on Node, Bun and Deno but for what the options name.
 * A child whose program cannot be started: `exited` is rejected with the system's error.
 */

import { type ChildProcess, spawn as spawnChild } from "node:child_process";
import * as fs from "node:fs";
import * as os from "node:os";
import process from "node:process";
import type { Child, Environment, Processes, Signal, SpawnOptions, StartEnvironments, User } from "../src/runtime.ts";

export interface ProcessesOptions {
  /** Arguments of the runtime before ours, the script last; none in a compiled binary. */
  readonly before: readonly string[];
  readonly setGroups: (group: number) => void;
  readonly environmentOf: StartEnvironments;
  /** execve(2), where node:process has none. */
  readonly execute?: (command: string, arguments_: readonly string[], environment: Environment) => void;
}

const SLEEP = new Int32Array(new SharedArrayBuffer(4));

function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) {
    try {
      at += fs.writeSync(fd, bytes, at);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      // Whoever read this went away: nobody is left to tell.
      if (code === "EPIPE") return;
      if (code !== "EAGAIN") throw error;
      Atomics.wait(SLEEP, 0, 0, 1);
    }
  }
}

const OUTPUT_WAITING = 64;

/** Output and error output of a child as one stream; reading is held back while too many chunks wait. */
async function* merged(child: ChildProcess): AsyncGenerator<Uint8Array> {
  const chunks: Uint8Array[] = [];
  const streams = [child.stdout!, child.stderr!];
  let open = streams.length;
  let wake = (): void => {};
  for (const stream of streams) {
    let ended = false;
    const end = (): void => {
      if (!ended) open--;
      ended = true;
      wake();
    };
    stream.on("data", (chunk: Uint8Array) => {
      chunks.push(chunk);
      if (chunks.length > OUTPUT_WAITING) streams.forEach((each) => each.pause());
      wake();
    });
    stream.on("end", end);
    stream.on("error", end);
    stream.on("close", end);
  }
  while (open > 0 || chunks.length > 0) {
    const chunk = chunks.shift();
    if (chunk !== undefined) {
      yield chunk;
    } else {
      streams.forEach((each) => each.resume());
      await new Promise<void>((resolve) => wake = resolve);
    }
  }
}

function spawn(command: string, options: SpawnOptions): Child {
  const child = spawnChild(command, [...options.arguments], {
    env: { ...options.environment },
    ...(options.folder === undefined ? {} : { cwd: options.folder }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.gid === undefined ? {} : { gid: options.gid }),
    stdio: options.streams,
    detached: options.streams === "ignore",
  });
  const input = child.stdin;
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  exited.catch(() => {});
  input?.on("error", () => {});
  if (options.streams === "ignore") child.unref();
  return {
    pid: child.pid ?? -1,
    output: options.streams === "pipe" ? merged(child) : null,
    write: (bytes) =>
      new Promise((resolve, reject) => {
        if (input === null) return reject(Object.assign(new Error("EPIPE: no input"), { code: "EPIPE" }));
        input.write(bytes, (error) => error ? reject(error) : resolve());
      }),
    closeInput: () => {
      input?.end();
    },
    exited,
    // By process id: child.kill of a signal that does not end the child loses the child on Deno.
    kill: (signal) => {
      if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) kill(child.pid, signal);
    },
  };
}

function kill(pid: number, signal: Signal | 0): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return false;
    if ((error as NodeJS.ErrnoException).code === "EPERM" && signal === 0) return true;
    throw error;
  }
}

async function* readInput(): AsyncGenerator<Uint8Array> {
  for await (const chunk of process.stdin) yield chunk as Uint8Array;
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/**
 * The name this program was called by: of the script, or of the binary itself. The kernel has it as it was typed (a
 * link's own name), which process.argv does not everywhere.
 */
function calledName(): string {
  try {
    const words = fs.readFileSync("/proc/self/cmdline", "latin1").split("\0").slice(0, -1);
    const own = words[words.length - 1 - process.argv.slice(2).length];
    if (own !== undefined && own !== "") return baseName(own);
  } catch {
    // No /proc here.
  }
  return baseName(process.argv[1] ?? process.argv0);
}

export function nodeProcesses(options: ProcessesOptions): Processes {
  return {
    pid: process.pid,
    programName: calledName(),
    arguments: process.argv.slice(2),
    environment: process.env,
    hostname: os.hostname(),
    cores: os.availableParallelism(),
    uid: () => process.getuid!(),
    gid: () => process.getgid!(),
    workingFolder: () => process.cwd(),
    becomeUser: (user: User) => {
      if (process.getuid!() === 0) options.setGroups(user.gid);
      process.setgid!(user.gid);
      process.setuid!(user.uid);
    },
    spawn,
    self: { command: process.execPath, arguments: options.before },
    environmentOf: options.environmentOf,
    become: (command, { arguments: words, environment }) => {
      try {
        const execute = options.execute ?? process.execve!.bind(process);
        execute(command, [command, ...words], environment);
      } catch {
        // An older runtime, or a system without execve.
      }
    },
    onSignal: (signal, action) => {
      process.on(signal, () => action());
    },
    kill,
    readInput,
    writeOutput: (bytes) => writeWhole(1, bytes),
    writeError: (bytes) => writeWhole(2, bytes),
    exit: (code) => process.exit(code),
    setExitCode: (code) => {
      process.exitCode = code;
    },
    memory: () => {
      const { heapUsed, rss } = process.memoryUsage();
      return { heap: heapUsed, resident: rss };
    },
    setUmask: (mask) => process.umask(mask),
  };
}
