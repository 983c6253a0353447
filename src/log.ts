/**
 * Postfix's log lines: `Mmm dd hh:mm:ss host postfix/SERVICE[slot]: text` (BEHAVIOUR: log prefix), or one JSON object a
 * line with log_format = json. Lines are gathered for some milliseconds, and handed to the writer together.
 * Never throws: a log that cannot be written must not stop mail.
 */

import type { Clock, Millis, Timer } from "./runtime.ts";
import { latin1Encode, latin1EncodeInto, latin1Of, unicodeOf, withoutControls } from "./latin1.ts";

export type Severity = "info" | "warning" | "error" | "fatal" | "panic";

export interface Logger {
  info(text: string): void;
  warn(text: string): void;
  error(text: string): void;
  fatal(text: string): void;
  /** The same service with another slot (the number in brackets). */
  slot(slot: number): Logger;
}

export interface LogOptions {
  readonly clock: Clock;
  readonly hostname: string;
  /** syslog_name */
  readonly name: string;
  readonly format: "postfix" | "json";
  /** Takes whole lines, as bytes that are its own. */
  readonly write: (lines: Uint8Array) => void;
  readonly pid: number;
}

/** How long lines are gathered. */
const QUIET_DELAY: Millis = 5;
const BUSY_DELAY: Millis = 20;
/** More than a few lines. */
const BUSY_BYTES = 2048;
const GATHERED_LIMIT = 64 * 1024;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const two = (number: number): string => number < 10 ? `0${number}` : String(number);

class ServiceLogger implements Logger {
  readonly #log: Log;
  readonly #tag: string;
  readonly #slot: number;

  constructor(log: Log, tag: string, slot: number) {
    this.#log = log;
    this.#tag = tag;
    this.#slot = slot;
  }

  info(text: string): void {
    this.#log.add(this.#tag, this.#slot, "info", text);
  }

  warn(text: string): void {
    this.#log.add(this.#tag, this.#slot, "warning", text);
  }

  error(text: string): void {
    this.#log.add(this.#tag, this.#slot, "error", text);
  }

  fatal(text: string): void {
    this.#log.add(this.#tag, this.#slot, "fatal", text);
  }

  slot(slot: number): Logger {
    return new ServiceLogger(this.#log, this.#tag, slot);
  }
}

export class Log {
  readonly #options: LogOptions;
  readonly #gathered = new Uint8Array(GATHERED_LIMIT);
  #used = 0;
  #waiting = false;
  #second = -1;
  #stamp = "";
  #flusher: Timer | null = null;
  /** There was much to write the last time. */
  #busy = false;

  constructor(options: LogOptions) {
    this.#options = options;
  }

  /** `service` is the part after "postfix/": "smtpd"; `name` replaces syslog_name where a service has its own. */
  service(service: string, slot: number = this.#options.pid, name: string = this.#options.name): Logger {
    return new ServiceLogger(this, `${name}/${service}`, slot);
  }

  /** One line under a whole tag (postlog -t). */
  line(tag: string, severity: Severity, text: string): void {
    this.add(tag, this.#options.pid, severity, text);
  }

  /** Hands over what was gathered, at once. */
  flush(): void {
    this.#waiting = false;
    this.#flusher?.cancel();
    this.#flusher = null;
    this.#busy = this.#used >= BUSY_BYTES;
    if (this.#used === 0) return;
    const lines = this.#gathered.slice(0, this.#used);
    this.#used = 0;
    this.#options.write(lines);
  }

  /** Internal: loggers write through this. */
  add(tag: string, slot: number, severity: Severity, text: string): void {
    const { clock, format, hostname } = this.#options;
    if (format === "json") {
      const time = new Date(clock.now()).toISOString();
      const entry = { time, host: hostname, service: tag, slot, severity, text: unicodeOf(text) };
      this.#gather(latin1Of(JSON.stringify(entry) + "\n"));
    } else {
      const word = severity === "info" ? "" : `${severity}: `;
      this.#gather(`${this.#time()} ${hostname} ${tag}[${slot}]: ${word}${withoutControls(text)}\n`);
    }
    if (severity === "fatal" || severity === "panic") return this.flush();
    if (this.#waiting) return;
    this.#waiting = true;
    this.#flusher = clock.after(this.#busy ? BUSY_DELAY : QUIET_DELAY, () => this.flush());
  }

  /** Each line goes into the buffer at once: one long text of many parts costs more to put together. */
  #gather(line: string): void {
    if (line.length > GATHERED_LIMIT - this.#used) this.flush();
    if (line.length > GATHERED_LIMIT) return this.#options.write(latin1Encode(line));
    latin1EncodeInto(line, this.#gathered, this.#used);
    this.#used += line.length;
  }

  #time(): string {
    const now = this.#options.clock.now();
    const second = Math.floor(now / 1000);
    if (second === this.#second) return this.#stamp;
    const at = new Date(now + this.#options.clock.zoneMinutes(now) * 60_000);
    const day = at.getUTCDate();
    this.#second = second;
    this.#stamp = `${MONTHS[at.getUTCMonth()]} ${day < 10 ? " " : ""}${day} ` +
      `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
    return this.#stamp;
  }
}
