/** A server for tcp: and socketmap: tables that answers each request as it is told. */

import net from "node:net";

export interface TableServer {
  readonly port: number;
  readonly requests: string[];
  connections: number;
  close(): Promise<void>;
}

/** `answer` gets what has come so far; null: more is needed; "": the connection is closed. */
export function tableServer(
  answer: (request: string) => string | null,
  path?: string,
): Promise<TableServer> {
  const sockets = new Set<net.Socket>();
  const made: TableServer = {
    port: 0,
    requests: [],
    connections: 0,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  const server = net.createServer((socket) => {
    made.connections++;
    sockets.add(socket);
    let text = "";
    socket.setEncoding("latin1");
    socket.on("error", () => socket.destroy());
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (chunk: string) => {
      text += chunk;
      const reply = answer(text);
      if (reply === null) return;
      made.requests.push(text);
      text = "";
      if (reply === "") socket.destroy();
      else socket.write(Buffer.from(reply, "latin1"));
    });
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    const ready = (): void => {
      const address = server.address();
      resolve(Object.assign(made, { port: typeof address === "object" && address !== null ? address.port : 0 }));
    };
    if (path === undefined) server.listen(0, "127.0.0.1", ready);
    else server.listen(path, ready);
  });
}
