/**
 * One file of the maildrop folder while it is written:
 *   open (mode 0600, 128-bit random name) --write()*--> commit(): on disk, then mode 0744: pickup takes it
 *                                     \--abort()--> gone
 * A writer that dies leaves a file without the execute bit, which pickup removes a day later.
 * Throws what the system says (EACCES, ENOSPC, …); nothing is submitted then.
 */

import { systemCode } from "../errors.ts";
import type { Files, OpenFile, Runtime } from "../runtime.ts";

const WHILE_WRITTEN = 0o600;
const COMPLETE = 0o744;
const WRITE_SIZE = 256 * 1024;

/** 128 random bits: nobody guesses a name in a folder that he may not list. */
export function dropName(runtime: Runtime): string {
  return [...runtime.random.bytes(16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Drop {
  readonly path: string;
  readonly #files: Files;
  readonly #folder: string;
  readonly #file: OpenFile;
  #pieces: Uint8Array[] = [];
  #held = 0;

  private constructor(files: Files, folder: string, path: string, file: OpenFile) {
    this.#files = files;
    this.#folder = folder;
    this.path = path;
    this.#file = file;
  }

  static async open(runtime: Runtime, queueDirectory: string, name: string = dropName(runtime)): Promise<Drop> {
    const files = runtime.files as Files;
    const folder = `${queueDirectory}/maildrop`;
    const path = `${folder}/${name}`;
    return new Drop(files, folder, path, await files.open(path, "create", WHILE_WRITTEN));
  }

  /** Takes the piece by reference until the returned promise resolves. */
  async write(piece: Uint8Array): Promise<void> {
    this.#pieces.push(piece);
    this.#held += piece.length;
    if (this.#held >= WRITE_SIZE) await this.#flush();
  }

  /** All that was taken is in the file, for who reads it before commit(). */
  written(): Promise<void> {
    return this.#flush();
  }

  /** Durable when it resolves. */
  async commit(): Promise<void> {
    await this.#flush();
    await this.#file.sync();
    await this.#file.setMode(COMPLETE);
    await this.#file.sync(true);
    await this.#file.close();
    try {
      await this.#files.syncFolder(this.#folder);
    } catch (caught) {
      // Only its owner may open the folder; the file's own fsync carries its name on the usual file systems.
      if (systemCode(caught) !== "EACCES") throw caught;
    }
  }

  async abort(): Promise<void> {
    await this.#file.close();
    await this.#files.remove(this.path);
  }

  async #flush(): Promise<void> {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#held = 0;
    if (pieces.length > 0) await this.#file.write(pieces, null);
  }
}
