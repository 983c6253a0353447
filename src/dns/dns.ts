/**
 * The resolver: questions to name servers, the same on every runtime.
 *   question -> cache -> the same question in flight -> a free slot -> servers -> CNAME chain -> found | none | unsure
 * What a server refuses, cannot say or does not say in time is unsure. Never throws; after close() all is unsure.
 */

import type { Files, Runtime } from "../runtime.ts";
import { assert } from "../errors.ts";
import { asciiDomain } from "../idna.ts";
import type { DnsAnswer, Failure, MxRecord, Records, RecordType, SrvRecord, TlsaRecord } from "./answer.ts";
import { unsureWords, validName } from "./answer.ts";
import { Cache } from "./cache.ts";
import type { Reply, Row } from "./message.ts";
import { plainName } from "./message.ts";
import { addressFamily, reverseName } from "./literal.ts";
import type { NameServer, ServerSettings } from "./servers.ts";
import { nameServer, parseHosts, parseResolvConf, readText } from "./servers.ts";
import type { Exchanged } from "./transport.ts";
import { ask, isReferral } from "./transport.ts";

export interface ResolverOptions {
  readonly runtime: Pick<Runtime, "clock" | "random" | "network" | "files">;
  /** "host", "host:port" or "[v6]:port"; without it, resolv.conf says. */
  readonly servers?: readonly string[];
  /** Milliseconds for one server; resolv.conf's otherwise. */
  readonly timeout?: number;
  readonly attempts?: number;
  readonly cacheLimit?: number;
  readonly concurrencyLimit?: number;
  readonly resolvConfPath?: string;
  readonly hostsPath?: string;
}

export interface LookupOptions {
  /** Ask for DNSSEC and report whether the server vouches for the answer. */
  readonly secure?: boolean;
}

const CACHE_LIMIT = 10_000;
const CONCURRENCY_LIMIT = 64;
/** Steps of a CNAME chain; Postfix's dns_lookup(3) allows as many. */
const CNAME_LIMIT = 10;
/** However long a zone says, an answer is not kept longer: a wrong record can be repaired within the hour. */
const KEEP_LIMIT_SECONDS = 3600;
const NEGATIVE_KEEP_LIMIT_SECONDS = 300;
const FAILURE_KEEP_SECONDS = 2;

/** An answer and how many seconds it may be kept. */
interface Kept {
  readonly answer: DnsAnswer<Records[RecordType]>;
  readonly seconds: number;
}

export class Resolver {
  readonly #runtime: ResolverOptions["runtime"];
  readonly #options: ResolverOptions;
  #settings: ServerSettings;
  #hosts: ReadonlyMap<string, readonly string[]> | null = null;
  readonly #cache: Cache<DnsAnswer<Records[RecordType]>>;
  readonly #inFlight: Map<string, Promise<DnsAnswer<Records[RecordType]>>> = new Map();
  readonly #waiting: (() => void)[] = [];
  #running = 0;
  readonly #closing: AbortController = new AbortController();

  constructor(options: ResolverOptions) {
    this.#runtime = options.runtime;
    this.#options = options;
    this.#settings = this.#readSettings();
    this.#cache = new Cache(options.runtime.clock, options.cacheLimit ?? CACHE_LIMIT);
  }

  /** Forgets answers, and reads resolv.conf and hosts again. */
  clear(): void {
    this.#cache.clear();
    this.#hosts = null;
    this.#settings = this.#readSettings();
  }

  close(): void {
    this.#closing.abort();
  }

  mx(name: string, options?: LookupOptions): Promise<DnsAnswer<MxRecord>> {
    return this.lookup(name, "MX", options);
  }

  /** Addresses of one family. An address literal is its own answer. */
  addresses(name: string, family: 4 | 6, options?: LookupOptions): Promise<DnsAnswer<string>> {
    const literal = addressFamily(name);
    if (literal === null) return this.lookup(name, family === 4 ? "A" : "AAAA", options);
    if (literal !== family) return Promise.resolve({ kind: "none", why: "nodata" });
    return Promise.resolve({ kind: "found", records: [name], secure: false, name });
  }

  /** Names of an address. */
  ptr(address: string, options?: LookupOptions): Promise<DnsAnswer<string>> {
    const name = reverseName(address);
    assert(name !== null, "ptr() is asked for an address");
    return this.lookup(name, "PTR", options);
  }

  /**
   * As the C library's getnameinfo(3) looks: the first name that hosts(5) has for the address, then its PTR
   * records.
   */
  async nativeNames(address: string): Promise<DnsAnswer<string>> {
    this.#hosts ??= parseHosts(readText(this.#runtime.files, this.#options.hostsPath ?? "/etc/hosts"));
    for (const [name, addresses] of this.#hosts) {
      if (addresses.includes(address)) return { kind: "found", records: [name], secure: false, name };
    }
    return await this.ptr(address);
  }

  txt(name: string, options?: LookupOptions): Promise<DnsAnswer<string>> {
    return this.lookup(name, "TXT", options);
  }

  ns(name: string, options?: LookupOptions): Promise<DnsAnswer<string>> {
    return this.lookup(name, "NS", options);
  }

  srv(name: string, options?: LookupOptions): Promise<DnsAnswer<SrvRecord>> {
    return this.lookup(name, "SRV", options);
  }

  tlsa(name: string, options?: LookupOptions): Promise<DnsAnswer<TlsaRecord>> {
    return this.lookup(name, "TLSA", { secure: true, ...options });
  }

  /** The host's own table (hosts(5)) alone, without any server. */
  hostsFile(name: string, family: 4 | 6): readonly string[] {
    this.#hosts ??= parseHosts(readText(this.#runtime.files, this.#options.hostsPath ?? "/etc/hosts"));
    const all = this.#hosts.get(plainName(name)) ?? [];
    return all.filter((address) => addressFamily(address) === family);
  }

  /** As the C library's getaddrinfo(3) looks: hosts(5) first, then name servers. */
  async nativeAddresses(name: string, family: 4 | 6): Promise<DnsAnswer<string>> {
    const listed = this.hostsFile(name, family);
    if (listed.length > 0) return { kind: "found", records: listed, secure: false, name };
    // A name that the table has for the other family only is not looked for elsewhere.
    if (this.hostsFile(name, family === 4 ? 6 : 4).length > 0) return { kind: "none", why: "nodata" };
    return await this.addresses(name, family);
  }

  lookup<T extends RecordType>(name: string, type: T, options: LookupOptions = {}): Promise<DnsAnswer<Records[T]>> {
    const secure = options.secure === true;
    const bare = plainName(asciiDomain(name) ?? "");
    if (!validName(bare) || addressFamily(bare) !== null) return Promise.resolve({ kind: "none", why: "nxdomain" });
    const key = `${type}${secure ? "+" : " "}${bare}`;
    const cached = this.#cache.get(key) ?? this.#inFlight.get(key);
    if (cached !== undefined && cached !== null) return Promise.resolve(cached) as Promise<DnsAnswer<Records[T]>>;
    const asked = this.#whenFree(() => this.#chase(name, bare, type, secure)).then((kept) => {
      this.#inFlight.delete(key);
      this.#cache.set(key, kept.answer, kept.seconds * 1000);
      return kept.answer;
    });
    this.#inFlight.set(key, asked);
    return asked as Promise<DnsAnswer<Records[T]>>;
  }

  /** Follows CNAMEs: within one reply, and by further questions (RFC 1034 §5.3.3). */
  async #chase(asked: string, name: string, type: RecordType, secure: boolean): Promise<Kept> {
    let current = name;
    let steps = 0;
    let vouched = secure;
    let seconds = KEEP_LIMIT_SECONDS;
    for (;;) {
      const exchanged = await this.#exchange(current, type, secure);
      const reply = checked(exchanged);
      if (typeof reply === "string") return unsure(asked, type, reply);
      vouched &&= reply.secure;
      const chain = walk(reply.rows, current, type, CNAME_LIMIT - steps);
      if (chain === null) return faulty(asked, type, "loop");
      steps += chain.steps;
      seconds = Math.min(seconds, chain.seconds);
      const records = chain.rows.map((row) => row.record).filter((record) => record !== null);
      if (records.length > 0) {
        return { answer: { kind: "found", records, secure: vouched, name: chain.name }, seconds };
      }
      if (chain.rows.length > 0) return faulty(asked, type, "records");
      // An NXDOMAIN speaks of the end of the chain (RFC 6604 §3): there is nothing more to ask.
      if (chain.name === current || reply.rcode === "NXDOMAIN") {
        const why = reply.rcode === "NXDOMAIN" ? "nxdomain" : "nodata";
        const keep = Math.min(reply.negativeSeconds ?? 0, seconds, NEGATIVE_KEEP_LIMIT_SECONDS);
        return { answer: { kind: "none", why }, seconds: keep };
      }
      current = chain.name;
    }
  }

  #exchange(name: string, type: RecordType, secure: boolean): Promise<Exchanged> {
    const { network, clock, random } = this.#runtime;
    if (network === null || this.#closing.signal.aborted) return Promise.resolve(null);
    return ask({ network, clock, random }, this.#settings, { name, type, secure }, this.#closing.signal);
  }

  async #whenFree(action: () => Promise<Kept>): Promise<Kept> {
    const limit = this.#options.concurrencyLimit ?? CONCURRENCY_LIMIT;
    if (this.#running >= limit) await new Promise<void>((go) => this.#waiting.push(go));
    else this.#running++;
    try {
      return await action();
    } finally {
      // The slot passes to who waits longest, or becomes free.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }

  #readSettings(): ServerSettings {
    const { servers, timeout, attempts } = this.#options;
    const files: Files | null = this.#runtime.files;
    const settings = parseResolvConf(readText(files, this.#options.resolvConfPath ?? "/etc/resolv.conf"));
    const given = (servers ?? []).map(nameServer).filter((server): server is NameServer => server !== null);
    return {
      servers: given.length > 0 ? given : settings.servers,
      timeout: timeout ?? settings.timeout,
      attempts: attempts ?? settings.attempts,
    };
  }
}

function unsure(name: string, type: RecordType, failure: Failure) {
  return { answer: { kind: "unsure", why: unsureWords(name, type, failure) }, seconds: FAILURE_KEEP_SECONDS } as const;
}

function faulty(name: string, type: RecordType, fault: "records" | "loop"): Kept {
  const { answer: { why }, seconds } = unsure(name, type, fault === "loop" ? "loop" : "malformed");
  return { answer: { kind: "unsure", why, fault }, seconds };
}

/** A reply that answers, or the kind of failure. As the C library does: a refusal is one that may pass. */
function checked(exchanged: Exchanged): Reply | "try-again" | "non-recoverable" | "malformed" {
  if (exchanged === null) return "try-again";
  if (exchanged === "malformed") return "malformed";
  if (isReferral(exchanged)) return "try-again";
  if (exchanged.rcode === "NOERROR" || exchanged.rcode === "NXDOMAIN") return exchanged;
  return exchanged.rcode === "FORMERR" ? "non-recoverable" : "try-again";
}

interface Chain {
  readonly name: string;
  readonly rows: readonly Row[];
  readonly steps: number;
  readonly seconds: number;
}

/** From the name asked for along its CNAMEs to the rows of the type; null: too long, or it bites its tail. */
function walk(rows: readonly Row[], from: string, type: RecordType, limit: number): Chain | null {
  let name = from;
  let seconds = KEEP_LIMIT_SECONDS;
  for (let steps = 0; steps <= limit; steps++) {
    const found = rows.filter((row) => row.type === type && row.name === name);
    const alias = type === "CNAME" ? undefined : rows.find((row) => row.type === "CNAME" && row.name === name);
    if (found.length > 0 || alias === undefined || alias.record === null) {
      for (const row of found) seconds = Math.min(seconds, row.ttl);
      return { name, rows: found, steps, seconds };
    }
    seconds = Math.min(seconds, alias.ttl);
    name = plainName(alias.record as string);
  }
  return null;
}
