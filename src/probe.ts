/**
 * Address verification as its users see it, and the envelope sender of probes (address_verify_sender,
 * address_verify_sender_ttl). With a time-to-live the number of the present time slot, in base 31 without vowels,
 * follows the local part; the slots beside it count too. Pure.
 */

import type { Config } from "./config/config.ts";
import type { Millis } from "./runtime.ts";

export type AddressStatus = "deliverable" | "deferred" | "undeliverable" | "unknown";

export interface Verified {
  readonly status: AddressStatus;
  readonly why: string;
}

export interface Verifier {
  /** The status as soon as it is known, or what is known when the time is over. */
  wait(address: string, within: Millis): Promise<Verified>;
}

export type ProbeSenderParameters = Pick<Config, "address_verify_sender" | "address_verify_sender_ttl" | "myorigin">;

const DIGITS = "0123456789BCDFGHJKLMNPQRSTVWXYZ";

function slotText(slot: number): string {
  let text = "";
  for (let left = slot; left > 0 || text === ""; left = Math.floor(left / DIGITS.length)) {
    text = `${DIGITS[left % DIGITS.length]}${text}`;
  }
  return text;
}

function withSlot(config: ProbeSenderParameters, now: Millis, offset: number): string {
  const { address_verify_sender: sender, address_verify_sender_ttl: life, myorigin } = config;
  if (sender === "" || sender === "<>") return "";
  const at = sender.indexOf("@");
  const [local, domain] = at < 0 ? [sender, myorigin] : [sender.slice(0, at), sender.slice(at + 1)];
  return `${local}${life > 0 ? slotText(Math.floor(now / life) + offset) : ""}@${domain}`;
}

/** "" is the null sender. */
export function probeSender(config: ProbeSenderParameters, now: Millis): string {
  return withSlot(config, now, 0);
}

/** Whether mail to that address answers a probe of ours: two hosts that probe each other must both get through. */
export function isProbeSender(address: string, config: ProbeSenderParameters, now: Millis): boolean {
  const folded = address.toLowerCase();
  const offsets = config.address_verify_sender_ttl > 0 ? [-1, 0, 1] : [0];
  return folded !== "" && offsets.some((offset) => withSlot(config, now, offset).toLowerCase() === folded);
}
