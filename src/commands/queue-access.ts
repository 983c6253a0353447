/**
 * How a tool reaches the queue: through the control socket of the running system or, when nothing runs and the caller
 * may, by opening the store itself as the owner of its files.
 *   open() --> running | direct --close()--> closed
 * What the caller may not do is told by open(): "down" (nothing runs, and the store is not for this caller), "denied".
 */

import type { Config } from "../config/config.ts";
import { userNamed, userNumbered } from "../config/passwd.ts";
import { ask, controlPath, type ControlRequest, each as handOn, queuePath, untilFree } from "../control.ts";
import { systemCode } from "../errors.ts";
import { loadQueue, lockQueue } from "../queue/open.ts";
import type { QueueStore } from "../queue/store.ts";
import { answerQueueRequest, type QueueWorld } from "../queue-requests.ts";
import type { Runtime } from "../runtime.ts";
import { becomeItself } from "./become.ts";
import { Fatal, type Tool } from "./tool.ts";

/** Where nothing runs nobody delivers. */
const flushSite = (): Promise<"failed"> => Promise.resolve("failed");

/** Reading as much of the log takes the next start about as long as a checkpoint takes here. */
const CHECKPOINT_BYTES = 128 * 1024 * 1024;

/** A listing of a very long queue, or a large message, takes its time. */
const ANSWER_WITHIN = 600_000;

/** A checkpoint of this size is one of some 17,000 messages. */
const LONG_QUEUE = 8 * 1024 * 1024;

export type Each = (value: Record<string, unknown>) => void;

/** operator: reads and changes everything; reader: an operator who changes nothing; anyone: lists and flushes. */
type Who = "operator" | "reader" | "anyone";

export class QueueAccess {
  readonly #runtime: Runtime;
  readonly #path: string;
  /** null: the system runs. */
  readonly #world: QueueWorld | null;

  private constructor(runtime: Runtime, path: string, world: QueueWorld | null) {
    this.#runtime = runtime;
    this.#path = path;
    this.#world = world;
  }

  /** The store is open in this process. */
  get direct(): boolean {
    return this.#world !== null;
  }

  /**
   * `opening` is called before the store is read.
   * Throws ConfigError, ResourceError (EBUSY: another process has the queue, and keeps it).
   */
  static async open(
    tool: Tool,
    config: Config,
    who: Who,
    opening: () => void = () => {},
  ): Promise<QueueAccess | "down" | "denied"> {
    const { runtime } = tool;
    const path = pathFor(config, who);
    let store: QueueStore | null = null;
    while (store === null) {
      const running = await isRunning(runtime, config, who);
      if (running === true) return new QueueAccess(runtime, path, null);
      if (running === false) return "denied";
      if (!mayOpen(runtime, config)) return "down";
      becomeOwner(runtime, config);
      store = await lockStore(runtime, config, who);
    }
    opening();
    await loadQueue(store);
    // Who only looks keeps nobody from starting the mail system, however long that takes.
    if (who !== "operator") await store.close();
    const world = {
      runtime,
      queueDirectory: config.queue_directory,
      store,
      look: () => {},
      flush: () => {},
      flushSite,
    };
    return new QueueAccess(runtime, path, world);
  }

  /**
   * Before a tool reads or tells anything: where open() will open a long queue, the process goes on as itself in the
   * environment that its runtime wants for that.
   */
  static async prepare(tool: Tool, config: Config, who: Who): Promise<void> {
    const { runtime, processes } = tool;
    if (sizeOf(runtime, `${spoolFolder(config)}/shard-0/checkpoint`) < LONG_QUEUE || !mayOpen(runtime, config)) return;
    if (await isRunning(runtime, config, who) === null) {
      becomeItself(processes, processes.environmentOf.tool, [tool.name, ...tool.arguments]);
    }
  }

  /** The running system, for what anyone may ask; null when nothing runs. */
  static async running(tool: Tool, config: Config): Promise<QueueAccess | null> {
    const running = await isRunning(tool.runtime, config, "anyone");
    return running === true ? new QueueAccess(tool.runtime, pathFor(config, "anyone"), null) : null;
  }

  /** Throws Error with the other side's text. */
  async ask(request: ControlRequest, each: Each): Promise<void> {
    if (this.#world === null) {
      const answered = await ask(this.#runtime, this.#path, request, each, ANSWER_WITHIN);
      if (answered !== true) throw new Fatal("the mail system does not answer");
      return;
    }
    const answers = answerQueueRequest(this.#world, request);
    if (answers !== null) await handOn(answers, each);
  }

  async close(): Promise<void> {
    await this.#world?.store.close();
  }
}

function pathFor({ queue_directory }: Config, who: Who): string {
  return who === "anyone" ? queuePath(queue_directory) : controlPath(queue_directory);
}

/** null: nothing runs; false: the caller may not ask. */
function isRunning(runtime: Runtime, config: Config, who: Who): Promise<boolean | null> {
  return ask(runtime, pathFor(config, who), { request: "status" }, () => {});
}

function sizeOf(runtime: Runtime, path: string): number {
  try {
    return runtime.files!.statSync(path).size;
  } catch {
    return 0;
  }
}

/** The super-user, and the owner of the mail. */
export function mayOpen(runtime: Runtime, config: Config): boolean {
  const uid = runtime.processes!.uid();
  return uid === 0 || uid === userNamed(runtime, config.mail_owner)?.uid || uid === ownerOf(runtime, config);
}

function spoolFolder(config: Config): string | null {
  const found = /^(?:fs:)?(\/.*)$/.exec(config.queue_storage);
  return found === null ? null : found[1] as string;
}

/** Who owns the queue's files; null when there are none. */
function ownerOf(runtime: Runtime, config: Config): number | null {
  const folder = spoolFolder(config);
  if (folder === null) return null;
  for (const path of [`${folder}/shard-0`, folder]) {
    try {
      return runtime.files!.statSync(path).uid;
    } catch (caught) {
      if (systemCode(caught) !== "ENOENT") return null;
    }
  }
  return null;
}

/** Files that the super-user made could not be opened by the mail system later. */
function becomeOwner(runtime: Runtime, config: Config): void {
  const owner = ownerOf(runtime, config);
  if (runtime.processes!.uid() !== 0 || owner === null || owner === 0) return;
  const user = userNumbered(runtime, owner);
  if (user !== null) runtime.processes!.becomeUser(user);
}

/** A queue that was never used is not made here. null: a mail system answers for it now. */
async function lockStore(runtime: Runtime, config: Config, who: Who): Promise<QueueStore | null> {
  const unused = spoolFolder(config) !== null && ownerOfShard(runtime, config) === null;
  const url = unused ? "memory:" : config.queue_storage;
  // Compaction is for who stays; a checkpoint of a long queue would take longer than most changes.
  const tuning = {
    compactBytes: Number.MAX_SAFE_INTEGER,
    checkpointBytes: CHECKPOINT_BYTES,
    closingBytes: CHECKPOINT_BYTES,
  };
  const taken = untilFree(runtime, config.queue_directory);
  try {
    return await lockQueue(url, { runtime, longQueueIds: config.enable_long_queue_ids, tuning, taken });
  } catch (caught) {
    if (systemCode(caught) === "EBUSY" && await isRunning(runtime, config, who) !== null) return null;
    throw caught;
  }
}

function ownerOfShard(runtime: Runtime, config: Config): number | null {
  try {
    return runtime.files!.statSync(`${spoolFolder(config)}/shard-0`).uid;
  } catch {
    return null;
  }
}
