/**
 * Opens a queue storage by its URL (queue_storage). Each is an unstorage driver: unstorage's own methods are a view of
 * the queue for tools and embedders; getInstance() is the QueueEngine that the queue itself uses, to be loaded first.
 *   fs:DIR or a path  spool in that folder      memory:  nothing is kept
 * ConfigError: an unknown URL; ResourceError: a storage that cannot be used as it is (EBUSY: another process has it).
 */

import { defineDriver, type Driver } from "unstorage";
import { ConfigError } from "../errors.ts";
import { latin1Decode, latin1Encode } from "../latin1.ts";
import type { Runtime } from "../runtime.ts";
import type { EngineLog, QueueEngine } from "./engine.ts";
import { MemoryEngine } from "./memory.ts";
import { openSpool, type SpoolTuning } from "./spool/spool.ts";

export interface DriverOptions {
  readonly runtime: Runtime;
  readonly log: EngineLog;
  readonly shard: number;
  readonly tuning: Partial<SpoolTuning>;
}

export type QueueDriver = Driver<{ readonly url: string }, QueueEngine>;

async function readWhole(engine: QueueEngine, key: string): Promise<Uint8Array | null> {
  const [item] = await engine.scan(key, null, 1);
  if (item?.key !== key) return null;
  if (item.text !== null) return latin1Encode(item.text);
  return engine.readRange(key, 0, item.size);
}

async function keysOf(engine: QueueEngine, base: string): Promise<string[]> {
  const items = await engine.scan(base, null, Number.MAX_SAFE_INTEGER);
  return items.map(({ key }) => key);
}

const asDriver = defineDriver<{ url: string; engine: QueueEngine }, QueueEngine>(({ url, engine }) => ({
  name: `postrider-${engine.kind}`,
  options: { url, engine },
  getInstance: () => engine,
  hasItem: async (key) => await readWhole(engine, key) !== null,
  getItem: async (key) => {
    const bytes = await readWhole(engine, key);
    return bytes === null ? null : latin1Decode(bytes);
  },
  getItemRaw: (key) => readWhole(engine, key),
  setItemRaw: (key, value: Uint8Array | string) =>
    engine.commit([{ kind: "put", key, value: typeof value === "string" ? value : [value] }], "durable"),
  removeItem: (key) => engine.commit([{ kind: "delete", key }], "durable"),
  getKeys: (base) => keysOf(engine, base),
  dispose: () => engine.close(),
}));

async function openEngine(url: string, options: DriverOptions): Promise<QueueEngine> {
  if (url === "memory:") return new MemoryEngine(1);
  const folder = url.startsWith("fs:") ? url.slice(3) : url.startsWith("/") || url.startsWith(".") ? url : "";
  if (folder !== "") return openSpool({ ...options, folder });
  throw new ConfigError([`queue_storage: "${url}" is not known; use fs:/some/folder or memory:`]);
}

export async function openDriver(url: string, options: DriverOptions): Promise<QueueDriver> {
  return asDriver({ url, engine: await openEngine(url, options) });
}
