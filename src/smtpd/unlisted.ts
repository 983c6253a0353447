/**
 * reject_unlisted_recipient and reject_unlisted_sender (postconf(5)): an address of a domain of ours that no table
 * knows. Aliases and canonical tables make an address known; what is routed to the error transport is refused with that
 * transport's words. A table that cannot answer puts the client off.
 */

import type { Transport } from "../agent.ts";
import type { Config } from "../config/config.ts";
import type { Lookup } from "../lookup.ts";
import type { LookupTable } from "../maps/map.ts";
import { fittingStatus, lookUp, memberKeys, statusAndText } from "./access.ts";
import { after, type Subject, type Verdict } from "./facts.ts";
import type { Judging } from "./judging.ts";
import type { ResolvedAddress } from "./resolved.ts";

export interface UnlistedServices {
  readonly config: Config;
  readonly open: (table: string) => LookupTable;
  /** Where mail for the address goes: transport_maps, relocated_maps and the like. */
  readonly route: (address: string) => Transport | Promise<Transport>;
}

/** Local parts that every system has. */
function isWellKnown(address: string, config: Config): boolean {
  const local = address.slice(0, address.lastIndexOf("@")).toLowerCase();
  return local === "postmaster" || local === "mailer-daemon" || local === config.double_bounce_sender.toLowerCase();
}

/** RFC 3463: other status of a sender; otherwise bad destination mailbox. */
const UNKNOWN_USER: Readonly<Partial<Record<Subject, string>>> = { "Sender address": "1.0" };

interface About {
  readonly judging: Judging;
  readonly resolved: ResolvedAddress;
  readonly name: string;
  readonly subject: Subject;
}

export class Unlisted {
  readonly #services: UnlistedServices;
  readonly #aliases: readonly LookupTable[];
  readonly #senders: readonly LookupTable[];
  readonly #relocated: readonly LookupTable[];
  readonly #members: Readonly<Record<"local" | "virtual" | "relay", readonly LookupTable[]>>;

  constructor(services: UnlistedServices) {
    const { config } = services;
    const open = (names: readonly string[]): LookupTable[] => names.map(services.open);
    this.#services = services;
    this.#aliases = open([...config.recipient_canonical_maps, ...config.canonical_maps, ...config.virtual_alias_maps]);
    this.#senders = open(config.sender_canonical_maps);
    this.#relocated = open(config.relocated_maps);
    this.#members = {
      local: open(config.local_recipient_maps),
      virtual: open(config.virtual_mailbox_maps),
      relay: open(config.relay_recipient_maps),
    };
  }

  check(judging: Judging, resolved: ResolvedAddress, name: string, subject: Subject): Verdict | Promise<Verdict> {
    if (resolved.domainClass === "unsure") return judging.temporaryFailure(name);
    const aliases = subject === "Sender address" ? [...this.#senders, ...this.#aliases] : this.#aliases;
    return after(this.#find(aliases, resolved), (known): Verdict | Promise<Verdict> => {
      if (known.kind === "unsure") return judging.temporaryFailure(name);
      if (known.kind === "found") return "dunno";
      return after(this.#find(this.#relocated, resolved), (moved): Verdict | Promise<Verdict> => {
        if (moved.kind === "unsure") return judging.temporaryFailure(name);
        const told = { judging, resolved, name, subject };
        if (moved.kind === "found") return this.#gone("error", `5.1.6 User has moved to ${moved.value}`, told);
        return after(this.#services.route(resolved.address), (transport) => this.#undeliverable(transport, told));
      });
    });
  }

  #find(tables: readonly LookupTable[], { address, domainClass }: ResolvedAddress): Lookup | Promise<Lookup> {
    if (tables.length === 0) return { kind: "none" };
    return lookUp(tables, memberKeys(address, this.#services.config.recipient_delimiter, domainClass === "local"));
  }

  #undeliverable(transport: Transport, about: About): Verdict | Promise<Verdict> {
    if (transport.kind !== "deliver") return about.judging.temporaryFailure(about.name);
    const { transport: to, nexthop } = transport;
    return to === "error" || to === "retry" ? this.#gone(to, nexthop, about) : this.#unknown(about);
  }

  /** The words of the error or retry transport. */
  #gone(transport: "error" | "retry", words: string, { judging, resolved, name, subject }: About): Verdict {
    const { unknown_virtual_alias_reject_code: aliasCode } = this.#services.config;
    const own = resolved.domainClass === "virtual-alias" ? aliasCode : 550;
    const [code, digit] = transport === "error" ? [own, "5"] : [450, "4"];
    const { status, text } = statusAndText(words, `${digit}.${UNKNOWN_USER[subject] ?? "1.1"}`);
    return judging.refuse(code, fittingStatus(status, subject), text, name, subject);
  }

  #unknown({ judging, resolved, name, subject }: About): Verdict | Promise<Verdict> {
    const { config } = this.#services;
    const { domainClass, address } = resolved;
    if (domainClass !== "local" && domainClass !== "virtual" && domainClass !== "relay") return "dunno";
    const tables = this.#members[domainClass];
    if (tables.length === 0 || (domainClass === "local" && isWellKnown(address, config))) return "dunno";
    return after(this.#find(tables, resolved), (found): Verdict => {
      if (found.kind === "unsure") return judging.temporaryFailure(name);
      if (found.kind === "found") return "dunno";
      const [code, table] = {
        local: [config.unknown_local_recipient_reject_code, "local recipient table"] as const,
        virtual: [config.unknown_virtual_mailbox_reject_code, "virtual mailbox table"] as const,
        relay: [config.unknown_relay_recipient_reject_code, "relay recipient table"] as const,
      }[domainClass];
      const where = config.show_user_unknown_table_name ? ` in ${table}` : "";
      return judging.refuse(code, `5.${UNKNOWN_USER[subject] ?? "1.1"}`, `User unknown${where}`, name, subject);
    });
  }
}
