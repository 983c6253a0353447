/**
 * The log line of a delivery, as Postfix's log_adhoc(3) writes it: parsers (pflogsumm) read it. Pure.
 */

import type { QueueId, Recipient } from "../envelope.ts";
import type { Millis } from "../runtime.ts";
import type { DeliveryResult } from "../status.ts";

export interface DeliveryTimes {
  readonly arrived: Millis;
  readonly activeAt: Millis;
  readonly startedAt: Millis;
  readonly now: Millis;
}

/** Two significant digits below 100 s, hundredths at the finest: "0", "0.05", "1.2", "16", "1600". */
export function delayText(time: Millis): string {
  const seconds = Math.max(0, time) / 1000;
  if (seconds >= 9.95) return String(Math.round(seconds));
  const digits = seconds >= 0.995 ? 10 : 100;
  return String(Math.round(seconds * digits) / digits);
}

export function deliveryLine(id: QueueId, recipient: Recipient, result: DeliveryResult, times: DeliveryTimes): string {
  const original = recipient.original === "" ? "" : ` orig_to=<${recipient.original}>,`;
  const use = result.connectionUse > 1 ? ` conn_use=${result.connectionUse},` : "";
  const connected = result.connectedAt === 0 ? times.now : result.connectedAt;
  const stages = [
    times.activeAt - times.arrived,
    times.startedAt - times.activeAt,
    connected - times.startedAt,
    times.now - connected,
  ].map(delayText).join("/");
  return `${id}: to=<${recipient.address}>,${original} relay=${result.relay},${use} ` +
    `delay=${delayText(times.now - times.arrived)}, delays=${stages}, dsn=${result.status}, ` +
    `status=${result.outcome} (${result.reason})`;
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

/** Of a destination or transport that rests. */
export function suspension(dead: { readonly status: string; readonly why: string }): { status: string; why: string } {
  return { status: dead.status, why: `delivery temporarily suspended: ${dead.why}` };
}
