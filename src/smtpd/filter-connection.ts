/**
 * A connection to the before-queue filter, at the level of SMTP commands and replies (RFC 5321 §4.2).
 *   connecting -> open <-> waiting for a reply;  any --time over, peer gone--> broken, with a warning in the log
 * Nothing is thrown; null stands for a filter that does not answer any more.
 */

import { systemWords } from "../errors.ts";
import { latin1Decode, latin1Encode } from "../latin1.ts";
import type { Logger } from "../log.ts";
import { REPLY, type Reply } from "../reply.ts";
import type { Clock, ConnectAddress, Connection, ConnectionHandler, Millis, Network, Timer } from "../runtime.ts";

export interface FilterOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly address: ConnectAddress;
  /** As main.cf has it, for the log. */
  readonly name: string;
  /** Longest wait for a connection, a reply, or for bytes to leave (smtpd_proxy_timeout). */
  readonly timeout: Millis;
  readonly logger: Logger;
}

/** A reply's lines, what is not printable as "?". */
export type FilterReply = readonly string[];

const LINE_LIMIT = 2048;
const LINES_LIMIT = 100;

/** smtpd_proxy_filter: `host:port`, `inet:host:port`, `unix:path`; null where it makes no sense. */
export function filterAddress(text: string, queueDirectory: string): ConnectAddress | null {
  if (/^unix:/i.test(text)) {
    const path = text.slice(5);
    return path === "" ? null : { path: path.startsWith("/") ? path : `${queueDirectory}/${path}` };
  }
  const found = /^(?:(?:\[([^\]]+)\]|([^:]*)):)?(\d{1,5})$/.exec(text.replace(/^inet:/i, ""));
  if (found === null) return null;
  return {
    host: found[1] ?? (found[2] === undefined || found[2] === "" ? "localhost" : found[2]),
    port: Number(found[3]),
  };
}

export class FilterConnection implements ConnectionHandler {
  readonly #options: FilterOptions;
  readonly #connection: Connection;
  #input = "";
  #lines: string[] = [];
  readonly #replies: FilterReply[] = [];
  #waiting: ((reply: FilterReply | null) => void) | null = null;
  #drained: (() => void) | null = null;
  #leaving: Promise<void> | null = null;
  #timer: Timer | null = null;
  #connected: ((error: string | null) => void) | null = null;
  #broken = false;

  private constructor(options: FilterOptions, connected: (error: string | null) => void) {
    this.#options = options;
    this.#connected = connected;
    this.#timer = options.clock.after(options.timeout, () => this.close("ETIMEDOUT"));
    this.#connection = options.network.connect(options.address, this);
  }

  /** null: nobody is there, and the log says why. */
  static async to(options: FilterOptions): Promise<FilterConnection | null> {
    let made: FilterConnection | null = null;
    const error = await new Promise<string | null>((resolve) => made = new FilterConnection(options, resolve));
    if (error === null) return made;
    options.logger.warn(`connect to proxy filter ${options.name}: ${systemWords(error)}`);
    return null;
  }

  /** The reply to a command, "" for the greeting. */
  async ask(command: string): Promise<FilterReply | null> {
    if (this.#broken) return null;
    if (command !== "") this.#connection.write(latin1Encode(`${command}\r\n`));
    return this.#replies.shift() ?? await this.#wait<FilterReply>((resolve) => this.#waiting = resolve);
  }

  /** A promise: wait before writing more. */
  write(bytes: Uint8Array): Promise<void> | null {
    if (this.#broken || this.#connection.write(bytes)) return null;
    this.#leaving ??= this.#wait<null>((resolve) => this.#drained = () => resolve(null)).then(() => {
      this.#leaving = null;
    });
    return this.#leaving;
  }

  /** Says goodbye; nobody waits for the answer. */
  quit(): void {
    if (!this.#broken) {
      this.#connection.write(latin1Encode("QUIT\r\n"));
      this.#connection.end();
    }
    this.#broken = true;
    this.#timer?.cancel();
  }

  destroy(): void {
    this.#broken = true;
    this.#timer?.cancel();
    this.#connection.destroy();
  }

  open(): void {
    this.#timer?.cancel();
    this.#connected?.(null);
    this.#connected = null;
  }

  data(chunk: Uint8Array): void {
    this.#input += latin1Decode(chunk);
    for (let end = this.#input.indexOf("\n"); end >= 0; end = this.#input.indexOf("\n")) {
      this.#line(this.#input.slice(0, end).replace(/\r$/, ""));
      this.#input = this.#input.slice(end + 1);
    }
    this.#input = this.#input.slice(0, LINE_LIMIT);
  }

  drain(): void {
    this.#drained?.();
  }

  close(error: string | null): void {
    const connected = this.#connected;
    this.#connected = null;
    if (connected !== null) {
      this.destroy();
      return connected(error ?? "ECONNREFUSED");
    }
    if (!this.#broken) this.#break(`lost connection with proxy ${this.#options.name}`);
  }

  #line(raw: string): void {
    const line = raw.slice(0, LINE_LIMIT).replace(/[^\x20-\x7e]/g, "?");
    if (this.#lines.length < LINES_LIMIT) this.#lines.push(line);
    if (/^\d{3}-/.test(line)) return;
    if (!/^\d{3}(?: |$)/.test(line)) {
      return this.#options.logger.warn(`received garbage from proxy ${this.#options.name}: ${line.slice(0, 100)}`);
    }
    const reply = this.#lines;
    this.#lines = [];
    if (this.#waiting === null) this.#replies.push(reply);
    else this.#waiting(reply);
  }

  async #wait<T>(begin: (resolve: (value: T | null) => void) => void): Promise<T | null> {
    const { clock, timeout, name } = this.#options;
    this.#timer?.cancel();
    this.#timer = clock.after(timeout, () => this.#break(`timeout talking to proxy ${name}`));
    const value = await new Promise<T | null>(begin);
    this.#timer.cancel();
    this.#waiting = null;
    this.#drained = null;
    return value;
  }

  #break(why: string): void {
    // Once a session that has its answer is over, nobody misses the filter.
    if (this.#waiting !== null || this.#drained !== null) this.#options.logger.warn(why);
    this.destroy();
    this.#waiting?.(null);
    this.#drained?.();
  }
}

/** What the client hears of it: the filter's words, or that the message could not be taken. */
export function replyOf(lines: FilterReply | null): Reply {
  if (lines === null) return REPLY.queueWriteError;
  const code = Number(lines[0]?.slice(0, 3));
  const texts = lines.map((line) => line.slice(4));
  const status = /^[245]\.\d{1,3}\.\d{1,3} /.exec(texts[0] ?? "")?.[0] ?? "";
  const same = status !== "" && texts.every((text) => text.startsWith(status));
  return {
    code,
    status: same ? status.trimEnd() : "",
    lines: same ? texts.map((text) => text.slice(status.length)) : texts,
    close: code === 421,
  };
}
