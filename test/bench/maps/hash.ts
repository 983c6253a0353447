/**
 * hash: and cidr: against their goals: a chain of address keys beside a JS Map, time to the first answer, bytes an
 * entry, addresses against cidr rules beside ipaddr.js and beside the same table in JS, time to build.
 *   node test/bench/maps/hash.ts [entries]        (also with bun, deno run -A)
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import ipaddr from "ipaddr.js";
import { currentRuntime } from "../../../runtimes/select.ts";
import { latin1Encode } from "../../../src/latin1.ts";
import { CidrRules } from "../../../src/maps/cidr.ts";
import { buildImage } from "../../../src/maps/compile.ts";
import { CHAIN, HashImage } from "../../../src/maps/hash.ts";
import { chanceOf } from "../../maps/table-texts.ts";

const real = await currentRuntime();
const ENTRIES = Number(process.argv[2] ?? 1_000_000);
const chance = chanceOf(1);
const now = (): number => performance.now();
const show = (what: string, figure: string): void => console.log(`${what.padEnd(52)} ${figure}`);

/** Nanoseconds a call, the best of some rounds. */
function perCall(calls: number, action: (index: number) => unknown): number {
  let best = Infinity;
  let kept: unknown;
  for (let round = 0; round < 5; round++) {
    const started = now();
    for (let index = 0; index < calls; index++) kept = action(index) ?? kept;
    best = Math.min(best, (now() - started) / calls * 1e6);
  }
  if (kept === Symbol.iterator) console.log("");
  return best;
}

function hashes(): void {
  const folder = mkdtempSync(join(tmpdir(), "bench-hash-"));
  const path = join(folder, "t.wmap");
  let table: Map<string, string> | null = new Map<string, string>();
  for (let index = 0; index < ENTRIES; index++) {
    table.set(`user${index}@host${index % 5000}.example`, `u${index % 97}@mail.ex`);
  }
  let bytes = 0;
  for (const [key, value] of table) bytes += key.length + value.length;
  const started = now();
  const image = buildImage(table, null);
  show("build from a Map", `${((now() - started) / 1000).toFixed(2)} s`);
  show("bytes an entry (key + value)", `${(image.length / ENTRIES).toFixed(1)} (${(bytes / ENTRIES).toFixed(1)})`);
  const text = [...table].map(([key, value]) => `${key} ${value}\n`).join("");
  writeFileSync(path, image);
  writeFileSync(`${path}.txt`, text, "latin1");
  const asked = Array.from({ length: 4096 }, () => {
    const user = chance.below(ENTRIES * 2);
    return `user${user}+ext${chance.below(100)}@host${user % 5000}.sub.example`;
  });
  const address = (index: number): string => asked[index & 4095]!;
  const opened = HashImage.open(image) as HashImage;
  const flags = CHAIN.address | CHAIN.local | CHAIN.domain | CHAIN.dotParents | CHAIN.userAt | CHAIN.atDomain |
    CHAIN.fold;
  const map = table;
  const inMap = (key: string): string | undefined => {
    key = key.toLowerCase();
    const at = key.lastIndexOf("@");
    const plus = key.indexOf("+");
    const [local, domain] = [key.slice(0, at), key.slice(at + 1)];
    const bare = plus > 0 && plus < at ? key.slice(0, plus) : null;
    let value = map.get(key) ?? (bare === null ? undefined : map.get(`${bare}@${domain}`)) ?? map.get(local) ??
      (bare === null ? undefined : map.get(bare)) ?? map.get(domain);
    for (let dot = domain.indexOf("."); value === undefined && dot >= 0; dot = domain.indexOf(".", dot + 1)) {
      value = map.get(domain.slice(dot));
    }
    return value ?? map.get(`${local}@`) ?? (bare === null ? undefined : map.get(`${bare}@`)) ?? map.get(`@${domain}`);
  };
  const fresh = (index: number): string => `${address(index)}`;
  const js = perCall(200_000, (index) => inMap(fresh(index)));
  const wasm = perCall(200_000, (index) => opened.addressChain(fresh(index), "+", flags));
  show("address chain: Map, image", `${js.toFixed(0)} ns, ${wasm.toFixed(0)} ns: ${(js / wasm).toFixed(1)}x`);
  const keys = Array.from({ length: 4096 }, () => {
    const user = chance.below(ENTRIES * 2);
    return `user${user}@host${user % 5000}.example`;
  });
  const mapGet = perCall(400_000, (index) => map.get(keys[index & 4095]!));
  const imageGet = perCall(400_000, (index) => opened.get(keys[index & 4095]!, true));
  show("one key: Map, image", `${mapGet.toFixed(0)} ns, ${imageGet.toFixed(0)} ns`);
  table = null;
  cold(path);
  rmSync(folder, { recursive: true });
}

/** A file that the system has in memory, to the first answer. */
function cold(path: string): void {
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const started = now();
    const image = HashImage.load((place) => real.files!.readSync(path, place)).image as HashImage;
    image.get("user1@host1.example", true);
    times.push(now() - started);
  }
  const started = now();
  const map = new Map<string, string>();
  for (const line of readFileSync(`${path}.txt`, "latin1").split("\n")) {
    const space = line.indexOf(" ");
    if (space > 0) map.set(line.slice(0, space).toLowerCase(), line.slice(space + 1));
  }
  const filled = now() - started;
  const best = Math.min(...times);
  const all = times.map((time) => time.toFixed(1)).join(", ");
  show("first answer: filling a Map, image", `${filled.toFixed(0)} ms, ${all} ms: ${(filled / best).toFixed(0)}x`);
}

function randomRules(count: number): { text: string; networks: [number, number][] } {
  const lines: string[] = [];
  const networks: [number, number][] = [];
  for (let index = 0; index < count; index++) {
    const bits = chance.pick([16, 20, 22, 24, 24, 24, 28, 32, 32]);
    const host = 2 ** (32 - bits);
    const value = Math.floor(chance.below(2 ** 31) * 2 / host) * host;
    networks.push([value, bits]);
    lines.push(`${[24, 16, 8, 0].map((shift) => (value / 2 ** shift) & 255).join(".")}/${bits} r${index % 10}\n`);
  }
  return { text: lines.join(""), networks };
}

/** The same search in typed arrays of JS: starts and owners, made by asking the table itself. */
function inJs(networks: readonly [number, number][], rules: CidrRules): (address: string) => number {
  const edges = new Set<number>([0]);
  for (const [value, bits] of networks) {
    edges.add(value);
    const after = value + 2 ** (32 - bits);
    if (after < 2 ** 32) edges.add(after);
  }
  const starts = Uint32Array.from(edges).sort();
  const owners = Uint32Array.from(starts, (at) => rules.match([24, 16, 8, 0].map((by) => (at >>> by) & 255).join(".")));
  const direct = new Uint32Array(65537).fill(starts.length - 1);
  for (let chunk = 0, at = 0; chunk < 65536; chunk++) {
    while (at + 1 < starts.length && starts[at + 1]! <= chunk * 65536) at++;
    direct[chunk] = at;
  }
  return (address) => {
    let [key, part] = [0, 0];
    for (let index = 0; index < address.length; index++) {
      const code = address.charCodeAt(index);
      if (code === 46) [key, part] = [key << 8 | part, 0];
      else part = part * 10 + code - 48;
    }
    key = (key << 8 | part) >>> 0;
    let [low, high] = [direct[key >>> 16]!, direct[(key >>> 16) + 1]!];
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (starts[middle]! <= key) low = middle;
      else high = middle - 1;
    }
    return owners[low]!;
  };
}

function cidrs(): void {
  const { text, networks } = randomRules(100_000);
  const rules = new CidrRules(latin1Encode(text), "bench");
  const asked = Array.from({ length: 4096 }, () => Array.from({ length: 4 }, () => chance.below(256)).join("."));
  const js = inJs(networks, rules);
  for (const address of asked) if (js(address) !== rules.match(address)) throw new Error(`not the same: ${address}`);
  const parsed = networks.map(([value, bits]) => {
    const text = [24, 16, 8, 0].map((shift) => (value / 2 ** shift) & 255).join(".");
    return [ipaddr.IPv4.parse(text), bits] as [ipaddr.IPv4, number];
  });
  const slow = perCall(40, (index) => {
    const address = ipaddr.IPv4.parse(asked[index & 4095]!);
    return parsed.find((rule) => address.match(rule));
  });
  const wasm = perCall(1_000_000, (index) => rules.match(asked[index & 4095]!));
  const typed = perCall(1_000_000, (index) => js(asked[index & 4095]!));
  show(
    "100k cidr rules: ipaddr.js, WASM",
    `${(slow / 1e3).toFixed(0)} us, ${wasm.toFixed(0)} ns: ${(slow / wasm).toFixed(0)}x`,
  );
  show(
    "100k cidr rules: typed arrays in JS, WASM",
    `${typed.toFixed(0)} ns, ${wasm.toFixed(0)} ns: ${(typed / wasm).toFixed(2)}x`,
  );
  const bytes = latin1Encode(randomRules(1_000_000).text);
  const times = Array.from({ length: 3 }, () => {
    const started = now();
    new CidrRules(bytes, "bench");
    return now() - started;
  });
  show("1M cidr rules built from their text", times.map((time) => `${time.toFixed(0)} ms`).join(", "));
}

show("runtime", process.versions.bun ? `bun ${process.versions.bun}` : `${process.versions.deno ?? process.version}`);
hashes();
cidrs();
