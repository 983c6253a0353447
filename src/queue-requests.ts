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
import { mayBeQueueId } from "./queue/queue-id.ts";
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

const NOT_HELD = ["active", "incoming", "deferred"] as const;

type QueueRequest = ControlRequest["request"];
type Answerer = (world: QueueWorld, request: ControlRequest) => ControlAnswer;

const ANSWERERS: Partial<Record<QueueRequest, Answerer>> = {
  list,
  flush,
  read,
  remove: (world, request) => change(world, request, LISTED, (ids, within) => world.store.remove(ids, within)),
  hold: (world, request) => change(world, request, NOT_HELD, (ids, within) => world.store.hold(ids, within)),
  release: (world, request) => change(world, request, ["hold"], (ids, within) => world.store.release(ids, within)),
  expire: (world, request) => change(world, request, LISTED, (ids, within) => world.store.expire(ids, within)),
  requeue: (world, request) => change(world, request, LISTED, (ids, within) => world.store.requeue(ids, within)),
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
      expired: false,
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

/** As they are now: mail that comes meanwhile would never let the list end. The queues of mail that rests see to it. */
function idsIn(store: QueueStore, queue: QueueName): Iterable<string> {
  return queue === "deferred" || queue === "hold" ? store.list(queue) : [...store.list(queue)];
}

async function* flush(world: QueueWorld, { id, site }: ControlRequest): AsyncIterable<object> {
  if (site !== undefined) {
    yield { answer: await world.flushSite(site) };
    return;
  }
  await world.store.flush(id);
  world.flush(id === undefined ? "all" : [id]);
}

/** Changes those of the messages that are in one of the queues; which ones were changed. */
type Action = (ids: readonly string[], within: readonly QueueName[]) => Promise<readonly string[]>;

/** Without ids: all messages of those queues. Answers with the ids of those that were changed, some at a time. */
async function* change(
  world: QueueWorld,
  { request, ids, queues }: ControlRequest,
  possible: readonly QueueName[],
  action: Action,
): AsyncIterable<Changed> {
  const { store } = world;
  const named = possible.filter((queue) => queues === undefined || queues.includes(queue));
  // There is no folder that an operator could empty: who names a message that is damaged means it.
  const within: readonly QueueName[] = request === "remove" && ids !== undefined && queues === undefined
    ? [...named, "corrupt"]
    : named;
  try {
    yield* inSlices(world.runtime.clock, ids ?? allOf(store, within), (slice) => action(slice, within));
    // A message in maildrop can only be removed: pickup takes it at any moment.
    if (request === "remove" && (queues === undefined || queues.includes("maildrop"))) {
      for (const name of ids ?? await droppedNames(world)) if (await removeDropped(world, name)) yield { ids: [name] };
    }
  } finally {
    // Also when the storage failed: what had left its queue for that is back.
    world.look();
  }
}

function* allOf(store: QueueStore, queues: readonly QueueName[]): Iterable<string> {
  for (const queue of queues) yield* idsIn(store, queue);
}

/** Messages that are changed at once, and how long that goes on without a look at anything else. */
const SLICE = 32;
const SLICE_TIME: Millis = 1;

/** So many slices may be on their way to the storage; more to one that needs long for each write. */
const SLICES = 16;
const MOST_SLICES = 128;
const LONG_WRITE: Millis = 4;

async function* inSlices(
  clock: Clock,
  ids: Iterable<string>,
  act: (slice: readonly string[]) => Promise<readonly string[]>,
): AsyncIterable<Changed> {
  const under: Promise<readonly string[]>[] = [];
  const begin = (slice: readonly string[]): void => {
    const changed = act(slice);
    // Its fault is told when it is waited for.
    changed.catch(() => {});
    under.push(changed);
  };
  let slices = SLICES;
  let slice: string[] = [];
  let end = clock.monotonic() + SLICE_TIME;
  for (const id of ids) {
    slice.push(id);
    if (slice.length < SLICE) continue;
    begin(slice);
    slice = [];
    if (clock.monotonic() < end) continue;
    await new Promise<void>((resolve) => clock.soon(resolve));
    const full = clock.monotonic();
    while (under.length >= slices) yield { ids: await under.shift()! };
    if (clock.monotonic() - full > LONG_WRITE) slices = Math.min(slices * 2, MOST_SLICES);
    end = clock.monotonic() + SLICE_TIME;
  }
  begin(slice);
  for (const one of under) yield { ids: await one };
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
    if (!mayBeQueueId(name)) throw Object.assign(new Error(), { code: "ENOENT" });
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

/** What remove, hold, release, expire and requeue yield. */
export interface Changed {
  readonly ids: readonly string[];
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
  if (!mayBeQueueId(name)) return false;
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
