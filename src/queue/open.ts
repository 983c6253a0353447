/**
 * Opens the queue: a storage driver by its URL and the store over it.
 *   lockQueue() --load()--> open: who wants to answer clients meanwhile does it in two steps
 */

import type { Runtime } from "../runtime.ts";
import { openDriver } from "./drivers.ts";
import type { EngineLog } from "./engine.ts";
import { MessageStore } from "./message-store.ts";
import type { SpoolTuning } from "./spool/spool.ts";
import type { QueueStore } from "./store.ts";

export interface QueueOptions {
  readonly runtime: Runtime;
  readonly log?: EngineLog;
  /** enable_long_queue_ids */
  readonly longQueueIds?: boolean;
  /** Which of the nodes that share the storage; part of the queue ids. */
  readonly node?: number;
  readonly shard?: number;
  /** Contents of fresh messages kept in memory for their first delivery, in bytes. */
  readonly contentMemory?: number;
  readonly tuning?: Partial<SpoolTuning>;
}

const SILENT: EngineLog = { warn: () => {}, error: () => {} };

/** This process has the queue; nothing but load() and close() may be called yet. ConfigError, ResourceError. */
export async function lockQueue(url: string, options: QueueOptions): Promise<QueueStore> {
  const { runtime, log = SILENT, shard = 0, tuning = {} } = options;
  const driver = await openDriver(url, { runtime, log, shard, tuning });
  const engine = driver.getInstance!();
  return new MessageStore(engine, {
    clock: runtime.clock,
    log,
    longQueueIds: options.longQueueIds ?? false,
    node: options.node ?? 0,
    shard,
    contentMemory: options.contentMemory ?? 64 * 1024 * 1024,
  });
}

/** ConfigError, ResourceError. */
export async function openQueue(url: string, options: QueueOptions): Promise<QueueStore> {
  const store = await lockQueue(url, options);
  try {
    await store.load();
  } catch (error) {
    await store.close();
    throw error;
  }
  return store;
}
