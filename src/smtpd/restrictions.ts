/**
 * Access restrictions by their main.cf names, old and new (postconf(5), smtpd_*_restrictions): what each of them looks
 * at and answers. "I do not know" (DNS, tables) never becomes a permanent refusal. Lists of them are made in lists.ts.
 */

import type { Config } from "../config/config.ts";
import type { Lookup } from "../lookup.ts";
import { matchAddress, matchDomain } from "../match-list.ts";
import { unquoted } from "../trivial-rewrite/tokens.ts";
import { ACCESS_CHECKS } from "./access-checks.ts";
import { mxBackup, unknownHostname, unknownMailHost } from "./dns-checks.ts";
import { after, clientOf, isReply, type Subject, type Verdict } from "./facts.ts";
import { literalAddress } from "../ip-address.ts";
import { validHostAddress, validHostname, withoutFinalDot } from "./host-name.ts";
import type { Judging } from "./judging.ts";
import { parsePolicyService, PolicyService } from "./policy.ts";
import { RBL_CHECKS } from "./rbl-checks.ts";
import {
  authorised,
  deprecated,
  type Judge,
  nothing,
  RECIPIENT,
  resolved,
  type RestrictionDef,
  type RestrictionServices,
  SENDER,
  simple,
  type Who,
  withoutSasl,
} from "./restriction.ts";
import { unverified } from "./unverified.ts";

function inMyNetworks(judging: Judging, { myNetworks }: RestrictionServices): Verdict | Promise<Verdict> {
  return after(matchAddress(myNetworks, judging.facts.client.address), ({ kind }: Lookup): Verdict => {
    if (kind === "unsure") return judging.temporaryFailure();
    return kind === "none" ? "dunno" : judging.permit("permit_mynetworks", "Client host", clientOf(judging.facts));
  });
}

/** `yes` when the destination is authorised, `no` when it is not; nothing without a recipient. */
function byDestination(yes: (judging: Judging) => Verdict, no: Judge): RestrictionDef {
  return simple((judging, services) => {
    if (judging.facts.recipient === null) return "dunno";
    return after(authorised(judging, services), (answer): Verdict | Promise<Verdict> => {
      if (typeof answer !== "boolean") return answer;
      return answer ? yes(judging) : no(judging, services);
    });
  });
}

function relayDenied(code: number, status: string, words = "Relay access denied"): (judging: Judging) => Verdict {
  return (judging) => judging.reject(code, status, `<${RECIPIENT.name(judging.facts)}>: ${words}`);
}

function unknownClient(status: "nameStatus" | "reverseStatus", dsn: string, what: string): RestrictionDef {
  return simple((judging, { config }) => {
    const { client } = judging.facts;
    if (client[status] === "ok") return "dunno";
    const code = client[status] === "temporary" ? 450 : config.unknown_client_reject_code;
    return judging.reject(code, dsn, `Client host rejected: cannot find your ${what}, [${client.address}]`);
  });
}

/** HELO names that are address literals are looked at as such; others by `named`. */
function byHelo(named: (judging: Judging, services: RestrictionServices, helo: string) => Verdict | Promise<Verdict>) {
  return simple((judging, services) => {
    const { helo } = judging.facts;
    if (helo === "") return "dunno";
    return helo.startsWith("[") ? literalVerdict(judging, services.config, helo) : named(judging, services, helo);
  });
}

function literalVerdict(judging: Judging, config: Config, helo: string): Verdict {
  const bracketed = helo.startsWith("[") && helo.length > 2 && helo.endsWith("]");
  if (literalAddress(bracketed ? helo.slice(1, -1) : helo) !== null) return "dunno";
  return judging.refuse(config.invalid_hostname_reject_code, "5.5.2", "invalid ip address", helo, "Helo command");
}

const invalidHelo = byHelo((judging, { config }, helo) => {
  const name = withoutFinalDot(helo);
  if (validHostname(name) || validHostAddress(name)) return "dunno";
  return judging.refuse(config.invalid_hostname_reject_code, "5.5.2", "Invalid name", helo, "Helo command");
});

const nonFqdnHelo = byHelo((judging, { config }, helo) => {
  const name = withoutFinalDot(helo);
  if (validHostname(name) && name.includes(".")) return "dunno";
  const why = "need fully-qualified hostname";
  return judging.refuse(config.non_fqdn_reject_code, "5.5.2", why, helo, "Helo command");
});

const nakedAddress = simple((judging, { config }) => {
  const { helo } = judging.facts;
  if (helo === "" || !/^[0-9.:]+$/.test(helo)) return "dunno";
  const verdict = literalVerdict(judging, config, helo);
  return isReply(verdict) ? verdict : judging.permit("permit_naked_ip_address", "Helo command", helo);
});

function nonFqdnAddress(who: Who): RestrictionDef {
  return simple((judging, { config }) => {
    const address = unquoted(who.value(judging.facts) ?? "");
    if (address === "") return "dunno";
    const at = address.lastIndexOf("@");
    const domain = at < 0 ? "" : address.slice(at + 1);
    if (domain.startsWith("[") && domain.endsWith("]")) return "dunno";
    const name = withoutFinalDot(domain);
    if (validHostname(name) && name.includes(".")) return "dunno";
    return judging.refuse(config.non_fqdn_reject_code, "4.5.2", "need fully-qualified address", address, who.subject);
  });
}

function unknownDomain(who: Who): RestrictionDef {
  return simple((judging, services) => {
    const address = who.value(judging.facts);
    if (address === null) return "dunno";
    const name = who.name(judging.facts);
    return after(resolved(judging, services, address), (found): Verdict | Promise<Verdict> => {
      const { domain, domainClass } = found;
      if (domainClass === "unsure") return judging.temporaryFailure(name);
      const final = domainClass === "local" || domainClass === "virtual" || domainClass === "virtual-alias";
      if (final || (domain.startsWith("[") && domain.endsWith("]"))) return "dunno";
      return unknownMailHost(judging, services, { domain, name, subject: who.subject });
    });
  });
}

function unlisted(who: Who): RestrictionDef {
  return simple((judging, services) => listed(who.subject, judging, services));
}

/** Each address is looked up once a command, however many restrictions ask for it. */
export function listed(
  subject: Subject,
  judging: Judging,
  services: RestrictionServices,
): Verdict | Promise<Verdict> {
  const sender = subject === "Sender address";
  const who = sender ? SENDER : RECIPIENT;
  const address = who.value(judging.facts);
  const done = sender ? judging.memory.senderListed : judging.recipientListed;
  if (address === null || done || services.config.receive_override_options.includes("no_unknown_recipient_checks")) {
    return "dunno";
  }
  if (judging.warning === 0) {
    if (sender) judging.memory.senderListed = true;
    else judging.recipientListed = true;
  }
  return after(
    resolved(judging, services, address),
    (found) => services.unlisted.check(judging, found, who.name(judging.facts), subject),
  );
}

const permitMxBackup = simple((judging, services) => {
  const { recipient } = judging.facts;
  if (recipient === null) return "dunno";
  return after(resolved(judging, services, recipient), (found): Verdict | Promise<Verdict> => {
    const { domain, domainClass } = found;
    if (domainClass === "unsure") return judging.temporaryFailure(unquoted(recipient));
    if (found.routed && !services.config.allow_untrusted_routing) return "dunno";
    if (domainClass !== "default") {
      return judging.permit("permit_mx_backup", "Recipient address", unquoted(recipient));
    }
    return domain.startsWith("[") && domain.endsWith("]") ? "dunno" : mxBackup(domain, judging, services);
  });
});

const relayDomains = simple((judging, services) => {
  const { recipient, client } = judging.facts;
  if (recipient === null) return "dunno";
  const permit = (): Verdict => judging.permit("check_relay_domains", "Recipient address", unquoted(recipient));
  return after(matchDomain(services.relayDomains, client.name), (answer): Verdict | Promise<Verdict> => {
    if (answer.kind === "unsure") return judging.temporaryFailure(unquoted(recipient));
    if (answer.kind === "found") return permit();
    return after(authorised(judging, services), (own): Verdict => {
      if (typeof own !== "boolean") return own;
      if (own) return permit();
      const code = services.config.relay_domains_reject_code;
      return judging.refuse(code, "5.7.1", "Relay access denied", unquoted(recipient), "Recipient address");
    });
  });
});

const policyService: RestrictionDef = {
  argument: "service",
  make: (services, argument) => {
    const options = parsePolicyService(argument, services.config);
    if ("fault" in options) return options;
    const service = new PolicyService(services.runtime, options, services.config.text("stress"));
    return { check: (judging) => service.check(judging, services) };
  },
};

const pause: RestrictionDef = {
  argument: "number",
  make: ({ clock }, argument) =>
    /^\d{1,6}$/.test(argument)
      ? { check: () => new Promise((resolve) => void clock.after(Number(argument) * 1000, () => resolve("dunno"))) }
      : { fault: `restriction sleep must be followed by number, not "${argument}"` },
};

/** Words of the list itself; its name and subject stand in the reply. */
const PLAIN = {
  permit: simple((judging) => judging.permit("permit")),
  reject: simple((judging, { config }) => judging.refuse(config.reject_code, "5.7.1", "Access denied")),
  defer: simple((judging, { config }) => judging.refuse(config.defer_code, "4.3.2", "Try again later")),
  defer_if_permit: simple((judging) =>
    judging.putOff(450, "4.7.0", `<${judging.name}>: ${judging.subject} rejected: defer_if_permit requested`)
  ),
  defer_if_reject: simple((judging) =>
    judging.spare(450, "4.7.0", `<${judging.name}>: ${judging.subject} rejected: defer_if_reject requested`)
  ),
  sleep: pause,
  reject_unauth_pipelining: simple((judging) =>
    judging.facts.pipelined ? judging.refuse(503, "5.5.0", "Improper use of SMTP command pipelining") : "dunno"
  ),
  reject_plaintext_session: simple((judging, { config }) =>
    judging.reject(config.plaintext_reject_code, "4.7.1", "Session encryption is required")
  ),
  reject_multi_recipient_bounce: simple((judging, { config }) => {
    const { sender, recipients, client } = judging.facts;
    const most = client.where === "RCPT" ? 0 : 1;
    if (sender !== "" || recipients <= most) return "dunno";
    return judging.refuse(config.multi_recipient_bounce_reject_code, "5.5.3", "Multi-recipient bounce");
  }),
  check_policy_service: policyService,
} as const;

const CLIENT_ROWS = {
  permit_mynetworks: simple(inMyNetworks),
  permit_inet_interfaces: simple((judging, { ownAddresses }) =>
    ownAddresses.has(judging.facts.client.address)
      ? judging.permit("permit_inet_interfaces", "Client host", clientOf(judging.facts))
      : "dunno"
  ),
  reject_unknown_client_hostname: unknownClient("nameStatus", "4.7.25", "hostname"),
  reject_unknown_client: unknownClient("nameStatus", "4.7.25", "hostname"),
  reject_unknown_reverse_client_hostname: unknownClient("reverseStatus", "4.7.1", "reverse hostname"),
  permit_sasl_authenticated: nothing,
  permit_tls_all_clientcerts: nothing,
  permit_tls_clientcerts: nothing,
  check_ccert_access: { argument: "table", make: () => ({ check: () => "dunno" }) },
  check_sasl_access: withoutSasl("table"),
} as const satisfies Record<string, RestrictionDef>;

const HELO_ROWS = {
  reject_invalid_helo_hostname: invalidHelo,
  reject_invalid_hostname: invalidHelo,
  reject_non_fqdn_helo_hostname: nonFqdnHelo,
  reject_non_fqdn_hostname: nonFqdnHelo,
  reject_unknown_helo_hostname: byHelo((judging, services) => unknownHostname(judging, services)),
  reject_unknown_hostname: byHelo((judging, services) => unknownHostname(judging, services)),
  permit_naked_ip_address: deprecated(
    "restriction permit_naked_ip_address is deprecated. Use permit_mynetworks or permit_sasl_authenticated instead",
    nakedAddress,
  ),
} as const;

const SENDER_ROWS = {
  reject_unknown_sender_domain: unknownDomain(SENDER),
  reject_unknown_address: unknownDomain(SENDER),
  reject_non_fqdn_sender: nonFqdnAddress(SENDER),
  reject_unlisted_sender: unlisted(SENDER),
  reject_unverified_sender: unverified(SENDER, "sender"),
  reject_sender_login_mismatch: withoutSasl("none"),
  reject_authenticated_sender_login_mismatch: withoutSasl("none"),
  reject_known_sender_login_mismatch: withoutSasl("none"),
  reject_unauthenticated_sender_login_mismatch: withoutSasl("none"),
} as const;

const RECIPIENT_ROWS = {
  permit_auth_destination: byDestination(
    (judging) => judging.permit("permit_auth_destination", "Recipient address", RECIPIENT.name(judging.facts)),
    () => "dunno",
  ),
  reject_unauth_destination: byDestination(
    () => "dunno",
    (judging, { config }) => relayDenied(config.relay_domains_reject_code, "5.7.1")(judging),
  ),
  defer_unauth_destination: byDestination(
    () => "dunno",
    (judging, { config }) => relayDenied(config.relay_domains_reject_code - 100, "4.7.1")(judging),
  ),
  check_relay_domains: deprecated(
    'support for restriction "check_relay_domains" will be removed; use "reject_unauth_destination" instead',
    relayDomains,
  ),
  permit_mx_backup: permitMxBackup,
  reject_unknown_recipient_domain: unknownDomain(RECIPIENT),
  reject_non_fqdn_recipient: nonFqdnAddress(RECIPIENT),
  reject_unlisted_recipient: unlisted(RECIPIENT),
  check_recipient_maps: unlisted(RECIPIENT),
  reject_unverified_recipient: unverified(RECIPIENT, "recipient"),
} as const;

export const RESTRICTIONS: ReadonlyMap<string, RestrictionDef> = new Map(
  Object.entries({
    ...PLAIN,
    ...CLIENT_ROWS,
    ...HELO_ROWS,
    ...SENDER_ROWS,
    ...RECIPIENT_ROWS,
    ...ACCESS_CHECKS,
    ...RBL_CHECKS,
  }),
);
