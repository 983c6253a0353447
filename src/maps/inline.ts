/**
 * inline:{ key=value, { key = text with spaces } }: a table written inside main.cf (postconf(1)). Keys are kept in
 * lower case unless `fold` is false; of several entries for one key the last counts. What cannot be read is returned
 * as a fault.
 */

import { closingBrace, wordsOutsideBraces } from "../logical-lines.ts";
import type { ValueRead } from "./text.ts";
import { foldCase } from "./fold.ts";

export type InlineRead = { readonly entries: ReadonlyMap<string, string> } | { readonly fault: string };

export interface InlineOptions {
  /** False: keys keep capital letters. */
  readonly fold?: boolean;
  /** What stands for a value, where values are names of files. */
  readonly valueFrom?: (value: string) => ValueRead;
}

export function inlineEntries(name: string, options: InlineOptions = {}): InlineRead {
  const { fold = true, valueFrom } = options;
  const form = valueFrom === undefined ? "name=value" : "name=filename";
  const fault = (what: string): InlineRead => ({ fault: `${what}: "inline:${name}"; need "inline:{${form}...}"` });
  if (!name.startsWith("{") || closingBrace(name, 0) !== name.length - 1) return fault("bad syntax");
  const words = wordsOutsideBraces(name.slice(1, -1));
  if (words.length === 0) return fault("empty table");
  const entries = new Map<string, string>();
  for (const word of words) {
    const braced = word.startsWith("{");
    if (braced && closingBrace(word, 0) !== word.length - 1) return fault("syntax error after '}'");
    const text = braced ? word.slice(1, -1).trim() : word;
    const equals = text.indexOf("=");
    if (equals < 0) return fault("missing '=' after attribute name");
    const key = text.slice(0, equals).trim();
    if (key === "") return fault("missing attribute name");
    const given = text.slice(equals + 1).trim();
    const read = valueFrom === undefined ? { value: given } : valueFrom(given);
    if ("fault" in read) return fault(read.fault);
    entries.set(fold ? foldCase(key) : key, read.value);
  }
  return { entries };
}
