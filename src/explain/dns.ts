/**
 * Name servers that are looked at: the real ones, or a script in their place, a line for each record:
 *   good.example     MX  10 mx.good.example        192.0.2.1  PTR  host.good.example
 *   mx.good.example  A   198.51.100.1              bad.example    SERVFAIL
 * Types: A, AAAA, MX, NS, PTR, TXT, CNAME. "SERVFAIL" makes every answer about the name unsure, "#" begins a comment.
 * A name without a line does not exist. A script that cannot be read is a ConfigError with all its faults.
 */

import { type DnsAnswer, type Records, type RecordType, unsureWords } from "../dns/answer.ts";
import { type LookupOptions, Resolver, type ResolverOptions } from "../dns/dns.ts";
import { reverseName } from "../dns/literal.ts";
import { plainName } from "../dns/message.ts";
import { ConfigError } from "../errors.ts";
import type { Trace } from "./trace.ts";

const TYPES: ReadonlySet<string> = new Set(["A", "AAAA", "MX", "NS", "PTR", "TXT", "CNAME"]);
const CHAIN_LIMIT = 10;

interface Scripted {
  failing: boolean;
  readonly records: Map<string, unknown[]>;
}

export type DnsScript = ReadonlyMap<string, Scripted>;

function record(type: string, value: string): unknown {
  if (type === "MX") {
    const found = /^(\d+)\s+(\S+)$/.exec(value);
    return found === null ? null : { preference: Number(found[1]), exchange: plainName(found[2] as string) };
  }
  if (type === "TXT") return value.replace(/^"(.*)"$/, "$1");
  if (value === "" || /\s/.test(value)) return null;
  return type === "A" || type === "AAAA" ? value : plainName(value);
}

/** Throws ConfigError. `file` is named in its messages. */
export function parseDnsScript(text: string, file: string): DnsScript {
  const script = new Map<string, Scripted>();
  const faults: string[] = [];
  for (const [at, raw] of text.split("\n").entries()) {
    const line = raw.replace(/(?:^|\s)#.*$/, "").trim();
    if (line === "") continue;
    const [, owner = "", type = "", value = ""] = /^(\S+)\s+(\S+)\s*(.*)$/.exec(line) ?? [];
    const name = plainName(type.toUpperCase() === "PTR" ? reverseName(owner) ?? owner : owner);
    let entry = script.get(name);
    if (entry === undefined) script.set(name, entry = { failing: false, records: new Map() });
    const kind = type.toUpperCase();
    const made = TYPES.has(kind) ? record(kind, value) : null;
    if (kind === "SERVFAIL") entry.failing = true;
    else if (made === null) faults.push(`fatal: ${file}, line ${at + 1}: expected: name type value: "${line}"`);
    else entry.records.set(kind, [...entry.records.get(kind) ?? [], made]);
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return script;
}

function shown(answer: DnsAnswer<unknown>): string {
  if (answer.kind === "unsure") return `no answer: ${answer.why}`;
  if (answer.kind === "none") return answer.why === "nxdomain" ? "no such name" : "no such record";
  return answer.records.map((one) => {
    if (typeof one === "string") return one;
    const { preference, exchange } = one as { preference?: number; exchange?: string };
    return exchange === undefined ? JSON.stringify(one) : `${preference} ${exchange || "."}`;
  }).join(", ");
}

export class TracedResolver extends Resolver {
  readonly #trace: Trace;
  readonly #script: DnsScript | null;

  /** `script`: null for the real name servers. */
  constructor(options: ResolverOptions, trace: Trace, script: DnsScript | null) {
    super(script === null ? options : { ...options, hostsPath: "/dev/null" });
    this.#trace = trace;
    this.#script = script;
  }

  override async lookup<T extends RecordType>(
    name: string,
    type: T,
    options: LookupOptions = {},
  ): Promise<DnsAnswer<Records[T]>> {
    const answer = this.#script === null
      ? await super.lookup(name, type, options)
      : scripted(this.#script, plainName(name), type);
    this.#trace.add("dns", `${type} ${name}`, shown(answer));
    return answer;
  }
}

function scripted<T extends RecordType>(script: DnsScript, asked: string, type: T): DnsAnswer<Records[T]> {
  let name = asked;
  for (let step = 0; step <= CHAIN_LIMIT; step++) {
    const entry = script.get(name);
    if (entry === undefined) return { kind: "none", why: "nxdomain" };
    if (entry.failing) return { kind: "unsure", why: unsureWords(asked, type, "try-again") };
    const records = entry.records.get(type) as Records[T][] | undefined;
    if (records !== undefined) return { kind: "found", records, secure: false, name };
    const [alias] = entry.records.get("CNAME") ?? [];
    if (alias === undefined) return { kind: "none", why: "nodata" };
    name = alias as string;
  }
  return { kind: "unsure", why: unsureWords(asked, type, "loop"), fault: "loop" };
}
