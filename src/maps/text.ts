/**
 * The text form of hash:, btree:, lmdb:, cdb: and texthash: tables: `key value` lines (postmap(1)). Keys are kept in
 * lower case; white space inside double quotes belongs to the key, quotes included; of several lines for a key the
 * first counts. A line that is not of this form is left out with a warning. A function of the bytes: reloading is
 * reading again.
 */

import { latin1Decode } from "../latin1.ts";
import { logicalLines } from "../logical-lines.ts";

export interface TextRead {
  readonly entries: ReadonlyMap<string, string>;
  readonly warnings: readonly string[];
}

const UNBALANCED = /^(?:"(?:[^"\\]|\\[^])*"|\\[^]|[^\s"\\])*"(?:[^"\\]|\\[^])*\\?$/;
const KEY = /^(?:"(?:[^"\\]|\\[^])*"|\\[^]|[^\s"\\])+/;

export function textEntries(bytes: Uint8Array, file: string): TextRead {
  const entries = new Map<string, string>();
  const warnings: string[] = [];
  for (const line of logicalLines(latin1Decode(bytes))) {
    const place = `${file}, line ${line.first}`;
    if (/^\s/.test(line.text)) {
      warnings.push(`${file}: logical line must not start with whitespace: "${line.text.slice(0, 30)}"`);
      continue;
    }
    if (UNBALANCED.test(line.text)) {
      warnings.push(`${place}: unbalanced '"' in '${line.text}' -- ignoring this line`);
      continue;
    }
    const key = KEY.exec(line.text)?.[0] ?? "";
    const value = line.text.slice(key.length);
    if (key === "" || !/^\s+\S/.test(value)) {
      warnings.push(`${place}: expected format: key whitespace value -- ignoring this line`);
      continue;
    }
    if (key.endsWith(":")) warnings.push(`${place}: record is in "key: value" format; is this an alias file?`);
    const folded = key.toLowerCase();
    if (entries.has(folded)) warnings.push(`${place}: duplicate entry: "${key}"`);
    else entries.set(folded, value.trim());
  }
  return { entries, warnings };
}
