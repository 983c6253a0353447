/**
 * A client for table servers that answer one request at a time over a connection (tcp:, socketmap:).
 *   connecting --open--> busy --reply--> idle --request--> busy
 *   idle --maxIdle, or older than maxAge--> closed;  any --error, time limit, reply that cannot be read--> closed
 * A connection that waited and was lost before its reply is made once more: the server may have started again.
 * More requests than CONNECTIONS wait for their turn. Never throws: a request that failed says why.
 */

import { systemWords } from "../errors.ts";
import { latin1Decode } from "../latin1.ts";
import type { ConnectAddress, Connection, Millis, Runtime, Timer } from "../runtime.ts";

/** "connect": `why` are the system's words; "lost": the connection closed before the reply was whole. */
export type Answered =
  | { readonly kind: "reply"; readonly text: string }
  | { readonly kind: "connect" | "lost" | "time" | "format" | "size"; readonly why: string };

/** What is read of a reply so far: the whole of it, or why it is none. */
export type Framing = { readonly text: string } | "more" | "format" | "size";

export interface RequestOptions {
  readonly address: ConnectAddress;
  readonly timeout: Millis;
  readonly maxIdle: Millis;
  readonly maxAge: Millis;
  readonly frame: (received: string) => Framing;
  /** Requests over one connection; 0 or none: no limit. */
  readonly requestLimit?: number;
  /** True: a request whose connection is lost is not made again here. */
  readonly once?: boolean;
}

const CONNECTIONS = 10;

/** One connection; its promise of a reply is settled once. */
class Line {
  readonly #runtime: Runtime;
  readonly #options: RequestOptions;
  readonly #made: Millis;
  readonly #connection: Connection;
  #settle: ((answered: Answered) => void) | null = null;
  #request: Uint8Array | null = null;
  #text = "";
  #timer: Timer | null = null;
  #opened = false;
  #requests = 0;
  dead = false;

  constructor(runtime: Runtime, options: RequestOptions) {
    this.#runtime = runtime;
    this.#options = options;
    this.#made = runtime.clock.monotonic();
    this.#connection = runtime.network!.connect(options.address, {
      open: () => this.#open(),
      data: (chunk) => this.#data(chunk),
      drain: () => {},
      close: (code) => this.#over(this.#opened ? "lost" : "connect", systemWords(code ?? "ECONNREFUSED")),
    });
  }

  get old(): boolean {
    const { maxAge, requestLimit = 0 } = this.#options;
    const full = requestLimit > 0 && this.#requests >= requestLimit;
    return full || this.#runtime.clock.monotonic() - this.#made >= maxAge;
  }

  ask(request: Uint8Array): Promise<Answered> {
    this.#requests++;
    this.#timer?.cancel();
    this.#timer = this.#runtime.clock.after(this.#options.timeout, () => this.#over("time", "time limit exceeded"));
    this.#text = "";
    return new Promise((resolve) => {
      this.#settle = resolve;
      if (this.#opened) this.#connection.write(request);
      else this.#request = request;
    });
  }

  /** Nobody asks anything: closes after a while. */
  rest(): void {
    this.#timer = this.#runtime.clock.after(this.#options.maxIdle, () => this.close());
  }

  close(): void {
    this.#timer?.cancel();
    if (!this.dead) this.#connection.destroy();
    this.dead = true;
  }

  #open(): void {
    this.#opened = true;
    if (this.#request !== null) this.#connection.write(this.#request);
    this.#request = null;
  }

  #data(chunk: Uint8Array): void {
    if (this.#settle === null) return this.close();
    this.#text += latin1Decode(chunk);
    const framing = this.#options.frame(this.#text);
    if (framing === "more") return;
    if (typeof framing === "string") return this.#over(framing, "");
    this.#timer?.cancel();
    const settle = this.#settle;
    this.#settle = null;
    settle({ kind: "reply", text: framing.text });
  }

  #over(kind: Exclude<Answered["kind"], "reply">, why: string): void {
    this.close();
    const settle = this.#settle;
    this.#settle = null;
    settle?.({ kind, why });
  }
}

export class RequestClient {
  readonly #runtime: Runtime;
  readonly #options: RequestOptions;
  readonly #idle: Line[] = [];
  readonly #queue: (() => void)[] = [];
  #busy = 0;

  constructor(runtime: Runtime, options: RequestOptions) {
    this.#runtime = runtime;
    this.#options = options;
  }

  async ask(request: Uint8Array): Promise<Answered> {
    if (this.#runtime.network === null) return { kind: "connect", why: "this runtime has no network" };
    if (this.#busy >= CONNECTIONS) await new Promise<void>((resolve) => void this.#queue.push(resolve));
    this.#busy++;
    try {
      const waited = this.#waiting();
      const answered = await this.#over(waited ?? new Line(this.#runtime, this.#options), request);
      if (answered.kind !== "lost" || this.#options.once === true) return answered;
      return await this.#over(new Line(this.#runtime, this.#options), request);
    } finally {
      this.#busy--;
      this.#queue.shift()?.();
    }
  }

  /** A connection that is still good. */
  #waiting(): Line | null {
    for (let line = this.#idle.pop(); line !== undefined; line = this.#idle.pop()) {
      if (!line.dead && !line.old) return line;
      line.close();
    }
    return null;
  }

  async #over(line: Line, request: Uint8Array): Promise<Answered> {
    const answered = await line.ask(request);
    if (answered.kind !== "reply" || line.dead) return answered;
    if (line.old) {
      line.close();
      return answered;
    }
    line.rest();
    this.#idle.push(line);
    return answered;
  }
}
