/**
 * A table written inside main.cf in place of a file name, `{ {rule}, {rule} … }` (cidr_table(5), regexp_table(5),
 * pcre_table(5)): each rule becomes a line. What cannot be read is returned as a fault.
 */

import { closingBrace, wordsOutsideBraces } from "../logical-lines.ts";

export function inlineRules(name: string): { readonly text: string } | { readonly fault: string } {
  const end = closingBrace(name, 0);
  if (end < 0) return { fault: `missing '}' in "${name}"` };
  if (name.slice(end + 1).trim() !== "") return { fault: `syntax error after '}' in "${name}"` };
  let text = "";
  for (const word of wordsOutsideBraces(name.slice(1, end))) {
    if (!word.startsWith("{")) return { fault: `no '{' at start of text in "${word}"` };
    const close = closingBrace(word, 0);
    if (close < 0) return { fault: `missing '}' in "${word}"` };
    if (close < word.length - 1) return { fault: `syntax error after '}' in "${word}"` };
    text += `${word.slice(1, close).trim()}\n`;
  }
  return { text };
}
