/**
 * The name of a destination within its transport: the next hop, or where deliveries have one recipient each
 * (destination_recipient_limit = 1) the recipient without its extension at that next hop. Pure.
 */

import { splitAddress, splitExtension } from "../address.ts";
import type { Transport } from "../agent.ts";

/** Services that deliver to nobody: one destination for each reason. */
const NOBODY = new Set(["error", "retry"]);

export function queueName(
  { transport, nexthop, recipient }: Extract<Transport, { readonly kind: "deliver" }>,
  recipientLimit: number,
  delimiters: string,
): string {
  if (recipientLimit !== 1 || NOBODY.has(transport)) return nexthop.toLowerCase();
  const { local } = splitAddress(recipient);
  return `${splitExtension(local, delimiters)?.user ?? local}@${nexthop}`.toLowerCase();
}
