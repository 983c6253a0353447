/**
 * The Runtime of Deno: node's, but setgroups(2), flock(2) and execve(2) come from libc, and pieces are joined before a
 * write (Deno's writev copies them twice). Without the right to load libc (--allow-ffi) there is no flock, becomeUser
 * throws, and a process never goes on as another program.
 */

import type { Environment, Network, Runtime } from "../src/runtime.ts";
import { watchedNetwork } from "./deno-listen.ts";
import { latin1Encode } from "../src/latin1.ts";
import { argumentsBefore, buildRuntime, smallHeap } from "./node.ts";

const SYMBOLS = {
  flock: { parameters: ["i32", "i32"], result: "i32" },
  execve: { parameters: ["buffer", "buffer", "buffer"], result: "i32" },
  /** Linux 5.11, glibc 2.34. */
  close_range: { parameters: ["u32", "u32", "i32"], result: "i32", optional: true },
  setgroups: { parameters: ["usize", "buffer"], result: "i32" },
} as const;

type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

const LOCK_EXCLUSIVE_NOW = 2 | 4;
const STANDARD_STREAMS = 3;
const LAST_DESCRIPTOR = 0xffffffff;
const CLOSE_ON_EXEC = 4;

let libc: Libc | null | undefined;

function openLibc(): Libc | null {
  if (libc === undefined) {
    libc = null;
    for (const name of ["libc.so.6", "libc.so", "/usr/lib/libSystem.dylib"]) {
      try {
        libc ??= Deno.dlopen(name, SYMBOLS).symbols;
      } catch {
        // Not this one.
      }
    }
  }
  return libc;
}

function setGroups(group: number): void {
  const library = openLibc();
  if (library === null || library.setgroups(1n, new Uint32Array([group]).buffer as ArrayBuffer) !== 0) {
    throw Object.assign(new Error("EPERM: setgroups failed"), { code: "EPERM" });
  }
}

function cString(text: string): Uint8Array<ArrayBuffer> {
  return latin1Encode(`${text}\0`) as Uint8Array<ArrayBuffer>;
}

/** char *[]: the strings must stay reachable as long as the pointers are used. */
function pointersTo(strings: readonly Uint8Array<ArrayBuffer>[]): BigUint64Array<ArrayBuffer> {
  return BigUint64Array.from([...strings.map((one) => Deno.UnsafePointer.value(Deno.UnsafePointer.of(one))), 0n]);
}

/** Deno leaves a unix socket that listens to its children, who would keep what it stands for when it is closed. */
function keptFromChildren(network: Network): Network {
  const listen: Network["listen"] = async (address, backlog, accept, failed) => {
    const listener = await network.listen(address, backlog, accept, failed);
    // Whatever is open now, but the standard streams.
    if ("path" in address) openLibc()?.close_range?.(STANDARD_STREAMS, LAST_DESCRIPTOR, CLOSE_ON_EXEC);
    return listener;
  };
  return { ...network, listen };
}

function execute(command: string, arguments_: readonly string[], environment: Environment): void {
  const words = arguments_.map(cString);
  const settings = Object.entries(environment).map(([name, value]) => cString(`${name}=${value ?? ""}`));
  openLibc()?.execve(cString(command), pointersTo(words), pointersTo(settings));
}

export function denoRuntime(): Runtime {
  const compiled = Deno.build.standalone;
  const library = openLibc();
  const runtime = buildRuntime("deno", {
    gather: false,
    flock: library === null ? null : (fd) => library.flock(fd, LOCK_EXCLUSIVE_NOW) === 0,
  }, {
    before: compiled ? [] : argumentsBefore(["run", "-A"]),
    setGroups,
    execute,
    environmentOf: { server: {}, tool: { DENO_V8_FLAGS: smallHeap(4) } },
  });
  return { ...runtime, network: runtime.network === null ? null : watchedNetwork(keptFromChildren(runtime.network)) };
}
