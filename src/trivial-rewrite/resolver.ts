/**
 * Address resolution of trivial-rewrite(8): which transport and next hop deliver an address, by the class of its
 * domain (ADDRESS_CLASS_README), then by transport(5), then by relocated(5). Own domains are taken off as long as a
 * routing operator is left behind them: user%elsewhere@here is mail for elsewhere.
 * A table that cannot answer makes the recipient wait ("unsure"); what is no address goes to error(8). Answers come at
 * once as long as no table takes time and the address has no routing operators.
 */

import type { Transport } from "../agent.ts";
import { splitAddress, validDomain } from "../address.ts";
import type { Config } from "../config/config.ts";
import type { Envelope, Recipient } from "../envelope.ts";
import { isUtf8 } from "../maps/fold.ts";
import type { OpenOptions } from "../maps/map.ts";
import type { Runtime } from "../runtime.ts";
import { AddressTables, tableWorld } from "./address-tables.ts";
import type { AddressClass, AddressClasses, ClassAnswer } from "./resolve.ts";
import { isWholeAddress, localContext, rewriteTokens } from "./rewrite.ts";
import { TransportTable } from "./transport.ts";
import { internal, quoted, scan, type Token, token } from "./tokens.ts";

/** What a resolver finds; the flags of resolve_clnt(3) that matter. */
export interface Resolution {
  readonly transport: Transport;
  /** In internal form. */
  readonly recipient: string;
  readonly domainClass: AddressClass | null;
  /** The local part routes on by some operator. */
  readonly routed: boolean;
}

type Maybe<T> = T | Promise<T>;

/** Text before and behind the first colon: "smtp:[host]:25" is transport "smtp", next hop "[host]:25". */
function splitTransport(text: string): { readonly transport: string; readonly nexthop: string } {
  const colon = text.indexOf(":");
  return colon < 0
    ? { transport: text, nexthop: "" }
    : { transport: text.slice(0, colon), nexthop: text.slice(colon + 1) };
}

const unsure = (why: string): Transport => ({ kind: "unsure", why });
const FAILURE = "address resolver failure";
const BAD_SYNTAX = "5.1.3 bad address syntax";

/** What the resolver says of a text that is no address. */
export function isMalformed(transport: Transport): boolean {
  return transport.kind === "deliver" && transport.nexthop === BAD_SYNTAX;
}

/** The next hop of discard(8) is what it says in the log. */
const DISCARDED = "undeliverable postmaster notification discarded";

export class AddressResolver {
  readonly #config: Config;
  readonly #classes: AddressClasses;
  readonly #transports: TransportTable | null;
  readonly #relocated: AddressTables | null;
  readonly #relayhosts: AddressTables | null;
  readonly #defaults: AddressTables | null;
  readonly #warn: (text: string) => void;

  constructor(config: Config, classes: AddressClasses, runtime: Runtime, options: OpenOptions = {}) {
    this.#config = config;
    this.#classes = classes;
    this.#warn = options.warn ?? ((): void => {});
    const world = tableWorld(config, classes, runtime, options);
    const tables = (
      name: "relocated_maps" | "sender_dependent_relayhost_maps" | "sender_dependent_default_transport_maps",
    ): AddressTables | null => config[name].length === 0 ? null : new AddressTables(name, config[name], world);
    this.#transports = config.transport_maps.length === 0
      ? null
      : new TransportTable("transport_maps", config.transport_maps, world);
    this.#relocated = tables("relocated_maps");
    this.#relayhosts = tables("sender_dependent_relayhost_maps");
    this.#defaults = tables("sender_dependent_default_transport_maps");
  }

  /** A content filter overrides everything else. Mail for our double_bounce_sender is dropped. */
  resolve(recipient: Recipient, { filter, sender = "" }: Partial<Envelope>): Maybe<Transport> {
    const { address } = recipient;
    if (filter !== undefined && filter !== "") return this.#byFilter(address, filter);
    const found = this.find(address, sender);
    return found instanceof Promise ? found.then((value) => this.#delivery(value)) : this.#delivery(found);
  }

  /** A notice to the postmaster that could not be delivered elsewhere comes back to that address. */
  #delivery({ transport, recipient, domainClass }: Resolution): Transport {
    const own = this.#config.double_bounce_sender;
    const returned = domainClass === "local" && recipient.length > own.length && recipient[own.length] === "@" &&
      recipient.slice(0, own.length).toLowerCase() === own.toLowerCase();
    return returned ? { kind: "deliver", transport: "discard", nexthop: DISCARDED, recipient } : transport;
  }

  /** `address` in external form. */
  find(address: string, sender: string): Maybe<Resolution> {
    const domain = address.slice(address.lastIndexOf("@") + 1);
    if (!isWholeAddress(address) || !validDomain(domain)) return this.#findRouted(address, sender);
    const domainClass = this.#classes.ofDomain(domain);
    return domainClass instanceof Promise
      ? domainClass.then((value) => this.#byClass(address, domain, value, sender))
      : this.#byClass(address, domain, domainClass, sender);
  }

  async #findRouted(address: string, sender: string): Promise<Resolution> {
    const stripped = await this.#strip(scan(address), address.length + 100);
    if (stripped === "unsure") return failed(address, FAILURE);
    let { recipient, local } = stripped;
    let domain = recipient.slice(recipient.lastIndexOf("@") + 1);
    if (this.#config.resolve_numeric_domain && /^[0-9.]+$/.test(domain) && validDomain(`[${domain}]`)) {
      recipient = `${recipient.slice(0, -domain.length)}[${domain}]`;
      domain = `[${domain}]`;
      const here = await this.#classes.isLocal(domain);
      if (here === "unsure") return failed(recipient, FAILURE);
      local = here;
    }
    if (!validDomain(domain) || domain.endsWith(".") || this.#badUtf8(recipient, domain)) {
      return this.#malformed(recipient, domain, null);
    }
    const domainClass = local ? "local" : await this.#classes.ofForeignDomain(domain);
    return await this.#byClass(recipient, domain, domainClass, sender);
  }

  #badUtf8(recipient: string, domain: string): boolean {
    if (!this.#config.smtputf8_enable || domain.startsWith("[")) return false;
    return !isUtf8(recipient);
  }

  /** Takes own domains off, and turns what is left into an address, until the domain is not ours. */
  async #strip(list: Token[], most: number): Promise<{ recipient: string; local: boolean } | "unsure"> {
    const config = this.#config;
    const context = localContext(config);
    let tree = list;
    let saved: Token[] | null = null;
    for (let round = 0; round <= most; round++) {
      const before = tree.at(-2)?.type;
      const hasAt = tree.some(({ type }) => type === "@");
      if (hasAt && tree.at(-1)?.type === "." && before !== "." && before !== "@") tree = tree.slice(0, -1);
      if (config.resolve_null_domain && tree.at(-1)?.type === "@") tree = tree.slice(0, -1);
      const at = tree.findLastIndex(({ type }) => type === "@");
      if (at >= 0) {
        const domain = tree.slice(at + 1);
        const here = domain.length === 0 ? true : await this.#classes.isLocal(internal(domain));
        if (here === "unsure") return here;
        if (!here) return { recipient: internal(tree), local: false };
        saved = tree.slice(at);
        tree = tree.slice(0, at);
      }
      const cracked = this.#operators(tree) ? tree : this.#cracked(tree);
      if (cracked === null) break;
      tree = rewriteTokens(cracked, config, context);
    }
    if (saved === null && await this.#classes.isLocal(config.myhostname) === "unsure") return "unsure";
    const [only] = tree;
    const empty = only === undefined || (tree.length === 1 && only.type === "quoted" && only.text === "");
    const user = empty ? scan(config.empty_address_recipient) : tree;
    return {
      recipient: internal([...user, ...saved ?? [token("@"), ...scan(config.myhostname)]]),
      local: true,
    };
  }

  #operators(tree: readonly Token[]): boolean {
    const { swap_bangpath: bang, allow_percent_hack: percent } = this.#config;
    return tree.some(({ type }) => type === "@" || (bang && type === "!") || (percent && type === "%"));
  }

  /** Routing within quotes counts too, lest mail be relayed through us to what another host makes of it. */
  #cracked(tree: readonly Token[]): Token[] | null {
    const { resolve_dequoted_address, swap_bangpath, allow_percent_hack } = this.#config;
    const [only] = tree;
    if (!resolve_dequoted_address || tree.length !== 1 || only?.type !== "quoted") return null;
    const { text } = only;
    let at = text.lastIndexOf("@");
    if (at < 0 && allow_percent_hack) at = text.lastIndexOf("%");
    if (at < 0) return swap_bangpath && text.includes("!") ? scan(text) : null;
    return scan(quoted(`${text.slice(0, at)}@${text.slice(at + 1)}`));
  }

  #byFilter(address: string, filter: string): Transport {
    const { transport, nexthop } = splitTransport(filter);
    const { default_filter_nexthop: standard, myhostname } = this.#config;
    const otherwise = standard === "" ? splitAddress(address).domain || myhostname : standard;
    return { kind: "deliver", transport, nexthop: nexthop === "" ? otherwise : nexthop, recipient: address };
  }

  /** `recipient` in internal form. */
  #byClass(recipient: string, domain: string, domainClass: ClassAnswer, sender: string): Maybe<Resolution> {
    if (domainClass === "unsure") return failed(recipient, FAILURE);
    const standard = this.#standard(domain, domainClass, sender);
    return standard instanceof Promise
      ? standard.then((value) => this.#overridden(recipient, domain, domainClass, value))
      : this.#overridden(recipient, domain, domainClass, standard);
  }

  #overridden(
    recipient: string,
    domain: string,
    domainClass: AddressClass,
    standard: Transport,
  ): Maybe<Resolution> {
    const routed = isRouted(recipient, domain);
    const result = (transport: Transport): Resolution => ({ transport, recipient, domainClass, routed });
    if (standard.kind === "unsure") return result(standard);
    const { transport, nexthop } = standard;
    if (transport === "") {
      this.#warn(`domain class ${domainClass}: null transport is not allowed`);
      return result(unsure(FAILURE));
    }
    const ended = (found: Transport): Resolution =>
      !this.#config.allow_min_user && recipient.startsWith("-") && found.kind !== "unsure"
        ? this.#malformed(recipient, domain, domainClass)
        : result(found);
    const first: Transport = { kind: "deliver", transport, nexthop, recipient: quoted(recipient) };
    if (this.#transports === null && this.#relocated === null) return ended(first);
    return this.#byTables(recipient, domain, domainClass, first).then(ended);
  }

  #malformed(recipient: string, domain: string, domainClass: AddressClass | null): Resolution {
    const transport: Transport = {
      kind: "deliver",
      transport: "error",
      nexthop: BAD_SYNTAX,
      recipient: quoted(recipient),
    };
    return { transport, recipient, domainClass, routed: isRouted(recipient, domain) };
  }

  async #byTables(
    recipient: string,
    domain: string,
    domainClass: AddressClass,
    standard: Transport & { kind: "deliver" },
  ): Promise<Transport> {
    let found = standard;
    if (this.#transports !== null && domainClass !== "virtual-alias") {
      const answer = await this.#transports.find(recipient, domain, standard);
      if (answer === "unsure") return this.#lookupFailure("transport_maps");
      found = { ...standard, ...answer };
    }
    const moved = await this.#relocated?.find(recipient);
    if (moved?.kind === "unsure") return this.#lookupFailure("relocated_maps");
    if (moved?.kind !== "found") return found;
    return { ...found, transport: "error", nexthop: `5.1.6 User has moved to ${moved.value}` };
  }

  /** As Postfix tells it: the log names the table, the sender of the mail need not know. */
  #lookupFailure(name: string): Transport {
    this.#warn(`${name} lookup failure`);
    return unsure(FAILURE);
  }

  #standard(domain: string, domainClass: AddressClass, sender: string): Maybe<Transport> {
    const config = this.#config;
    const to = (text: string, otherwise: string): Transport => {
      const { transport, nexthop } = splitTransport(text);
      return { kind: "deliver", transport, nexthop: nexthop === "" ? otherwise : nexthop, recipient: "" };
    };
    switch (domainClass) {
      case "local":
        return to(config.local_transport, domain);
      case "virtual-alias": {
        const table = config.show_user_unknown_table_name ? " in virtual alias table" : "";
        return to(`error:5.1.1 User unknown${table}`, "");
      }
      case "virtual":
        return to(config.virtual_transport, domain);
      case "relay":
      case "default": {
        const relay = domainClass === "relay";
        const onward = config.relayhost.length === 0 ? domain : config.relayhost.join(", ");
        if (this.#relayhosts === null && (relay || this.#defaults === null)) {
          return to(relay ? config.relay_transport : config.default_transport, onward);
        }
        return this.#bySender(relay, onward, sender, to);
      }
    }
  }

  /** sender_dependent_default_transport_maps and sender_dependent_relayhost_maps; DUNNO leaves things as they were. */
  async #bySender(
    relay: boolean,
    onward: string,
    sender: string,
    to: (text: string, otherwise: string) => Transport,
  ): Promise<Transport> {
    const config = this.#config;
    let transport = relay ? config.relay_transport : config.default_transport;
    if (!relay && this.#defaults !== null) {
      const found = await this.#defaults.find(sender || config.empty_address_default_transport_maps_lookup_key);
      if (found.kind === "unsure") return this.#lookupFailure(this.#defaults.title);
      if (found.kind === "found" && found.value.toUpperCase() !== "DUNNO") transport = found.value;
    }
    if (this.#relayhosts === null) return to(transport, onward);
    const found = await this.#relayhosts.find(sender || config.empty_address_relayhost_maps_lookup_key);
    if (found.kind === "unsure") return this.#lookupFailure(this.#relayhosts.title);
    if (found.kind === "none") return to(transport, onward);
    return to(transport, found.value.toUpperCase() === "DUNNO" ? onward : found.value);
  }
}

function failed(recipient: string, why: string): Resolution {
  return { transport: unsure(why), recipient, domainClass: null, routed: false };
}

/** Any operator counts, also those that do not count here: the next host may take them otherwise. */
function isRouted(recipient: string, domain: string): boolean {
  return recipient.slice(recipient.search(/[@!%]/) + 1) !== domain;
}
