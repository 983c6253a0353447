/**
 * cidr: tables (cidr_table(5)): network patterns in the order of the file, of which the first that matches an address
 * gives the value. Reading, matching and the parsing of addresses are done in WebAssembly (wasm/cidr.ts); the words
 * for rules that cannot be read are made here. A key that is no address is not found; IPv4 and IPv6 addresses match
 * patterns of their own family only.
 */

import type { Lookup } from "../lookup.ts";
import { found, NONE } from "../lookup.ts";
import { latin1Decode, latin1Encode } from "../latin1.ts";
import type { Files } from "../runtime.ts";
import { fileTable, type TableContent } from "./file-table.ts";
import { filesValue } from "./files-value.ts";
import { inlineRules } from "./inline-rules.ts";
import type { TableContext, TableType } from "./map.ts";
import type { ValueRead } from "./text.ts";
import { instanceOf } from "./wasm.ts";

interface Module {
  readonly memory: WebAssembly.Memory;
  keyAt(): number;
  keyLimit(): number;
  reserve(length: number): number;
  parse(length: number, files: boolean): number;
  ruleTotal(): number;
  ruleAt(index: number): number;
  faultTotal(): number;
  faultAt(index: number): number;
  drop(index: number): void;
  finish(): number;
  client(length: number): number;
}

interface Fault {
  readonly code: number;
  readonly line: number;
  readonly text: string;
  /** The network as it would be right. */
  readonly network: string;
}

/** Numbers of wasm/cidr.ts. */
const LEADING_SPACE = 12;
const IF_OPEN = 13;
const SHOWN = 30;

/** inet_ntop(3) of 16 bytes. */
function ipv6Text(words: readonly number[]): string {
  let [best, length] = [-1, 1];
  for (let at = 0; at < 8; at++) {
    let end = at;
    while (end < 8 && words[end] === 0) end++;
    if (end - at > length) [best, length] = [at, end - at];
    at = Math.max(at, end - 1);
  }
  const hex = (from: number, to: number): string => words.slice(from, to).map((word) => word.toString(16)).join(":");
  if (best < 0) return hex(0, 8);
  if (best === 0 && (length === 6 || length === 5 && words[5] === 0xffff)) {
    const [a, b] = [words[6] as number, words[7] as number];
    return `::${length === 5 ? "ffff:" : ""}${a >> 8}.${a & 255}.${b >> 8}.${b & 255}`;
  }
  return `${hex(0, best)}::${hex(best + length, 8)}`;
}

function networkText(view: DataView, at: number): string {
  const high = view.getBigUint64(at, true);
  const low = view.getBigUint64(at + 8, true);
  if (view.getUint32(at + 16, true) === 4) {
    const value = Number(low);
    return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join(".");
  }
  return ipv6Text(
    [high, low].flatMap((half) => [48n, 32n, 16n, 0n].map((shift) => Number((half >> shift) & 0xffffn))),
  );
}

/** The pattern without brackets, as messages show it: `1.2.3.0/24` for `[1.2.3.0]/24` and `[1.2.3.0/24]`. */
const bare = (pattern: string): string => pattern.replace(/^\[([^\]]*)\]/, "$1");

const mask = (pattern: string): string => String(Number(bare(pattern).slice(bare(pattern).lastIndexOf("/") + 1)));

type Words = (text: string, network: string) => string;

const WORDS: readonly Words[] = [
  () => "",
  () => "no address pattern",
  (text) => `missing ']' character after "${text}"`,
  (text) => `garbage after "${text.slice(0, text.indexOf("]") + 1)}"`,
  (text) => `bad mask value in "${bare(text)}"`,
  (text) => `bad mask length in "${bare(text)}"`,
  (text) => `bad network value in "${bare(text)}"`,
  (text, network) =>
    `non-null host address bits in "${bare(text)}", perhaps you should use "${network}/${mask(text)}" instead`,
  (text) => `bad address pattern: "${bare(text)}"`,
  () => "no lookup result",
  () => "ENDIF without IF",
  () => "garbage after ENDIF",
  () => "",
  () => "",
  () => "empty pathname list: >><<'",
];

function wordsOf({ code, line, text, network }: Fault, path: string): string {
  if (code === LEADING_SPACE) {
    const shown = text.slice(0, SHOWN) + (text.length > SHOWN ? "..." : "");
    return `${path}: logical line must not start with whitespace: "${shown}"`;
  }
  if (code === IF_OPEN) return `cidr map ${path}, line ${line}: IF has no matching ENDIF`;
  return `cidr map ${path}, line ${line}: ${(WORDS[code] as Words)(text, network)}: skipping this rule`;
}

interface Warning {
  readonly line: number;
  readonly text: string;
}

/** A whole table in WebAssembly memory. */
export class CidrRules implements TableContent {
  readonly warnings: readonly string[];
  readonly #module: Module;
  readonly #bytes: Uint8Array;
  readonly #key: number;
  readonly #keyLimit: number;
  readonly #answers = new Map<number, Lookup>();
  readonly #valueFrom: ((value: string) => ValueRead) | undefined;

  /** `valueFrom`: what is kept in place of a value. Throws when memory has no room for the table. */
  constructor(text: Uint8Array, path: string, valueFrom?: (value: string) => ValueRead) {
    const module = instanceOf<Module>("cidr");
    this.#module = module;
    this.#valueFrom = valueFrom;
    const start = module.reserve(text.length) >>> 0;
    if (start === 0) throw new Error("the table is too large");
    new Uint8Array(module.memory.buffer, start, text.length).set(text);
    if (module.parse(text.length, valueFrom !== undefined) === 0) throw new Error("the table is too large");
    const warnings = this.#faults(path);
    if (valueFrom !== undefined) {
      warnings.push(...this.#values(path, valueFrom));
      warnings.sort((one, other) => one.line - other.line);
    }
    this.warnings = warnings.map((warning) => warning.text);
    if (module.finish() === 0) throw new Error("the table is too large");
    this.#bytes = new Uint8Array(module.memory.buffer);
    this.#key = module.keyAt() >>> 0;
    this.#keyLimit = module.keyLimit() >>> 0;
  }

  #faults(path: string): Warning[] {
    const { buffer } = this.#module.memory;
    const view = new DataView(buffer);
    const faults: Warning[] = [];
    for (let index = 0; index < this.#module.faultTotal(); index++) {
      const at = this.#module.faultAt(index) >>> 0;
      const start = view.getUint32(at + 8, true);
      const fault = {
        code: view.getUint32(at, true),
        line: view.getUint32(at + 4, true),
        text: latin1Decode(new Uint8Array(buffer, start, view.getUint32(at + 12, true))),
        network: networkText(view, at + 16),
      };
      faults.push({ line: fault.code === IF_OPEN ? Infinity : fault.line, text: wordsOf(fault, path) });
    }
    return faults;
  }

  /** Rules whose value cannot be made are dropped. */
  #values(path: string, valueFrom: (value: string) => ValueRead): Warning[] {
    const view = new DataView(this.#module.memory.buffer);
    const warnings: Warning[] = [];
    for (let index = 0; index < this.#module.ruleTotal(); index++) {
      const at = this.#module.ruleAt(index) >>> 0;
      if (view.getUint8(at) !== 0) continue;
      const read = valueFrom(this.#text(index));
      if ("value" in read) continue;
      const line = view.getUint32(at + 4, true);
      warnings.push({ line, text: `cidr map ${path}, line ${line}: ${read.fault}: skipping this rule` });
      this.#module.drop(index);
    }
    return warnings;
  }

  #text(index: number): string {
    const { buffer } = this.#module.memory;
    const view = new DataView(buffer);
    const at = this.#module.ruleAt(index) >>> 0;
    return latin1Decode(new Uint8Array(buffer, view.getUint32(at + 8, true), view.getUint32(at + 12, true)));
  }

  get rules(): number {
    return this.#module.ruleTotal();
  }

  /** The number of the first rule that matches the text address, from 1; 0: none. */
  match(address: string): number {
    const { length } = address;
    if (length > this.#keyLimit) return 0;
    for (let index = 0, at = this.#key; index < length; index++, at++) this.#bytes[at] = address.charCodeAt(index);
    return this.#module.client(length) >>> 0;
  }

  get(key: string): Lookup {
    const rule = this.match(key);
    if (rule === 0) return NONE;
    const known = this.#answers.get(rule);
    if (known !== undefined) return known;
    const text = this.#text(rule - 1);
    const read = this.#valueFrom?.(text) ?? { value: text };
    const answer: Lookup = "value" in read ? found(read.value) : { kind: "unsure", why: read.fault };
    this.#answers.set(rule, answer);
    return answer;
  }
}

function rulesOf(context: TableContext, bytes: Uint8Array, path: string): CidrRules {
  if (context.options.files !== true) return new CidrRules(bytes, path);
  return new CidrRules(bytes, path, (value) => filesValue(context.runtime.files as Files, value));
}

export const cidrTable: TableType = (path, context) => {
  if (!path.startsWith("{")) return fileTable(context, path, true, (bytes) => rulesOf(context, bytes, path));
  const inline = inlineRules(path);
  if ("fault" in inline) return context.fault(`cidr map: ${inline.fault}`);
  const rules = rulesOf(context, latin1Encode(inline.text), path);
  rules.warnings.forEach(context.warn);
  return { name: context.name, pattern: true, get: (key) => rules.get(key) };
};
