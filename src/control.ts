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
    | ("remove" | "hold" | "release" | "requeue");
  /** read: which message; flush: that message alone. */
  readonly id?: string;
  /** flush: mail for that domain alone. */
  readonly site?: string;
  /** remove, hold, release, requeue: which messages (all without it), in which queues (all without it). */
  readonly ids?: readonly string[];
  readonly queues?: readonly string[];
}

/** JSON-safe objects, one a line. */
export type ControlAnswer = AsyncIterable<object>;
export type ControlHandler = (request: ControlRequest) => ControlAnswer;

const REQUEST_LIMIT = 64 * 1024;
const OPEN_REQUESTS: ReadonlySet<string> = new Set(["status", "list", "flush", "pickup"]);

export function controlPath(queueDirectory: string): string {
  return `${queueDirectory}/public/control`;
}

export function queuePath(queueDirectory: string): string {
  return `${queueDirectory}/public/queue`;
}

async function answerAll(socket: Socket, handler: ControlHandler, line: string, open: boolean): Promise<void> {
  const put = (value: object): Promise<void> | void => {
    if (socket.write(JSON.stringify(value) + "\n", "latin1") || socket.destroyed) return;
    return new Promise((resolve) => {
      socket.on("drain", resolve);
      socket.on("close", resolve);
    });
  };
  try {
    const request = JSON.parse(line) as ControlRequest;
    if (open && !OPEN_REQUESTS.has(request.request)) throw new Error("not permitted on this socket");
    for await (const value of handler(request)) {
      await put(value);
      if (socket.destroyed) return;
    }
    await put({ done: true });
  } catch (caught) {
    await put({ error: messageOf(caught) });
  }
  socket.end();
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
        answerAll(socket, handler, text.slice(0, end), mode === 0o666).catch(() => socket.destroy());
      });
      socket.setTimeout(60_000);
      socket.on("timeout", () => socket.destroy());
    }, () => {});
    await runtime.files?.setMode(path, mode);
    listeners.push(listener);
  }
  return listeners;
}

/** Lines of the answer but the last; null when nothing listens. Throws when the other side reports an error. */
export async function ask(
  runtime: Runtime,
  path: string,
  request: ControlRequest,
  each: (value: Record<string, unknown>) => void,
  within: Millis = 60_000,
): Promise<boolean | null> {
  const lines: string[] = [];
  let rest = "";
  const take = (chunk: Uint8Array): void => {
    const parts = (rest + latin1Decode(chunk)).split("\n");
    rest = parts.pop() as string;
    lines.push(...parts);
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
  if (lines.length === 0) return ended === "EACCES" || ended === "ETIMEDOUT" ? false : null;
  for (const line of lines) {
    const value = JSON.parse(line) as Record<string, unknown>;
    if (typeof value.error === "string") throw new Error(value.error);
    if (value.done !== true) each(value);
  }
  return true;
}
