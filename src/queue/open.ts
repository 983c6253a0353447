/**
 * Opens the queue: a storage driver by its URL and the store over it.
 *   lockQueue() --load()--> open: who wants to answer clients meanwhile does it in two steps
 */

import { systemCode } from "../errors.ts";
import type { Runtime } from "../runtime.ts";
import { openDriver, type QueueDriver } from "./drivers.ts";
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
  /** Another process has the queue: whether to try again. Without it: never. */
  readonly taken?: () => Promise<boolean>;
}

const SILENT: EngineLog = { warn: () => {}, error: () => {} };

async function driverOf(url: string, { taken, ...options }: QueueOptions): Promise<QueueDriver> {
  const { runtime, log = SILENT, shard = 0, tuning = {} } = options;
  for (;;) {
    try {
      return await openDriver(url, { runtime, log, shard, tuning });
    } catch (caught) {
      if (systemCode(caught) !== "EBUSY" || taken === undefined || !await taken()) throw caught;
    }
  }
}

/**
 * This process has the queue; nothing but load() and close() may be called yet. ConfigError, ResourceError (EBUSY:
 * another process has it).
 */
export async function lockQueue(url: string, options: QueueOptions): Promise<QueueStore> {
  const { runtime, log = SILENT, shard = 0 } = options;
  const driver = await driverOf(url, options);
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

/** load() of what lockQueue() gave; where it fails the queue is closed. ConfigError, ResourceError. */
export async function loadQueue(store: QueueStore): Promise<QueueStore> {
  try {
    await store.load();
  } catch (error) {
    await store.close();
    throw error;
  }
  return store;
}

/** ConfigError, ResourceError. */
export async function openQueue(url: string, options: QueueOptions): Promise<QueueStore> {
  return await loadQueue(await lockQueue(url, options));
}
