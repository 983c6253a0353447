/**
 * Copies that nobody asked for in the message: always_bcc, sender_bcc_maps, recipient_bcc_maps (postconf(5)). Nobody is
 * told of their fate. A table that cannot answer makes the message wait ("unsure").
 */

import type { AddressTables } from "../trivial-rewrite/address-tables.ts";
import { unquoted } from "../trivial-rewrite/tokens.ts";

/** The address of the copy; null: none. `address` in external form. */
export async function copyFor(
  tables: AddressTables,
  address: string,
  warn: (text: string) => void,
): Promise<string | "unsure" | null> {
  if (address === "") return null;
  const answer = await tables.find(unquoted(address));
  if (answer.kind === "found") return answer.value;
  if (answer.kind === "none") return null;
  warn(`${tables.title} map lookup problem -- message not accepted, try again later`);
  return answer.kind;
}
