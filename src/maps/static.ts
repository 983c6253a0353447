/**
 * static:value answers every key with the same value; static:{ value } may hold white space and commas (postconf(1)).
 * A brace that is not closed is returned as a fault.
 */

import { closingBrace } from "../logical-lines.ts";

export function staticValue(name: string): { readonly value: string } | { readonly fault: string } {
  if (!name.startsWith("{")) return { value: name };
  const end = closingBrace(name, 0);
  if (end < 0) return { fault: `bad static:name syntax: missing '}' in "${name}"` };
  if (end < name.length - 1) return { fault: `bad static:name syntax: syntax error after '}' in "${name}"` };
  return { value: name.slice(1, end).trim() };
}
