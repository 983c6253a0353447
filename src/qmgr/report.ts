/**
 * The log line of a delivery, as Postfix's log_adhoc(3) writes it: parsers (pflogsumm) read it. And whether the sender
 * is told of it. Pure.
 */

import type { Envelope, QueueId, Recipient } from "../envelope.ts";
import type { Failed } from "../notices.ts";
import type { Millis } from "../runtime.ts";
import type { DeliveryResult } from "../status.ts";

export interface DeliveryTimes {
  readonly arrived: Millis;
  readonly activeAt: Millis;
  readonly startedAt: Millis;
  readonly now: Millis;
  /** delay_logging_resolution_limit; 2 where it is not given. */
  readonly resolution?: number;
}

/** Two significant digits below 100 s, with so many behind the point at most: "0", "0.05", "1.2", "16", "1600". */
export function delayText(time: Millis, most = 2): string {
  const seconds = Math.max(0, time) / 1000;
  let digits = 0;
  for (let least = 9.95; digits < most && seconds < least; least /= 10) digits++;
  return String(Math.round(seconds * 10 ** digits) / 10 ** digits);
}

/** `probe`: the message of one; what was found out is its status. `softened`: soft_bounce made the result. */
export function deliveryLine(
  id: QueueId,
  recipient: Recipient,
  result: DeliveryResult,
  times: DeliveryTimes,
  probe?: Envelope["probe"],
  softened = false,
): string {
  const found = result.outcome === "sent" ? "deliverable" : "undeliverable";
  const outcome = softened ? "SOFTBOUNCE" : result.outcome;
  const original = recipient.original === "" ? "" : ` orig_to=<${recipient.original}>,`;
  const use = result.connectionUse > 1 ? ` conn_use=${result.connectionUse},` : "";
  const connected = result.connectedAt === 0 ? times.now : result.connectedAt;
  const stages = [
    times.activeAt - times.arrived,
    times.startedAt - times.activeAt,
    connected - times.startedAt,
    times.now - connected,
  ].map((time) => delayText(time, times.resolution)).join("/");
  return `${id}: to=<${recipient.address}>,${original} relay=${result.relay},${use} ` +
    `delay=${delayText(times.now - times.arrived, times.resolution)}, delays=${stages}, dsn=${result.status}, ` +
    `status=${probe === undefined ? outcome : found} (${result.reason})`;
}

/** What a recipient got whose notice has not gone out yet. */
export function bouncedResult(status: string, reason: string): DeliveryResult {
  return { ...suspendedResult(status, reason), outcome: "bounced" };
}

/** What a recipient gets that was put off without a delivery. */
export function suspendedResult(status: string, reason: string): DeliveryResult {
  return {
    outcome: "deferred",
    scope: "message",
    status,
    reason,
    remote: null,
    relay: "none",
    connectionUse: 0,
    connectedAt: 0,
  };
}

/** What mail waits for while its destination rests. */
export function suspension(reason: string): string {
  return `delivery temporarily suspended: ${reason}`;
}

/**
 * Whether the sender is to hear that mail was delivered: NOTIFY=SUCCESS, unless the next hop reports that (RFC 3461
 * §5.2.1); `cleared`: a delay warning went out before, and confirm_delay_cleared wants it taken back.
 */
export function tellsOfDelivery({ notify }: Recipient, result: DeliveryResult, cleared: boolean): boolean {
  if (notify.includes("success")) return result.reportsSuccess !== true;
  return cleared && (notify.length === 0 || notify.includes("delay"));
}

/** What the sender is told of recipients that aliases replaced. */
export function expansions({ expanded = [] }: Pick<Envelope, "expanded">): Failed[] {
  const result: DeliveryResult = { ...suspendedResult("2.0.0", "alias expanded"), outcome: "sent" };
  return expanded.map((recipient) => ({ waiting: { recipient, index: -1 }, result, action: "expanded" }));
}
