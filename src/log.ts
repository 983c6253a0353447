/**
 * Postfix's log lines: `Mmm dd hh:mm:ss host postfix/SERVICE[slot]: text` (BEHAVIOUR: log prefix), or one JSON object a
 * line with log_format = json. Lines are gathered and handed to the writer once per turn of the event loop.
 * Never throws: a log that cannot be written must not stop mail.
 */

import type { Clock, Timer } from "./runtime.ts";
import { unicodeOf } from "./latin1.ts";

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
  /** Takes whole lines. */
  readonly write: (lines: string) => void;
  readonly pid: number;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const two = (number: number): string => number < 10 ? `0${number}` : String(number);

/** Control characters would break the line or the terminal; Postfix shows them as "?". */
function printable(text: string): string {
  // deno-lint-ignore no-control-regex
  return /[\x00-\x1f\x7f]/.test(text) ? text.replace(/[\x00-\x1f\x7f]/g, "?") : text;
}

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
  #lines = "";
  #waiting = false;
  #second = -1;
  #stamp = "";
  #flusher: Timer | null = null;

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
    if (this.#lines === "") return;
    const lines = this.#lines;
    this.#lines = "";
    this.#options.write(lines);
  }

  /** Internal: loggers write through this. */
  add(tag: string, slot: number, severity: Severity, text: string): void {
    const { clock, format, hostname } = this.#options;
    if (format === "json") {
      const time = new Date(clock.now()).toISOString();
      const entry = { time, host: hostname, service: tag, slot, severity, text: unicodeOf(text) };
      this.#lines += JSON.stringify(entry) + "\n";
    } else {
      const word = severity === "info" ? "" : `${severity}: `;
      this.#lines += `${this.#time()} ${hostname} ${tag}[${slot}]: ${word}${printable(text)}\n`;
    }
    if (severity === "fatal" || severity === "panic" || this.#lines.length > 65536) return this.flush();
    if (this.#waiting) return;
    this.#waiting = true;
    this.#flusher = clock.after(5, () => this.flush());
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
