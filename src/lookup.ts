/**
 * The answer of a table, a list or a name server. "I do not know" is an answer of its own: unsure never becomes a 5xx.
 */

export type Lookup =
  | { readonly kind: "found"; readonly value: string }
  | { readonly kind: "none" }
  | { readonly kind: "unsure"; readonly why: string };

export const NONE: Lookup = Object.freeze({ kind: "none" });

export function found(value: string): Lookup {
  return { kind: "found", value };
}
