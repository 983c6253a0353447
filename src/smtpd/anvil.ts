/**
 * anvil(8): how many connections a client has, and how many connections, messages and recipients it asked for in the
 * present anvil_rate_time_unit. A client is an address, or the network that smtpd_client_ipv4_prefix_length and
 * smtpd_client_ipv6_prefix_length make of it, at one service. Clients that are gone and silent for a unit are
 * forgotten.
 */

import { addressBytes, addressText } from "../ip-address.ts";
import type { Clock, Millis } from "../runtime.ts";

export type ClientEvent = "connections" | "messages" | "recipients";

interface Client {
  open: number;
  since: Millis;
  readonly counts: Record<ClientEvent, number>;
}

export interface AnvilRules {
  readonly unit: Millis;
  readonly prefix4: number;
  readonly prefix6: number;
}

/** Clients beyond which those that are silent are looked for. */
const SWEEP_AT = 1000;

/** The greatest of a kind since statistics were last given, with client and time. */
interface Peak {
  readonly value: number;
  readonly who: string;
  readonly at: Millis;
}

type PeakName = "connection rate" | "connection count" | "message rate" | "recipient rate" | "cache size";
const PEAKS: readonly PeakName[] = [
  "connection rate",
  "connection count",
  "message rate",
  "recipient rate",
  "cache size",
];
const RATES: Readonly<Record<ClientEvent, PeakName>> = {
  connections: "connection rate",
  messages: "message rate",
  recipients: "recipient rate",
};

/** "Nov 23 01:35:56", in local time. */
function stamp(clock: Clock, at: Millis): string {
  const local = new Date(at + clock.zoneMinutes(at) * 60_000);
  const month = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ")[local.getUTCMonth()];
  return `${month} ${String(local.getUTCDate()).padStart(2)} ${local.toISOString().slice(11, 19)}`;
}

export class Anvil {
  readonly #clock: Clock;
  readonly #rules: AnvilRules;
  readonly #clients = new Map<string, Client>();
  readonly #peaks = new Map<PeakName, Peak>();
  #sweepAt = SWEEP_AT;

  constructor(clock: Clock, rules: AnvilRules) {
    this.#clock = clock;
    this.#rules = rules;
  }

  /** Counting by those rules would be the same. */
  follows({ unit, prefix4, prefix6 }: AnvilRules): boolean {
    const own = this.#rules;
    return own.unit === unit && own.prefix4 === prefix4 && own.prefix6 === prefix6;
  }

  /** Clients that are remembered. */
  get size(): number {
    return this.#clients.size;
  }

  /** Counts a connection: those that are open, and those of this unit of time. */
  connect(service: string, address: string): { readonly open: number; readonly rate: number } {
    const client = this.#client(service, address);
    const open = ++client.open;
    const rate = this.#count(client, "connections", service, address);
    this.#peak("connection count", open, service, address);
    return { open, rate };
  }

  disconnect(service: string, address: string): void {
    const client = this.#clients.get(this.#key(service, address));
    if (client !== undefined && client.open > 0) client.open--;
  }

  /** The event's count in this unit of time, this one among them. */
  event(service: string, address: string, event: ClientEvent): number {
    return this.#count(this.#client(service, address), event, service, address);
  }

  /** Lines for the log (anvil_status_update_time); counting begins anew. */
  statistics(): readonly string[] {
    const unit = Math.round(this.#rules.unit / 1000);
    const lines = PEAKS.flatMap((name) => {
      const peak = this.#peaks.get(name);
      if (peak === undefined) return [];
      const value = `${peak.value}${name.endsWith("rate") ? `/${unit}s` : ""}`;
      const who = peak.who === "" ? "" : ` for (${peak.who})`;
      return [`statistics: max ${name} ${value}${who} at ${stamp(this.#clock, peak.at)}`];
    });
    this.#peaks.clear();
    return lines;
  }

  #peak(name: PeakName, value: number, service: string, address: string): void {
    if (value <= (this.#peaks.get(name)?.value ?? 0)) return;
    const who = service === "" ? "" : this.#key(service, address).replace(" ", ":");
    this.#peaks.set(name, { value, who, at: this.#clock.now() });
  }

  #count(client: Client, event: ClientEvent, service: string, address: string): number {
    const now = this.#clock.monotonic();
    if (now - client.since >= this.#rules.unit) {
      client.since = now;
      Object.assign(client.counts, { connections: 0, messages: 0, recipients: 0 });
    }
    const count = ++client.counts[event];
    this.#peak(RATES[event], count, service, address);
    return count;
  }

  #client(service: string, address: string): Client {
    const key = this.#key(service, address);
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    if (this.#clients.size >= this.#sweepAt) this.#sweep();
    const counts = { connections: 0, messages: 0, recipients: 0 };
    const made = { open: 0, since: this.#clock.monotonic(), counts };
    this.#clients.set(key, made);
    this.#peak("cache size", this.#clients.size, "", "");
    return made;
  }

  #sweep(): void {
    const silent = this.#clock.monotonic() - this.#rules.unit;
    for (const [key, { open, since }] of this.#clients) if (open === 0 && since <= silent) this.#clients.delete(key);
    this.#sweepAt = Math.max(SWEEP_AT, this.#clients.size * 2);
  }

  #key(service: string, address: string): string {
    const bytes = addressBytes(address);
    if (bytes === null) return `${service} ${address}`;
    const kept = bytes.length === 4 ? this.#rules.prefix4 : this.#rules.prefix6;
    if (kept >= bytes.length * 8) return `${service} ${address}`;
    const network = bytes.map((byte, at) => byte & (0xff00 >> Math.min(8, Math.max(0, kept - at * 8))));
    return `${service} ${addressText(network)}/${kept}`;
  }
}
