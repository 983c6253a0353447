/**
 * The words of `{word, word ...}` in a table's name, and the tables they name.
 */

import { closingBrace, wordsOutsideBraces } from "../logical-lines.ts";
import type { LookupTable, TableContext } from "./map.ts";

/** Empty when it is not of that form. */
export function wordsInBraces(text: string): readonly string[] {
  if (!text.startsWith("{") || closingBrace(text, 0) !== text.length - 1) return [];
  return wordsOutsideBraces(text.slice(1, -1));
}

/** At least one; throws ConfigError when it is not a list of tables. */
export function tablesInBraces(text: string, { name, type, fault, open }: TableContext): readonly LookupTable[] {
  const words = wordsInBraces(text);
  if (words.length === 0 || words.some((word) => !word.includes(":"))) {
    fault(`bad syntax: "${name}"; need "${type}:{type:name...}"`);
  }
  return words.map(open);
}
