/**
 * check_*_access and check_*_{a,mx,ns}_access (postconf(5)): which keys of a table are asked about whom. OK may not
 * come from what strangers' name servers say, nor for a recipient that routes on.
 */

import { unquoted } from "../trivial-rewrite/tokens.ts";
import { accessAnswer, addressKeys, domainKeys, type Key, networkKeys } from "./access.ts";
import { serverAccess, type ServerKind } from "./dns-checks.ts";
import { after, type Verdict } from "./facts.ts";
import type { Judging } from "./judging.ts";
import {
  type Check,
  CLIENT,
  HELO,
  RECIPIENT,
  resolved,
  type RestrictionDef,
  type RestrictionServices,
  REVERSE,
  SENDER,
  type Who,
} from "./restriction.ts";

/** OK would let strangers in whose name servers say what they like. */
function forbidPermit(judging: Judging, verdict: Verdict, name: string, target: string): Verdict {
  if (verdict !== "permit" || judging.discarded) return verdict;
  judging.warn(`restriction ${name} returns OK for ${target}`);
  judging.warn("this is not allowed for security reasons");
  judging.warn("use DUNNO instead of OK if you want to make an exception");
  return judging.serverError();
}

interface Asked {
  readonly keys: readonly Key[];
  readonly key: string;
}

/** check_*_access: `asked` gives the keys; null: there is nothing to look up. */
function access(
  who: Who,
  asked: (judging: Judging, services: RestrictionServices) => Asked | null | Verdict | Promise<Asked | Verdict>,
  settle: (
    judging: Judging,
    verdict: Verdict,
    services: RestrictionServices,
    name: string,
  ) => Verdict | Promise<Verdict> = (_judging, verdict) => verdict,
): RestrictionDef {
  return {
    argument: "table",
    make: (services, argument, name) => {
      const table = services.open(argument);
      const check: Check = (judging) =>
        after(asked(judging, services), (query): Verdict | Promise<Verdict> => {
          if (query === null) return "dunno";
          if (typeof query === "string" || "code" in query) return query;
          const { keys, key } = query;
          const about = { keys, key, name: who.name(judging.facts), subject: who.subject };
          const answer = after(accessAnswer(table, about, judging, services), (verdict) => verdict ?? "dunno");
          return after(answer, (verdict) => settle(judging, verdict, services, name));
        });
      return { check };
    },
  };
}

const hostKeys = (name: string, address: string, { accessParents }: RestrictionServices): Asked => ({
  keys: [...domainKeys(name, accessParents), ...networkKeys(address)],
  key: name,
});

function domainAccess(who: Who): RestrictionDef {
  return access(who, (judging, { accessParents }) => {
    const key = who.value(judging.facts);
    return key === null ? null : { keys: domainKeys(key, accessParents), key };
  });
}

const ETRN: Who = { value: ({ etrn }) => etrn, name: ({ etrn }) => etrn ?? "", subject: "Etrn command" };

function addressAccess(who: Who): RestrictionDef {
  const asked = (
    judging: Judging,
    services: RestrictionServices,
  ): Asked | null | Verdict | Promise<Asked | Verdict> => {
    const { sender, recipient } = judging.facts;
    const { config, accessParents } = services;
    const address = who === SENDER ? sender : recipient;
    if (address === null) return null;
    if (address === "") return { keys: [[config.smtpd_null_access_lookup_key, false]], key: address };
    return after(resolved(judging, services, address), (found): Asked | Verdict => {
      if (found.domainClass === "unsure") return judging.temporaryFailure(who.name(judging.facts));
      const keys = addressKeys(found.address, config.recipient_delimiter, accessParents);
      return { keys, key: found.address };
    });
  };
  if (who === SENDER) return access(who, asked);
  // OK for an address that routes on would make us a relay.
  return access(who, asked, (judging, verdict, services) => {
    const { recipient } = judging.facts;
    if (verdict !== "permit" || recipient === null || services.config.allow_untrusted_routing) return verdict;
    return after(resolved(judging, services, recipient), (found) => found.routed ? "dunno" : verdict);
  });
}

function serversAccess(who: Who, kind: ServerKind): RestrictionDef {
  return {
    argument: "table",
    make: (services, argument, name) => {
      const table = services.open(argument);
      const check: Check = async (judging) => {
        const of = who.value(judging.facts);
        if (of === null) return "dunno";
        const query = { kind, table, of: unquoted(of), name: who.name(judging.facts), subject: who.subject };
        return forbidPermit(judging, await serverAccess(query, judging, services), name, of);
      };
      return { check: (judging) => who.value(judging.facts) === null ? "dunno" : check(judging) };
    },
  };
}

const REVERSE_NAME = access(
  REVERSE,
  ({ facts: { client } }, services) => hostKeys(client.reverseName, client.address, services),
  (judging, verdict, _services, name) => forbidPermit(judging, verdict, name, judging.facts.client.reverseName),
);

const SERVERS: readonly (readonly [string, Who])[] = [
  ["client", CLIENT],
  ["reverse_client_hostname", REVERSE],
  ["helo", HELO],
  ["sender", SENDER],
  ["recipient", RECIPIENT],
];

const SERVER_ROWS: Readonly<Record<string, RestrictionDef>> = Object.fromEntries(
  SERVERS.flatMap(([what, who]) =>
    (["A", "MX", "NS"] as const).map((kind) => [`check_${what}_${kind.toLowerCase()}_access`, serversAccess(who, kind)])
  ),
);

export const ACCESS_CHECKS: Readonly<Record<string, RestrictionDef>> = {
  check_client_access: access(
    CLIENT,
    ({ facts: { client } }, services) => hostKeys(client.name, client.address, services),
  ),
  check_reverse_client_hostname_access: REVERSE_NAME,
  check_helo_access: domainAccess(HELO),
  check_sender_access: addressAccess(SENDER),
  check_recipient_access: addressAccess(RECIPIENT),
  check_etrn_access: domainAccess(ETRN),
  ...SERVER_ROWS,
};
