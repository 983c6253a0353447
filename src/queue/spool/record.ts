/**
 * Reads a record (framing.ts) back into its operations. A record that makes no sense, though its checksum is right,
 * is null: the caller treats it as damage.
 */

import { latin1Decode } from "../../latin1.ts";
import { KIND, readUint32 } from "./framing.ts";

export type StoredOperation =
  | { readonly kind: "delete"; readonly key: string }
  | { readonly kind: "text"; readonly key: string; readonly text: string }
  | { readonly kind: "bulk"; readonly key: string; readonly start: number; readonly length: number }
  | { readonly kind: "file"; readonly key: string; readonly file: string; readonly size: number };

const decoder = new TextDecoder();
// deno-lint-ignore no-control-regex
const NOT_ASCII = /[^\x00-\x7f]/;

/** ASCII, which nearly all text is, goes the short way. */
function textOf(bytes: Uint8Array, start: number, end: number): string {
  if (end - start < 64) return latin1Decode(bytes, start, end);
  const text = decoder.decode(bytes.subarray(start, end));
  return NOT_ASCII.test(text) ? latin1Decode(bytes, start, end) : text;
}

function fileOf(key: string, text: string): StoredOperation | null {
  const space = text.indexOf(" ");
  const size = Number(text.slice(0, space));
  const file = text.slice(space + 1);
  if (space < 1 || !Number.isSafeInteger(size) || !/^[0-9A-Za-z.-]+$/.test(file)) return null;
  return { kind: "file", key, file, size };
}

export function readRecord(record: Uint8Array): readonly StoredOperation[] | null {
  if (record.length < 4) return null;
  const end = 4 + readUint32(record, 0);
  if (end > record.length) return null;
  const operations: StoredOperation[] = [];
  let bulk = end;
  for (let at = 4; at < end;) {
    if (at + 7 > end) return null;
    const kind = record[at]!;
    const keyEnd = at + 7 + (record[at + 1]! | record[at + 2]! << 8);
    const length = readUint32(record, at + 3);
    if (keyEnd > end) return null;
    const key = latin1Decode(record, at + 7, keyEnd);
    at = keyEnd;
    if (kind === KIND.delete) {
      operations.push({ kind: "delete", key });
    } else if (kind === KIND.bulk) {
      operations.push({ kind: "bulk", key, start: bulk, length });
      bulk += length;
    } else {
      if (at + length > end || kind !== KIND.text && kind !== KIND.file) return null;
      const text = textOf(record, at, at + length);
      at += length;
      const operation = kind === KIND.text ? { kind: "text", key, text } as const : fileOf(key, text);
      if (operation === null) return null;
      operations.push(operation);
    }
  }
  return bulk === record.length ? operations : null;
}
