/**
 * What holds for a client by its name or address: smtpd_forbid_bare_newline_exclusions, smtpd_authorized_xclient_hosts,
 * smtpd_authorized_xforward_hosts, smtpd_client_event_limit_exceptions. A table that cannot answer gives no privilege.
 */

import type { Config } from "../config/config.ts";
import type { Lookup } from "../lookup.ts";
import type { LookupTable } from "../maps/map.ts";
import { matchClient, type MatchList, parseMatchList } from "../match-list.ts";
import type { Runtime } from "../runtime.ts";
import { after } from "./facts.ts";
import type { ClientRules, SessionHost } from "./host.ts";
import type { SyntaxOptions } from "./transaction.ts";

const LISTS = [
  "smtpd_forbid_bare_newline_exclusions",
  "smtpd_authorized_xclient_hosts",
  "smtpd_authorized_xforward_hosts",
  "smtpd_client_event_limit_exceptions",
] as const;

export class Clients {
  readonly #lists: readonly MatchList[];
  readonly #mode: ClientRules["bareNewline"];
  /** smtpd_discard_ehlo_keywords */
  readonly #discarded: ReadonlySet<string>;
  readonly #discardMaps: readonly LookupTable[];

  /** Throws ConfigError. */
  constructor(config: Config, runtime: Runtime, open: (table: string) => LookupTable) {
    this.#discarded = keywordsIn(config.smtpd_discard_ehlo_keywords.join(" "));
    this.#discardMaps = config.smtpd_discard_ehlo_keyword_address_maps.map(open);
    this.#mode = config.smtpd_forbid_bare_newline;
    this.#lists = LISTS.map((name) =>
      parseMatchList(config[name], { runtime, parents: false, addresses: true, place: name })
    );
  }

  of(name: string, address: string): ClientRules | Promise<ClientRules> {
    return after(
      this.#listed(name, address),
      (rules) => after(this.#discardedFor(address, 0), (discarded) => ({ ...rules, discarded })),
    );
  }

  /** The first table that knows the address; one that cannot answer is passed over. */
  #discardedFor(address: string, first: number): ReadonlySet<string> | Promise<ReadonlySet<string>> {
    const table = this.#discardMaps[first];
    if (table === undefined) return this.#discarded;
    return after(
      table.get(address),
      (found: Lookup) => found.kind === "found" ? keywordsIn(found.value) : this.#discardedFor(address, first + 1),
    );
  }

  #listed(name: string, address: string): ClientRules | Promise<ClientRules> {
    const answers = this.#lists.map((list) => matchClient(list, name, address));
    const rules = ([excluded, xclient, xforward, unlimited]: readonly boolean[]): ClientRules => ({
      bareNewline: excluded === true ? "no" : this.#mode,
      xclient: xclient === true,
      xforward: xforward === true,
      limited: unlimited !== true && xclient !== true,
    });
    const ready = answers.flatMap((answer) => answer instanceof Promise ? [] : [answer.kind === "found"]);
    if (ready.length === answers.length) return rules(ready);
    return Promise.all(answers.map((answer) => Promise.resolve(answer))).then((all) =>
      rules(all.map(({ kind }) => kind === "found"))
    );
  }
}

function keywordsIn(text: string): ReadonlySet<string> {
  return new Set(text.toUpperCase().split(/[\s,:]+/).filter((word) => word !== ""));
}

/** What commands may hold: DSN's parameters only where DSN is announced. */
export function syntaxFor({ syntax }: Pick<SessionHost, "syntax">, { discarded }: ClientRules): SyntaxOptions {
  return discarded === undefined ? syntax : { ...syntax, noDsn: discarded.has("DSN") };
}

/** In the order in which Postfix names them. */
const KEYWORDS = [
  ..."8BITMIME AUTH ETRN PIPELINING SIZE VERP VRFY XCLIENT XFORWARD STARTTLS ENHANCEDSTATUSCODES DSN SMTPUTF8 CHUNKING"
    .split(" "),
];

/** For the log: what is kept back from a client that says EHLO; "" for nothing, and for silent-discard. */
export function discardedText({ discarded }: ClientRules): string {
  if (discarded === undefined || discarded.has("SILENT-DISCARD")) return "";
  return KEYWORDS.filter((word) => discarded.has(word)).join(" ");
}

/** The EHLO lines with more of them where Postfix has XCLIENT and XFORWARD: before ENHANCEDSTATUSCODES. */
export function withKeywords(keywords: readonly string[], more: readonly string[]): readonly string[] {
  const at = keywords.indexOf("ENHANCEDSTATUSCODES");
  return at < 0 ? [...keywords, ...more] : [...keywords.slice(0, at), ...more, ...keywords.slice(at)];
}
