/**
 * What the tools ask about the queue, answered by the running system (control socket) or, when nothing runs, by the
 * tool itself over a store of its own. Answers are JSON-safe objects, text as Latin-1. What an operator changes is
 * durable when its answer comes. Throws Error with a text for people when a message is not there.
 */

import { userNumbered } from "./config/passwd.ts";
import type { ControlAnswer, ControlRequest, ControlValue } from "./control.ts";
import type { FlushAnswer } from "./flush.ts";
import { systemCode } from "./errors.ts";
import { latin1Decode } from "./latin1.ts";
import { contentPieces, type Dropped, readDropped } from "./maildrop.ts";
import { type ListedEntry, storedLine } from "./queue-list.ts";
import type { QueueEntry, QueueName, QueueStore } from "./queue/store.ts";
import type { Clock, FileStat, Millis, OpenFile, Runtime } from "./runtime.ts";

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
type Answerer = (world: QueueWorld, request: ControlRequest) => ControlAnswer;

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
export function answerQueueRequest(world: QueueWorld, request: ControlRequest): ControlAnswer | null {
  return ANSWERERS[request.request]?.(world, request) ?? null;
}

/** A long list goes out in texts of about this size, between which the caller does other things. */
const LIST_STEP = 32 * 1024;

async function* list(world: QueueWorld): AsyncIterable<ControlValue> {
  const { store } = world;
  for await (const { name, stat, dropped } of maildrop(world)) {
    const owner = userNumbered(world.runtime, stat.uid)?.name ?? `uid${stat.uid}`;
    const entry: ListedEntry = {
      queue: "maildrop",
      id: name,
      arrived: stat.modified,
      size: stat.size,
      sender: dropped.sender ?? owner,
      recipients: dropped.recipients.map((address) => ({ address, reason: "" })),
    };
    yield entry;
  }
  let lines = "";
  for (const queue of LISTED) {
    for (const id of idsIn(store, queue)) {
      const entry = store.stored(id);
      if (entry !== null) lines += storedLine(entry);
      if (lines.length < LIST_STEP) continue;
      yield lines;
      lines = "";
    }
  }
  if (lines !== "") yield lines;
}

/** As they are now: mail that comes meanwhile would never let the list end. The deferred queue sees to that itself. */
function idsIn(store: QueueStore, queue: QueueName): Iterable<string> {
  return queue === "deferred" ? store.list(queue) : [...store.list(queue)];
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
): AsyncIterable<ControlValue> {
  const { store } = world;
  const within = possible.filter((queue) => queues === undefined || queues.includes(queue));
  const chosen = ids ?? allOf(store, within);
  const act = (id: string): Promise<boolean> | null => {
    const queue = store.queueOf(id) ?? undefined;
    return queue !== undefined && within.includes(queue) ? action(id) : null;
  };
  yield* inSlices(world.runtime.clock, chosen, act);
  // A message in maildrop can only be removed: pickup takes it at any moment.
  if (possible === LISTED && (queues === undefined || queues.includes("maildrop"))) {
    for (const name of ids ?? await droppedNames(world)) if (await removeDropped(world, name)) yield { id: name };
  }
  world.look();
}

function* allOf(store: QueueStore, queues: readonly QueueName[]): Iterable<string> {
  for (const queue of queues) yield* idsIn(store, queue);
}

/** How long messages are changed without a look at anything else; they become durable together. */
const SLICE: Millis = 1;

/** So many slices may be on their way to the storage. */
const SLICES = 16;

/** The ids of those that `act` changed, as lines of the answer. */
async function* inSlices(
  clock: Clock,
  ids: Iterable<string>,
  act: (id: string) => Promise<boolean> | null,
): AsyncIterable<string> {
  type Change = readonly [string, Promise<boolean>];
  const changed = async (slice: readonly Change[]): Promise<string> => {
    const done = await Promise.all(slice.map(([, over]) => over));
    return slice.filter((_, at) => done[at]).map(([id]) => `{"id":"${id}"}\n`).join("");
  };
  const under: Promise<string>[] = [];
  let slice: Change[] = [];
  let end = clock.monotonic() + SLICE;
  for (const id of ids) {
    const over = act(id);
    if (over !== null) slice.push([id, over]);
    if (clock.monotonic() < end) continue;
    const now = changed(slice);
    // Its fault is told when it is waited for.
    now.catch(() => {});
    under.push(now);
    slice = [];
    await new Promise<void>((resolve) => clock.soon(resolve));
    if (under.length >= SLICES) yield await under.shift()!;
    end = clock.monotonic() + SLICE;
  }
  for (const one of under) yield await one;
  yield await changed(slice);
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
