/**
 * The control socket of a running system: `public/control` in the queue directory (0600) and `public/queue` (0666: list
 * and flush only). A request is one line of JSON; the answer is lines of JSON, the last one {"done":true} or
 * {"error":"…"}. Commands use ask(); null means that nothing runs there.
 */

import { messageOf } from "./errors.ts";
import { latin1Decode, latin1Encode } from "./latin1.ts";
import type { Connection, Listener, Millis, Network, Runtime, Socket } from "./runtime.ts";

export interface ControlRequest {
  readonly request:
    | ("status" | "stop" | "reload" | "pickup")
    | ("list" | "flush" | "read")
    | ("remove" | "hold" | "release" | "expire" | "requeue");
  /** read: which message; flush: that message alone. */
  readonly id?: string;
  /** flush: mail for that domain alone. */
  readonly site?: string;
  /** remove, hold, release, expire, requeue: which messages (all without it), in which queues (all without it). */
  readonly ids?: readonly string[];
  readonly queues?: readonly string[];
}

/** A JSON-safe object, for one line; a string: such lines, all with their line ends. */
export type ControlValue = object | string;
export type ControlAnswer = AsyncIterable<ControlValue>;
export type ControlHandler = (request: ControlRequest) => ControlAnswer;

const REQUEST_LIMIT = 64 * 1024;
const OPEN_REQUESTS: ReadonlySet<string> = new Set(["status", "list", "flush", "pickup"]);

export function controlPath(queueDirectory: string): string {
  return `${queueDirectory}/public/control`;
}

export function queuePath(queueDirectory: string): string {
  return `${queueDirectory}/public/queue`;
}

/** A long answer goes out in pieces of this size, and everything else has its turn between them. */
const PIECE = 32 * 1024;

function linesOf(value: ControlValue): string {
  return typeof value === "string" ? value : JSON.stringify(value) + "\n";
}

type Each = (value: Record<string, unknown>) => void;

/** null: the line is none of ours. */
function parsed(line: string): Record<string, unknown> | null {
  try {
    return JSON.parse(line) as Record<string, unknown>;
  } catch {
    return null;
  }
}

/** Hands on an answer that comes from this process. */
export async function each(answer: ControlAnswer, take: Each): Promise<void> {
  for await (const value of answer) {
    if (typeof value !== "string") {
      take(value as Record<string, unknown>);
      continue;
    }
    for (const line of value.split("\n")) {
      const read = line === "" ? null : parsed(line);
      if (read !== null) take(read);
    }
  }
}

async function answerAll(
  { clock }: Pick<Runtime, "clock">,
  socket: Socket,
  handler: ControlHandler,
  line: string,
  open: boolean,
): Promise<void> {
  let held = "";
  let goOn = (): void => {};
  socket.on("drain", () => goOn());
  socket.on("close", () => goOn());
  const flush = (): Promise<void> =>
    new Promise((resolve) => {
      const text = held;
      held = "";
      if (socket.destroyed || socket.write(text, "latin1")) return clock.soon(resolve);
      goOn = resolve;
    });
  try {
    const request = JSON.parse(line) as ControlRequest;
    if (open && !OPEN_REQUESTS.has(request.request)) throw new Error("not permitted on this socket");
    for await (const value of handler(request)) {
      held += linesOf(value);
      if (held.length < PIECE) continue;
      await flush();
      if (socket.destroyed) return;
    }
    held += '{"done":true}\n';
  } catch (caught) {
    held += JSON.stringify({ error: messageOf(caught) }) + "\n";
  }
  socket.end(held, "latin1");
}

export async function serveControl(
  runtime: Runtime,
  queueDirectory: string,
  handler: ControlHandler,
): Promise<readonly Listener[]> {
  const network = runtime.network as Network;
  const listeners: Listener[] = [];
  for (const [path, mode] of [[controlPath(queueDirectory), 0o600], [queuePath(queueDirectory), 0o666]] as const) {
    const listener = await network.listen({ path }, 64, (socket) => {
      let text = "";
      let asked = false;
      socket.on("error", () => socket.destroy());
      socket.on("data", (chunk) => {
        text += latin1Decode(chunk);
        const end = text.indexOf("\n");
        if (text.length > REQUEST_LIMIT) return void socket.destroy();
        if (end < 0 || asked) return;
        asked = true;
        answerAll(runtime, socket, handler, text.slice(0, end), mode === 0o666).catch(() => socket.destroy());
      });
      socket.setTimeout(60_000);
      socket.on("timeout", () => socket.destroy());
    }, () => {});
    await runtime.files?.setMode(path, mode);
    listeners.push(listener);
  }
  return listeners;
}

/**
 * Lines of the answer but the last, without those that cannot be read; null when nothing listens. Throws when the other
 * side reports an error.
 */
export async function ask(
  runtime: Runtime,
  path: string,
  request: ControlRequest,
  each: Each,
  within: Millis = 60_000,
): Promise<boolean | null> {
  let answered = false;
  let fault: Error | null = null;
  let rest = "";
  const takeLine = (line: string): void => {
    answered = true;
    const value = parsed(line);
    if (value === null) return;
    if (typeof value.error === "string") throw new Error(value.error);
    if (value.done !== true) each(value);
  };
  /** Line by line as they come: a long answer is never in memory as a whole. */
  const take = (chunk: Uint8Array): void => {
    const parts = (rest + latin1Decode(chunk)).split("\n");
    rest = parts.pop() as string;
    try {
      if (fault === null) parts.forEach(takeLine);
    } catch (caught) {
      fault = caught as Error;
    }
  };
  const ended = await new Promise<string | null>((resolve) => {
    const timer = runtime.clock.after(within, () => {
      connection.destroy();
      resolve("ETIMEDOUT");
    });
    const connection: Connection = runtime.network!.connect({ path }, {
      open: () => void connection.write(latin1Encode(JSON.stringify(request) + "\n")),
      data: take,
      drain: () => {},
      close: (error) => {
        timer.cancel();
        resolve(error);
      },
    });
  });
  if (fault !== null) throw fault as Error;
  if (!answered) return ended === "EACCES" || ended === "ETIMEDOUT" ? false : null;
  return true;
}

/** Between two attempts at a queue that another process has. */
const QUEUE_PAUSE: Millis = 50;

/**
 * What lockQueue() is to do where another process has the queue: try again as long as no mail system answers for it. A
 * tool is soon done, a mail system that starts or stops too; who has it for longer than `within` is told of.
 * `over`: there is no need of it any more.
 */
export function untilFree(
  runtime: Runtime,
  queueDirectory: string,
  over: () => boolean = () => false,
  within: Millis = 60_000,
): () => Promise<boolean> {
  const { clock } = runtime;
  const end = clock.monotonic() + within;
  return async () => {
    if (over() || clock.monotonic() >= end) return false;
    if (await ask(runtime, queuePath(queueDirectory), { request: "status" }, () => {}) !== null) return false;
    await new Promise<void>((resolve) => void clock.after(QUEUE_PAUSE, resolve));
    return true;
  };
}
