/**
 * Where log lines go: maillog_file, or standard output when it is empty. Lines are appended in order, one write at a
 * time; while the file cannot be written they go to standard error, and the file is opened again a second later.
 */

import { messageOf } from "./errors.ts";
import { latin1Encode } from "./latin1.ts";
import type { Millis, OpenFile, Runtime } from "./runtime.ts";

const AGAIN_AFTER: Millis = 1_000;

export class Maillog {
  readonly #runtime: Runtime;
  readonly #path: string;
  #file: OpenFile | null = null;
  readonly #pending: Uint8Array[] = [];
  #writing: Promise<void> | null = null;
  #brokenUntil: Millis = 0;

  constructor(runtime: Runtime, path: string) {
    this.#runtime = runtime;
    this.#path = path === "/dev/stdout" ? "" : path;
  }

  write(bytes: Uint8Array): void {
    if (this.#path === "") return this.#runtime.processes?.writeOutput(bytes);
    if (this.#runtime.clock.monotonic() < this.#brokenUntil) return this.#runtime.processes?.writeError(bytes);
    this.#pending.push(bytes);
    this.#writing ??= this.#drain();
  }

  /** Opens the file again under its name (log rotation). */
  async reopen(): Promise<void> {
    await this.#writing;
    const old = this.#file;
    this.#file = null;
    await old?.close();
  }

  async close(): Promise<void> {
    while (this.#writing !== null) await this.#writing;
    await this.reopen();
  }

  async #drain(): Promise<void> {
    try {
      while (this.#pending.length > 0) await this.#append(this.#pending.splice(0));
    } finally {
      // In the same step as the look at what is pending: whatever comes later begins anew.
      this.#writing = null;
    }
  }

  async #append(pieces: readonly Uint8Array[]): Promise<void> {
    try {
      this.#file ??= await this.#runtime.files!.open(this.#path, "append", 0o644);
      await this.#file.write(pieces, null);
    } catch (caught) {
      const { processes, clock } = this.#runtime;
      this.#brokenUntil = clock.monotonic() + AGAIN_AFTER;
      processes?.writeError(latin1Encode(`postfix: open ${this.#path}: ${messageOf(caught)}\n`));
      for (const piece of pieces) processes?.writeError(piece);
    }
  }
}
