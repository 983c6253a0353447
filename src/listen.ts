/**
 * The addresses on which an inet service of master.cf listens: "smtp", "2525", "127.0.0.1:2525", "[::1]:smtp". Without
 * a host it listens on inet_interfaces. Names of ports are those of /etc/services. Faults are ConfigErrors.
 */

import type { Config, Service } from "./config/config.ts";
import { ConfigError } from "./errors.ts";
import { latin1Decode } from "./latin1.ts";
import type { Runtime } from "./runtime.ts";

export interface InetAddress {
  readonly host: string;
  readonly port: number;
}

/** Those that mail needs, where /etc/services is missing. */
const PORTS: Readonly<Record<string, number>> = { smtp: 25, submission: 587, submissions: 465, smtps: 465, lmtp: 24 };

export function portNumber(name: string, runtime: Runtime): number | null {
  if (/^\d+$/.test(name)) return Number(name) <= 65535 ? Number(name) : null;
  try {
    const text = latin1Decode(runtime.files?.readSync("/etc/services") ?? new Uint8Array(0));
    for (const line of text.split("\n")) {
      const [service, port = "", ...aliases] = (line.split("#")[0] as string).trim().split(/\s+/);
      if ((service === name || aliases.includes(name)) && port.endsWith("/tcp")) return parseInt(port, 10);
    }
  } catch {
    // Without /etc/services the table above serves.
  }
  return PORTS[name] ?? null;
}

export function listenAddresses(service: Service, config: Config, runtime: Runtime): readonly InetAddress[] {
  const split = /^(?:\[([^\]]+)\]|([^:]*)):([^:]+)$/.exec(service.name);
  const host = split?.[1] ?? split?.[2] ?? "";
  const port = portNumber(split?.[3] ?? service.name, runtime);
  if (port === null) throw new ConfigError([`fatal: ${service.name}:inet: unknown port`]);
  if (host !== "") return [{ host: host === "localhost" ? "127.0.0.1" : host, port }];
  return interfaceHosts(config).map((address) => ({ host: address, port }));
}

function interfaceHosts(config: Config): readonly string[] {
  const protocols = config.inet_protocols;
  const v4 = protocols.includes("all") || protocols.includes("ipv4");
  const v6 = protocols.includes("all") || protocols.includes("ipv6");
  const hosts: string[] = [];
  for (const word of config.inet_interfaces) {
    if (word === "all") hosts.push(v6 ? "::" : "0.0.0.0");
    else if (word === "loopback-only" || word === "localhost") {
      hosts.push(...v4 ? ["127.0.0.1"] : [], ...v6 ? ["::1"] : []);
    } else if (word.includes(":") ? v6 : v4) hosts.push(word.replace(/^\[|\]$/g, ""));
  }
  return [...new Set(hosts)];
}

/** Half of the descriptors that the process may have, less what it needs for itself; the others serve deliveries. */
export function sessionRoom(runtime: Runtime): number {
  try {
    const limits = latin1Decode(runtime.files!.readSync("/proc/self/limits"));
    const found = /^Max open files\s+(\d+)/m.exec(limits);
    return found === null ? Number.POSITIVE_INFINITY : Math.max(8, Math.floor((Number(found[1]) - 32) / 2));
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
