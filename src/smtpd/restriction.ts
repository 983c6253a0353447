/**
 * What a restriction is: a check made once from the word in main.cf and its argument, with what it needs of the system;
 * whom it is about; and what several of them share. Nothing is thrown: a malformed argument is a fault.
 */

import type { LookupTable } from "../maps/map.ts";
import type { MatchList } from "../match-list.ts";
import type { Verifier } from "../probe.ts";
import type { Clock, Runtime } from "../runtime.ts";
import type { AddressClasses } from "../trivial-rewrite/resolve.ts";
import { unquoted } from "../trivial-rewrite/tokens.ts";
import type { DnsServices } from "./dns-checks.ts";
import { after, clientOf, type SessionFacts, type Subject, type Verdict } from "./facts.ts";
import type { Judging } from "./judging.ts";
import type { RblServices } from "./rbl.ts";
import { resolveAddress, type ResolvedAddress } from "./resolved.ts";
import type { Unlisted } from "./unlisted.ts";

/** What restrictions work with. */
export interface RestrictionServices extends DnsServices, RblServices {
  readonly classes: AddressClasses;
  readonly myNetworks: MatchList;
  readonly relayDomains: MatchList;
  readonly open: (table: string) => LookupTable;
  readonly runtime: Runtime;
  readonly clock: Clock;
  readonly unlisted: Unlisted;
  /** Without it no address can be verified. */
  readonly verifier?: Verifier;
  readonly warn: (text: string) => void;
  readonly observer?: PolicyObserver;
}

/** Looks on while lists run (explain). */
export interface PolicyObserver {
  enter(kind: "list" | "restriction", what: string): void;
  leave(verdict: Verdict): void;
}

export type Check = (judging: Judging) => Verdict | Promise<Verdict>;

/** What runs is seen as a step of that name. */
export function observed(
  observer: PolicyObserver | undefined,
  kind: "list" | "restriction",
  what: string,
  run: () => Verdict | Promise<Verdict>,
): Verdict | Promise<Verdict> {
  if (observer === undefined) return run();
  observer.enter(kind, what);
  return after(run(), (verdict) => {
    observer.leave(verdict);
    return verdict;
  });
}

export interface MadeCheck {
  readonly check: Check;
  /** Starts look-ups that will be needed. */
  readonly ahead?: (judging: Judging) => void;
}

export type Argument = "none" | "table" | "domain" | "service" | "number";

export interface RestrictionDef {
  readonly argument: Argument;
  /** Gives the fault where the argument is malformed. */
  readonly make: (
    services: RestrictionServices,
    argument: string,
    name: string,
  ) => MadeCheck | { readonly fault: string };
}

export type Judge = (judging: Judging, services: RestrictionServices) => Verdict | Promise<Verdict>;

export const simple = (judge: Judge): RestrictionDef => ({
  argument: "none",
  make: (services) => ({ check: (judging) => judge(judging, services) }),
});

export const nothing = simple(() => "dunno");

/** Without SASL: a warning at start, and no effect. */
export function withoutSasl(argument: Argument): RestrictionDef {
  return {
    argument,
    make: (services, _argument, name) => {
      services.warn(`restriction \`${name}' ignored: no SASL support`);
      return { check: () => "dunno" };
    },
  };
}

/** An old name: a warning at start. */
export function deprecated(warning: string, def: RestrictionDef): RestrictionDef {
  return {
    ...def,
    make: (services, argument, name) => {
      services.warn(warning);
      return def.make(services, argument, name);
    },
  };
}

export const UNKNOWN = "unknown";

export interface Who {
  readonly value: (facts: SessionFacts) => string | null;
  readonly name: (facts: SessionFacts) => string;
  readonly subject: Subject;
}

export const known = (name: string): string | null => name.toLowerCase() === UNKNOWN ? null : name;
export const CLIENT: Who = { value: ({ client }) => known(client.name), name: clientOf, subject: "Client host" };
export const REVERSE: Who = {
  value: ({ client }) => known(client.reverseName),
  name: ({ client }) => client.reverseName,
  subject: "Unverified Client host",
};
export const HELO: Who = { value: ({ helo }) => helo || null, name: ({ helo }) => helo, subject: "Helo command" };
export const SENDER: Who = {
  value: ({ sender }) => sender || null,
  name: ({ sender }) => unquoted(sender ?? ""),
  subject: "Sender address",
};
export const RECIPIENT: Who = {
  value: ({ recipient }) => recipient || null,
  name: ({ recipient }) => unquoted(recipient ?? ""),
  subject: "Recipient address",
};

/** Looked up once a command. */
export function resolved(
  judging: Judging,
  services: RestrictionServices,
  address: string,
): ResolvedAddress | Promise<ResolvedAddress> {
  const known = judging.resolved.get(address);
  if (known !== undefined) return known;
  const found = resolveAddress(address, services.config, services.classes);
  judging.resolved.set(address, found);
  return found;
}

/** Whether mail for the recipient ends here or is relayed for its domain; a refusal when that cannot be told. */
export function authorised(
  judging: Judging,
  services: RestrictionServices,
): boolean | Verdict | Promise<boolean | Verdict> {
  const { recipient } = judging.facts;
  return after(resolved(judging, services, recipient ?? ""), (found: ResolvedAddress): boolean | Verdict => {
    if (found.domainClass === "unsure") return judging.temporaryFailure(unquoted(recipient ?? ""));
    if (found.routed && !services.config.allow_untrusted_routing) return false;
    return found.domainClass !== "default";
  });
}
