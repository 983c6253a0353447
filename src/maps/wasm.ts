/**
 * The WebAssembly modules of wasm/, compiled once each on first use. One instance belongs to one table: dropping it
 * frees its memory. Views on an instance's memory detach when it grows: take them again after each call that may grow.
 */

import { MODULES } from "./wasm-modules.ts";

export type ModuleName = keyof typeof MODULES;

const compiled = new Map<ModuleName, WebAssembly.Module>();

function moduleOf(name: ModuleName): WebAssembly.Module {
  const known = compiled.get(name);
  if (known !== undefined) return known;
  const text = atob(MODULES[name]);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = text.charCodeAt(at);
  const made = new WebAssembly.Module(bytes);
  compiled.set(name, made);
  return made;
}

/** A new instance with an empty memory; `Exports` are the exported functions and `memory`. */
export function instanceOf<Exports>(name: ModuleName): Exports & { readonly memory: WebAssembly.Memory } {
  const abort = (): never => {
    throw new Error(`the WebAssembly module ${name} aborted`);
  };
  const { exports } = new WebAssembly.Instance(moduleOf(name), { env: { abort } });
  return exports as Exports & { readonly memory: WebAssembly.Memory };
}
