/**
 * What is known of addresses that were probed (verify(8)): in memory, and in a file where address_verify_map names one.
 * The file is a list of JSON lines, the last of an address counts; changes are appended at most once a second, and the
 * whole is written anew at start and by sweep(). A file that cannot be read or written costs a warning: the cache goes
 * on in memory. Nothing is thrown.
 */

import { messageOf, systemCode } from "../errors.ts";
import { latin1Decode, latin1Encode } from "../latin1.ts";
import type { AddressStatus } from "../probe.ts";
import type { Clock, Files, Millis, Timer } from "../runtime.ts";

export interface CacheEntry {
  readonly status: AddressStatus;
  /** When the probe under way was sent; 0: none is. */
  readonly probed: Millis;
  /** When the status was found; 0: not yet. */
  readonly updated: Millis;
  readonly why: string;
}

export interface CacheOptions {
  readonly clock: Clock;
  readonly files: Files | null;
  /** null: in memory only. */
  readonly path: string | null;
  readonly warn: (text: string) => void;
}

const WRITE_EVERY: Millis = 1_000;
const STATUSES: readonly AddressStatus[] = ["deliverable", "deferred", "undeliverable", "unknown"];

export class VerifyCache {
  readonly #options: CacheOptions;
  readonly #entries = new Map<string, CacheEntry>();
  #changed = new Map<string, CacheEntry | null>();
  #timer: Timer | null = null;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;
  /** A write has failed, and the log says so. */
  #broken = false;

  constructor(options: CacheOptions) {
    this.#options = options;
    const { files, path } = options;
    if (files === null || path === null) return;
    try {
      this.#read(latin1Decode(files.readSync(path)));
    } catch (caught) {
      if (systemCode(caught) !== "ENOENT") options.warn(`${path}: ${messageOf(caught)}`);
    }
  }

  get size(): number {
    return this.#entries.size;
  }

  get(address: string): CacheEntry | null {
    return this.#entries.get(address) ?? null;
  }

  put(address: string, entry: CacheEntry): void {
    this.#entries.set(address, entry);
    this.#note(address, entry);
  }

  remove(address: string): void {
    if (this.#entries.delete(address)) this.#note(address, null);
  }

  /** Drops what is not to be kept, and writes the file anew. */
  sweep(keep: (entry: CacheEntry) => boolean): { readonly retained: number; readonly dropped: number } {
    const before = this.#entries.size;
    for (const [address, entry] of this.#entries) if (!keep(entry)) this.#entries.delete(address);
    const text = [...this.#entries].map(([address, entry]) => lineOf(address, entry)).join("");
    this.#changed = new Map();
    this.#queue((files, path) => replace(files, path, text));
    return { retained: this.#entries.size, dropped: before - this.#entries.size };
  }

  /** What changed is in the file when it resolves. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#flush();
    await this.#writing;
  }

  #read(text: string): void {
    for (const line of text.split("\n")) {
      const read = parsed(line);
      if (read === null) continue;
      if (read.entry === null) this.#entries.delete(read.address);
      else this.#entries.set(read.address, read.entry);
    }
  }

  #note(address: string, entry: CacheEntry | null): void {
    if (this.#options.path === null || this.#closed) return;
    this.#changed.set(address, entry);
    this.#timer ??= this.#options.clock.after(WRITE_EVERY, () => this.#flush());
  }

  #flush(): void {
    this.#timer = null;
    if (this.#changed.size === 0) return;
    const text = [...this.#changed].map(([address, entry]) => lineOf(address, entry)).join("");
    this.#changed = new Map();
    this.#queue(async (files, path) => {
      const file = await files.open(path, "append", 0o600);
      try {
        await file.write([latin1Encode(text)], null);
      } finally {
        await file.close();
      }
    });
  }

  #queue(write: (files: Files, path: string) => Promise<void>): void {
    const { files, path, warn } = this.#options;
    if (files === null || path === null) return;
    this.#writing = this.#writing.then(() => write(files, path)).catch((caught: unknown) => {
      if (!this.#broken) warn(`${path}: ${messageOf(caught)}`);
      this.#broken = true;
    });
  }
}

async function replace(files: Files, path: string, text: string): Promise<void> {
  const fresh = `${path}.new`;
  await files.makeFolder(path.slice(0, path.lastIndexOf("/")), 0o700).catch(() => {});
  await files.remove(fresh).catch(() => {});
  const file = await files.open(fresh, "create", 0o600);
  try {
    await file.write([latin1Encode(text)], null);
    await file.sync();
  } finally {
    await file.close();
  }
  await files.rename(fresh, path);
}

function lineOf(address: string, entry: CacheEntry | null): string {
  const values = entry === null
    ? [address]
    : [address, STATUSES.indexOf(entry.status), entry.probed, entry.updated, entry.why];
  return `${JSON.stringify(values)}\n`;
}

/** null: no line of ours. */
function parsed(line: string): { readonly address: string; readonly entry: CacheEntry | null } | null {
  let values: unknown;
  try {
    values = JSON.parse(line);
  } catch {
    return null;
  }
  if (!Array.isArray(values)) return null;
  const [address, number, probed, updated, why] = values as unknown[];
  if (typeof address !== "string") return null;
  if (values.length === 1) return { address, entry: null };
  const status = STATUSES[Number(number)];
  if (status === undefined || typeof probed !== "number" || typeof updated !== "number" || typeof why !== "string") {
    return null;
  }
  return { address, entry: { status, probed, updated, why } };
}
