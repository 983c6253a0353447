/**
 * Large values: files in large/, written before the record that names them, never copied.
 *   being written --finish()--> durable (data, then name) --commit--> named by a record --its key goes--> removed
 * A file that no record names (a crash came before the commit) is removed at the next start.
 */

import type { OpenFile } from "../../runtime.ts";
import type { LargeFile, LargeWriter } from "../engine.ts";
import { ensureFolder, resourceError, type SpoolContext } from "./context.ts";

export const LARGE = "large";

class LargeFileWriter implements LargeWriter {
  readonly #context: SpoolContext;
  readonly #name: string;
  readonly #file: OpenFile;
  #size = 0;
  #open = true;

  constructor(context: SpoolContext, name: string, file: OpenFile) {
    this.#context = context;
    this.#name = name;
    this.#file = file;
  }

  async append(pieces: readonly Uint8Array[]): Promise<void> {
    try {
      await this.#file.write(pieces, this.#size);
    } catch (error) {
      throw resourceError(error, "queue file write");
    }
    for (const piece of pieces) this.#size += piece.length;
  }

  async finish(): Promise<LargeFile> {
    try {
      await this.#file.sync();
      await this.#close();
      await this.#context.files.syncFolder(`${this.#context.folder}/${LARGE}`);
    } catch (error) {
      throw resourceError(error, "queue file write");
    }
    return { file: this.#name, size: this.#size };
  }

  async abort(): Promise<void> {
    try {
      await this.#close();
    } catch {
      // The file goes anyway.
    }
    await removeLarge(this.#context, this.#name);
  }

  async #close(): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    await this.#file.close();
  }
}

/** A file that stays behind is found at the next start. */
export async function removeLarge(context: SpoolContext, name: string): Promise<void> {
  try {
    await context.files.remove(`${context.folder}/${LARGE}/${name}`);
  } catch {
    // See above.
  }
}

export async function openLarge(context: SpoolContext, name: string): Promise<LargeWriter> {
  const path = `${context.folder}/${LARGE}/${name}`;
  try {
    return new LargeFileWriter(context, name, await context.files.open(path, "write", 0o600));
  } catch (error) {
    throw resourceError(error, "queue file open");
  }
}

export async function readLarge(
  context: SpoolContext,
  name: string,
  into: Uint8Array,
  offset: number,
): Promise<number> {
  const file = await context.files.open(`${context.folder}/${LARGE}/${name}`, "read");
  try {
    let got = 0;
    while (got < into.length) {
      const count = await file.read(into.subarray(got), offset + got);
      if (count === 0) break;
      got += count;
    }
    return got;
  } finally {
    await file.close();
  }
}

/** At the start: the folder is there, and holds what the index names. */
export async function prepareLarge(context: SpoolContext): Promise<void> {
  const folder = `${context.folder}/${LARGE}`;
  await ensureFolder(context.files, folder);
  const orphans = new Set(await context.files.list(folder));
  if (orphans.size === 0) return;
  const { slots } = context;
  for (let row = 0; row < slots.rows; row++) orphans.delete(slots.slotAt(row)?.file ?? "");
  for (const name of orphans) await removeLarge(context, name);
}
