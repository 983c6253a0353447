/**
 * XCLIENT and XFORWARD (XCLIENT_README, XFORWARD_README): what a trusted client says of the client that it speaks for.
 * XCLIENT replaces what policy and log see of this session; XFORWARD is for the log and the next hop only, and holds
 * for one message. Pure; a malformed attribute is answered with a reply and nothing of the command counts.
 */

import { decodeXtext } from "../address.ts";
import { type ClientOrigin, NO_CLIENT } from "../envelope.ts";
import { addressBytes } from "../ip-address.ts";
import { REPLY, type Reply } from "../reply.ts";
import type { Word } from "./engine/commands.ts";
import type { ClientState } from "./outcome.ts";
import { UNKNOWN } from "./peer.ts";

/** In the order of the EHLO reply. */
export const XCLIENT_LINE = "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR DESTPORT";
export const XFORWARD_LINE = "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT";

const LONGEST = 255;
const UNAVAILABLE = "[UNAVAILABLE]";
const TEMPORARY = "[TEMPUNAVAIL]";
/** What could mislead a reader of headers and logs. */
export const NEUTERED = /[\s<>()\\";@]/g;

/** Who handed the message to the client that forwards it; what is not known is "". */
export interface Forwarded {
  readonly name: string;
  readonly address: string;
  readonly port: string;
  readonly helo: string;
  readonly protocol: string;
  readonly ident: string;
  readonly source: "" | "LOCAL" | "REMOTE";
}

export const NOT_FORWARDED: Forwarded = {
  name: "",
  address: "",
  port: "",
  helo: "",
  protocol: "",
  ident: "",
  source: "",
};

/** null: nothing is known. */
export function originOf(from: Forwarded | ClientState): ClientOrigin | null {
  const { name, address, port, helo, protocol } = from;
  if (name === "" && address === "") return null;
  return { name: name || UNKNOWN, address: address || UNKNOWN, port: Number(port) || 0, helo, protocol };
}

/** Who handed the message in, for the next hop; `own`: a client of this site. */
export function messageOrigin(forwarded: Forwarded, client: ClientState, own: boolean): ClientOrigin {
  return {
    ...originOf(forwarded) ?? originOf(client) ?? NO_CLIENT,
    ...forwarded.ident === "" ? {} : { ident: forwarded.ident },
    ...own ? {} : { remote: true as const },
  };
}

/** client= of the log, and who is behind it. */
export function clientText(client: ClientState, { ident, name, address }: Forwarded): string {
  const sasl = client.login === "" ? "" : `, sasl_method=XCLIENT, sasl_username=${client.login}`;
  const id = ident === "" ? "" : `, orig_queue_id=${ident}`;
  const place = address === "" || address === UNKNOWN ? "" : `[${address}]`;
  const forwarded = name + address === "" ? "" : `, orig_client=${name || UNKNOWN}${place}`;
  return `client=${client.name}[${client.address}]${sasl}${id}${forwarded}`;
}

type Overrides = Partial<Omit<ClientState, "where" | "rules">>;
type Change<T> = T | { readonly refused: Reply };
type Attribute<T> = (value: string, name: string) => Change<T>;

const badSyntax = (name: string, value: string): { readonly refused: Reply } => ({
  refused: REPLY.attributeSyntax(name, value),
});

/** RFC 1123 §2.1 with underscores, at least one letter: an address is no name. */
function validName(text: string): boolean {
  return text.length <= LONGEST && addressBytes(text) === null && !/^[0-9.]+$/.test(text) &&
    text.split(".").every((label) => /^[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$/.test(label));
}

/** An address as in EHLO literals: IPv6 with its tag. null: neither. */
function plainAddress(value: string): string | null {
  const tagged = /^IPV6:/i.test(value);
  const text = (tagged ? value.slice(5) : value).toLowerCase();
  return text.includes(":") === tagged && addressBytes(text) !== null ? text : null;
}

function named(kind: "name" | "reverseName"): Attribute<Overrides> {
  const status = kind === "name" ? "nameStatus" : "reverseStatus";
  return (value, attribute) => {
    if (value.toUpperCase() === UNAVAILABLE) return { [kind]: UNKNOWN, [status]: "permanent" };
    if (value.toUpperCase() === TEMPORARY) return { [kind]: UNKNOWN, [status]: "temporary" };
    return validName(value) ? { [kind]: value, [status]: "ok" } : badSyntax(attribute, value);
  };
}

function addressed(kind: "address" | "localAddress"): Attribute<Overrides> {
  return (value, attribute) => {
    if (value.toUpperCase() === UNAVAILABLE) return { [kind]: UNKNOWN };
    const address = plainAddress(value);
    return address === null ? badSyntax(attribute, value) : { [kind]: address };
  };
}

function numbered(kind: "port" | "localPort"): Attribute<Overrides> {
  return (value, attribute) => {
    if (value.toUpperCase() === UNAVAILABLE) return { [kind]: 0 };
    return /^\d{1,5}$/.test(value) ? { [kind]: Number(value) } : badSyntax(attribute, value);
  };
}

const XCLIENT: Readonly<Record<string, Attribute<Overrides>>> = {
  NAME: named("name"),
  REVERSE_NAME: named("reverseName"),
  ADDR: addressed("address"),
  DESTADDR: addressed("localAddress"),
  PORT: numbered("port"),
  DESTPORT: numbered("localPort"),
  HELO: (value) => ({ helo: value.toUpperCase() === UNAVAILABLE ? "" : value.replace(NEUTERED, "?") }),
  PROTO: (value, name) => {
    const protocol = value.toUpperCase();
    return protocol === "SMTP" || protocol === "ESMTP" ? { protocol } : badSyntax(name, value);
  },
  LOGIN: (value) => ({ login: value.toUpperCase() === UNAVAILABLE ? "" : value }),
};

const neutral = (kind: keyof Forwarded): Attribute<Partial<Forwarded>> => (value) => ({
  [kind]: value.toUpperCase() === UNAVAILABLE ? UNKNOWN : value.replace(NEUTERED, "?"),
});

const XFORWARD: Readonly<Record<string, Attribute<Partial<Forwarded>>>> = {
  NAME: neutral("name"),
  ADDR: (value, name) => {
    if (value.toUpperCase() === UNAVAILABLE) return { address: UNKNOWN };
    const address = plainAddress(value);
    return address === null ? badSyntax(name, value) : { address };
  },
  PORT: (value, name) => {
    if (value.toUpperCase() === UNAVAILABLE) return { port: UNKNOWN };
    return /^\d{1,5}$/.test(value) ? { port: value } : badSyntax(name, value);
  },
  HELO: neutral("helo"),
  PROTO: (value, name) => value.length > 64 ? badSyntax(name, value) : neutral("protocol")(value, name),
  IDENT: neutral("ident"),
  SOURCE: (value, name) => {
    if (value.toUpperCase() === UNAVAILABLE) return { source: "" };
    const source = value.toUpperCase();
    return source === "LOCAL" || source === "REMOTE" ? { source } : badSyntax(name, value);
  },
};

function parsed<T extends object>(
  command: string,
  words: readonly Word[],
  attributes: Readonly<Record<string, Attribute<T>>>,
  ipv6: boolean,
): Change<T> {
  let all = {} as T;
  for (const { text } of words.slice(1)) {
    const equals = text.indexOf("=");
    if (equals < 0 || equals === text.length - 1) return { refused: REPLY.attributeExpected };
    const raw = text.slice(equals + 1);
    if (raw.length > LONGEST) return { refused: REPLY.attributeTooLong };
    // deno-lint-ignore no-control-regex
    const value = (decodeXtext(raw) ?? raw).replace(/[^\x20-\x7e]/g, "?");
    const name = text.slice(0, equals).toUpperCase();
    const attribute = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
    if (attribute === undefined) return { refused: REPLY.attributeName(command, text.slice(0, equals)) };
    const address = name === "ADDR" || name === "DESTADDR";
    const change = address && !ipv6 && value.includes(":") ? badSyntax(name, value) : attribute(value, name);
    if ("refused" in change) return change;
    all = { ...all, ...change };
  }
  return all;
}

/** `ipv6`: it is among inet_protocols. */
export function parseXclient(words: readonly Word[], ipv6: boolean): Change<Overrides> {
  return parsed("XCLIENT", words, XCLIENT, ipv6);
}

/** `before`: what an earlier XFORWARD said for the same message. */
export function parseXforward(words: readonly Word[], before: Forwarded, ipv6: boolean): Change<Forwarded> {
  const change = parsed("XFORWARD", words, XFORWARD, ipv6);
  return "refused" in change ? change : { ...before, ...change };
}
