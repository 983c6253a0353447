/**
 * An SMTP or LMTP server that does what a script says: the peer of the client's tests.
 *   each stage: a reply, "close" (hang up), "silent" (never answer), or a reply after which it hangs up
 * What it received is kept as command lines and as contents before un-stuffing.
 */

import { createServer } from "node:net";
import type { Server, Socket } from "node:net";

export type Answer = string | { readonly reply: string; readonly then: "close" };

/** A fixed answer, or one for the argument (address of RCPT, sender of MAIL) and how many came before. */
export type Answers = Answer | readonly Answer[] | ((line: string, count: number) => Answer | readonly Answer[]);

export interface Script {
  readonly greeting?: Answers;
  readonly ehlo?: Answers;
  readonly helo?: Answers;
  readonly mail?: Answers;
  readonly rcpt?: Answers;
  readonly data?: Answers;
  readonly dot?: Answers;
  readonly rset?: Answers;
  readonly quit?: Answers;
  readonly xforward?: Answers;
  /** EHLO keywords. */
  readonly features?: readonly string[];
  /** Sends replies byte by byte. */
  readonly fragmented?: boolean;
  /** Answers once for each recipient (RFC 2033). */
  readonly lmtp?: boolean;
  /** Reads content at most this fast, in bytes per 10 ms. */
  readonly readRate?: number;
  /** Reads no content at all. */
  readonly deaf?: boolean;
  /** Throws away input that comes in one piece with the end of the content. */
  readonly forgetful?: boolean;
  /** Content is counted, not kept. */
  readonly discard?: boolean;
}

export interface Session {
  readonly commands: string[];
  readonly contents: string[];
  /** The chunks in which input came. */
  readonly chunks: string[];
  closed: boolean;
}

export interface ScriptedServer {
  readonly port: number;
  readonly sessions: Session[];
  contentBytes: number;
  script: Script;
  close(): Promise<void>;
}

const END = "\r\n.\r\n";

class Peer {
  readonly #server: ScriptedServer;
  readonly #socket: Socket;
  readonly session: Session = { commands: [], contents: [], chunks: [], closed: false };
  #input = "";
  #inContent = false;
  /** No content line has been seen yet. */
  #fresh = false;
  #accepted = 0;
  #rcptCount = 0;
  #silent = false;

  constructor(server: ScriptedServer, socket: Socket) {
    this.#server = server;
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("close", () => (this.session.closed = true));
    socket.on("data", (chunk) => this.#received(chunk.toString("latin1")));
    this.#answer(server.script.greeting ?? "220 scripted.example ESMTP", "", 0);
  }

  #received(text: string): void {
    if (!this.#server.script.discard) this.session.chunks.push(text);
    const rate = this.#server.script.readRate;
    if (rate !== undefined) {
      this.#socket.pause();
      setTimeout(() => this.#socket.resume(), text.length / rate * 10);
    }
    this.#input += text;
    this.#advance();
  }

  #advance(): void {
    while (!this.#silent && !this.#socket.destroyed) {
      if (this.#inContent) {
        if (!this.#content()) return;
        continue;
      }
      const end = this.#input.indexOf("\n");
      if (end < 0) return;
      const line = this.#input.slice(0, end).replace(/\r$/, "");
      this.#input = this.#input.slice(end + 1);
      this.session.commands.push(line);
      this.#command(line);
    }
  }

  #content(): boolean {
    const script = this.#server.script;
    if (this.#fresh && this.#input.length < 3) return false;
    const lone = this.#fresh && this.#input.startsWith(".\r\n");
    this.#fresh = false;
    const end = lone ? 0 : this.#input.indexOf(END);
    if (end < 0) {
      if (!script.discard || this.#input.length <= 4) return false;
      this.#server.contentBytes += this.#input.length - 4;
      this.#input = this.#input.slice(-4);
      return false;
    }
    this.#server.contentBytes += end + 2;
    const content = lone ? "" : this.#input.slice(0, end + 2);
    this.session.contents.push(script.discard ? "" : content);
    this.#input = script.forgetful === true ? "" : this.#input.slice(lone ? 3 : end + END.length);
    this.#inContent = false;
    const many = script.lmtp === true ? this.#accepted : 1;
    const given = script.dot ?? "250 2.0.0 Ok: queued as SCRIPTED";
    for (let count = 0; count < many; count++) this.#answer(given, "", count);
    return true;
  }

  #command(line: string): void {
    const script = this.#server.script;
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === "EHLO" || verb === "LHLO") {
      const keywords = script.features ?? ["PIPELINING", "8BITMIME", "SIZE 50000000", "ENHANCEDSTATUSCODES", "DSN"];
      const lines = ["scripted.example", ...keywords];
      const text = lines.map((word, at) => `250${at === lines.length - 1 ? " " : "-"}${word}`).join("\r\n");
      return void this.#answer(script.ehlo ?? text, line, 0);
    }
    if (verb === "HELO") return void this.#answer(script.helo ?? "250 scripted.example", line, 0);
    if (verb === "MAIL") {
      this.#accepted = 0;
      this.#rcptCount = 0;
      return void this.#answer(script.mail ?? "250 2.1.0 Ok", line, 0);
    }
    if (verb === "RCPT") {
      const code = this.#answer(script.rcpt ?? "250 2.1.5 Ok", line, this.#rcptCount++);
      if (code === "2") this.#accepted++;
      return;
    }
    if (verb === "DATA") {
      const otherwise = this.#accepted > 0
        ? "354 End data with <CR><LF>.<CR><LF>"
        : "554 5.5.1 Error: no valid recipients";
      this.#inContent = this.#fresh = this.#answer(script.data ?? otherwise, line, 0) === "3";
      if (this.#inContent && script.deaf === true) this.#socket.pause();
      return;
    }
    if (verb === "XFOR" && script.xforward !== undefined) return void this.#answer(script.xforward, line, 0);
    if (verb === "RSET") return void this.#answer(script.rset ?? "250 2.0.0 Ok", line, 0);
    if (verb === "QUIT") {
      return void this.#answer(script.quit ?? { reply: "221 2.0.0 Bye", then: "close" }, line, 0);
    }
    this.#answer("502 5.5.2 Error: command not recognized", line, 0);
  }

  /** Returns the first digit of what was answered ("" for none). */
  #answer(given: Answers, line: string, count: number): string {
    const chosen = typeof given === "function" ? given(line, count) : given;
    const answer = Array.isArray(chosen) ? chosen[Math.min(count, chosen.length - 1)] as Answer : chosen as Answer;
    if (answer === "close") {
      this.#socket.destroy();
      return "";
    }
    if (answer === "silent") {
      this.#silent = true;
      return "";
    }
    const reply = typeof answer === "string" ? answer : answer.reply;
    this.#send(`${reply}\r\n`);
    if (typeof answer !== "string") this.#socket.end();
    return reply[0] ?? "";
  }

  #send(text: string): void {
    if (!this.#server.script.fragmented) return void this.#socket.write(text, "latin1");
    for (const byte of text) this.#socket.write(byte, "latin1");
  }
}

export async function scriptedServer(
  script: Script,
  where: { readonly host?: string; readonly path?: string; readonly port?: number } = {},
): Promise<ScriptedServer> {
  const sockets = new Set<Socket>();
  const server: Server = createServer();
  const scripted = {
    port: 0,
    sessions: [] as Session[],
    contentBytes: 0,
    script,
    close: () =>
      new Promise<void>((done) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => done());
      }),
  };
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    scripted.sessions.push(new Peer(scripted, socket).session);
  });
  await new Promise<void>((done, failed) => {
    server.once("error", failed);
    if (where.path !== undefined) server.listen(where.path, () => done());
    else server.listen(where.port ?? 0, where.host ?? "127.0.0.1", () => done());
  });
  const bound = server.address();
  scripted.port = typeof bound === "object" && bound !== null ? bound.port : 0;
  return scripted;
}
