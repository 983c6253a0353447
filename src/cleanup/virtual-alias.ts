/**
 * virtual(5): one recipient becomes one or more, again and again until nothing changes. An address that stands for
 * itself among others stays. Beyond virtual_alias_recursion_limit, virtual_alias_expansion_limit or
 * virtual_alias_address_length_limit, or where a table cannot answer, the message must wait.
 */

import type { Config } from "../config/config.ts";
import type { AddressTables } from "../trivial-rewrite/address-tables.ts";
import { quoted, unquoted } from "../trivial-rewrite/tokens.ts";
import { foldCase } from "../maps/fold.ts";

type Limits = Pick<
  Config,
  "virtual_alias_recursion_limit" | "virtual_alias_expansion_limit" | "virtual_alias_address_length_limit"
>;

export type Expansion =
  /** In external form. */
  | { readonly kind: "expanded"; readonly addresses: readonly string[] }
  | { readonly kind: "limit" }
  | { readonly kind: "unsure" };

const LATER = "message not accepted, try again later";

/** `address` in external form. */
export async function expandAlias(
  tables: AddressTables,
  address: string,
  limits: Limits,
  propagate: boolean,
  warn: (text: string) => void,
): Promise<Expansion> {
  const { title } = tables;
  const list = [unquoted(address)];
  const seen = new Set<string>();
  const limit = (text: string): Expansion => {
    warn(`${text} -- ${LATER}`);
    return { kind: "limit" };
  };
  for (let at = 0; at < list.length; at++) {
    if (list.length > limits.virtual_alias_expansion_limit) {
      return limit(`unreasonable ${title} map expansion size for ${address}`);
    }
    for (let round = 0;; round++) {
      const here = list[at] as string;
      if (seen.has(foldCase(here))) break;
      seen.add(foldCase(here));
      if (round >= limits.virtual_alias_recursion_limit) {
        return limit(`unreasonable ${title} map nesting for ${address}`);
      }
      const answer = await tables.map(here, propagate);
      if (answer.kind === "none") break;
      if (answer.kind === "unsure") {
        warn(`${title} map lookup problem for ${address} -- ${LATER}`);
        return { kind: "unsure" };
      }
      const long = answer.addresses.find((one) => one.length > limits.virtual_alias_address_length_limit);
      if (long !== undefined) return limit(`unreasonable ${title} result ${long.slice(0, 300)}...`);
      const [first = here, ...more] = answer.addresses.map(unquoted);
      list[at] = first;
      list.push(...more);
      // May stand for itself once.
      if ([first, ...more].some((one) => foldCase(one) === foldCase(here))) seen.add(foldCase(here));
    }
  }
  return { kind: "expanded", addresses: list.map((one) => one === "" ? "" : quoted(one)) };
}
