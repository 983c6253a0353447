/**
 * Listens to what smtp clients and their servers say, for the postmaster (notify_classes: protocol): a Network in place
 * of another, that sees every byte and changes none. A transcript is told when its message or connection is over and
 * the server answered something that the protocol does not have (as Postfix's smtp_trouble(3) judges: 5xx below 510,
 * 555, no code at all).
 *   commands --354 to DATA--> content --dot--> commands
 * Nothing here can fail.
 */

import { type Account, Transcript } from "../bounce/transcript.ts";
import { latin1Decode } from "../latin1.ts";
import type { Connection, ConnectionHandler, FileErrorCode, Network } from "../runtime.ts";
import type { Protocol } from "./parameters.ts";
import { type Response, ResponseReader } from "./response.ts";

export type Tell = (account: Account) => Promise<void>;

/** Whose connection it is. */
interface Speaker extends ConnectionHandler {
  readonly peer?: { readonly relay: string };
}

const END_OF_CONTENT = "\r\n.\r\n";
/** A command line that does not end is no command. */
const LINE_LIMIT = 8192;

export function overheard(network: Network, protocol: Protocol, tell: Tell): Network {
  return {
    listen: (address, backlog, accept, failed) => network.listen(address, backlog, accept, failed),
    udp: (family, received, failed) => network.udp(family, received, failed),
    interfaces: () => network.interfaces(),
    connect: (address, handler: Speaker) => {
      const ear = new Ear(handler, protocol, tell);
      return ear.listenTo(network.connect(address, ear));
    },
  };
}

/** Replies that no server gives to a client that speaks SMTP. */
function isUnexpected(code: number): boolean {
  return code < 400 || code > 599 || code === 555 || (code >= 500 && code < 510);
}

class Ear implements ConnectionHandler {
  readonly #handler: Speaker;
  readonly #protocol: Protocol;
  readonly #tell: Tell;
  readonly #transcript = new Transcript();
  readonly #reader: ResponseReader;
  /** Commands whose replies have not come; at first the greeting. */
  readonly #awaited: string[] = ["GREETING"];
  #sent = "";
  #inContent = false;
  #messages = 0;
  #mailTaken = false;
  #accepted = 0;
  #over = false;

  constructor(handler: Speaker, protocol: Protocol, tell: Tell) {
    this.#handler = handler;
    this.#protocol = protocol;
    this.#tell = tell;
    this.#reader = new ResponseReader((response) => this.#reply(response), (kind) => {
      if (kind === "garbage") this.#transcript.blame("protocol");
    });
  }

  listenTo(connection: Connection): Connection {
    return {
      get localAddress(): string {
        return connection.localAddress;
      },
      write: (bytes) => {
        this.#wrote(latin1Decode(bytes));
        return connection.write(bytes);
      },
      end: () => {
        this.#end();
        connection.end();
      },
      destroy: () => {
        this.#end();
        connection.destroy();
      },
    };
  }

  open(): void {
    this.#handler.open();
  }

  data(chunk: Uint8Array): void {
    if (!this.#over) this.#reader.feed(chunk);
    this.#handler.data(chunk);
  }

  drain(): void {
    this.#handler.drain();
  }

  close(error: FileErrorCode | null): void {
    this.#end();
    this.#handler.close(error);
  }

  #wrote(text: string): void {
    this.#sent += text;
    while (this.#sent !== "") {
      if (this.#inContent) {
        const end = this.#sent.indexOf(END_OF_CONTENT);
        if (end < 0) {
          this.#sent = this.#sent.slice(1 - END_OF_CONTENT.length);
          return;
        }
        this.#sent = this.#sent.slice(end + END_OF_CONTENT.length);
        this.#contentEnds();
      } else {
        const end = this.#sent.indexOf("\r\n");
        if (end < 0) {
          if (this.#sent.length > LINE_LIMIT) this.#sent = "";
          return;
        }
        this.#command(this.#sent.slice(0, end));
        this.#sent = this.#sent.slice(end + 2);
      }
    }
  }

  #contentEnds(): void {
    this.#inContent = false;
    this.#transcript.add("Out", ".");
    const replies = this.#protocol === "lmtp" ? this.#accepted : 1;
    for (let at = 0; at < replies; at++) this.#awaited.push(".");
  }

  #command(line: string): void {
    const verb = /^\w*/.exec(line)![0].toUpperCase();
    // A message after another is a story of its own.
    if (verb === "MAIL" && this.#messages++ > 0) this.#flush();
    this.#awaited.push(verb);
    this.#transcript.add("Out", line);
  }

  #reply(response: Response): void {
    const { code, lines } = response;
    for (const line of lines) this.#transcript.add("In", line);
    const good = code >= 200 && code < 300;
    switch (this.#awaited.shift()) {
      case "MAIL":
        this.#mailTaken = good;
        this.#accepted = 0;
        return this.#judge(good, code);
      case "RCPT":
        if (this.#mailTaken && good) this.#accepted++;
        return this.#judge(good || !this.#mailTaken, code);
      case "DATA":
        this.#inContent = code >= 300 && code < 400;
        // A lone dot has no line end before it.
        this.#sent = this.#inContent ? "\r\n" : "";
        return this.#judge(this.#inContent || this.#accepted === 0, code);
      case ".":
        return this.#judge(good || this.#accepted === 0, code);
      case "EHLO":
        // HELO comes next.
        return;
      case "GREETING":
      case "HELO":
      case "LHLO":
        return this.#judge(good, code);
      default:
    }
  }

  #judge(fine: boolean, code: number): void {
    if (!fine && isUnexpected(code)) this.#transcript.blame("protocol");
  }

  #flush(): void {
    const transcript = this.#transcript;
    const peer = this.#handler.peer?.relay ?? "unknown";
    if (transcript.troubles.size > 0) {
      const by = this.#protocol === "lmtp" ? "LMTP client" : "SMTP client";
      const before = [`Unexpected response from ${peer}.`, ""];
      void this.#tell({ by, peer, transcript, before, after: ["", "For other details, see the local mail logfile"] });
    }
    transcript.clear();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#reader.stop();
    this.#flush();
  }
}
