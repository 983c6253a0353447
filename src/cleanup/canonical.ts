/**
 * One address for another: canonical_maps, sender_canonical_maps, recipient_canonical_maps (canonical(5)). An answer is
 * looked up again until it stands for itself. What cannot be looked up, or does not come to an end, is told in the log
 * and makes the message wait ("unsure").
 */

import type { AddressTables } from "../trivial-rewrite/address-tables.ts";
import { unquoted } from "../trivial-rewrite/tokens.ts";
import { foldCase } from "../maps/fold.ts";

const ROUNDS_LIMIT = 10;
const LATER = "message not accepted, try again later";

/** `address` in external form; so is the answer. */
export async function canonical(
  tables: AddressTables,
  address: string,
  propagate: boolean,
  warn: (text: string) => void,
): Promise<string | "unsure"> {
  let now = address;
  for (let round = 0; round < ROUNDS_LIMIT; round++) {
    const answer = await tables.map(unquoted(now), propagate);
    if (answer.kind === "none") return now;
    if (answer.kind === "unsure") {
      warn(`${tables.title} map lookup problem for ${now} -- ${LATER}`);
      return answer.kind;
    }
    const [next = now, ...more] = answer.addresses;
    if (more.length > 0) warn(`multi-valued ${tables.title} entry for ${now}`);
    const itself = foldCase(next) === foldCase(now);
    now = next;
    if (itself) return now;
  }
  warn(`unreasonable ${tables.title} map nesting for ${now} -- ${LATER}`);
  return "unsure";
}
