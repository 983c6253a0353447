/**
 * A mail server of the simulated world, at byte level. What it does at each stage of a dialogue is asked of its owner:
 * it goes on, says something else, says nothing any more, or hangs up, before or after its answer.
 */

import { latin1Decode } from "../../src/latin1.ts";
import type { Millis } from "../../src/runtime.ts";
import type { VirtualClock } from "./clock.ts";

export type Stage = "connect" | "greeting" | "ehlo" | "mail" | "rcpt" | "data" | "dot";

/**
 * "lost" and "lost-silent": a message is taken, and the answer never comes; "say-close": it hangs up behind its answer;
 * "421 …" is said before it hangs up.
 */
export type Deed = "ok" | "refused" | "silent" | "close" | "lost" | "lost-silent" | "say-close" | `${number} ${string}`;

export interface Asked {
  readonly sender: string;
  /** Of "rcpt". */
  readonly recipient: string;
  /** Of "dot": with CRLF, without its dots. */
  readonly content: string;
}

export interface Received extends Asked {
  readonly recipients: readonly string[];
  /** The client was told, or died: whatever comes of that is the crash's. */
  readonly answered: boolean;
}

export interface MailHost {
  readonly name: string;
  /** One way. */
  readonly latency: Millis;
  /** From the final dot to its answer. */
  readonly think: Millis;
  readonly pipelining: boolean;
  /** How long it keeps a connection on which nothing comes. */
  readonly patience: Millis;
  act(stage: Stage, asked: Asked): Deed;
  received(mail: Received): void;
}

/** How a session reaches the other end; what is sent first arrives first. */
export interface Line {
  say(text: string): void;
  hangUp(): void;
}

export class HostSession {
  readonly #host: MailHost;
  readonly #clock: VirtualClock;
  readonly #line: Line;
  #input = "";
  #output = "";
  #content: string[] | null = null;
  #sender: string | null = null;
  #recipients: string[] = [];
  #thinking = false;
  #mute = false;
  #clientDied = false;
  #heard = 0;

  constructor(host: MailHost, clock: VirtualClock, line: Line) {
    this.#host = host;
    this.#clock = clock;
    this.#line = line;
    this.#do("greeting", `220 ${host.name} ESMTP`);
    this.#flush();
  }

  receive(bytes: Uint8Array): void {
    this.#input += latin1Decode(bytes);
    this.#heard++;
    this.#work();
  }

  /** The client is gone; `died`: with its process. */
  stop(died: boolean): void {
    this.#mute = true;
    this.#clientDied = died;
  }

  #work(): void {
    let from = 0;
    while (!this.#mute && !this.#thinking) {
      const end = this.#input.indexOf("\r\n", from);
      if (end < 0) break;
      const line = this.#input.slice(from, end);
      from = end + 2;
      if (this.#content !== null) this.#contentLine(this.#content, line);
      else this.#command(line);
    }
    this.#input = this.#input.slice(from);
    this.#flush();
    this.#watch();
  }

  #watch(): void {
    const { patience } = this.#host;
    const heard = this.#heard;
    if (this.#mute || this.#thinking || patience === Infinity) return;
    this.#clock.after(patience, () => {
      if (!this.#mute && !this.#thinking && heard === this.#heard) this.#close("421 4.4.2 timeout");
    });
  }

  #flush(): void {
    if (this.#output !== "") this.#line.say(this.#output);
    this.#output = "";
  }

  #close(text = ""): void {
    if (text !== "") this.#output += `${text}\r\n`;
    this.#flush();
    this.#mute = true;
    this.#line.hangUp();
  }

  /** Whether it went on as it should. */
  #do(stage: Stage, text: string, asked: Partial<Asked> = {}): boolean {
    const deed = this.#host.act(stage, { sender: this.#sender ?? "", recipient: "", content: "", ...asked });
    if (deed === "close" || deed === "lost") this.#close();
    else if (deed === "silent" || deed === "lost-silent") {
      this.#flush();
      this.#mute = true;
    } else if (deed === "say-close") this.#close(text);
    else if (deed.startsWith("421")) this.#close(deed);
    else if (deed !== "ok") this.#output += `${deed}\r\n`;
    else this.#output += `${text}\r\n`;
    return deed === "ok";
  }

  #command(line: string): void {
    const word = line.slice(0, 4).toUpperCase();
    const address = /<(.*?)>/.exec(line)?.[1] ?? "";
    const { name, pipelining } = this.#host;
    if (word === "EHLO") {
      this.#do("ehlo", `250-${name}\r\n${pipelining ? "250-PIPELINING\r\n" : ""}250-8BITMIME\r\n250 SIZE`);
    } else if (word === "MAIL") {
      this.#sender = address;
      this.#recipients = [];
      if (!this.#do("mail", "250 2.1.0 ok")) this.#sender = null;
    } else if (word === "RCPT") {
      if (this.#sender === null) this.#output += "503 5.5.1 MAIL first\r\n";
      else if (this.#do("rcpt", "250 2.1.5 ok", { recipient: address })) this.#recipients.push(address);
    } else if (word === "DATA") {
      if (this.#recipients.length === 0) this.#output += "554 5.5.1 no valid recipients\r\n";
      else if (this.#do("data", "354 go on")) this.#content = [];
    } else if (word === "QUIT") this.#close("221 2.0.0 bye");
    else {
      if (word === "RSET") this.#sender = null;
      this.#output += word === "RSET" || word === "HELO" ? "250 ok\r\n" : "502 5.5.2 what?\r\n";
    }
  }

  #contentLine(content: string[], line: string): void {
    if (line !== ".") return void content.push(line.startsWith(".") ? line.slice(1) : line);
    this.#content = null;
    this.#thinking = true;
    this.#clock.after(this.#host.think, () => {
      this.#thinking = false;
      // Gone before the answer: it has the message all the same.
      this.#ended(content.map((one) => `${one}\r\n`).join(""), this.#mute);
      this.#work();
    });
  }

  #ended(content: string, gone: boolean): void {
    const host = this.#host;
    const [sender, recipients] = [this.#sender ?? "", this.#recipients];
    const deed = host.act("dot", { sender, recipient: "", content });
    const answered = this.#clientDied || !gone && (deed === "ok" || deed === "say-close");
    this.#sender = null;
    if (deed === "ok" || deed.startsWith("lost") || deed === "say-close") {
      host.received({ sender, recipient: "", recipients, content, answered });
    }
    if (gone) return;
    const text = "250 2.0.0 taken";
    if (deed === "ok") this.#output += `${text}\r\n`;
    else if (deed === "silent" || deed === "lost-silent") this.#mute = true;
    else if (deed === "close" || deed === "lost") this.#close();
    else this.#close(deed === "say-close" ? text : deed);
  }
}
