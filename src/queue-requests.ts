/**
 * What the tools ask about the queue, answered by the running system (control socket) or, when nothing runs, by the
 * tool itself over a store of its own. Answers are JSON-safe objects, text as Latin-1. What an operator changes is
 * durable when its answer comes. Throws Error with a text for people when a message is not there.
 */

import { userNumbered } from "./config/passwd.ts";
import type { ControlRequest } from "./control.ts";
import type { FlushAnswer } from "./flush.ts";
import { systemCode } from "./errors.ts";
import { latin1Decode } from "./latin1.ts";
import { contentPieces, type Dropped, readDropped } from "./maildrop.ts";
import { type ListedEntry, listEntry } from "./queue-list.ts";
import type { QueueEntry, QueueName, QueueStore } from "./queue/store.ts";
import type { FileStat, OpenFile, Runtime } from "./runtime.ts";

export interface QueueWorld {
  readonly runtime: Runtime;
  readonly queueDirectory: string;
  readonly store: QueueStore;
  /** Mail became due. */
  look(): void;
  /** Those messages became due, or all: they are tried whatever is dead. */
  flush(ids: readonly string[] | "all"): void;
  /** All mail for a site is tried. */
  flushSite(site: string): Promise<FlushAnswer>;
}

/** Queues in the order in which mailq lists them, behind maildrop. */
const LISTED = ["active", "incoming", "deferred", "hold"] as const;

type QueueRequest = ControlRequest["request"];
type Answerer = (world: QueueWorld, request: ControlRequest) => AsyncIterable<object>;

const ANSWERERS: Partial<Record<QueueRequest, Answerer>> = {
  list,
  flush,
  read,
  remove: (world, request) => change(world, request, LISTED, (id) => world.store.remove(id)),
  hold: (world, request) => change(world, request, ["active", "incoming", "deferred"], (id) => world.store.hold(id)),
  release: (world, request) => change(world, request, ["hold"], (id) => world.store.release(id)),
  requeue: (world, request) => change(world, request, LISTED, (id) => requeue(world.store, id)),
};

/** null: the request is none about the queue. */
export function answerQueueRequest(world: QueueWorld, request: ControlRequest): AsyncIterable<object> | null {
  return ANSWERERS[request.request]?.(world, request) ?? null;
}

async function* list(world: QueueWorld): AsyncIterable<ListedEntry> {
  const { store } = world;
  for await (const { name, stat, dropped } of maildrop(world)) {
    const owner = userNumbered(world.runtime, stat.uid)?.name ?? `uid${stat.uid}`;
    yield {
      queue: "maildrop",
      id: name,
      arrived: stat.modified,
      size: stat.size,
      sender: dropped.sender ?? owner,
      recipients: dropped.recipients.map((address) => ({ address, reason: "" })),
    };
  }
  for (const queue of LISTED) {
    for (const id of [...store.list(queue)]) {
      const entry = store.get(id);
      if (entry !== null) yield listEntry(entry);
    }
  }
}

async function* flush(world: QueueWorld, { id, site }: ControlRequest): AsyncIterable<object> {
  if (site !== undefined) {
    yield { answer: await world.flushSite(site) };
    return;
  }
  await world.store.flush(id);
  world.flush(id === undefined ? "all" : [id]);
}

/** Without ids: all messages of those queues. Answers with the id of each message that was changed. */
async function* change(
  world: QueueWorld,
  { ids, queues }: ControlRequest,
  possible: readonly QueueName[],
  action: (id: string) => Promise<boolean>,
): AsyncIterable<object> {
  const { store } = world;
  const within = possible.filter((queue) => queues === undefined || queues.includes(queue));
  const chosen = ids ?? within.flatMap((queue) => [...store.list(queue)]);
  for (const id of chosen) {
    const queue = store.get(id)?.queue;
    if (queue !== undefined && within.includes(queue) && await action(id)) yield { id };
  }
  // A message in maildrop can only be removed: pickup takes it at any moment.
  if (possible === LISTED && (queues === undefined || queues.includes("maildrop"))) {
    for (const name of ids ?? await droppedNames(world)) if (await removeDropped(world, name)) yield { id: name };
  }
  world.look();
}

/** Mail is resolved anew at each attempt: to be due is all there is to it. */
async function requeue(store: QueueStore, id: string): Promise<boolean> {
  return await store.release(id) || await store.flush(id) > 0;
}

async function* read(world: QueueWorld, { id = "" }: ControlRequest): AsyncIterable<object> {
  const { store } = world;
  const entry = store.get(id);
  if (entry === null) return yield* readDrop(world, id);
  yield { entry };
  const kept = store.pieces(id);
  for (const piece of kept ?? []) yield { content: latin1Decode(piece) };
  if (kept === null) { for await (const piece of store.read(id)) yield { content: latin1Decode(piece) }; }
}

async function* readDrop({ runtime, queueDirectory }: QueueWorld, name: string): AsyncIterable<object> {
  let file: OpenFile;
  try {
    if (!/^[0-9a-zA-Z]+$/.test(name)) throw Object.assign(new Error(), { code: "ENOENT" });
    file = await runtime.files!.open(`${queueDirectory}/maildrop/${name}`, "read");
  } catch (caught) {
    if (systemCode(caught) !== "ENOENT") throw caught;
    throw new Error("No such file or directory");
  }
  try {
    const dropped = await readDropped(file);
    if (typeof dropped === "string") throw new Error(dropped);
    yield { dropped, arrived: (await file.stat()).modified };
    for await (const piece of contentPieces(file, dropped)) yield { content: latin1Decode(piece) };
  } finally {
    await file.close();
  }
}

/** What `read` yields first: an entry of the queue, or a message of maildrop; the content follows. */
export type ReadAnswer =
  | { readonly entry: QueueEntry }
  | { readonly dropped: Dropped; readonly arrived: number }
  | { readonly content: string };

async function droppedNames({ runtime, queueDirectory }: QueueWorld): Promise<string[]> {
  try {
    return (await runtime.files?.list(`${queueDirectory}/maildrop`) ?? []).sort();
  } catch (caught) {
    if (systemCode(caught) === "ENOENT") return [];
    throw caught;
  }
}

async function removeDropped({ runtime, queueDirectory }: QueueWorld, name: string): Promise<boolean> {
  if (!/^[0-9a-zA-Z]+$/.test(name)) return false;
  try {
    await runtime.files!.remove(`${queueDirectory}/maildrop/${name}`);
    return true;
  } catch (caught) {
    if (systemCode(caught) === "ENOENT") return false;
    throw caught;
  }
}

interface DroppedFile {
  readonly name: string;
  readonly stat: FileStat;
  readonly dropped: Dropped;
}

/** Complete files of the maildrop folder; what cannot be read is left to pickup. */
async function* maildrop(world: QueueWorld): AsyncIterable<DroppedFile> {
  const { runtime, queueDirectory } = world;
  const files = runtime.files;
  if (files === null) return;
  for (const name of await droppedNames(world)) {
    const path = `${queueDirectory}/maildrop/${name}`;
    try {
      const stat = await files.statLink(path);
      if (stat.kind !== "file" || (stat.mode & 0o100) === 0) continue;
      const file = await files.open(path, "read");
      const dropped = await readDropped(file).finally(() => file.close());
      if (typeof dropped !== "string") yield { name, stat, dropped };
    } catch (caught) {
      if (systemCode(caught) === "") throw caught;
    }
  }
}
