/**
 * When which restriction list is looked at. With smtpd_delay_reject (the default) client, helo and sender lists wait
 * for RCPT TO, and then all lists run: client, helo, sender, relay, recipient. Without it each runs at its own command.
 * A list that ends without an answer permits.
 */

import { ConfigError } from "../errors.ts";
import { softened } from "../reply.ts";
import {
  compile,
  evaluate,
  hasRelayControl,
  type PolicyServices,
  type SessionFacts,
  type Verdict,
} from "./restrictions.ts";

export type Stage = "client" | "helo" | "sender" | "recipient" | "data" | "end-of-data";

const FATAL = "in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least one working " +
  "instance of: reject_unauth_destination, defer_unauth_destination, reject, defer, defer_if_permit or " +
  "check_relay_domains";

type Lists = Readonly<Record<"client" | "helo" | "sender" | "relay" | "recipient" | "data" | "endOfData", Checks>>;
type Checks = ReturnType<typeof compile>;

export class Stages {
  readonly #lists: Lists;
  readonly #delayed: boolean;
  readonly #soft: boolean;

  constructor(services: PolicyServices) {
    const { config } = services;
    const relayFirst = config.smtpd_relay_before_recipient_restrictions;
    const list = (name: string, words: readonly string[]): Checks => compile(name, words, services);
    if (![config.smtpd_relay_restrictions, config.smtpd_recipient_restrictions].some(hasRelayControl)) {
      throw new ConfigError([FATAL]);
    }
    const relay = list("smtpd_relay_restrictions", config.smtpd_relay_restrictions);
    const recipient = list("smtpd_recipient_restrictions", config.smtpd_recipient_restrictions);
    this.#lists = {
      client: list("smtpd_client_restrictions", config.smtpd_client_restrictions),
      helo: list("smtpd_helo_restrictions", config.smtpd_helo_restrictions),
      sender: list("smtpd_sender_restrictions", config.smtpd_sender_restrictions),
      relay: relayFirst ? relay : recipient,
      recipient: relayFirst ? recipient : relay,
      data: list("smtpd_data_restrictions", config.smtpd_data_restrictions),
      endOfData: list("smtpd_end_of_data_restrictions", config.smtpd_end_of_data_restrictions),
    };
    this.#delayed = config.smtpd_delay_reject;
    this.#soft = config.soft_bounce;
  }

  /** The verdict of that command: "dunno" and "permit" both let it pass. */
  at(stage: Stage, facts: SessionFacts): Verdict | Promise<Verdict> {
    const verdict = this.#run(this.#listsAt(stage), facts, 0);
    return verdict instanceof Promise ? verdict.then((value) => this.#final(value)) : this.#final(verdict);
  }

  #final(verdict: Verdict): Verdict {
    return this.#soft && typeof verdict === "object" ? softened(verdict) : verdict;
  }

  #listsAt(stage: Stage): readonly Checks[] {
    const lists = this.#lists;
    if (stage === "data") return [lists.data];
    if (stage === "end-of-data") return [lists.endOfData];
    if (stage === "recipient") {
      const early = this.#delayed ? [lists.client, lists.helo, lists.sender] : [];
      return [...early, lists.relay, lists.recipient];
    }
    return this.#delayed ? [] : [lists[stage]];
  }

  /** A permit ends its list only; a reply ends all. */
  #run(lists: readonly Checks[], facts: SessionFacts, first: number): Verdict | Promise<Verdict> {
    for (let at = first; at < lists.length; at++) {
      const verdict = evaluate(lists[at] as Checks, facts);
      if (verdict instanceof Promise) {
        return verdict.then((value) => typeof value === "object" ? value : this.#run(lists, facts, at + 1));
      }
      if (typeof verdict === "object") return verdict;
    }
    return "dunno";
  }
}
