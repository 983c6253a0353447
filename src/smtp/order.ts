/**
 * The order in which servers are tried: by preference, chance among equals, and both address families within the number
 * that will be tried at all. Pure: chance is handed in.
 */

import { addressFamily } from "../dns/literal.ts";
import type { Random } from "../runtime.ts";

interface Ordered {
  readonly address: string;
  readonly preference: number;
}

/** Fisher and Yates; in place. */
export function shuffle<T>(list: T[], random: Random): void {
  for (let at = list.length - 1; at > 0; at--) {
    const other = random.below(at + 1);
    const moved = list[at] as T;
    list[at] = list[other] as T;
    list[other] = moved;
  }
}

/** Stable. `family`: "ipv4" or "ipv6" first within one preference, or "any". */
export function byPreference<T extends Ordered>(list: readonly T[], family: string): T[] {
  const favoured = family === "ipv4" ? 4 : family === "ipv6" ? 6 : null;
  const rank = (one: T): number => favoured === null || addressFamily(one.address) === favoured ? 0 : 1;
  return [...list].sort((one, other) => one.preference - other.preference || rank(one) - rank(other));
}

/** Drops from the family that would leave the other no place among the first `limit` (smtp_balance_inet_protocols). */
export function balanced<T extends Ordered>(list: readonly T[], limit: number): T[] {
  if (limit <= 1 || list.length <= limit) return [...list];
  const counts = { 4: 0, 6: 0 };
  for (const one of list) counts[addressFamily(one.address) ?? 4]++;
  const half = Math.floor(limit / 2);
  const quota = { 4: Math.max(half, limit - counts[6]), 6: Math.max(half, limit - counts[4]) };
  // An odd limit has one place more: it goes to the family that is tried first.
  const first = list[0] === undefined ? 4 : addressFamily(list[0].address) ?? 4;
  if (counts[4] > half && counts[6] > half) quota[first] = limit - half;
  return list.filter((one) => quota[addressFamily(one.address) ?? 4]-- > 0);
}
