/**
 * What travels with a message besides its content. Plain data: structured-cloneable and JSON-safe.
 * Addresses are Latin-1 text in internal form (no quotes but where the local part needs them, no angle brackets);
 * the null sender is "".
 */

import type { Millis } from "./runtime.ts";

export type QueueId = string;

/** RFC 3461 NOTIFY: empty means not given. */
export type Notify = readonly ("never" | "success" | "failure" | "delay")[];

export interface Recipient {
  /** Where to deliver, after rewriting. */
  readonly address: string;
  /** As the client gave it, before rewriting ("" when it is the same): orig_to= of the log, X-Original-To. */
  readonly original: string;
  /** ORCPT as received ("rfc822;user@example", xtext undone), "" when not given. */
  readonly originalRecipient: string;
  readonly notify: Notify;
}

/** Who handed the message in: client= of the log, Received, XFORWARD later on. */
export interface ClientOrigin {
  /** "unknown" when the address has no verified name; "localhost" and uid= for local submission. */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly helo: string;
  /** "SMTP" or "ESMTP"; "" for local submission. */
  readonly protocol: string;
  /** The queue id that XFORWARD gave; absent: that of this system. */
  readonly ident?: string;
  /** Not of this site (local_header_rewrite_clients, XFORWARD SOURCE=REMOTE). */
  readonly remote?: true;
}

export interface Envelope {
  readonly sender: string;
  readonly recipients: readonly Recipient[];
  readonly arrived: Millis;
  readonly client: ClientOrigin;
  /** BODY= of MAIL FROM, or what was found: "7bit", "8bit", "" when not known. */
  readonly encoding: "7bit" | "8bit" | "";
  /** RFC 3461 RET; "" when not given. */
  readonly ret: "full" | "hdrs" | "";
  /** RFC 3461 ENVID, xtext undone. */
  readonly envid: string;
  /** SMTPUTF8 was asked for (RFC 6531); "needed": an address or a header is not ASCII. */
  readonly smtputf8?: "requested" | "needed";
  /** transport:nexthop that all recipients go to (content_filter, FILTER); no next hop: that of each address. */
  readonly filter?: string;
  /** This message is itself a bounce or notice; it must not be bounced again (null sender) nor notified. */
  readonly notice?: "bounce" | "double-bounce" | "postmaster";
  /** Recipients that virtual aliases replaced, whose senders asked to know (NOTIFY=SUCCESS; RFC 3461 §5.2.7.3). */
  readonly expanded?: readonly Recipient[];
  /**
   * Nothing is delivered: agents find out whether it could be, and verify(8) is told ("verify") or the sender gets a
   * report ("report": sendmail -bv).
   */
  readonly probe?: "verify" | "report";
  /** The sender gets a report of the first attempt (sendmail -v). */
  readonly traced?: true;
}

export const NO_CLIENT: ClientOrigin = { name: "", address: "", port: 0, helo: "", protocol: "" };

export function plainRecipient(address: string): Recipient {
  return { address, original: "", originalRecipient: "", notify: [] };
}
