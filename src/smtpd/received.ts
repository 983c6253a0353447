/**
 * The Received header of a message that came by SMTP (RFC 5321 §4.4), in Postfix's form: `for` only with a single
 * RCPT. Pure.
 */

import type { Config } from "../config/config.ts";
import { mailDate } from "../header.ts";
import type { Clock, Millis } from "../runtime.ts";
import type { ClientState } from "./outcome.ts";

export interface ReceivedHost {
  readonly config: Pick<Config, "myhostname" | "mail_name">;
  readonly clock: Pick<Clock, "zoneMinutes" | "zoneName">;
}

export interface ReceivedFacts {
  readonly arrived: Millis;
  /** As they were given, every RCPT that was taken. */
  readonly accepted: readonly string[];
  readonly command: { readonly smtputf8: boolean };
}

/** Whole lines; `id` "": the message gets none here. */
export function receivedHeader(
  { config, clock }: ReceivedHost,
  client: Pick<ClientState, "address" | "helo" | "name" | "protocol">,
  { arrived, accepted, command }: ReceivedFacts,
  id: string,
): string {
  const { address, helo, name } = client;
  const protocol = command.smtputf8 ? "UTF8SMTP" : client.protocol;
  const literal = address.includes(":") ? `IPv6:${address}` : address;
  const date = mailDate(arrived, clock.zoneMinutes(arrived), clock.zoneName(arrived));
  const only = accepted.length === 1 ? accepted[0] : undefined;
  const from = `Received: from ${helo === "" ? name : helo} (${name} [${literal}])\r\n`;
  const by = `\tby ${config.myhostname} (${config.mail_name}) with ${protocol}${id === "" ? "" : ` id ${id}`}`;
  if (only === undefined) return `${from}${by};\r\n\t${date}\r\n`;
  return `${from}${by}\r\n\tfor <${only}>; ${date}\r\n`;
}
