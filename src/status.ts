/**
 * Enhanced status codes (RFC 3463) and what became of a delivery.
 */

import type { Millis } from "./runtime.ts";

/** "5.1.1": class, subject, detail. */
export type Status = string;

/** What a failure speaks about. Only "destination" shrinks a destination's window or marks it dead. */
export type Scope = "recipient" | "message" | "destination" | "transport";

export type Outcome = "sent" | "deferred" | "bounced";

/** Who answered, and with what words (DSN Remote-MTA and Diagnostic-Code). */
export interface Remote {
  /** Host name as looked up. */
  readonly host: string;
  /** The reply as received, one line. */
  readonly reply: string;
  /** "smtp" for an SMTP reply, "x-unix" for a command's exit. */
  readonly diagnosticType: "smtp" | "x-unix";
}

export interface DeliveryResult {
  readonly outcome: Outcome;
  readonly scope: Scope;
  readonly status: Status;
  /** The words in the log's parentheses and in the notice. */
  readonly reason: string;
  readonly remote: Remote | null;
  /** relay= of the log: "host[1.2.3.4]:25", "local", "virtual", "none". */
  readonly relay: string;
  /** conn_use= of the log; 1 or less is not shown. */
  readonly connectionUse: number;
  /** When the connection (or mailbox) was ready, by Clock.now(); 0: it never was. */
  readonly connectedAt: Millis;
  /** The next hop announced DSN: it reports success from here on (RFC 3461 §5.2.1). */
  readonly reportsSuccess?: true;
}

/** The status with its class digit made to fit the outcome ("sent" 2, "deferred" 4, "bounced" 5). */
export function statusOfClass(status: Status, outcome: Outcome): Status {
  const digit = outcome === "sent" ? "2" : outcome === "deferred" ? "4" : "5";
  return status[0] === digit ? status : digit + status.slice(1);
}

const LEADING_STATUS = /^([245])\.(\d{1,3})\.(\d{1,3})(?= |$)/;

/** Takes a status off the front of a text ("5.7.1 no"), as Postfix's dsn_split(3) does. */
export function splitStatus(text: string, otherwise: Status): { readonly status: Status; readonly text: string } {
  const found = LEADING_STATUS.exec(text);
  if (found === null) return { status: otherwise, text };
  return { status: found[0], text: text.slice(found[0].length).trimStart() };
}
