/**
 * The Runtime of Node, built on node: modules alone; Bun and Deno take it and replace what differs there.
 */

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { realpathSync } from "node:fs";
import process from "node:process";
import { crc32 } from "node:zlib";
import { useNative } from "../src/latin1.ts";
import type { Clock, Millis, Random, Runtime, Timer } from "../src/runtime.ts";
import { type FilesOptions, nodeFiles } from "./node-files.ts";
import { nodeNetwork } from "./node-network.ts";
import { nodeProcesses, type ProcessesOptions } from "./node-processes.ts";

/** setTimeout's limit; a longer wait is made of several. */
const LONGEST_TIMER: Millis = 0x7fffffff;

function after(delay: Millis, action: () => void): Timer {
  if (delay <= LONGEST_TIMER) {
    const timer = setTimeout(action, delay);
    return { cancel: () => clearTimeout(timer) };
  }
  let next: Timer = after(LONGEST_TIMER, () => {
    next = after(delay - LONGEST_TIMER, action);
  });
  return { cancel: () => next.cancel() };
}

let zoneNames: Intl.DateTimeFormat | null = null;
let namedHour = -1;
let lastName = "";

/** The name changes with daylight saving only, so it is looked up once an hour. */
function zoneName(at: Millis): string {
  const hour = Math.floor(at / 3_600_000);
  if (hour === namedHour) return lastName;
  zoneNames ??= new Intl.DateTimeFormat("en-US", { timeZoneName: "short" });
  lastName = zoneNames.formatToParts(at).find((part) => part.type === "timeZoneName")?.value ?? "UTC";
  namedHour = hour;
  return lastName;
}

const clock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after,
  soon: (action) => {
    setImmediate(action);
  },
  zoneMinutes: (at) => -new Date(at).getTimezoneOffset(),
  zoneName,
};

const random: Random = {
  below: (limit) => Math.floor(Math.random() * limit),
  bytes: (count) => randomBytes(count),
};

/** The file itself: a link to it is the name of a command. */
function realPath(script: string): string {
  try {
    return realpathSync(script);
  } catch {
    return script;
  }
}

/** The arguments with which this program was started, before its own: the runtime's options and the script. */
export function argumentsBefore(options: readonly string[]): readonly string[] {
  const script = process.argv[1];
  const compiled = script === undefined || script.startsWith("/$bunfs/") || script === process.execPath;
  return compiled ? [] : [...options, realPath(script)];
}

/** Buffer's methods take any Uint8Array. */
const { latin1Slice, latin1Write } = Buffer.prototype;

export function buildRuntime(name: Runtime["name"], files: FilesOptions, processes: ProcessesOptions): Runtime {
  useNative({
    decode: (bytes, start, end) => latin1Slice.call(bytes, start, end),
    // Deno's is slow.
    encodeInto: name === "deno" ? null : (text, bytes, at) => void latin1Write.call(bytes, text, at, text.length),
  });
  return {
    name,
    clock,
    random,
    crc32,
    files: nodeFiles(files),
    network: nodeNetwork(),
    processes: nodeProcesses(processes),
  };
}

/** For V8: the semi-spaces of its young generation grow to 32 MB otherwise, and what it promoted stays for long. */
export function smallHeap(semiSpaceMegabytes: number): string {
  return `--max-semi-space-size=${semiSpaceMegabytes}`;
}

export function nodeRuntime(): Runtime {
  return buildRuntime("node", { gather: true, flock: null }, {
    before: argumentsBefore(process.execArgv),
    setGroups: (group) => process.setgroups!([group]),
    environmentOf: { server: {}, tool: { NODE_OPTIONS: smallHeap(8) } },
  });
}
