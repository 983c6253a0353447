/**
 * What a next hop says (smtp(8), lmtp(8), transport(5)): "host", "host:port", "[host]:port", "[ipv6:::1]", and for LMTP
 * also "inet:host:port" and "unix:/path". Pure; a port that is no number and no known service is null.
 */

import type { Protocol } from "./parameters.ts";

export type NextHop =
  | { readonly kind: "unix"; readonly path: string }
  | {
    readonly kind: "inet";
    /** Without brackets; an IPv6 literal without "ipv6:". */
    readonly host: string;
    readonly port: number;
    /** Given in brackets: no MX lookup. */
    readonly bracketed: boolean;
  };

/** Services of /etc/services that mail uses. */
const SERVICES: Readonly<Record<string, number>> = {
  smtp: 25,
  lmtp: 24,
  submission: 587,
  submissions: 465,
  smtps: 465,
};

export function portOf(service: string): number | null {
  if (/^\d{1,5}$/.test(service)) {
    const port = Number(service);
    return port > 0 && port < 65536 ? port : null;
  }
  return SERVICES[service.toLowerCase()] ?? null;
}

export function parseNextHop(text: string, protocol: Protocol, defaultService: string): NextHop | { fault: string } {
  let rest = text;
  if (protocol === "lmtp") {
    if (rest.startsWith("unix:")) return { kind: "unix", path: rest.slice(5) };
    if (rest.startsWith("inet:")) rest = rest.slice(5);
  }
  const bracketed = /^\[([^\]]*)\](?::([^:]+))?$/.exec(rest);
  // More than one colon outside brackets is an IPv6 address without a port.
  const plain = /^([^:]*)(?::([^:]+))?$/.exec(rest);
  const host = bracketed?.[1] ?? plain?.[1] ?? rest;
  const service = bracketed?.[2] ?? plain?.[2] ?? defaultService;
  if (host === "" || /[[\]]/.test(host)) return { fault: `bad next hop: ${text}` };
  const port = portOf(service);
  if (port === null) return { fault: `unknown service: ${service}/tcp` };
  return { kind: "inet", host: host.replace(/^ipv6:/i, ""), port, bracketed: bracketed !== null };
}
