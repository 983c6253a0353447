/**
 * The Runtime of Bun: node's, but outgoing connections are Bun's own sockets (less work for each call than node:net)
 * and flock(2) comes from libc. A server runs with an allocator that keeps its memory: under load that saves a
 * fifth to a quarter of the CPU time.
 *
 * A connection: connecting --open--> open --other side closed, or error--> closed. What is written waits in `#waiting`,
 * by reference, for the end of the event loop's turn (node-network.ts says why), and what the socket does not take then
 * until it drains.
 */

import { dlopen } from "bun:ffi";
import process from "node:process";
import type { ConnectAddress, Connection, ConnectionHandler, Runtime } from "../src/runtime.ts";
import { argumentsBefore, buildRuntime } from "./node.ts";
import { codeOf, nodeConnect } from "./node-network.ts";

type BunSocket = Bun.Socket<undefined>;

/** Who has more than this to write is told to wait. */
const HELD_AT_MOST = 64 * 1024;

class BunConnection implements Connection {
  readonly #handler: ConnectionHandler;
  #socket: BunSocket | null = null;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  /** A write stands at the end of this turn. */
  #queued = false;
  /** The owner was told to wait. */
  #held = false;
  #ending = false;
  #closed = false;

  constructor(handler: ConnectionHandler) {
    this.#handler = handler;
  }

  get localAddress(): string {
    return this.#socket?.localAddress ?? "";
  }

  write(bytes: Uint8Array): boolean {
    if (this.#closed || this.#ending) return false;
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.length;
    if (!this.#queued && this.#socket !== null) {
      this.#queued = true;
      setImmediate(() => {
        this.#queued = false;
        this.drained();
      });
    }
    if (this.#waitingBytes <= HELD_AT_MOST && !this.#held) return true;
    this.#held = true;
    return false;
  }

  end(): void {
    if (this.#ending || this.#closed) return;
    this.#ending = true;
    if (this.#waiting.length === 0) this.#socket?.shutdown();
  }

  destroy(): void {
    this.#closed = true;
    this.#forget();
    this.#socket?.terminate();
  }

  opened(socket: BunSocket): void {
    this.#socket = socket;
    if (this.#closed) {
      socket.terminate();
      return;
    }
    socket.setNoDelay(true);
    this.#handler.open();
    this.drained();
  }

  received(chunk: Uint8Array): void {
    if (!this.#closed) this.#handler.data(chunk);
  }

  drained(): void {
    const socket = this.#socket;
    if (socket === null || this.#closed) return;
    let sent = 0;
    for (; sent < this.#waiting.length; sent++) {
      const bytes = this.#waiting[sent]!;
      const written = Math.max(0, socket.write(bytes));
      this.#waitingBytes -= written;
      if (written < bytes.length) {
        if (written > 0) this.#waiting[sent] = bytes.subarray(written);
        break;
      }
    }
    this.#waiting.splice(0, sent);
    if (this.#waiting.length > 0) return;
    if (this.#ending) socket.shutdown();
    if (this.#held) {
      this.#held = false;
      this.#handler.drain();
    }
  }

  ended(code: string | null): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#forget();
    this.#socket?.terminate();
    this.#handler.close(code);
  }

  #forget(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}

function connect(address: ConnectAddress, handler: ConnectionHandler): Connection {
  // Bun.connect cannot choose the local address.
  if ("host" in address && address.bind !== undefined) return nodeConnect(address, handler);
  const connection = new BunConnection(handler);
  const socket: Bun.SocketHandler<undefined> = {
    open: (opened) => connection.opened(opened),
    data: (_, chunk) => connection.received(chunk),
    drain: () => connection.drained(),
    end: () => connection.ended(null),
    close: (_, error) => connection.ended(error === undefined || error === null ? null : codeOf(error as Error)),
    error: (_, error) => connection.ended(codeOf(error)),
    connectError: (_, error) => connection.ended(codeOf(error)),
  };
  const common = { socket, allowHalfOpen: true };
  const opening = "path" in address
    ? Bun.connect({ ...common, unix: address.path })
    : Bun.connect({ ...common, hostname: address.host, port: address.port });
  opening.catch((error: unknown) => connection.ended(codeOf(error as Error)));
  return connection;
}

const LOCK_EXCLUSIVE_NOW = 2 | 4;

function openFlock(): ((fd: number) => boolean) | null {
  try {
    const name = process.platform === "darwin" ? "libSystem.dylib" : "libc.so.6";
    const { symbols } = dlopen(name, { flock: { args: ["i32", "i32"], returns: "i32" } });
    return (fd) => symbols.flock(fd, LOCK_EXCLUSIVE_NOW) === 0;
  } catch {
    return null;
  }
}

export function bunRuntime(): Runtime {
  const runtime = buildRuntime("bun", { gather: true, flock: openFlock() }, {
    before: argumentsBefore(process.execArgv),
    setGroups: (group) => process.setgroups!([group]),
    environmentOf: {
      // Otherwise the allocator gives memory back as soon as it is free, and the system clears each page anew.
      server: { MIMALLOC_PURGE_DELAY: "-1" },
      // The collector takes its pace from the memory of the machine.
      tool: { BUN_JSC_forceRAMSize: "100000000" },
    },
  });
  return { ...runtime, network: { ...runtime.network!, connect } };
}
