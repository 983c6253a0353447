/**
 * DNS block lists and allow lists (postconf(5): reject_rbl_client, reject_rhsbl_*, permit_dnswl_client,
 * permit_rhswl_client). A list that cannot be asked blocks nobody; where it might have permitted, refusals become
 * temporary. All lists of one restriction list are asked at once; what they say counts in order.
 */

import type { Config } from "../config/config.ts";
import { expand, ExpandError } from "../config/expand.ts";
import type { Resolver } from "../dns/dns.ts";
import { reverseName } from "../dns/literal.ts";
import type { LookupTable } from "../maps/map.ts";
import { unquoted } from "../trivial-rewrite/tokens.ts";
import { fittingStatus, lookUp, statusAndText } from "./access.ts";
import { clientOf, type SessionFacts, type Subject, type Verdict } from "./facts.ts";
import { validHostname } from "./host-name.ts";
import type { Judging } from "./judging.ts";

export interface RblServices {
  readonly config: Config;
  readonly resolver: Resolver;
  readonly rblReplyMaps: readonly LookupTable[];
  readonly localTime: () => string;
}

/** One octet of a filter: the ranges it takes. */
type Octet = readonly (readonly [number, number])[];

export interface DnsList {
  /** As written, filter included: the key of rbl_reply_maps. */
  readonly text: string;
  readonly domain: string;
  /** Which answers count; null: all. */
  readonly filter: readonly Octet[] | null;
}

function parseOctet(text: string): Octet | null {
  const inner = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1).split(";") : null;
  const ranges = (inner ?? [text]).map((part): readonly [number, number] | null => {
    const found = (inner === null ? /^(\d{1,9})$/ : /^(\d{1,9})(?:\.\.(\d{1,9}))?$/).exec(part);
    if (found === null) return null;
    const [from, to] = [Number(found[1]), Number(found[2] ?? found[1])];
    return from <= to && to <= 255 ? [from, to] : null;
  });
  return ranges.every((range) => range !== null) ? ranges : null;
}

/** Without brackets around all of it. */
function unwrapped(pattern: string): string {
  if (!pattern.startsWith("[")) return pattern;
  let depth = 0;
  for (let at = 0; at < pattern.length; at++) {
    if (pattern[at] === "[") depth++;
    else if (pattern[at] === "]" && --depth === 0) return at === pattern.length - 1 ? pattern.slice(1, -1) : pattern;
  }
  return pattern;
}

/** "list.example=127.0.0.[2..11;20]"; null: the filter is malformed. */
export function parseDnsList(text: string): DnsList | null {
  const equals = text.indexOf("=");
  if (equals < 0) return { text, domain: text, filter: null };
  const pattern = unwrapped(text.slice(equals + 1));
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  for (let at = 0; at <= pattern.length; at++) {
    const char = pattern[at];
    if (char === "[") depth++;
    else if (char === "]") depth--;
    else if (char === undefined || (char === "." && depth === 0)) {
      parts.push(pattern.slice(start, at));
      start = at + 1;
    }
  }
  const octets = parts.map(parseOctet);
  if (octets.length !== 4 || octets.some((octet) => octet === null)) return null;
  return { text, domain: text.slice(0, equals), filter: octets as Octet[] };
}

function counts({ filter }: DnsList, address: string): boolean {
  if (filter === null) return true;
  const octets = address.split(".").map(Number);
  return filter.every((ranges, at) => ranges.some(([from, to]) => octets[at]! >= from && octets[at]! <= to));
}

/** The name to ask for an address. */
export function addressQuery(list: DnsList, address: string): string | null {
  const reversed = reverseName(address)?.replace(/\.(?:in-addr|ip6)\.arpa$/, "");
  return reversed === undefined ? null : `${reversed}.${list.domain}`;
}

/** The name to ask for a domain or the domain of an address; null: nothing is asked. */
export function domainQuery(list: DnsList, what: string): string | null {
  const at = what.lastIndexOf("@");
  const domain = what.slice(at + 1);
  if (at >= 0 && domain.startsWith("[")) return null;
  if (domain === "" || /^\d*$/.test(domain.slice(domain.lastIndexOf(".") + 1)) || !validHostname(domain)) return null;
  return `${domain}.${list.domain}`;
}

const TEXT_LIMIT = 500;

type Listed = { readonly kind: "listed"; readonly text: string } | { readonly kind: "none" | "unsure" };

async function ask(list: DnsList, query: string, { resolver }: RblServices, judging: Judging): Promise<Listed> {
  const answer = await resolver.addresses(query, 4);
  if (answer.kind === "unsure") judging.warn(`${query}: RBL lookup error: ${answer.why}`);
  if (answer.kind !== "found") return { kind: answer.kind };
  if (!answer.records.some((address) => counts(list, address))) return { kind: "none" };
  const texts = await resolver.txt(query);
  return { kind: "listed", text: texts.kind === "found" ? joined(texts.records) : "" };
}

function joined(texts: readonly string[]): string {
  let text = "";
  for (const [at, one] of texts.entries()) {
    text += one.slice(0, TEXT_LIMIT - text.length);
    const left = TEXT_LIMIT - text.length;
    if (left <= 0) break;
    if (at + 1 < texts.length && left > 3) text += " / ";
  }
  return text;
}

/** What is looked up, and how a reply names it. */
export interface RblQuery {
  readonly list: DnsList;
  readonly query: string | null;
  readonly what: string;
  readonly subject: Subject;
}

/** Asks ahead, so that several lists take the time of one. */
export function askAhead({ query }: RblQuery, { resolver }: RblServices): void {
  if (query !== null) void resolver.addresses(query, 4);
}

export async function blocked(query: RblQuery, services: RblServices, judging: Judging): Promise<Verdict> {
  if (query.query === null) return "dunno";
  const listed = await ask(query.list, query.query, services, judging);
  return listed.kind === "listed" ? await blockedReply(query, listed.text, services, judging) : "dunno";
}

export async function allowed(
  action: string,
  query: RblQuery,
  services: RblServices,
  judging: Judging,
): Promise<Verdict> {
  if (query.query === null) return "dunno";
  const listed = await ask(query.list, query.query, services, judging);
  if (listed.kind === "none") return "dunno";
  if (listed.kind === "listed") return judging.permit(action, query.subject, clientOf(judging.facts));
  return judging.spare(450, "4.7.1", `<${query.what}>: ${query.subject} rejected: Service unavailable`);
}

/** The names that a reply's text may use; null: there is none of that name. */
function macro(name: string, query: RblQuery, reason: string, services: RblServices, facts: SessionFacts) {
  const { client } = facts;
  const values: Readonly<Record<string, () => string>> = {
    __proto__: null as never,
    rbl_code: () => String(services.config.maps_rbl_reject_code),
    rbl_domain: () => query.list.domain,
    rbl_reason: () => reason,
    rbl_txt: () => reason,
    rbl_what: () => query.what,
    rbl_class: () => query.subject,
    client: () => clientOf(facts),
    client_address: () => client.address,
    client_name: () => client.name,
    client_port: () => String(client.port),
    reverse_client_name: () => client.reverseName,
    server_address: () => client.localAddress,
    server_port: () => String(client.localPort),
    helo_name: () => facts.helo,
    localtime: services.localTime,
    ...addressMacros("sender", facts.sender),
    ...addressMacros("recipient", facts.recipient),
  };
  return values[name]?.() ?? null;
}

function addressMacros(name: string, address: string | null): Record<string, () => string> {
  const plain = address === null ? "" : unquoted(address);
  const at = plain.lastIndexOf("@");
  const none = address === null ? "" : "<>";
  return {
    [name]: () => plain === "" ? none : plain,
    [`${name}_name`]: () => plain === "" ? none : at < 0 ? plain : plain.slice(0, at),
    [`${name}_domain`]: () => at < 0 ? "" : plain.slice(at + 1),
  };
}

/** smtpd_expansion_filter with its \octal and \letter forms undone. */
export function unescaped(text: string): string {
  const letters: Readonly<Record<string, string>> = { a: "\x07", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t", v: "\v" };
  return text.replace(/\\(?:([0-7]{1,3})|([^]))/g, (_all, octal: string | undefined, char: string) => {
    if (octal !== undefined) return String.fromCharCode(parseInt(octal, 8) & 255);
    return letters[char] ?? char;
  });
}

/** Fills in a template; null: it names something that there is not, or cannot be read. */
function filledIn(
  template: string,
  query: RblQuery,
  reason: string,
  services: RblServices,
  facts: SessionFacts,
): string | null {
  const takes = new Set(unescaped(services.config.smtpd_expansion_filter));
  let unknown = false;
  try {
    const text = expand(template, (name) => {
      const value = macro(name, query, reason, services, facts);
      unknown ||= value === null;
      return (value ?? "").replace(/[^]/g, (char) => takes.has(char) ? char : "_").replaceAll("$", "$$$$");
    });
    return unknown ? null : text;
  } catch (caught) {
    if (caught instanceof ExpandError) return null;
    throw caught;
  }
}

async function blockedReply(
  query: RblQuery,
  reason: string,
  services: RblServices,
  judging: Judging,
): Promise<Verdict> {
  const { config, rblReplyMaps } = services;
  const found = await lookUp(rblReplyMaps, [[query.list.text, false]]);
  if (found.kind === "unsure") return judging.serverError();
  const standard = config.default_rbl_reply;
  const fill = (template: string): string | null => filledIn(template, query, reason, services, judging.facts);
  let text = fill(found.kind === "found" ? found.value : standard);
  if (text === null && found.kind === "found") {
    judging.warn(`bad rbl reply template for domain ${query.list.text}: ${found.value}`);
    text = fill(standard);
  }
  const code = /^([45]\d\d) /.exec(text ?? "")?.[1];
  if (text === null || code === undefined) {
    judging.warn(`rbl response code configuration error: ${text ?? standard}`);
    return judging.reject(450, "4.7.1", "Service unavailable");
  }
  const { status, text: words } = statusAndText(text.slice(4), "4.7.1");
  return judging.reject(Number(code), fittingStatus(status, query.subject), words || "Service unavailable");
}
