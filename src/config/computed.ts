/**
 * Defaults that no expression can say: the host's name and domain, its networks, the account that owns the queue.
 * Source: postconf(5) myhostname, mydomain, mynetworks_style. What the runtime cannot tell counts as a host named
 * localhost without interfaces; an unknown mynetworks_style throws ExpandError as a fault of mynetworks.
 */

import { wordsOutsideBraces } from "../logical-lines.ts";
import type { Runtime } from "../runtime.ts";
import { ExpandError } from "./expand.ts";
import { addressBytes, addressText } from "../ip-address.ts";
import { userNamed } from "./passwd.ts";

export interface ComputedSource {
  readonly runtime: Runtime;
  readonly directory: string;
  /** Expanded text of a parameter, or null when main.cf does not set it and it is computed. */
  readonly whenSet: (name: string) => string | null;
  readonly text: (name: string) => string;
}

function hostname(source: ComputedSource): string {
  const name = (source.runtime.processes?.hostname ?? "localhost").toLowerCase().replace(/\.$/, "");
  return name === "" ? "localhost" : name;
}

function myhostname(source: ComputedSource): string {
  const name = hostname(source);
  return name.includes(".") ? name : `${name}.${source.whenSet("mydomain") ?? "localdomain"}`;
}

function mydomain(source: ComputedSource): string {
  const name = source.whenSet("myhostname") ?? hostname(source);
  const dot = name.indexOf(".");
  return dot < 0 ? "localdomain" : name.slice(dot + 1);
}

/** Bits of an IPv4 address's class: A 8, B 16, C 24, else the host alone. */
function classPrefix(first: number): number {
  return first < 128 ? 8 : first < 192 ? 16 : first < 224 ? 24 : 32;
}

function networkOf(address: Uint8Array, prefix: number): string {
  const masked = address.map((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefix - index * 8));
    return byte & (0xff << (8 - bits));
  });
  const text = addressText(masked);
  return address.length === 4 ? `${text}/${prefix}` : `[${text}]/${prefix}`;
}

function isLoopback(bytes: Uint8Array): boolean {
  return bytes.length === 4 ? bytes[0] === 127 : bytes.every((byte, index) => byte === (index === 15 ? 1 : 0));
}

function wanted(interfaces: readonly string[], address: string, bytes: Uint8Array): boolean {
  if (interfaces.includes("all")) return true;
  if (interfaces.includes("loopback-only")) return isLoopback(bytes);
  return interfaces.some((name) => {
    const listed = addressBytes(name.replace(/^\[(.*)\]$/, "$1"));
    return listed === null ? name === "localhost" && isLoopback(bytes) : addressText(listed) === address;
  });
}

function mynetworks(source: ComputedSource): string {
  const style = source.text("mynetworks_style");
  if (!["host", "subnet", "class"].includes(style)) {
    throw new ExpandError(`unknown mynetworks mask style value "${style}" in "${style}"`);
  }
  const listen = wordsOutsideBraces(source.text("inet_interfaces"));
  const protocols = wordsOutsideBraces(source.text("inet_protocols"));
  const families = ([4, 16] as const).filter((length) =>
    protocols.includes("all") || protocols.includes(length === 4 ? "ipv4" : "ipv6")
  );
  const networks = new Set<string>();
  for (const length of families) {
    for (const { address, prefix } of source.runtime.network?.interfaces() ?? []) {
      const bytes = addressBytes(address.replace(/%.*$/, ""));
      if (bytes === null || bytes.length !== length || !wanted(listen, addressText(bytes), bytes)) continue;
      const host = style === "host" ? length * 8 : prefix;
      networks.add(networkOf(bytes, style === "class" && length === 4 ? classPrefix(bytes[0]!) : host));
    }
  }
  return [...networks].join(" ");
}

/** The default of a row that has `computed`. */
export function computedDefault(name: string, source: ComputedSource): string {
  switch (name) {
    case "config_directory":
      return source.directory;
    case "myhostname":
      return myhostname(source);
    case "mydomain":
      return mydomain(source);
    case "mynetworks":
      return mynetworks(source);
    case "mail_owner":
      return userNamed(source.runtime, "postfix") === null ? "postrider" : "postfix";
    case "process_id":
      return String(source.runtime.processes?.pid ?? 0);
    case "process_name":
      return (source.runtime.processes?.programName ?? "postrider").replace(/^.*\//, "");
    case "worker_processes":
      return String(Math.max(1, (source.runtime.processes?.cores ?? 1) - 1));
    default:
      throw new Error(`broken rule: no computed default for ${name}`);
  }
}
