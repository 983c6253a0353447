/**
 * access(5): the keys under which a client, name or address is looked up, in order, and what a table's answer means.
 * No I/O. An answer that cannot be understood is a server configuration error, as in Postfix.
 */

import { splitAddress } from "../address.ts";
import type { Config } from "../config/config.ts";
import { REPLY, type Reply, reply } from "../reply.ts";
import { splitStatus } from "../status.ts";
import type { SessionFacts, Verdict } from "./restrictions.ts";

export type AccessKind = "client" | "helo" | "sender" | "recipient";

/** "a.b.c", "b.c", "c" (smtpd_access_maps is among parent_domain_matches_subdomains by default). */
function domainKeys(domain: string): string[] {
  const keys: string[] = [];
  for (let name = domain.toLowerCase(); name !== ""; name = name.slice(name.indexOf(".") + 1)) {
    keys.push(name);
    if (!name.includes(".")) break;
  }
  return keys;
}

/** "1.2.3.4", "1.2.3", "1.2", "1"; IPv6 by ":" groups. */
function networkKeys(address: string): string[] {
  const separator = address.includes(":") ? ":" : ".";
  const keys: string[] = [];
  for (let key = address;;) {
    keys.push(key);
    const at = key.lastIndexOf(separator);
    if (at <= 0) return keys;
    key = key.slice(0, at);
  }
}

function addressKeys(address: string, nullKey: string): string[] {
  if (address === "") return [nullKey];
  const { local, domain } = splitAddress(address);
  const lower = address.toLowerCase();
  return [lower, ...domainKeys(domain), `${local.toLowerCase()}@`];
}

export function accessKeys(kind: AccessKind, facts: SessionFacts): readonly string[] {
  switch (kind) {
    case "client":
      return [...domainKeys(facts.client.name), ...networkKeys(facts.client.address)];
    case "helo":
      return domainKeys(facts.helo);
    case "sender":
      return facts.sender === null ? [] : addressKeys(facts.sender, "<>");
    case "recipient":
      return facts.recipient === null ? [] : addressKeys(facts.recipient, "<>");
  }
}

const WHAT: Readonly<Record<AccessKind, string>> = {
  client: "Client host",
  helo: "Helo command",
  sender: "Sender address",
  recipient: "Recipient address",
};

function nameOf(kind: AccessKind, facts: SessionFacts): string {
  if (kind === "client") return `${facts.client.name}[${facts.client.address}]`;
  return (kind === "helo" ? facts.helo : kind === "sender" ? facts.sender : facts.recipient) ?? "";
}

/** The reply with a status whose class fits its code. */
function refusal(code: number, text: string, otherwise: string, kind: AccessKind, facts: SessionFacts): Reply {
  const { status, text: words } = splitStatus(text, otherwise);
  const fitting = `${String(code)[0]}${status.slice(1)}`;
  return reply(
    code,
    fitting,
    `<${nameOf(kind, facts)}>: ${WHAT[kind]} rejected: ${words === "" ? "Access denied" : words}`,
  );
}

export function accessVerdict(value: string, kind: AccessKind, facts: SessionFacts, config: Config): Verdict {
  const [word = "", ...rest] = value.trim().split(/\s+/);
  const text = rest.join(" ");
  const upper = word.toUpperCase();
  if (upper === "OK" || upper === "RELAY" || upper === "PERMIT") return "permit";
  if (upper === "DUNNO") return "dunno";
  if (upper === "REJECT") return refusal(config.access_map_reject_code, text, "5.7.1", kind, facts);
  if (upper === "DEFER") return refusal(config.access_map_defer_code, text, "4.7.1", kind, facts);
  if (/^[45]\d\d$/.test(word)) {
    return refusal(Number(word), text, word.startsWith("4") ? "4.7.1" : "5.7.1", kind, facts);
  }
  if (/^\d+$/.test(word)) return "permit";
  return REPLY.serverConfiguration;
}
