/**
 * XFORWARD on its way out (XFORWARD_README): what a next hop or a before-queue filter is told of the client that a
 * message came from. Values are in xtext; a line stays within RFC 5321 §4.5.3.1.4. Pure.
 */

import { encodeXtext } from "./address.ts";
import type { ClientOrigin } from "./envelope.ts";

export type XforwardName = "NAME" | "ADDR" | "PORT" | "PROTO" | "HELO" | "IDENT" | "SOURCE";

/** null: not known. */
export type XforwardValues = Readonly<Record<XforwardName, string | null>>;

const UNAVAILABLE = "[UNAVAILABLE]";
const LINE_LIMIT = 510;

const known = (value: string): string | null => value === "" || value === "unknown" ? null : value;

/** `ident`: the queue id here, "" for none. */
export function xforwardValues(client: ClientOrigin, ident: string): XforwardValues {
  const address = known(client.address);
  return {
    NAME: known(client.name),
    ADDR: address?.includes(":") === true ? `IPv6:${address}` : address,
    PORT: client.port === 0 ? null : String(client.port),
    PROTO: known(client.protocol),
    HELO: known(client.helo),
    IDENT: known(client.ident ?? ident),
    SOURCE: client.remote === true ? "REMOTE" : "LOCAL",
  };
}

/** As a next hop gets it: of these names those that it announced and that are known; "" where none is left. */
export function knownAttributes(
  names: readonly XforwardName[],
  values: XforwardValues,
  announced: ReadonlySet<string>,
): string {
  const words = names.flatMap((name) => {
    const value = values[name];
    return value === null || !announced.has(name) ? [] : [`${name}=${encodeXtext(value)}`];
  });
  return words.length === 0 ? "" : `XFORWARD ${words.join(" ")}`;
}

const ORDER: readonly XforwardName[] = ["NAME", "ADDR", "PORT", "HELO", "IDENT", "PROTO", "SOURCE"];

/** As a filter gets it: all that it announced, in as many lines as needed. */
export function allAttributes(values: XforwardValues, announced: ReadonlySet<string>): string[] {
  const lines: string[] = [];
  for (const name of ORDER) {
    if (!announced.has(name)) continue;
    const value = values[name];
    const word = ` ${name}=${value === null ? UNAVAILABLE : encodeXtext(value)}`;
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length > LINE_LIMIT) lines.push(`XFORWARD${word}`);
    else lines[lines.length - 1] = last + word;
  }
  return lines;
}

/** The names behind XFORWARD in a line of the reply to EHLO. */
export function announcedNames(words: readonly string[]): ReadonlySet<string> {
  return new Set(words.map((word) => word.toUpperCase()));
}
