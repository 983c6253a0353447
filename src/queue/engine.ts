/**
 * QueueEngine: what a queue storage does. Keys are text ("entry:<id>", "content:<id>", "content:<id>:<n>").
 * A value is Latin-1 text (small, kept in memory by engines that have an index, given back by scan) or bytes, taken by
 * reference: the caller does not change them afterwards.
 * Everything throws ResourceError when the storage cannot take or give the data; a commit that was rejected has not
 * happened, and the next one may succeed.
 */

import type { Part } from "./key-rows.ts";

/** A file of its own in the storage, made by QueueEngine.large and durable before a commit names it. */
export interface LargeFile {
  readonly file: string;
  readonly size: number;
}

export type Value = string | readonly Uint8Array[] | LargeFile;

export type Operation =
  | { readonly kind: "put"; readonly key: string; readonly value: Value }
  | { readonly kind: "delete"; readonly key: string }
  | LinesOperation;

/**
 * The first lines of the key's text, so many, become these (with their line ends); the rest of the text stays. A
 * function is asked when they are written, or somebody reads the text before, and says the same each time.
 */
export interface LinesOperation {
  readonly kind: "lines";
  readonly key: string;
  readonly count: 1 | 2;
  readonly lines: string | (() => string);
}

export interface Item {
  readonly key: string;
  readonly size: number;
  /** The value when it is text; null: readRange gives its bytes. */
  readonly text: string | null;
}

export type TextVisitor = (key: Part, text: Part, row: number) => void;

/** The right to work on a key for a while, on a storage that several nodes share. */
export interface Lease {
  readonly key: string;
  /** False when somebody else has it by now. */
  renew(leaseMs: number): Promise<boolean>;
  release(): Promise<void>;
}

/** A large value on its way in. */
export interface LargeWriter {
  append(pieces: readonly Uint8Array[]): Promise<void>;
  /** Durable, with its name, when it resolves. */
  finish(): Promise<LargeFile>;
  abort(): Promise<void>;
}

export type Durability = "durable" | "lazy";

export interface QueueEngine {
  readonly kind: string;
  /** Another number each time the storage is opened; known when it is loaded. */
  readonly epoch: number;
  /** Reads what is stored: before anything else but close(). Throws what opening throws, and leaves it to be closed. */
  load(): Promise<void>;
  /**
   * All of it or nothing, in the order of the calls. durable: on stable storage when it resolves. lazy: resolves at
   * once, seen by scan and readRange and durable within 100 ms; kept and tried again while the storage cannot take it.
   */
  commit(operations: readonly Operation[], durability: Durability): Promise<void>;
  /** Items whose key starts with the prefix and is greater than `after`, by key. */
  scan(prefix: string, after: string | null, limit: number): Promise<readonly Item[]>;
  /**
   * The key's text as it was put last, also by a commit that is under way or lazy; null when it has none. Who deletes a
   * key does not ask for it afterwards.
   */
  text(key: string): string | null;
  /** Its first line, with the line end if it has one; bytes are good until the next change. */
  firstLine(key: string): string | Part | null;
  /** What is stored as text, in no order; the bytes are good until `visit` returns. For the time before any commit. */
  eachText(visit: TextVisitor): void;
  /** A small number that a stored text has as long as its key is there; -1: there is no such key. */
  rowOf(key: string): number;
  /** The key that has the row. */
  keyAt(row: number): string | null;
  /** Fewer bytes at the end of the value. ResourceError ENOENT when there is no such key, EIO when it is damaged. */
  readRange(key: string, offset: number, length: number): Promise<Uint8Array>;
  /** Everything lazy is durable when it resolves. */
  sync(): Promise<void>;
  /** Engines with files: a place for a large value. */
  large?(name: string): Promise<LargeWriter>;
  /** Storages that several nodes share. */
  claim?(key: string, owner: string, leaseMs: number): Promise<Lease | null>;
  /** Puts what cannot be understood aside, out of the queue. */
  setAside(name: string, bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** What an engine has to say to the operator. */
export interface EngineLog {
  warn(text: string): void;
  error(text: string): void;
}

export function sizeOf(value: Value): number {
  if (typeof value === "string") return value.length;
  if ("file" in value) return value.size;
  let size = 0;
  for (const piece of value) size += piece.length;
  return size;
}

export function lineOf(text: string): string {
  return text.slice(0, text.indexOf("\n") + 1) || text;
}

/** The text with other first lines. */
export function withLines(text: string, { count, lines }: Pick<LinesOperation, "count" | "lines">): string {
  let end = 0;
  for (let at = 0; at < count && end < text.length; at++) end = text.indexOf("\n", end) + 1 || text.length;
  return textOfLines(lines) + text.slice(end);
}

export function textOfLines(lines: LinesOperation["lines"]): string {
  return typeof lines === "string" ? lines : lines();
}
