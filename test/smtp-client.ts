/**
 * A plain SMTP client for tests: sends exactly what it is told and reads replies line by line.
 */

import assert from "node:assert/strict";
import net from "node:net";

export class SmtpClient {
  readonly socket: net.Socket;
  #text = "";
  #closed = false;
  #wake: (() => void) | null = null;

  private constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on("data", (chunk) => {
      this.#text += chunk.toString("latin1");
      this.#wake?.();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#end());
    socket.on("end", () => this.#end());
  }

  static connect(port: number, host = "127.0.0.1"): Promise<SmtpClient> {
    return new Promise((resolve, reject) => {
      const socket = net.connect({ port, host, noDelay: true }, () => resolve(new SmtpClient(socket)));
      socket.once("error", reject);
    });
  }

  #end(): void {
    this.#closed = true;
    this.#wake?.();
  }

  write(data: string | Uint8Array): void {
    if (!this.socket.destroyed) this.socket.write(typeof data === "string" ? new TextEncoder().encode(data) : data);
  }

  /** The next reply, all its lines without the last line end; "" when the server closed instead. */
  async reply(within = 15_000): Promise<string> {
    for (const end = performance.now() + within;;) {
      const found = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\n/.exec(this.#text);
      if (found !== null) {
        this.#text = this.#text.slice(found[0].length);
        return found[0].replace(/\r?\n$/, "");
      }
      if (this.#closed) return "";
      if (performance.now() >= end) throw new Error(`no reply, only: ${JSON.stringify(this.#text)}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Sends a line and gives the reply to it. */
  async ask(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return await this.reply();
  }

  async greeted(helo = "client.example"): Promise<this> {
    await this.reply();
    await this.ask(`EHLO ${helo}`);
    return this;
  }

  /** MAIL, RCPT, DATA and the content (dot-stuffed here); the last reply, or the first that is no success. */
  async send(sender: string, recipients: readonly string[], content: string): Promise<string> {
    for (const line of [`MAIL FROM:<${sender}>`, ...recipients.map((one) => `RCPT TO:<${one}>`), "DATA"]) {
      const reply = await this.ask(line);
      if (!/^[23]/.test(reply)) return reply;
    }
    this.write(
      Buffer.from(content.replace(/^\./gm, "..") + (content.endsWith("\r\n") ? "" : "\r\n") + ".\r\n", "latin1"),
    );
    return await this.reply();
  }

  get closed(): boolean {
    return this.#closed;
  }

  close(): void {
    this.socket.destroy();
  }
}

/** One small message, in a session of its own. */
export async function sendOne(port: number, recipient: string, sender = "s@x.example"): Promise<void> {
  const client = await (await SmtpClient.connect(port)).greeted();
  assert.match(await client.send(sender, [recipient], "Subject: x\r\n\r\nhello\r\n"), /^250/);
  client.close();
}
