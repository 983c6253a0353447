/**
 * The order of a message's recipients (SCHEDULER_README; seen in RCPT commands, the log and notices): by transport and
 * destination, and within one by domain, upper and lower case aside, then by address. Pure.
 */

import { unquoted } from "../trivial-rewrite/tokens.ts";
import type { Group } from "./dispatch.ts";

const compare = (one: string, other: string): number => one < other ? -1 : one > other ? 1 : 0;

/** Without a domain: last. */
function domainOf(address: string): string {
  const at = address.lastIndexOf("@");
  return at < 0 ? "\uffff" : address.slice(at).toLowerCase();
}

function sorted(group: Group): Group {
  const { waiting, addresses } = group;
  if (waiting.length < 2) return group;
  const domains = addresses.map(domainOf);
  const plain = addresses.map(unquoted);
  const places = addresses.map((_address, at) => at).sort((one, other) =>
    compare(domains[one]!, domains[other]!) || compare(plain[one]!, plain[other]!)
  );
  return { ...group, waiting: places.map((at) => waiting[at]!), addresses: places.map((at) => addresses[at]!) };
}

export function inOrder(groups: ReadonlyMap<string, Group>): readonly Group[] {
  if (groups.size === 1) return [...groups.values()].map(sorted);
  return [...groups.values()]
    .sort((one, other) => compare(one.transport.name, other.transport.name) || compare(one.key, other.key))
    .map(sorted);
}
