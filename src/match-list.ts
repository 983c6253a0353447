/**
 * Lists of domains, addresses and clients: mydestination, relay_domains, mynetworks, … Elements are tried in order
 * and the first that matches decides: `!` before it makes the answer "none". Elements: name, .name, address, [v6],
 * network/bits, /file (its content takes its place), type:table. Source: postconf(5) mynetworks, relay_domains,
 * parent_domain_matches_subdomains. What cannot be read throws ConfigError, all faults of the list at once; a table
 * that is "unsure" makes the answer unsure.
 */

import { ConfigError, messageOf } from "./errors.ts";
import { addressBytes, isMapped } from "./ip-address.ts";
import { latin1Decode } from "./latin1.ts";
import { wordsOutsideBraces } from "./logical-lines.ts";
import type { Lookup } from "./lookup.ts";
import { NONE } from "./lookup.ts";
import type { LookupTable, OpenOptions } from "./maps/map.ts";
import { openTable } from "./maps/map.ts";
import type { Runtime } from "./runtime.ts";
import { foldCase } from "./maps/fold.ts";

export interface MatchListOptions extends OpenOptions {
  readonly runtime: Runtime;
  /** example.com also matches its subdomains, and .example.com nothing (parent_domain_matches_subdomains). */
  readonly parents: boolean;
  /** Elements may be addresses and networks; those that look like one are checked. */
  readonly addresses: boolean;
}

interface Network {
  readonly bytes: Uint8Array;
  readonly bits: number;
}

interface Element {
  readonly answer: Lookup;
  /** In lower case. */
  readonly pattern: string;
  readonly network: Network | null;
  readonly table: LookupTable | null;
}

export interface MatchList {
  readonly elements: readonly Element[];
  readonly parents: boolean;
  readonly hasTables: boolean;
  /** Position of the first element for each pattern text. */
  readonly positions: ReadonlyMap<string, number>;
  /** Answers for addresses, when no table takes part. */
  readonly remembered: Map<string, Lookup>;
}

const REMEMBERED_LIMIT = 4096;
const FILE_NESTING_LIMIT = 10;

function contains(network: Network, address: Uint8Array): boolean {
  if (network.bytes.length !== address.length) return false;
  const whole = network.bits >> 3;
  for (let index = 0; index < whole; index++) if (network.bytes[index] !== address[index]) return false;
  const rest = network.bits & 7;
  if (rest === 0) return true;
  const mask = 0xff << (8 - rest);
  return ((network.bytes[whole]! ^ address[whole]!) & mask & 0xff) === 0;
}

/** `10.0.0.0/8`, `[::1]/128`, `[::1]`, `10.1.2.3`; null when the text has no such form. */
function parseNetwork(text: string): Network | { readonly fault: string } | null {
  const match = /^(\[?)([0-9a-f.:]+)(\]?)(?:\/([0-9]+))?$/.exec(text);
  if (match === null || (match[1] === "[") !== (match[3] === "]")) return null;
  if (match[1] === "" && !/^[0-9.]+$/.test(match[2]!)) return null;
  if (match[1] === "" && match[4] === undefined && addressBytes(match[2]!) === null) return null;
  const bad = { fault: `bad net/mask pattern: "${text}"` };
  const mapped = /^(?:0*:)*:?ffff:[0-9.]+$/.test(match[2]!);
  const bytes = addressBytes(match[2]!);
  if (bytes === null) return bad;
  const size = mapped ? 128 : bytes.length * 8;
  const bits = match[4] === undefined ? size : Number(match[4]);
  if (bits > size) return bad;
  // Clients are never written ::ffff:1.2.3.4, so such a network matches none of them.
  if (mapped || isMapped(bytes)) return { bytes: new Uint8Array(0), bits: 8 };
  for (let bit = bits; bit < size; bit++) {
    if ((bytes[bit >> 3]! & (0x80 >> (bit & 7))) !== 0) return { fault: `non-null host address bits in "${text}"` };
  }
  return { bytes, bits };
}

class Reader {
  readonly elements: Element[] = [];
  readonly faults: string[] = [];
  readonly #options: MatchListOptions;

  constructor(options: MatchListOptions) {
    this.#options = options;
  }

  add(words: readonly string[], negated: boolean, depth: number): void {
    for (const word of words) {
      let text = word;
      let not = negated;
      while (text.startsWith("!")) {
        not = !not;
        text = text.slice(1);
      }
      if (text === "") this.#fault(`no pattern after '!'`);
      else if (text.startsWith("/")) this.#file(text, not, depth);
      else this.#element(text, not);
    }
  }

  #fault(text: string): void {
    const place = this.#options.place === undefined ? "" : `${this.#options.place}: `;
    this.faults.push(`fatal: ${place}${text}`);
  }

  #file(path: string, negated: boolean, depth: number): void {
    const { runtime } = this.#options;
    if (depth >= FILE_NESTING_LIMIT) return this.#fault(`open file ${path}: files name each other`);
    if (runtime.files === null) return this.#fault(`open file ${path}: this runtime has no files`);
    let text: string;
    try {
      text = latin1Decode(runtime.files.readSync(path));
    } catch (caught) {
      return this.#fault(`open file ${path}: ${messageOf(caught)}`);
    }
    const lines = text.split("\n").filter((line) => !/^\s*#/.test(line));
    this.add(wordsOutsideBraces(lines.join("\n")), negated, depth + 1);
  }

  #element(text: string, negated: boolean): void {
    const pattern = foldCase(text);
    const answer: Lookup = negated ? NONE : { kind: "found", value: text };
    if (/^[a-z0-9]+:/i.test(text) && !text.startsWith("[")) {
      try {
        const table = openTable(text, this.#options.runtime, this.#options);
        this.elements.push({ answer, pattern, network: null, table });
      } catch (caught) {
        if (!(caught instanceof ConfigError)) throw caught;
        this.faults.push(...caught.faults);
      }
      return;
    }
    const network = this.#options.addresses ? parseNetwork(pattern) : null;
    if (network !== null && "fault" in network) this.#fault(network.fault);
    else this.elements.push({ answer, pattern, network, table: null });
  }
}

/** Throws ConfigError. */
export function parseMatchList(words: readonly string[], options: MatchListOptions): MatchList {
  const reader = new Reader(options);
  reader.add(words, false, 0);
  if (reader.faults.length > 0) throw new ConfigError(reader.faults);
  const positions = new Map<string, number>();
  reader.elements.forEach(({ pattern, table }, index) => {
    if (table === null && !positions.has(pattern)) positions.set(pattern, index);
  });
  return {
    elements: reader.elements,
    parents: options.parents,
    hasTables: reader.elements.some(({ table }) => table !== null),
    positions,
    remembered: new Map(),
  };
}

/** Keys of a domain: itself, then its parents (with a leading dot unless parents match by themselves). */
function domainKeys(list: MatchList, domain: string): string[] {
  const keys = [domain];
  for (let dot = domain.indexOf("."); dot >= 0; dot = domain.indexOf(".", dot + 1)) {
    const key = domain.slice(list.parents ? dot + 1 : dot);
    if (key !== "" && key !== "." && key !== domain) keys.push(key);
  }
  return keys;
}

/** The first position whose pattern is one of the keys. */
function firstPosition(list: MatchList, keys: readonly string[]): number {
  let first = list.elements.length;
  for (const key of keys) first = Math.min(first, list.positions.get(key) ?? first);
  return first;
}

function addressPosition(list: MatchList, address: Uint8Array | null, text: string): number {
  return list.elements.findIndex(({ network, pattern, table }) =>
    table === null && (network !== null ? address !== null && contains(network, address) : pattern === text)
  );
}

async function tableAnswer(table: LookupTable, keys: readonly string[], answer: Lookup): Promise<Lookup | null> {
  for (const key of keys) {
    const got = await table.get(key);
    if (got.kind === "unsure") return got;
    if (got.kind === "found") return answer.kind === "none" ? answer : got;
  }
  return null;
}

/** In order, with tables. `matches` says which plain elements match; `keys` is what tables are asked. */
async function walk(list: MatchList, matches: (index: number) => boolean, keys: readonly string[]): Promise<Lookup> {
  for (const [index, element] of list.elements.entries()) {
    if (element.table === null) {
      if (matches(index)) return element.answer;
      continue;
    }
    const answer = await tableAnswer(element.table, keys, element.answer);
    if (answer !== null) return answer;
  }
  return NONE;
}

/** A host or domain name against names, .names and tables. Without tables the answer comes at once. */
export function matchDomain(list: MatchList, domain: string): Lookup | Promise<Lookup> {
  const keys = domainKeys(list, foldCase(domain));
  if (!list.hasTables) return list.elements[firstPosition(list, keys)]?.answer ?? NONE;
  return walk(list, (index) => keys.includes(list.elements[index]!.pattern), keys);
}

/** Text as it is (in lower case), without parent domains. */
export function matchString(list: MatchList, text: string): Lookup | Promise<Lookup> {
  const key = foldCase(text);
  if (!list.hasTables) return list.elements[firstPosition(list, [key])]?.answer ?? NONE;
  return walk(list, (index) => list.elements[index]!.pattern === key, [key]);
}

/** An address without brackets against addresses, networks and tables. Without tables the answer comes at once. */
export function matchAddress(list: MatchList, address: string): Lookup | Promise<Lookup> {
  const known = list.remembered.get(address);
  if (known !== undefined) return known;
  const text = address.toLowerCase();
  const bytes = addressBytes(text);
  if (list.hasTables) {
    return walk(list, (index) => {
      const { network, pattern } = list.elements[index]!;
      return network !== null ? bytes !== null && contains(network, bytes) : pattern === text;
    }, [text]);
  }
  const answer = list.elements[addressPosition(list, bytes, text)]?.answer ?? NONE;
  if (list.remembered.size >= REMEMBERED_LIMIT) list.remembered.clear();
  list.remembered.set(address, answer);
  return answer;
}

/** A client: an element matches by its name or by its address. */
export function matchClient(list: MatchList, name: string, address: string): Lookup | Promise<Lookup> {
  const keys = domainKeys(list, foldCase(name));
  const text = address.toLowerCase();
  const bytes = addressBytes(text);
  const matches = (index: number): boolean => {
    const { network, pattern } = list.elements[index]!;
    return keys.includes(pattern) || (network !== null ? bytes !== null && contains(network, bytes) : pattern === text);
  };
  if (list.hasTables) return walk(list, matches, [...keys, text]);
  return list.elements.find((element, index) => element.table === null && matches(index))?.answer ?? NONE;
}
