/**
 * When which restriction list is looked at. With smtpd_delay_reject (the default) client, helo and sender lists wait
 * for RCPT TO (client and helo lists for ETRN too), and then all lists run: client, helo, sender, relay, recipient.
 * Without it each runs at its own command. A list that ends without an answer permits; what a stage put off
 * (defer_if_permit) holds for the stages after it.
 */

import type { Config } from "../config/config.ts";
import type { Transport } from "../agent.ts";
import { ConfigError } from "../errors.ts";
import type { LookupTable } from "../maps/map.ts";
import { type MatchList, parseMatchList } from "../match-list.ts";
import type { Resolver } from "../dns/dns.ts";
import { isProbeSender, type Verifier } from "../probe.ts";
import type { Runtime } from "../runtime.ts";
import type { AddressClasses } from "../trivial-rewrite/resolve.ts";
import { unquoted } from "../trivial-rewrite/tokens.ts";
import { after, clientOf, isReply, type SessionFacts, type Subject, type Verdict } from "./facts.ts";
import { Judging, type Pending, type PolicyMemory } from "./judging.ts";
import { type List, Lists } from "./lists.ts";
import { listed } from "./restrictions.ts";
import { observed, type PolicyObserver } from "./restriction.ts";
import { Unlisted } from "./unlisted.ts";

export type Stage = "client" | "helo" | "sender" | "recipient" | "data" | "end-of-data" | "etrn";

export interface PolicyServices {
  readonly config: Config;
  readonly runtime: Runtime;
  readonly classes: AddressClasses;
  readonly myNetworks: MatchList;
  readonly resolver: Resolver;
  readonly open: (table: string) => LookupTable;
  readonly route: (address: string) => Transport | Promise<Transport>;
  readonly verifier?: Verifier;
  readonly warn: (text: string) => void;
  readonly observer?: PolicyObserver;
}

const FATAL = "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working " +
  "instance of: reject_unauth_destination, defer_unauth_destination, reject, defer, defer_if_permit or " +
  "check_relay_domains";

const LISTS = [
  "smtpd_client_restrictions",
  "smtpd_helo_restrictions",
  "smtpd_sender_restrictions",
  "smtpd_relay_restrictions",
  "smtpd_recipient_restrictions",
  "smtpd_data_restrictions",
  "smtpd_end_of_data_restrictions",
  "smtpd_etrn_restrictions",
] as const;

const TEMPFAIL_ACTIONS = [
  "unknown_helo_hostname_tempfail_action",
  "unknown_address_tempfail_action",
  "unverified_sender_tempfail_action",
  "unverified_recipient_tempfail_action",
] as const;

/** What lists are made with. Throws ConfigError. */
export function restrictionServices(services: PolicyServices): ConstructorParameters<typeof Lists>[0] {
  const { config, runtime, classes, open } = services;
  const parents = config.parent_domain_matches_subdomains;
  const parse = (name: "relay_domains" | "permit_mx_backup_networks", addresses: boolean): MatchList =>
    parseMatchList(config[name], { runtime, parents: parents.includes(name), addresses, place: name });
  return {
    ...services,
    clock: runtime.clock,
    relayDomains: parse("relay_domains", false),
    permitMxBackupNetworks: parse("permit_mx_backup_networks", true),
    rblReplyMaps: config.rbl_reply_maps.map(open),
    ownAddresses: classes.ownAddresses,
    accessParents: parents.includes("smtpd_access_maps"),
    isLocal: (domain) => after(classes.of(`x@${domain}`), (value) => value === "local"),
    unlisted: new Unlisted(services),
    localTime: () => new Date(runtime.clock.now()).toString(),
  };
}

/** Makes the lists; throws ConfigError with all their faults. */
function listsOf(services: PolicyServices): { lists: Lists; byName: Readonly<Record<(typeof LISTS)[number], List>> } {
  const { config } = services;
  const lists = new Lists(restrictionServices(services));
  const byName = Object.fromEntries(LISTS.map((name) => [name, lists.make(name, config[name])]));
  for (const name of TEMPFAIL_ACTIONS) {
    const action = config[name];
    if (action !== "defer" && action !== "defer_if_permit") lists.faults.push(`bad configuration: ${name} = ${action}`);
  }
  lists.check();
  const { smtpd_relay_restrictions: relay, smtpd_recipient_restrictions: recipient } = config;
  if (![relay, recipient].some((words) => lists.hasRelayControl(words))) throw new ConfigError([FATAL]);
  return { lists, byName: byName as Record<(typeof LISTS)[number], List> };
}

export class Stages {
  readonly #services: PolicyServices;
  readonly #lists: Lists;
  readonly #byName: Readonly<Record<(typeof LISTS)[number], List>>;
  readonly #logsPermit: (action: string) => boolean;

  constructor(services: PolicyServices) {
    const { lists, byName } = listsOf(services);
    this.#services = services;
    this.#lists = lists;
    this.#byName = byName;
    const logged = services.config.smtpd_log_access_permit_actions.map((word) => word.toLowerCase());
    const all = logged.some((word) => word.startsWith("static:"));
    this.#logsPermit = logged.length === 0 ? () => false : (action) => all || logged.includes(action.toLowerCase());
  }

  /** The verdict of that command: "dunno" and "permit" both let it pass. */
  at(stage: Stage, facts: SessionFacts, memory: PolicyMemory): Verdict | Promise<Verdict> {
    const judging = new Judging(facts, memory, this.#services.config.soft_bounce, this.#logsPermit);
    const delayed = this.#services.config.smtpd_delay_reject;
    switch (stage) {
      case "client":
        return delayed ? "dunno" : this.#client(judging);
      case "helo":
        return delayed ? "dunno" : this.#helo(judging);
      case "sender":
        return delayed ? "dunno" : this.#sender(judging);
      case "recipient":
        return this.#recipient(judging, delayed);
      case "data":
        return this.#message(judging, "smtpd_data_restrictions", "DATA", "Data command");
      case "end-of-data":
        return this.#message(judging, "smtpd_end_of_data_restrictions", "END-OF-MESSAGE", "End-of-data");
      case "etrn":
        return this.#etrn(judging, delayed);
    }
  }

  #run(name: (typeof LISTS)[number], judging: Judging): Verdict | Promise<Verdict> {
    const list = this.#byName[name];
    if (list.length === 0) return "dunno";
    return observed(this.#services.observer, "list", name, () => this.#lists.run(list, judging));
  }

  #client(judging: Judging): Verdict | Promise<Verdict> {
    judging.deferIfPermit = null;
    judging.begin(clientOf(judging.facts), "Client host", "check_client_access");
    return after(this.#run("smtpd_client_restrictions", judging), (verdict) => {
      judging.memory.pending.client = judging.deferIfPermit;
      return verdict;
    });
  }

  #helo(judging: Judging): Verdict | Promise<Verdict> {
    const { pending } = judging.memory;
    if (judging.facts.helo === "") return "dunno";
    judging.deferIfPermit = pending.client;
    judging.begin(judging.facts.helo, "Helo command", "check_helo_access");
    return after(this.#run("smtpd_helo_restrictions", judging), (verdict) => {
      pending.helo = judging.deferIfPermit;
      return verdict;
    });
  }

  #sender(judging: Judging): Verdict | Promise<Verdict> {
    const { memory, facts } = judging;
    const { config } = this.#services;
    const { sender } = facts;
    if (sender === null) return "dunno";
    judging.deferIfPermit = memory.pending.client ?? memory.pending.helo;
    memory.senderListed = false;
    judging.begin(unquoted(sender), "Sender address", "check_sender_access");
    return after(this.#run("smtpd_sender_restrictions", judging), (verdict): Verdict | Promise<Verdict> => {
      memory.pending.sender = judging.deferIfPermit;
      if (!config.smtpd_reject_unlisted_sender || isReply(verdict) || judging.discarded) return verdict;
      return this.#listed("smtpd_reject_unlisted_sender", judging);
    });
  }

  #listed(
    name: "smtpd_reject_unlisted_sender" | "smtpd_reject_unlisted_recipient",
    judging: Judging,
  ): Verdict | Promise<Verdict> {
    const subject = name === "smtpd_reject_unlisted_sender" ? "Sender address" : "Recipient address";
    return observed(this.#services.observer, "list", name, () => listed(subject, judging, this.#lists.services));
  }

  /** One after the other until one refuses. */
  #inTurn(steps: readonly (() => Verdict | Promise<Verdict>)[], first = 0): Verdict | Promise<Verdict> {
    const step = steps[first];
    if (step === undefined) return "dunno";
    return after(step(), (verdict) => isReply(verdict) ? verdict : this.#inTurn(steps, first + 1));
  }

  #recipient(judging: Judging, delayed: boolean): Verdict | Promise<Verdict> {
    const { config } = this.#services;
    const recipient = unquoted(judging.facts.recipient ?? "");
    const now = this.#services.runtime.clock.now();
    if (recipient.toLowerCase() === "postmaster" || isProbeSender(recipient, config, now)) return "dunno";
    const relayFirst = config.smtpd_relay_before_recipient_restrictions;
    const relay = (): Verdict | Promise<Verdict> => this.#run("smtpd_relay_restrictions", judging);
    const others = (): Verdict | Promise<Verdict> => this.#run("smtpd_recipient_restrictions", judging);
    const early = [() => this.#client(judging), () => this.#helo(judging), () => this.#sender(judging)];
    const begin = (): Verdict => {
      judging.deferIfPermit = judging.memory.pending.sender;
      judging.begin(recipient, "Recipient address", "check_recipient_access");
      return "dunno";
    };
    const end = (): Verdict => judging.settle("dunno");
    const unlisted = (): Verdict | Promise<Verdict> =>
      config.smtpd_reject_unlisted_recipient && !judging.discarded
        ? this.#listed("smtpd_reject_unlisted_recipient", judging)
        : "dunno";
    const lists = relayFirst ? [relay, others] : [others, relay];
    return this.#inTurn([...delayed ? early : [], begin, ...lists, end, unlisted]);
  }

  #message(
    judging: Judging,
    list: "smtpd_data_restrictions" | "smtpd_end_of_data_restrictions",
    name: string,
    subject: Subject,
  ): Verdict | Promise<Verdict> {
    judging.deferIfPermit = null;
    judging.begin(name, subject, null);
    return after(this.#run(list, judging), (verdict) => judging.settle(verdict));
  }

  #etrn(judging: Judging, delayed: boolean): Verdict | Promise<Verdict> {
    const begin = (): Verdict => {
      const { client, helo }: { client: Pending | null; helo: Pending | null } = judging.memory.pending;
      judging.deferIfPermit = client ?? helo;
      judging.begin(judging.facts.etrn ?? "", "Etrn command", "check_etrn_access");
      return "dunno";
    };
    const own = (): Verdict | Promise<Verdict> =>
      after(this.#run("smtpd_etrn_restrictions", judging), (verdict) => judging.settle(verdict));
    return this.#inTurn([...delayed ? [() => this.#client(judging), () => this.#helo(judging)] : [], begin, own]);
  }
}
