/**
 * A next hop for tests: takes every message, keeps what it got, and can be told to misbehave.
 */

import net from "node:net";

export interface Received {
  readonly sender: string;
  readonly recipients: readonly string[];
  /** Latin-1 text, dot-stuffing undone. */
  readonly content: string;
}

/** An answer that never comes, and none after it. */
export const SILENT = "\0";

export interface SinkOptions {
  readonly keywords?: readonly string[];
  /**
   * The reply to a command line ("" is the greeting), or null for the usual one; "" closes the connection without a
   * reply, SILENT says nothing.
   */
  readonly answer?: (line: string, session: number) => string | null;
  /** The reply after the dot, in the same way. */
  readonly dot?: (received: Received, session: number) => string | null;
  /** What the reply after the dot waits for. */
  readonly wait?: (received: Received) => Promise<void>;
  readonly received?: (received: Received) => void;
}

export class Sink {
  readonly port: number;
  readonly messages: Received[] = [];
  readonly commands: string[] = [];
  connections = 0;
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();

  private constructor(server: net.Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static start(options: SinkOptions = {}, port = 0): Promise<Sink> {
    return new Promise((resolve, reject) => {
      const server = net.createServer({ noDelay: true }, (socket) => sink.#session(socket, options));
      let sink: Sink;
      server.on("error", reject);
      server.listen(port, "127.0.0.1", () => {
        sink = new Sink(server, (server.address() as net.AddressInfo).port);
        resolve(sink);
      });
    });
  }

  #session(socket: net.Socket, options: SinkOptions): void {
    const session = ++this.connections;
    const keywords = options.keywords ?? ["PIPELINING", "8BITMIME", "SIZE 0", "DSN"];
    let text = "";
    let data = false;
    let begun = false;
    let mute = false;
    let sender = "";
    let recipients: string[] = [];
    this.#sockets.add(socket);
    const say = (reply: string): void => {
      mute ||= reply === SILENT;
      if (reply === "") socket.destroy();
      else if (!mute) socket.write(`${reply}\r\n`);
    };
    const command = (line: string): void => {
      this.commands.push(line);
      const own = options.answer?.(line, session) ?? null;
      const verb = line.slice(0, 4).toUpperCase();
      if (own !== null) {
        if (verb === "MAIL") begun = false;
        return say(own);
      }
      if (verb === "EHLO" || verb === "LHLO") {
        return say(["250-sink", ...keywords.map((word) => `250-${word}`), "250 OK"].join("\r\n"));
      }
      // With pipelining, what follows a refused command comes all the same.
      if (verb === "RCPT" && !begun || verb === "DATA" && (!begun || recipients.length === 0)) {
        return say("503 5.5.1 no");
      }
      if (verb === "MAIL") {
        begun = true;
        sender = /<([^>]*)>/.exec(line)?.[1] ?? "";
        recipients = [];
      } else if (verb === "RCPT") recipients.push(/<(.*)>/.exec(line)?.[1] ?? "");
      else if (verb === "DATA") {
        data = true;
        return say("354 go on");
      } else if (verb === "QUIT") {
        socket.end("221 bye\r\n");
        return;
      }
      say("250 2.0.0 Ok");
    };
    socket.setEncoding("latin1");
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#sockets.delete(socket));
    const greeting = options.answer?.("", session) ?? null;
    say(greeting ?? "220 sink ESMTP");
    socket.on("data", (chunk: string) => {
      text += chunk;
      while (true) {
        if (data) {
          const end = text.startsWith(".\r\n") ? 0 : text.indexOf("\r\n.\r\n") + 2;
          if (end === 1) return;
          const content = text.slice(0, end).replace(/(^|\r\n)\./g, "$1");
          text = text.slice(end + 3);
          data = false;
          begun = false;
          const message = { sender, recipients, content };
          const answer = (): void => {
            const reply = options.dot?.(message, session) ?? "250 2.0.0 Ok: queued";
            if (reply.startsWith("2")) {
              this.messages.push(message);
              options.received?.(message);
            }
            say(reply);
          };
          if (options.wait === undefined) answer();
          else void options.wait(message).then(answer);
        } else {
          const end = text.indexOf("\n");
          if (end < 0 || socket.destroyed) return;
          const line = text.slice(0, end).replace(/\r$/, "");
          text = text.slice(end + 1);
          command(line);
        }
      }
    });
  }

  close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}
