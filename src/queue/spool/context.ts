/**
 * What the parts of one open spool share.
 */

import { messageOf, ResourceError, systemCode } from "../../errors.ts";
import type { Clock, Files, Millis, OpenFile, Random } from "../../runtime.ts";
import type { EngineLog } from "../engine.ts";
import type { Crc32, Segment, SegmentReader } from "./segment.ts";
import type { Slots } from "./slots.ts";

export interface SpoolTuning {
  /** A segment that is longer gets no more records. */
  readonly segmentBytes: number;
  /** Lazy operations are durable after so long at the latest. */
  readonly lazyDelay: Millis;
  /** Lazy operations that failed are tried again after so long. */
  readonly retryDelay: Millis;
  /** So much is written between two checkpoints, at least. */
  readonly checkpointBytes: number;
  /** So much behind the last checkpoint makes closing write another. */
  readonly closingBytes: number;
  /** Compaction starts when so much is dead, and more than lives. */
  readonly compactBytes: number;
  /** Open files of sealed segments. */
  readonly openSegments: number;
}

export const DEFAULT_TUNING: SpoolTuning = {
  segmentBytes: 64 * 1024 * 1024,
  lazyDelay: 100,
  retryDelay: 1000,
  checkpointBytes: 64 * 1024 * 1024,
  closingBytes: 1,
  compactBytes: 64 * 1024 * 1024,
  openSegments: 8,
};

export interface SpoolContext {
  readonly files: Files;
  readonly clock: Clock;
  readonly random: Random;
  readonly crc32: Crc32;
  readonly log: EngineLog;
  readonly tuning: SpoolTuning;
  /** The shard's folder; large/ and corrupt/ are in it. */
  readonly folder: string;
  readonly shard: number;
  readonly slots: Slots;
  readonly reader: SegmentReader;
  /** By number; the active one is the last. */
  readonly segments: Segment[];
}

export function resourceError(caught: unknown, what: string): ResourceError {
  if (caught instanceof ResourceError) return caught;
  const code = systemCode(caught) || "EIO";
  return new ResourceError(code, `${what}: ${messageOf(caught)}`, code === "ENOENT");
}

/** Makes a folder that may be there already; true: it is new. */
export async function ensureFolder(files: Files, path: string): Promise<boolean> {
  try {
    await files.makeFolder(path, 0o700);
    return true;
  } catch (error) {
    if (systemCode(error) === "EEXIST") return false;
    throw error;
  }
}

/** Removes a file for good: it is gone, or was gone already, and stays away when the power goes. */
export async function removeDurably(files: Files, folder: string, name: string): Promise<void> {
  try {
    await files.remove(`${folder}/${name}`);
  } catch (error) {
    if (systemCode(error) !== "ENOENT") throw error;
  }
  await files.syncFolder(folder);
}

/** Writes a new file and makes it durable; its name is durable after syncFolder. */
export async function writeFile(files: Files, path: string, pieces: readonly Uint8Array[]): Promise<void> {
  const file = await files.open(path, "write", 0o600);
  try {
    await file.write(pieces, 0);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Bytes read: fewer only where the file ends. */
export async function readFully(file: OpenFile, into: Uint8Array, position: number): Promise<number> {
  let got = 0;
  while (got < into.length) {
    const count = await file.read(got === 0 ? into : into.subarray(got), position + got);
    if (count === 0) break;
    got += count;
  }
  return got;
}

/** Puts bytes into corrupt/ for the operator. */
export async function saveCorrupt({ files, folder }: SpoolContext, name: string, bytes: Uint8Array): Promise<void> {
  const corrupt = `${folder}/corrupt`;
  await ensureFolder(files, corrupt);
  await writeFile(files, `${corrupt}/${name}`, [bytes]);
  await files.syncFolder(corrupt);
}

/** The same, where nothing depends on it. */
export async function setAside(context: SpoolContext, name: string, bytes: Uint8Array): Promise<void> {
  try {
    await saveCorrupt(context, name, bytes);
  } catch (error) {
    const path = `${context.folder}/corrupt/${name}`;
    context.log.error(`cannot save damaged queue data as ${path}: ${messageOf(error)}`);
  }
}
