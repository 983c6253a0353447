/**
 * Images of tables (wasm/hash.ts): made from entries, written beside the text as `NAME.wmap`, and known to belong to a
 * text by its size, its time and its checksum. A file is written under a temporary name, synced and renamed, so that a
 * reader finds the old image or the new one, whole, also after a power cut. System errors are thrown as they come.
 */

import type { Files, FileStat, Millis, Runtime } from "../runtime.ts";
import { instanceOf } from "./wasm.ts";

/** The text that an image was made from. */
export interface Identity {
  readonly size: number;
  readonly modified: Millis;
  readonly crc: number;
}

interface Builder {
  reserve(length: number): number;
  build(staged: number, count: number): number;
  seal(image: number): void;
  outAt(): number;
}

export const IMAGE_ENDING = ".wmap";

/** Where a header has the identity: size and time (f64), CRC-32 (u32). */
const IDENTITY_AT = 24;
const HEADER = 80;

/** No text: an image that stands for itself. */
const NO_TEXT: Identity = { size: -1, modified: 0, crc: 0 };

function staged(entries: ReadonlyMap<string, string>): number {
  let size = 0;
  for (const [key, value] of entries) size += 8 + key.length + value.length;
  return size;
}

/** `entries`: Latin-1 texts. */
export function buildImage(entries: ReadonlyMap<string, string>, text: Identity | null): Uint8Array {
  const builder = instanceOf<Builder>("hash");
  const size = staged(entries);
  const start = builder.reserve(size) >>> 0;
  if (start === 0) throw new Error("the table is too large for an image");
  const bytes = new Uint8Array(builder.memory.buffer);
  const view = new DataView(builder.memory.buffer);
  let at = start;
  const put = (part: string): void => {
    for (let index = 0; index < part.length; index++) bytes[at++] = part.charCodeAt(index);
  };
  for (const [key, value] of entries) {
    view.setUint32(at, key.length, true);
    view.setUint32(at + 4, value.length, true);
    at += 8;
    put(key);
    put(value);
  }
  const image = builder.build(size, entries.size) >>> 0;
  if (image === 0) throw new Error("the table is too large for an image");
  const whole = new DataView(builder.memory.buffer);
  const { size: textSize, modified, crc } = text ?? NO_TEXT;
  whole.setFloat64(image + IDENTITY_AT, textSize, true);
  whole.setFloat64(image + IDENTITY_AT + 8, modified, true);
  whole.setUint32(image + IDENTITY_AT + 16, crc, true);
  builder.seal(image);
  const length = whole.getUint32(builder.outAt() >>> 0, true);
  return new Uint8Array(builder.memory.buffer.slice(image, image + length));
}

/** Of an image whose header is whole; null: it was made of no text. */
export function identityOf(image: Uint8Array): Identity | null {
  if (image.length < HEADER) return null;
  const view = new DataView(image.buffer, image.byteOffset, image.length);
  const size = view.getFloat64(IDENTITY_AT, true);
  if (size < 0) return null;
  return {
    size,
    modified: view.getFloat64(IDENTITY_AT + 8, true),
    crc: view.getUint32(IDENTITY_AT + 16, true),
  };
}

export function textIdentity(runtime: Runtime, stat: FileStat, bytes: Uint8Array): Identity {
  return { size: bytes.length, modified: Math.floor(stat.modified), crc: runtime.crc32(bytes) >>> 0 };
}

/** A text that changed at most this long before its image was made may have changed since. */
const STILL: Millis = 1000;

/**
 * Whether the text is the one the image was made from. Where size and time cannot tell, its bytes are read and
 * compared by their checksum.
 */
export function belongs(runtime: Runtime, identity: Identity, image: FileStat, text: FileStat, path: string): boolean {
  if (identity.size !== text.size) return false;
  const modified = Math.floor(text.modified);
  if (identity.modified === modified && image.modified - modified >= STILL) return true;
  const files = runtime.files as Files;
  return runtime.crc32(files.readSync(path)) >>> 0 === identity.crc;
}

export interface ImageOwner {
  /** Permissions of a new file. */
  readonly mode: number;
  /** Null: whoever runs the command. */
  readonly owner: { readonly uid: number; readonly gid: number } | null;
}

const folderOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || (path.startsWith("/") ? "/" : ".");

export async function writeImage(runtime: Runtime, path: string, image: Uint8Array, as: ImageOwner): Promise<void> {
  const files = runtime.files as Files;
  const temporary = `${path}.${runtime.processes?.pid ?? 0}.${runtime.random.below(2 ** 32).toString(36)}.new`;
  const file = await files.open(temporary, "create", 0o600);
  try {
    await file.write([image], 0);
    if (as.owner !== null) await file.setOwner(as.owner.uid, as.owner.gid);
    await file.setMode(as.mode);
    await file.sync(true);
    await file.close();
    await files.rename(temporary, path);
  } catch (caught) {
    await file.close().catch(() => {});
    await files.remove(temporary).catch(() => {});
    throw caught;
  }
  await files.syncFolder(folderOf(path));
}
