/**
 * The Runtime of Deno: node's, but setgroups(2) and flock(2) come from libc, and pieces are joined before a write
 * (Deno's writev copies them twice). Without the right to load libc (--allow-ffi) there is no flock and becomeUser
 * throws.
 */

import type { Runtime } from "../src/runtime.ts";
import { watchedNetwork } from "./deno-listen.ts";
import { argumentsBefore, buildRuntime } from "./node.ts";

const SYMBOLS = {
  flock: { parameters: ["i32", "i32"], result: "i32" },
  setgroups: { parameters: ["usize", "buffer"], result: "i32" },
} as const;

type Libc = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

const LOCK_EXCLUSIVE_NOW = 2 | 4;

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

export function denoRuntime(): Runtime {
  const compiled = Deno.build.standalone;
  const library = openLibc();
  const runtime = buildRuntime("deno", {
    gather: false,
    flock: library === null ? null : (fd) => library.flock(fd, LOCK_EXCLUSIVE_NOW) === 0,
  }, { before: compiled ? [] : argumentsBefore(["run", "-A"]), setGroups });
  return { ...runtime, network: runtime.network === null ? null : watchedNetwork(runtime.network) };
}
