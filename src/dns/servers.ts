/**
 * Which name servers to ask (resolv.conf(5)) and which names are known without asking (hosts(5)).
 * A file that is missing or odd gives what can be read of it: no server listed means 127.0.0.1, as in the C library.
 */

import { addressFamily } from "./literal.ts";
import type { Files, Millis } from "../runtime.ts";
import { latin1Decode } from "../latin1.ts";

export interface NameServer {
  readonly host: string;
  readonly port: number;
}

export interface ServerSettings {
  readonly servers: readonly NameServer[];
  /** How long one server may take to answer. */
  readonly timeout: Millis;
  /** Rounds over all servers. */
  readonly attempts: number;
}

const DEFAULT_TIMEOUT_SECONDS = 5;
const DEFAULT_ATTEMPTS = 2;
/** MAXNS of the C library. */
const SERVERS_LIMIT = 3;

/** "host", "host:port", "[v6]:port" or a bare IPv6 address; null when it is none of them. */
export function nameServer(text: string): NameServer | null {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text);
  if (bracketed !== null) return serverOf(bracketed[1] ?? "", bracketed[2]);
  const plain = /^([^:]+)(?::(\d+))?$/.exec(text);
  if (plain !== null) return serverOf(plain[1] ?? "", plain[2]);
  return serverOf(text, undefined);
}

function serverOf(host: string, port: string | undefined): NameServer | null {
  const number = port === undefined ? 53 : Number(port);
  return addressFamily(host) !== null && number > 0 && number < 65536 ? { host, port: number } : null;
}

export function parseResolvConf(text: string): ServerSettings {
  const servers: NameServer[] = [];
  let timeout = DEFAULT_TIMEOUT_SECONDS;
  let attempts = DEFAULT_ATTEMPTS;
  for (const line of text.split("\n")) {
    const words = line.replace(/[#;].*/, "").trim().split(/\s+/);
    if (words[0] === "nameserver") {
      const host = words[1] ?? "";
      if (addressFamily(host) !== null && servers.length < SERVERS_LIMIT) servers.push({ host, port: 53 });
    } else if (words[0] === "options") {
      for (const word of words.slice(1)) {
        const [name, value] = word.split(":");
        if (name === "timeout" && Number(value) > 0) timeout = Math.min(Number(value), 30);
        if (name === "attempts" && Number(value) > 0) attempts = Math.min(Number(value), 5);
      }
    }
  }
  if (servers.length === 0) servers.push({ host: "127.0.0.1", port: 53 });
  return { servers, timeout: timeout * 1000, attempts };
}

/** Name (lower case) to addresses, in the file's order. */
export function parseHosts(text: string): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const line of text.split("\n")) {
    const [address, ...hosts] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (address === undefined || addressFamily(address) === null) continue;
    for (const host of hosts) {
      const addresses = names.get(host.toLowerCase());
      if (addresses === undefined) names.set(host.toLowerCase(), [address]);
      else if (!addresses.includes(address)) addresses.push(address);
    }
  }
  return names;
}

/** "" when it cannot be read. */
export function readText(files: Files | null, path: string): string {
  if (files === null) return "";
  try {
    return latin1Decode(files.readSync(path));
  } catch {
    return "";
  }
}
