/**
 * The restrictions on DNS block lists and allow lists (postconf(5)): what each of them asks about whom.
 */

import type { SessionFacts } from "./facts.ts";
import {
  addressQuery,
  allowed,
  askAhead,
  blocked,
  type DnsList,
  domainQuery,
  parseDnsList,
  type RblQuery,
} from "./rbl.ts";
import {
  authorised,
  CLIENT,
  deprecated,
  HELO,
  RECIPIENT,
  type RestrictionDef,
  type RestrictionServices,
  REVERSE,
  SENDER,
  type Who,
} from "./restriction.ts";

/** The query of a DNS list restriction; null: nothing to ask. */
type ToAsk = (facts: SessionFacts, list: DnsList) => RblQuery | null;

const byAddress: ToAsk = ({ client }, list) => ({
  list,
  query: addressQuery(list, client.address),
  what: client.address,
  subject: "Client host",
});

function byDomain(who: Who): ToAsk {
  return (facts, list) => {
    const value = who.value(facts);
    if (value === null) return null;
    const what = who === CLIENT ? facts.client.name : who.name(facts);
    return { list, query: domainQuery(list, what), what, subject: who.subject };
  };
}

function dnsList(toAsk: ToAsk, act: typeof blocked): RestrictionDef {
  return {
    argument: "domain",
    make: (services, argument) => {
      const list = parseDnsList(argument);
      if (list === null) return { fault: `RBL reply error: bad address pattern in "${argument}"` };
      return {
        check: (judging) => {
          const query = toAsk(judging.facts, list);
          return query === null || query.query === null ? "dunno" : act(query, services, judging);
        },
        ahead: (judging) => {
          const query = toAsk(judging.facts, list);
          if (query !== null) askAhead(query, services);
        },
      };
    },
  };
}

/** Never for a recipient that we would not take mail for. */
function dnsAllowList(action: string, toAsk: ToAsk): RestrictionDef {
  return dnsList(toAsk, async (query, services, judging) => {
    const { facts } = judging;
    if (facts.client.where === "RCPT" && facts.recipient !== null) {
      const answer = await authorised(judging, services as RestrictionServices);
      if (answer !== true) return typeof answer === "boolean" ? "dunno" : answer;
    }
    return await allowed(action, query, services, judging);
  });
}

/** reject_maps_rbl: the lists of maps_rbl_domains. */
const mapsRbl: RestrictionDef = {
  argument: "none",
  make: (services) => {
    const lists = services.config.maps_rbl_domains.map(parseDnsList);
    if (lists.some((list) => list === null)) {
      return { fault: "RBL reply error: bad address pattern in maps_rbl_domains" };
    }
    const queries = (facts: SessionFacts): RblQuery[] => lists.map((list) => byAddress(facts, list!)!);
    return {
      check: async (judging) => {
        const all = queries(judging.facts);
        for (const query of all) askAhead(query, services);
        for (const query of all) {
          const verdict = await blocked(query, services, judging);
          if (verdict !== "dunno") return verdict;
        }
        return "dunno";
      },
      ahead: (judging) => queries(judging.facts).forEach((query) => askAhead(query, services)),
    };
  },
};

export const RBL_CHECKS: Readonly<Record<string, RestrictionDef>> = {
  reject_maps_rbl: deprecated(
    'support for restriction "reject_maps_rbl" will be removed; use "reject_rbl_client domain-name" instead',
    mapsRbl,
  ),
  reject_rbl_client: dnsList(byAddress, blocked),
  reject_rbl: dnsList(byAddress, blocked),
  permit_dnswl_client: dnsAllowList("permit_dnswl_client", byAddress),
  permit_rhswl_client: dnsAllowList("permit_rhswl_client", byDomain(CLIENT)),
  reject_rhsbl_client: dnsList(byDomain(CLIENT), blocked),
  reject_rhsbl_reverse_client: dnsList(byDomain(REVERSE), blocked),
  reject_rhsbl_helo: dnsList(byDomain(HELO), blocked),
  reject_rhsbl_sender: dnsList(byDomain(SENDER), blocked),
  reject_rhsbl_recipient: dnsList(byDomain(RECIPIENT), blocked),
};
