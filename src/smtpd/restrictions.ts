/**
 * Access restrictions by their main.cf names (postconf(5), smtpd_*_restrictions). A restriction looks at the facts of
 * the session and answers dunno, permit or a Reply. "I do not know" (DNS, tables) never becomes a permanent refusal.
 * compile() turns a list from main.cf into checks; an unknown name is a ConfigError.
 */

import { splitAddress, validDomain } from "../address.ts";
import type { Config } from "../config/config.ts";
import { ConfigError } from "../errors.ts";
import type { Lookup } from "../lookup.ts";
import type { LookupTable } from "../maps/map.ts";
import { matchAddress, type MatchList } from "../match-list.ts";
import { REPLY, type Reply } from "../reply.ts";
import type { AddressClasses, ClassAnswer } from "../trivial-rewrite/resolve.ts";
import { accessKeys, accessVerdict } from "./access.ts";

/** What policy sees of a session. */
export interface SessionFacts {
  readonly client: { readonly name: string; readonly address: string };
  readonly helo: string;
  readonly sender: string | null;
  readonly recipient: string | null;
  readonly routed: boolean;
}

export type Verdict = "dunno" | "permit" | Reply;

export interface PolicyServices {
  readonly config: Config;
  readonly classes: AddressClasses;
  readonly myNetworks: MatchList;
  readonly open: (table: string) => LookupTable;
}

type Check = (facts: SessionFacts) => Verdict | Promise<Verdict>;

interface RestrictionDef {
  readonly argument: boolean;
  readonly make: (services: PolicyServices, argument: string) => Check;
}

const always = (verdict: (services: PolicyServices) => Verdict): RestrictionDef => ({
  argument: false,
  make: (services) => {
    const value = verdict(services);
    return () => value;
  },
});

const simple = (check: (services: PolicyServices, facts: SessionFacts) => Verdict): RestrictionDef => ({
  argument: false,
  make: (services) => (facts) => check(services, facts),
});

/**
 * Whether the system takes mail for that address (permit_auth_destination), and no route was asked for
 * (allow_untrusted_routing): then what `yes` says, otherwise `no`. A table that cannot answer puts the client off.
 */
function authorised(yes: Verdict, no: (services: PolicyServices, address: string) => Verdict): RestrictionDef {
  return {
    argument: false,
    make: (services) => (facts) => {
      const { recipient } = facts;
      if (recipient === null) return "dunno";
      const judge = (value: ClassAnswer): Verdict => {
        if (value === "unsure") return REPLY.temporaryLookupFailure(recipient);
        const routed = facts.routed && !services.config.allow_untrusted_routing;
        return value !== "default" && !routed ? yes : no(services, recipient);
      };
      const answer = services.classes.of(recipient);
      return answer instanceof Promise ? answer.then(judge) : judge(answer);
    },
  };
}

function inMyNetworks(services: PolicyServices, facts: SessionFacts): Verdict | Promise<Verdict> {
  const judge = (answer: Lookup): Verdict =>
    answer.kind === "found" ? "permit" : answer.kind === "none" ? "dunno" : REPLY.serverConfiguration;
  const answer = matchAddress(services.myNetworks, facts.client.address);
  return answer instanceof Promise ? answer.then(judge) : judge(answer);
}

function nonFqdn(kind: "Sender" | "Recipient", address: (facts: SessionFacts) => string | null): RestrictionDef {
  return simple(({ config }, facts) => {
    const value = address(facts);
    if (value === null || value === "") return "dunno";
    const { domain } = splitAddress(value);
    if (domain.startsWith("[") || (domain.includes(".") && validDomain(domain))) return "dunno";
    if (kind === "Recipient" && value.toLowerCase() === "postmaster") return "dunno";
    const code = config.non_fqdn_reject_code;
    return REPLY.rejected(
      code,
      code < 500 ? "4.5.2" : "5.5.2",
      value,
      `${kind} address`,
      "need fully-qualified address",
    );
  });
}

function access(kind: "client" | "helo" | "sender" | "recipient"): RestrictionDef {
  return {
    argument: true,
    make: (services, argument) => {
      const table = services.open(argument);
      return (facts) => lookUp(table, accessKeys(kind, facts), 0, services, facts, kind);
    },
  };
}

/** Tries the keys in order; stays synchronous as long as the table does. */
function lookUp(
  table: LookupTable,
  keys: readonly string[],
  first: number,
  services: PolicyServices,
  facts: SessionFacts,
  kind: "client" | "helo" | "sender" | "recipient",
): Verdict | Promise<Verdict> {
  for (let at = first; at < keys.length; at++) {
    const answer = table.get(keys[at] as string);
    if (answer instanceof Promise) {
      return answer.then((found) =>
        settled(found, services, facts, kind) ?? lookUp(table, keys, at + 1, services, facts, kind)
      );
    }
    const verdict = settled(answer, services, facts, kind);
    if (verdict !== null) return verdict;
  }
  return "dunno";
}

function settled(
  answer: Lookup,
  services: PolicyServices,
  facts: SessionFacts,
  kind: "client" | "helo" | "sender" | "recipient",
): Verdict | null {
  if (answer.kind === "none") return null;
  if (answer.kind === "unsure") return REPLY.serverConfiguration;
  return accessVerdict(answer.value, kind, facts, services.config);
}

export const RESTRICTIONS = {
  permit: always(() => "permit"),
  reject: simple(({ config }, facts) => {
    const code = config.reject_code;
    return refuseAll(code, code < 500 ? "4.7.1" : "5.7.1", facts);
  }),
  defer: simple(({ config }, facts) => refuseAll(config.defer_code, "4.7.1", facts)),
  permit_mynetworks: { argument: false, make: (services) => (facts) => inMyNetworks(services, facts) },
  permit_sasl_authenticated: always(() => "dunno"),
  permit_auth_destination: authorised("permit", () => "dunno"),
  reject_unauth_destination: authorised(
    "dunno",
    ({ config }, address) => REPLY.relayDenied(config.relay_domains_reject_code, address),
  ),
  defer_unauth_destination: authorised("dunno", (_services, address) => REPLY.relayDenied(454, address)),
  reject_non_fqdn_sender: nonFqdn("Sender", (facts) => facts.sender),
  reject_non_fqdn_recipient: nonFqdn("Recipient", (facts) => facts.recipient),
  check_client_access: access("client"),
  check_helo_access: access("helo"),
  check_sender_access: access("sender"),
  check_recipient_access: access("recipient"),
} satisfies Record<string, RestrictionDef>;

function refuseAll(code: number, status: string, facts: SessionFacts): Reply {
  const what = facts.recipient ?? facts.sender ?? facts.client.name;
  const kind = facts.recipient !== null
    ? "Recipient address"
    : facts.sender !== null
    ? "Sender address"
    : "Client host";
  return REPLY.rejected(code, status, what, kind, "Access denied");
}

/** Restrictions of which one must stand in the relay or the recipient list, or this host would relay for anyone. */
const RELAY_CONTROL = ["reject_unauth_destination", "defer_unauth_destination", "reject", "defer", "defer_if_permit"];

export function hasRelayControl(words: readonly string[]): boolean {
  return words.some((word) => RELAY_CONTROL.includes(word));
}

/** Turns the words of a smtpd_*_restrictions value into checks; faults name the parameter and the word. */
export function compile(parameter: string, words: readonly string[], services: PolicyServices): readonly Check[] {
  const checks: Check[] = [];
  const faults: string[] = [];
  const table: Readonly<Record<string, RestrictionDef>> = RESTRICTIONS;
  for (let at = 0; at < words.length; at++) {
    const word = words[at] as string;
    const bareTable = word.includes(":");
    const def = bareTable ? access(bareTableKind(parameter)) : table[word];
    if (def === undefined) {
      faults.push(`${parameter}: unknown or not yet implemented restriction "${word}"`);
    } else if (def.argument && !bareTable && words[at + 1] === undefined) {
      faults.push(`${parameter}: ${word} needs a table`);
    } else checks.push(def.make(services, bareTable ? word : def.argument ? words[++at] as string : ""));
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return checks;
}

/** smtpd_sender_restrictions = hash:/x means check_sender_access hash:/x. */
function bareTableKind(parameter: string): "client" | "helo" | "sender" | "recipient" {
  const kind = /^smtpd_(client|helo|sender)_/.exec(parameter)?.[1];
  return kind === "client" || kind === "helo" || kind === "sender" ? kind : "recipient";
}

/** First answer that is not dunno; synchronous as long as the checks are. */
export function evaluate(checks: readonly Check[], facts: SessionFacts, first = 0): Verdict | Promise<Verdict> {
  for (let at = first; at < checks.length; at++) {
    const verdict = (checks[at] as Check)(facts);
    if (verdict instanceof Promise) {
      return verdict.then((value) => value === "dunno" ? evaluate(checks, facts, at + 1) : value);
    }
    if (verdict !== "dunno") return verdict;
  }
  return "dunno";
}
