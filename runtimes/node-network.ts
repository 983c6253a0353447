/**
 * Network on node:net and node:dgram, the same on Node, Bun and Deno.
 * An outgoing connection: connecting --open()--> open --close(code)--> closed; destroy() closes it without a call.
 * What is written goes out at the end of the event loop's turn, after what all other connections have to say: whoever
 * reads on this host is woken once for all of it.
 * A unix socket whose name is taken by a dead process is replaced; by a living one: EADDRINUSE.
 */

import * as dgram from "node:dgram";
import { unlink } from "node:fs/promises";
import * as net from "node:net";
import * as os from "node:os";
import type {
  ConnectAddress,
  Connection,
  ConnectionHandler,
  ListenAddress,
  Listener,
  Network,
  Socket,
  UdpSocket,
} from "../src/runtime.ts";

export const codeOf = (error: Error): string => (error as NodeJS.ErrnoException).code ?? "EIO";

function bind(
  address: ListenAddress,
  backlog: number,
  accept: (socket: Socket) => void,
  failed: (error: Error) => void,
): Promise<Listener> {
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => accept(socket));
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...address, backlog }, () => {
      server.off("error", reject);
      server.on("error", failed);
      const bound = server.address();
      resolve({
        port: typeof bound === "object" && bound !== null ? bound.port ?? 0 : 0,
        // close() waits for the last connection; what matters here is that no new one comes.
        close: () => new Promise((closed) => (server.close(), closed())),
      });
    });
  });
}

/** Whether somebody answers on that unix socket. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ path });
    socket.once("connect", () => (socket.destroy(), resolve(true)));
    socket.once("error", (error) => resolve(codeOf(error) !== "ECONNREFUSED"));
  });
}

async function listen(
  address: ListenAddress,
  backlog: number,
  accept: (socket: Socket) => void,
  failed: (error: Error) => void,
): Promise<Listener> {
  try {
    return await bind(address, backlog, accept, failed);
  } catch (error) {
    const stale = "path" in address && !address.path.startsWith("\0") && codeOf(error as Error) === "EADDRINUSE" &&
      !await answers(address.path);
    if (!stale) throw error;
    await unlink(address.path);
    return bind(address, backlog, accept, failed);
  }
}

export function nodeConnect(address: ConnectAddress, handler: ConnectionHandler): Connection {
  const target = "path" in address
    ? { path: address.path }
    : { host: address.host, port: address.port, ...(address.bind === undefined ? {} : { localAddress: address.bind }) };
  const socket = new net.Socket({ allowHalfOpen: true });
  let closed = false;
  const close = (code: string | null): void => {
    if (closed) return;
    closed = true;
    socket.destroy();
    handler.close(code);
  };
  socket.on("connect", () => {
    if (!closed) handler.open();
  });
  socket.on("data", (chunk: Uint8Array) => {
    if (!closed) handler.data(chunk);
  });
  socket.on("drain", () => {
    if (!closed) handler.drain();
  });
  socket.on("error", (error: Error) => close(codeOf(error)));
  socket.on("end", () => close(null));
  socket.on("close", () => close(null));
  socket.setNoDelay(true);
  try {
    socket.connect(target);
  } catch (error) {
    setImmediate(() => close(codeOf(error as Error)));
  }
  return {
    get localAddress(): string {
      return socket.localAddress ?? "";
    },
    write: (bytes) => {
      if (socket.writableCorked === 0) {
        socket.cork();
        setImmediate(() => socket.uncork());
      }
      return socket.write(bytes);
    },
    end: () => {
      socket.end();
    },
    destroy: () => {
      closed = true;
      socket.destroy();
    },
  };
}

function udp(
  family: 4 | 6,
  received: (packet: Uint8Array, host: string, port: number) => void,
  failed: (error: Error) => void,
): Promise<UdpSocket> {
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket(family === 4 ? "udp4" : "udp6");
    let open = true;
    socket.once("error", reject);
    socket.on("message", (packet, from) => received(packet, from.address, from.port));
    socket.bind(0, () => {
      socket.off("error", reject);
      socket.on("error", failed);
      resolve({
        send: (packet, host, port) => {
          if (open) socket.send(packet, port, host, (error) => error && open && failed(error));
        },
        close: () => {
          if (open) socket.close();
          open = false;
        },
      });
    });
  });
}

function interfaces(): { address: string; prefix: number; name: string }[] {
  const found: { address: string; prefix: number; name: string }[] = [];
  for (const [name, addresses] of Object.entries(os.networkInterfaces())) {
    for (const { address, cidr } of addresses ?? []) {
      found.push({ address, prefix: Number(cidr?.split("/")[1] ?? (address.includes(":") ? 128 : 32)), name });
    }
  }
  return found;
}

export function nodeNetwork(): Network {
  return { listen, connect: nodeConnect, udp, interfaces };
}
