/**
 * One SMTP connection on smtp-server's SMTPConnection: everything of its dialogue is ours, fed from the socket's data
 * event. Reads command lines, message content or BDAT chunks, asks the Dialogue, gathers replies and writes them once
 * per chunk of input, at the end of the event loop's turn: the replies of all connections go out one after the other,
 * so that a client of many sessions, and the kernel for it, is woken once for all of them.
 *   reading --async answer--> busy --answer--> reading --"close"--> closed
 * While busy input is kept, and the socket paused once more than INPUT_HELD bytes wait.
 */

import { Buffer } from "node:buffer";
import { SMTPConnection } from "smtp-server/lib/smtp-connection.js";
import type { SMTPServer } from "smtp-server";
import type { Clock, Socket } from "../../runtime.ts";
import type { Answer, Dialogue, EngineOptions } from "../dialogue.ts";
import { DataScanner, Stream } from "./stream.ts";

const INPUT_HELD = 128 * 1024;
const OUTPUT_HELD = 64 * 1024;
const LF = 10;
const CR = 13;
const NOTHING: Buffer = Buffer.alloc(0);

type Mode = "command" | "data" | "chunk" | "closed";

export class Connection extends SMTPConnection {
  readonly #dialogue: Dialogue;
  readonly #options: EngineOptions;
  readonly #clock: Clock;
  #mode: Mode = "command";
  #busy = true;
  #ended = false;
  #input: Buffer = NOTHING;
  #at = 0;
  readonly #waiting: Buffer[] = [];
  #waitingBytes = 0;
  #paused = false;
  #line = "";
  #lineCut = false;
  #scanner: DataScanner | null = null;
  #chunkLeft = 0;
  #chunkEnds = false;
  #output = "";
  /** The output will be written at the end of this turn. */
  #flushing = false;
  #storage: Promise<void> | null = null;
  readonly #emit = (piece: Uint8Array): void => {
    const wait = this.#dialogue.data(piece);
    if (wait !== null) this.#storage = wait;
  };

  constructor(
    server: SMTPServer,
    socket: Socket,
    id: string,
    dialogue: Dialogue,
    options: EngineOptions,
    clock: Clock,
  ) {
    super(server, socket as unknown as ConstructorParameters<typeof SMTPConnection>[1], { id });
    this.#dialogue = dialogue;
    this.#options = options;
    this.#clock = clock;
  }

  get #wire(): Socket {
    return this._socket as unknown as Socket;
  }

  override _createParser(): Stream {
    return new Stream();
  }

  override init(): void {
    const socket = this.#wire;
    socket.on("data", (chunk) => this.#arrived(asBuffer(chunk)));
    socket.on("error", () => this.#closed());
    socket.on("close", () => this.#closed());
    socket.on("end", () => this.#inputEnded());
    socket.on("drain", () => this.#resume());
    socket.on("timeout", () => this.#timedOut());
    socket.setTimeout(this.#options.timeout);
    this.#settle(this.#dialogue.open());
  }

  /** Ends the connection from outside (shutdown): the text is written, then the socket closes. */
  dismiss(text: string): void {
    if (this.#mode === "closed") return;
    this.#output += text;
    this.#finish();
  }

  /** True between messages: nothing is lost when the connection is dismissed now. */
  get idle(): boolean {
    return this.#mode === "command" && !this.#busy;
  }

  /** Input that was read before the connection was handed over. */
  begin(input: Uint8Array): void {
    this.#arrived(asBuffer(input));
  }

  #arrived(chunk: Buffer): void {
    if (this.#mode === "closed") return;
    if (this.#busy || this.#at < this.#input.length) {
      this.#waiting.push(chunk);
      this.#waitingBytes += chunk.length;
      if (this.#waitingBytes > INPUT_HELD) this.#pause();
      return;
    }
    this.#input = chunk;
    this.#at = 0;
    this.#run();
  }

  /** Works through the input at hand until it is used up, the answer takes time, or the session ends. */
  #run(): void {
    while (!this.#busy && this.#mode !== "closed" && this.#more()) {
      const answer = this.#step();
      if (this.#storage !== null && answer === null) {
        this.#awaitStorage(this.#storage);
        break;
      }
      if (answer === null) continue;
      if (answer instanceof Promise) this.#settle(answer);
      else this.#take(answer);
    }
    if (this.#mode === "closed") return;
    if (!this.#busy) this.#flush();
    if (this.#ended && !this.#busy && this.#at >= this.#input.length) this.#finish();
  }

  #more(): boolean {
    if (this.#at < this.#input.length) return true;
    const next = this.#waiting.shift();
    this.#at = 0;
    this.#input = next ?? NOTHING;
    if (next === undefined) return false;
    this.#waitingBytes -= next.length;
    if (this.#waitingBytes < INPUT_HELD / 2) this.#resume();
    return true;
  }

  #step(): Answer | Promise<Answer> | null {
    if (this.#mode === "data") return this.#readData();
    if (this.#mode === "chunk") return this.#readChunk();
    return this.#readCommand();
  }

  #readData(): Answer | Promise<Answer> | null {
    const scanner = this.#scanner as DataScanner;
    const end = scanner.push(this.#input, this.#at, this.#emit);
    if (end < 0) {
      this.#at = this.#input.length;
      return null;
    }
    this.#at = end;
    this.#mode = "command";
    this.#scanner = null;
    return this.#dialogue.endOfData(scanner.facts);
  }

  #readChunk(): Answer | Promise<Answer> | null {
    const take = Math.min(this.#chunkLeft, this.#input.length - this.#at);
    const scanner = this.#scanner as DataScanner;
    if (take > 0) scanner.push(this.#input.subarray(this.#at, this.#at + take), 0, this.#emit);
    this.#at += take;
    this.#chunkLeft -= take;
    if (this.#chunkLeft > 0) return null;
    return this.#chunkRead();
  }

  #chunkRead(): Answer | Promise<Answer> {
    const scanner = this.#scanner as DataScanner;
    this.#mode = "command";
    if (this.#chunkEnds) {
      scanner.finish(this.#emit);
      this.#scanner = null;
    }
    return this.#dialogue.endOfData(scanner.facts);
  }

  #readCommand(): Answer | Promise<Answer> | null {
    const input = this.#input;
    const start = this.#at;
    let end = start;
    while (end < input.length && input[end] !== LF) end++;
    this.#append(input.toString("latin1", start, Math.min(end, start + this.#options.lineLengthLimit)), end - start);
    if (end === input.length) {
      this.#at = end;
      return null;
    }
    this.#at = end + 1;
    let text = this.#line;
    const bareNewline = !this.#lineCut && text.charCodeAt(text.length - 1) !== CR;
    while (text.charCodeAt(text.length - 1) === CR) text = text.slice(0, -1);
    this.#line = "";
    this.#lineCut = false;
    return this.#dialogue.command({ text, bareNewline, behind: this.#behind() });
  }

  #append(text: string, length: number): void {
    const room = this.#options.lineLengthLimit - this.#line.length;
    if (length > room) this.#lineCut = true;
    this.#line += text.length > room ? text.slice(0, room) : text;
  }

  #behind(): string {
    if (this.#at < this.#input.length) return this.#input.toString("latin1", this.#at, this.#at + 100);
    return this.#waiting[0]?.toString("latin1", 0, 100) ?? "";
  }

  #settle(answer: Answer | Promise<Answer>): void {
    if (!(answer instanceof Promise)) {
      this.#busy = false;
      this.#take(answer);
      this.#run();
      return;
    }
    this.#busy = true;
    answer.then((value) => this.#settle(value), () => this.#drop());
  }

  #awaitStorage(wait: Promise<void>): void {
    this.#storage = null;
    this.#busy = true;
    this.#pause();
    const go = (): void => {
      this.#busy = false;
      this.#resume();
      this.#run();
    };
    wait.then(go, go);
  }

  #take(answer: Answer): void {
    if (this.#mode === "closed") return;
    if (answer.delay !== undefined && answer.delay > 0) return this.#later(answer);
    this.#output += answer.text;
    if (this.#output.length > OUTPUT_HELD) this.#write();
    if (answer.next === "close") return this.#finish();
    this.#storage = null;
    this.#mode = answer.next;
    const { replaceStrayCr } = this.#options;
    if (answer.next === "data") this.#scanner = new DataScanner(true, answer.lenient === true, replaceStrayCr);
    else if (answer.next === "chunk") this.#startChunk(answer);
  }

  #startChunk(answer: Answer): void {
    const { chunkIs } = answer;
    if (chunkIs === "first" || chunkIs === "only" || this.#scanner === null) {
      this.#scanner = new DataScanner(false, false, this.#options.replaceStrayCr);
    }
    this.#chunkEnds = chunkIs === "last" || chunkIs === "only";
    this.#chunkLeft = answer.chunk ?? 0;
    if (this.#chunkLeft === 0) this.#settle(this.#chunkRead());
  }

  /** smtpd_error_sleep_time: what was answered before goes out now, this answer after the delay. */
  #later(answer: Answer): void {
    this.#flush();
    this.#busy = true;
    this.#clock.after(answer.delay ?? 0, () => {
      this.#busy = false;
      this.#take({ ...answer, delay: 0 });
      this.#run();
    });
  }

  #flush(): void {
    if (this.#flushing || this.#output === "") return;
    this.#flushing = true;
    this.#clock.soon(() => {
      this.#flushing = false;
      this.#write();
    });
  }

  #write(): void {
    if (this.#output === "") return;
    const output = this.#output;
    this.#output = "";
    const socket = this.#wire;
    if (socket.destroyed) return;
    if (!socket.write(output, "latin1") && socket.writableLength > OUTPUT_HELD) this.#pause();
  }

  #pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#wire.pause();
  }

  #resume(): void {
    if (!this.#paused || this.#mode === "closed") return;
    if (this.#waitingBytes > INPUT_HELD || this.#wire.writableLength > OUTPUT_HELD) return;
    this.#paused = false;
    this.#wire.resume();
  }

  #inputEnded(): void {
    this.#ended = true;
    if (!this.#busy) this.#finish();
  }

  #timedOut(): void {
    if (this.#mode === "closed" || this._closing) return void this.#wire.destroy();
    // The client waits for us: storage or DNS is slow, not the client.
    if (this.#busy) return;
    this.#output += this.#dialogue.timeout();
    this.#finish();
  }

  /** Writes what is left and closes; a client that does not close its side is cut off by smtp-server's close(). */
  #finish(): void {
    if (this.#mode === "closed") return;
    this.#write();
    this.#mode = "closed";
    this.#forget();
    this.close();
    this.#dialogue.closed();
  }

  #drop(): void {
    if (this.#mode === "closed") return;
    this.#wire.destroy();
    this.#closed();
  }

  #closed(): void {
    clearTimeout(this._closeTimer);
    this._server.connections.delete(this);
    if (this.#mode === "closed") return;
    this.#mode = "closed";
    this.#forget();
    this.#dialogue.closed();
  }

  #forget(): void {
    this.#input = NOTHING;
    this.#at = 0;
    this.#waiting.length = 0;
    this.#waitingBytes = 0;
  }
}

/** Sockets give Buffers; other sources of input may not. */
function asBuffer(chunk: Uint8Array): Buffer {
  return Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}
