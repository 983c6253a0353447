/**
 * The text of main.cf as entries: name, value, line; the last of several entries for one name counts.
 * Source: postconf(5). Lines that cannot be understood come back as faults and warnings with Postfix's words.
 */

import { logicalLines } from "../logical-lines.ts";

export interface Entry {
  readonly name: string;
  readonly value: string;
  readonly line: number;
}

export interface MainCf {
  /** In the order of the file. */
  readonly entries: ReadonlyMap<string, Entry>;
  readonly warnings: readonly string[];
  readonly faults: readonly string[];
}

/** `name = value`, or what is wrong with it. Spaces around = and at both ends do not count. */
export function splitNameValue(
  text: string,
): { readonly name: string; readonly value: string } | { readonly fault: string } {
  const trimmed = text.trim();
  const match = /^([^\s=]*)\s*(=?)([^]*)$/.exec(trimmed)!;
  if (match[1] === "") return { fault: "missing attribute name" };
  if (match[2] === "") return { fault: "missing '=' after attribute name" };
  return { name: match[1]!, value: match[3]!.trim() };
}

export function parseMainCf(text: string, file: string): MainCf {
  const entries = new Map<string, Entry>();
  const warnings: string[] = [];
  const faults: string[] = [];
  for (const line of logicalLines(text)) {
    if (/^\s/.test(line.text)) {
      warnings.push(`${file}: logical line must not start with whitespace: "${line.text}"`);
      continue;
    }
    const split = splitNameValue(line.text);
    if ("fault" in split) {
      faults.push(`${file}, line ${line.first}: ${split.fault}: "${line.text}"`);
      continue;
    }
    const earlier = entries.get(split.name);
    if (earlier !== undefined && earlier.value !== split.value) {
      warnings.push(`${file}, line ${line.first}: overriding earlier entry: ${split.name}=${earlier.value}`);
    }
    entries.delete(split.name);
    entries.set(split.name, { ...split, line: line.first });
  }
  return { entries, warnings, faults };
}
