/**
 * access(5): the keys under which a host, a network, a domain or an address is looked up, in order, and what becomes of
 * an entry. The first key that is found decides. Tables of patterns are asked for whole keys only. A table that cannot
 * answer refuses for now (451 4.3.5); an entry that is no action is a list of restrictions.
 */

import { quoteLocal, splitExtension, unquoteLocal } from "../address.ts";
import type { Config } from "../config/config.ts";
import { headerNameLength } from "../header.ts";
import { latin1Encode } from "../latin1.ts";
import { wordsOutsideBraces } from "../logical-lines.ts";
import type { Lookup } from "../lookup.ts";
import type { LookupTable } from "../maps/map.ts";
import type { Status } from "../status.ts";
import { after, type Subject, type Verdict } from "./facts.ts";
import { validHostAddress } from "./host-name.ts";
import type { Judging } from "./judging.ts";
import { foldCase } from "../maps/fold.ts";

/** A key, and whether it is a part of what was asked for. */
export type Key = readonly [key: string, partial: boolean];

/** "a.b.c", then ".b.c" and ".c", or "b.c" and "c" when parents match by themselves. */
export function domainKeys(domain: string, parents: boolean, partial = false): Key[] {
  if (domain === "") return [];
  const keys: Key[] = [[domain, partial]];
  if (validHostAddress(domain)) return keys;
  for (let name = domain;;) {
    const dot = name.indexOf(".", 1);
    if (dot < 0) return keys;
    name = name.slice(parents ? dot + 1 : dot);
    if (name === "") return keys;
    keys.push([name, true]);
  }
}

/** "1.2.3.4", "1.2.3", "1.2", "1"; IPv6 by its groups. */
export function networkKeys(address: string): Key[] {
  const separator = address.includes(":") ? ":" : ".";
  const keys: Key[] = [[address, false]];
  for (let at = address.lastIndexOf(separator); at >= 0; at = address.lastIndexOf(separator, at - 1)) {
    keys.push([address.slice(0, at), true]);
    if (at === 0) break;
  }
  return keys;
}

interface AddressForms {
  readonly local: string;
  readonly bare: string | null;
  readonly domain: string;
}

function formsOf(address: string, delimiters: string): AddressForms {
  const at = address.lastIndexOf("@");
  const local = foldCase(unquoteLocal(at < 0 ? address : address.slice(0, at)));
  const bare = splitExtension(local, delimiters)?.user ?? null;
  return { local, bare, domain: at < 0 ? "" : foldCase(address.slice(at + 1)) };
}

/** The quoted form first, then the plain one where they differ. */
function both(local: string, rest: string, partial: boolean): Key[] {
  const quoted = quoteLocal(local);
  const plain: Key = [`${local}${rest}`, partial];
  return quoted === local ? [plain] : [[`${quoted}${rest}`, partial], plain];
}

/** user+ext@domain, user@domain, the domain and its parents, user+ext@, user@. */
export function addressKeys(address: string, delimiters: string, parents: boolean): Key[] {
  const { local, bare, domain } = formsOf(address, delimiters);
  return [
    ...both(local, `@${domain}`, false),
    ...bare === null ? [] : both(bare, `@${domain}`, true),
    ...domainKeys(domain, parents, true).filter(([key], at) => at === 0 || key !== domain),
    ...both(local, "@", true),
    ...bare === null ? [] : both(bare, "@", true),
  ];
}

/** Tables of addresses that are no access tables: user+ext@domain, user@domain, local parts of own domains, @domain. */
export function memberKeys(address: string, delimiters: string, ownDomain: boolean): Key[] {
  const { local, bare, domain } = formsOf(address, delimiters);
  return [
    ...both(local, `@${domain}`, false),
    ...bare === null ? [] : both(bare, `@${domain}`, true),
    ...ownDomain ? both(local, "", true) : [],
    ...ownDomain && bare !== null ? both(bare, "", true) : [],
    [`@${domain}`, true],
  ];
}

/** Asks the tables for each key in turn; synchronous as long as they are. An empty value is a fault of the table. */
export function lookUp(tables: readonly LookupTable[], keys: readonly Key[], first = 0): Lookup | Promise<Lookup> {
  for (let at = first; at < keys.length * tables.length; at++) {
    const [key, partial] = keys[Math.floor(at / tables.length)] as Key;
    const table = tables[at % tables.length] as LookupTable;
    if (partial && table.pattern) continue;
    const answer = table.get(key);
    if (answer instanceof Promise) {
      return answer.then((value) => value.kind === "none" ? lookUp(tables, keys, at + 1) : checked(value, table));
    }
    if (answer.kind !== "none") return checked(answer, table);
  }
  return { kind: "none" };
}

function checked(answer: Lookup, table: LookupTable): Lookup {
  const empty = answer.kind === "found" && answer.value === "";
  return empty ? { kind: "unsure", why: `${table.name}: empty result` } : answer;
}

/** RFC 3463: which status says the same about a sender and about a recipient. */
const SENDER_STATUS: Readonly<Record<string, string>> = {
  1: "7",
  2: "8",
  3: "7",
  4: "7",
  5: "7",
  6: "7",
  7: "7",
  8: "8",
};
const RECIPIENT_STATUS: Readonly<Record<string, string>> = { 7: "3", 8: "2" };

/** A status about addresses made to fit what is refused; others stay. */
export function fittingStatus(status: Status, subject: Subject): Status {
  if (!/^\d\.1\./.test(status)) return status;
  const detail = status.slice(4);
  if (subject === "Sender address") return `4.1.${SENDER_STATUS[detail] ?? "0"}`;
  if (subject !== "Recipient address") return "4.0.0";
  return `4.1.${RECIPIENT_STATUS[detail] ?? (/^[1-6]$/.test(detail) ? detail : "0")}`;
}

/** A status off the front of a text. */
export function statusAndText(text: string, otherwise: Status): { readonly status: Status; readonly text: string } {
  const found = /^([245])\.(\d{1,3})\.(\d{1,3})(?=[ \t\r\n]|$)/.exec(text);
  if (found === null) return { status: otherwise, text };
  return { status: found[0], text: text.slice(found[0].length).trimStart() };
}

/** What stands in a table about something. */
export interface Entry {
  readonly table: string;
  readonly value: string;
  /** The text after the first word. */
  readonly text: string;
  /** What was looked up. */
  readonly key: string;
  readonly name: string;
  readonly subject: Subject;
}

export interface AccessServices {
  readonly config: Config;
  /** Runs restrictions that a table names. */
  readonly runWords: (words: readonly string[], judging: Judging) => Verdict | Promise<Verdict>;
}

type Action = (judging: Judging, entry: Entry, services: AccessServices) => Verdict | Promise<Verdict>;

function refusal(code: (config: Config) => number, standard: Status): Action {
  return (judging, { text, name, subject }, { config }) => {
    const { status, text: words } = statusAndText(text, standard);
    return judging.refuse(code(config), fittingStatus(status, subject), words || "Access denied", name, subject);
  };
}

function pending(kind: "putOff" | "spare"): Action {
  return (judging, { text, name, subject }, { config }) => {
    const { status, text: words } = statusAndText(text, "4.7.1");
    const line = `<${name}>: ${subject} rejected: ${words || "Service unavailable"}`;
    return judging[kind](config.access_map_defer_code, fittingStatus(status, subject), line);
  };
}

function noted(what: string): Action {
  return (judging, { text }) => {
    judging.log(what, text);
    return "dunno";
  };
}

/** Actions on the message make sense within a mail transaction only. */
function onMessage(action: string, act: (judging: Judging, entry: Entry) => Verdict): Action {
  return (judging, entry, { config }) => {
    const { where } = judging.facts.client;
    if (config.smtpd_proxy_filter !== "" && action !== "PREPEND") {
      const clash = "with smtpd_proxy_filter specified";
      judging.warn(`access table ${entry.table}: ${clash}, action ${action} is unavailable`);
      return "dunno";
    }
    if (where === "ETRN" && action !== "PREPEND") {
      judging.warn(`access table ${entry.table}: action ${action} is unavailable in smtpd_etrn_restrictions`);
      return "dunno";
    }
    if (judging.facts.sender !== null) return act(judging, entry);
    judging.warn(
      `access table ${entry.table}: with smtpd_delay_reject=no, action ${action} is always skipped in ` +
        "Client host or Helo command restrictions",
    );
    return "dunno";
  };
}

function triggered(judging: Judging, what: string, { name, subject }: Entry, words: string): void {
  judging.log(what, `<${name}>: ${subject} ${words}`);
}

function complaint(judging: Judging, { table, key }: Entry, words: string): Verdict {
  judging.warn(`access table ${table} entry "${key}" ${words}`);
  return "dunno";
}

const permitted: Action = (judging, { table, value, name, subject }) =>
  judging.permit(value.split(/[ \t]/)[0] as string, subject, name, `from ${table}`);

const ACTIONS: Readonly<Record<string, Action>> = {
  __proto__: null as never,
  DUNNO: () => "dunno",
  OK: permitted,
  RELAY: permitted,
  REJECT: refusal((config) => config.access_map_reject_code, "5.7.1"),
  DEFER: refusal((config) => config.access_map_defer_code, "4.7.1"),
  DEFER_IF_PERMIT: pending("putOff"),
  DEFER_IF_REJECT: pending("spare"),
  INFO: noted("info"),
  WARN: noted("warn"),
  HANGUP(judging, { text }) {
    judging.log("hangup", text);
    return { code: 421, status: "", lines: [], close: true };
  },
  FILTER: onMessage("FILTER", (judging, entry) => {
    if (entry.text === "") return complaint(judging, entry, "has FILTER entry without value");
    if (!entry.text.includes(":")) return complaint(judging, entry, "requires transport:destination");
    triggered(judging, "filter", entry, `triggers FILTER ${entry.text}`);
    judging.memory.actions.filter = entry.text;
    return "dunno";
  }),
  HOLD: onMessage("HOLD", (judging, entry) => {
    const { actions } = judging.memory;
    if (!actions.held) triggered(judging, "hold", entry, entry.text || "triggers HOLD action");
    actions.held = true;
    return "dunno";
  }),
  DISCARD: onMessage("DISCARD", (judging, entry) => {
    triggered(judging, "discard", entry, entry.text || "triggers DISCARD action");
    judging.memory.actions.discarded = true;
    return judging.permit(entry.value.split(/[ \t]/)[0] as string, entry.subject, entry.name, `from ${entry.table}`);
  }),
  REDIRECT: onMessage("REDIRECT", (judging, entry) => {
    if (!entry.text.includes("@")) return complaint(judging, entry, "requires user@domain target");
    triggered(judging, "redirect", entry, `triggers REDIRECT ${entry.text}`);
    judging.memory.actions.redirect = entry.text;
    return "dunno";
  }),
  BCC: onMessage("BCC", (judging, entry) => {
    if (!entry.text.includes("@")) return complaint(judging, entry, "requires user@domain target");
    triggered(judging, "bcc", entry, `triggers BCC ${entry.text}`);
    judging.memory.actions.copies.push(entry.text);
    return "dunno";
  }),
  PREPEND: onMessage("PREPEND", (judging, entry) => {
    const bytes = latin1Encode(entry.text);
    if (judging.facts.client.where === "END-OF-MESSAGE") {
      judging.warn(
        `access table ${entry.table}: action PREPEND must be used before smtpd_end_of_data_restrictions`,
      );
    } else if (headerNameLength(bytes, 0, bytes.length) === 0) {
      return complaint(judging, entry, "requires header: text");
    } else judging.memory.actions.prepended.push(entry.text);
    return "dunno";
  }),
};

const RECURSION_LIMIT = 100;

/** Restrictions that a table names speak of what was looked up. */
function nested(
  words: readonly string[],
  entry: Entry,
  judging: Judging,
  services: AccessServices,
): Verdict | Promise<Verdict> {
  const { name, subject } = judging;
  judging.name = entry.name;
  judging.subject = entry.subject;
  return after(services.runWords(words, judging), (verdict) => {
    judging.name = name;
    judging.subject = subject;
    return verdict;
  });
}

/** The verdict of an entry. */
export function accessVerdict(
  entry: Omit<Entry, "text">,
  judging: Judging,
  services: AccessServices,
): Verdict | Promise<Verdict> {
  const { value, table } = entry;
  const word = /^[^ \t]*/.exec(value)![0];
  const text = value.slice(word.length).trimStart();
  const whole: Entry = { ...entry, text };
  const action = ACTIONS[word.toUpperCase()];
  if (action !== undefined) return action(judging, whole, services);
  if (/^\d+$/.test(value)) return permitted(judging, whole, services);
  if (/^[45]\d\d$/.test(word) && text !== "") {
    return refusal(() => Number(word), `${word[0]}.7.1`)(judging, whole, services);
  }
  if (value.includes(":")) {
    judging.warn(`access table ${table} has entry with lookup table: ${value}`);
    judging.warn("do not specify lookup tables inside SMTPD access maps");
    judging.warn("define a restriction class and specify its name instead.");
    return judging.serverError();
  }
  if (judging.recursion > RECURSION_LIMIT) {
    judging.warn(`access table ${table} entry ${value} causes unreasonable recursion`);
    return judging.serverError();
  }
  const words = wordsOutsideBraces(value);
  if (words.length > 0) return nested(words, whole, judging, services);
  judging.warn(`access table ${table} entry ${value} has empty value`);
  return "permit";
}

/** What a table may be asked about. */
export interface AccessQuery {
  readonly keys: readonly Key[];
  /** What was looked up, for warnings. */
  readonly key: string;
  readonly name: string;
  readonly subject: Subject;
}

/** Null when no key is in the table. */
export function accessAnswer(
  table: LookupTable,
  { keys, key, name, subject }: AccessQuery,
  judging: Judging,
  services: AccessServices,
): Verdict | null | Promise<Verdict | null> {
  return after(lookUp([table], keys), (answer): Verdict | null | Promise<Verdict | null> => {
    if (answer.kind === "none") return null;
    const value = answer.kind === "found" ? answer.value : "451 4.3.5 Server configuration error";
    return accessVerdict({ table: table.name, value, key, name, subject }, judging, services);
  });
}
