/**
 * What holds for a client by its name or address: smtpd_forbid_bare_newline_exclusions, smtpd_authorized_xclient_hosts,
 * smtpd_authorized_xforward_hosts, smtpd_client_event_limit_exceptions. A table that cannot answer gives no privilege.
 */

import type { Config } from "../config/config.ts";
import { matchClient, type MatchList, parseMatchList } from "../match-list.ts";
import type { Runtime } from "../runtime.ts";
import type { ClientRules } from "./host.ts";

const LISTS = [
  "smtpd_forbid_bare_newline_exclusions",
  "smtpd_authorized_xclient_hosts",
  "smtpd_authorized_xforward_hosts",
  "smtpd_client_event_limit_exceptions",
] as const;

export class Clients {
  readonly #lists: readonly MatchList[];
  readonly #mode: ClientRules["bareNewline"];

  /** Throws ConfigError. */
  constructor(config: Config, runtime: Runtime) {
    this.#mode = config.smtpd_forbid_bare_newline;
    this.#lists = LISTS.map((name) =>
      parseMatchList(config[name], { runtime, parents: false, addresses: true, place: name })
    );
  }

  of(name: string, address: string): ClientRules | Promise<ClientRules> {
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

/** The EHLO lines with more of them where Postfix has XCLIENT and XFORWARD: before ENHANCEDSTATUSCODES. */
export function withKeywords(keywords: readonly string[], more: readonly string[]): readonly string[] {
  const at = keywords.indexOf("ENHANCEDSTATUSCODES");
  return at < 0 ? [...keywords, ...more] : [...keywords.slice(0, at), ...more, ...keywords.slice(at)];
}
