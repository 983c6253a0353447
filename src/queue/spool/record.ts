/**
 * Reads a record (framing.ts) back into its operations. A record that makes no sense, though its checksum is right,
 * is null: the caller treats it as damage. Keys and texts stay in the record's bytes.
 */

import { latin1Decode } from "../../latin1.ts";
import type { Part } from "../key-rows.ts";
import { KIND, readUint32 } from "./framing.ts";

export type StoredOperation =
  | { readonly kind: "delete"; readonly key: Part }
  | { readonly kind: "text"; readonly key: Part; readonly text: Part }
  /** From where to where in the record. */
  | { readonly kind: "bulk"; readonly key: Part; readonly start: number; readonly length: number }
  /** `text`: the file's name. */
  | { readonly kind: "file"; readonly key: Part; readonly text: Part; readonly size: number };

function fileOf(key: Part, { bytes, start, end }: Part): StoredOperation | null {
  const text = latin1Decode(bytes, start, end);
  const space = text.indexOf(" ");
  const size = Number(text.slice(0, space));
  if (space < 1 || !Number.isSafeInteger(size) || size < 0) return null;
  if (!/^[0-9A-Za-z.-]+$/.test(text.slice(space + 1))) return null;
  return { kind: "file", key, text: { bytes, start: start + space + 1, end }, size };
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
    const key: Part = { bytes: record, start: at + 7, end: keyEnd };
    at = keyEnd;
    if (kind === KIND.delete) {
      operations.push({ kind: "delete", key });
    } else if (kind === KIND.bulk) {
      operations.push({ kind: "bulk", key, start: bulk, length });
      bulk += length;
    } else {
      if (at + length > end || kind !== KIND.text && kind !== KIND.file) return null;
      const text: Part = { bytes: record, start: at, end: at + length };
      at += length;
      const operation = kind === KIND.text ? { kind: "text", key, text } as const : fileOf(key, text);
      if (operation === null) return null;
      operations.push(operation);
    }
  }
  return bulk === record.length ? operations : null;
}
