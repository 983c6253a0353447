/**
 * Tables that are asked about mail addresses: canonical(5), virtual(5), generic(5), relocated(5), transport(5), … The
 * keys of an address in their order (mail_addr_find(3)): user+ext@domain, user@domain, then user+ext and user where the
 * domain is this host's, @domain; or, for transport(5), the domain and its parents. Pattern tables are asked for the
 * whole address only. Keys are in external form first, then, where that is another text, without quotes.
 * A table that cannot answer makes the answer "unsure"; nothing is thrown.
 */

import type { Config } from "../config/config.ts";
import { type Lookup, NONE } from "../lookup.ts";
import { type LookupTable, type OpenOptions, openTable } from "../maps/map.ts";
import type { Runtime } from "../runtime.ts";
import type { AddressClasses } from "./resolve.ts";
import { rewriteAddress, type RewriteParameters } from "./rewrite.ts";
import { external, parse, quoted, unquoted } from "./tokens.ts";
import { foldCase } from "../maps/fold.ts";

export type AddressParameters =
  & RewriteParameters
  & Pick<
    Config,
    "recipient_delimiter" | "owner_request_special" | "double_bounce_sender" | "parent_domain_matches_subdomains"
  >;

/** What all tables of a program share. */
export interface TableWorld {
  readonly config: AddressParameters;
  readonly classes: Pick<AddressClasses, "isLocal">;
  readonly open: (name: string, place: string) => LookupTable;
  readonly warn: (text: string) => void;
}

export function tableWorld(
  config: AddressParameters,
  classes: Pick<AddressClasses, "isLocal">,
  runtime: Runtime,
  options: OpenOptions,
): TableWorld {
  return {
    config,
    classes,
    open: (name, place) => openTable(name, runtime, { ...options, place }),
    warn: options.warn ?? ((): void => {}),
  };
}

/** Which keys are tried behind the whole address and the one without its extension. */
export type KeyKind = "address" | "transport";

export type AddressFound =
  /** `extension` with its delimiter: what had to be taken off; "" where nothing had. */
  | { readonly kind: "found"; readonly value: string; readonly extension: string }
  | Exclude<Lookup, { kind: "found" }>;

export type AddressMapped =
  /** In external form, at least one. */
  | { readonly kind: "found"; readonly addresses: readonly string[] }
  | Exclude<Lookup, { kind: "found" }>;

/** The bare local part with quotes where it needs them. */
function quotedLocal(local: string): string {
  return quoted(`${local}@`).slice(0, -1);
}

/** "user+ext" -> where "+ext" begins; -1: there is no extension (split_addr(3)). */
export function extensionAt(local: string, config: AddressParameters): number {
  const { recipient_delimiter: delimiters } = config;
  if (delimiters === "") return -1;
  const name = local.toLowerCase();
  if (["postmaster", "mailer-daemon", config.double_bounce_sender.toLowerCase()].includes(name)) return -1;
  if (delimiters.includes("-") && config.owner_request_special) {
    if (name.startsWith("owner-") || (name.length > 8 && name.endsWith("-request"))) return -1;
  }
  for (let at = 0; at < local.length; at++) if (delimiters.includes(local[at] as string)) return at === 0 ? -1 : at;
  return -1;
}

/** Tables in their order under one parameter's name. */
export class AddressTables {
  readonly title: string;
  readonly #tables: readonly LookupTable[];
  readonly #world: TableWorld;

  constructor(title: string, names: readonly string[], world: TableWorld) {
    this.title = title;
    this.#world = world;
    this.#tables = names.map((name) => world.open(name, title));
  }

  get empty(): boolean {
    return this.#tables.length === 0;
  }

  /** One key. `whole`: pattern tables take part. */
  async ask(key: string, whole: boolean): Promise<Lookup> {
    if (key === "") return NONE;
    for (const table of this.#tables) {
      if (table.pattern && !whole) continue;
      const given = table.get(key);
      const answer = given instanceof Promise ? await given : given;
      if (answer.kind === "unsure") {
        this.#world.warn(`${table.name} lookup error for "${key.slice(0, 100)}"`);
        return answer;
      }
      if (answer.kind !== "found") continue;
      if (answer.value !== "") return answer;
      this.#world.warn(`${this.title} lookup of ${key} returns an empty string result`);
      this.#world.warn(`${this.title} should return NO RESULT in case of NOT FOUND`);
      return { kind: "unsure", why: `${this.title}: empty result` };
    }
    return NONE;
  }

  /** `address` in internal form. */
  async find(address: string, kind: KeyKind = "address"): Promise<AddressFound> {
    const { config, classes } = this.#world;
    const at = address.lastIndexOf("@");
    const local = at < 0 ? address : address.slice(0, at);
    const domain = at < 0 ? "" : address.slice(at + 1);
    const cut = extensionAt(local, config);
    const extension = cut < 0 ? "" : local.slice(cut);
    const user = cut < 0 ? "" : local.slice(0, cut);
    let answer = await this.#both(quoted(address), address, true);
    if (answer.kind !== "none") return taken(answer, "");
    if (cut >= 0) {
      const bare = user + address.slice(local.length);
      answer = await this.#both(quoted(bare), bare, false);
      if (answer.kind !== "none") return taken(answer, extension);
    }
    if (at < 0) return NONE as AddressFound;
    if (kind === "transport") return taken(await this.#domains(domain), "");
    const here = foldCase(domain) === foldCase(config.myorigin) || await classes.isLocal(domain);
    if (here === "unsure") return { kind: "unsure", why: "domain class lookup error" };
    if (here) {
      answer = await this.#both(quotedLocal(local), local, false);
      if (answer.kind !== "none") return taken(answer, "");
      if (cut >= 0) answer = await this.#both(quotedLocal(user), user, false);
      if (answer.kind !== "none") return taken(answer, extension);
    }
    return taken(await this.ask(`@${domain}`, false), "");
  }

  /** The addresses that stand for one in internal form; an extension that no key had is passed on to each. */
  async map(address: string, propagate: boolean): Promise<AddressMapped> {
    const answer = await this.find(address);
    if (answer.kind !== "found") return answer;
    const { value, extension } = answer;
    // Nobody: mail from it has the null sender, mail to it goes to empty_address_recipient.
    if (value.trim() === "<>") return { kind: "found", addresses: [""] };
    const text = value.startsWith("@") ? quoted(this.#sameUser(address, extension) + value) : value;
    const found = parse(text).filter(({ type }) => type === "address").map((one) => {
      const rewritten = rewriteAddress(external(one.tokens, { glued: one.glued }), this.#world.config);
      return propagate && extension !== "" ? extended(rewritten, extension) : rewritten;
    });
    if (found.length > 0) return { kind: "found", addresses: found };
    this.#world.warn(`${this.title} lookup of ${address} returns non-address result "${value}"`);
    return { kind: "unsure", why: `${this.title}: no address` };
  }

  #sameUser(address: string, extension: string): string {
    const at = address.lastIndexOf("@");
    const local = at < 0 ? address : address.slice(0, at);
    return local.slice(0, local.length - extension.length);
  }

  async #both(key: string, plain: string, whole: boolean): Promise<Lookup> {
    const answer = await this.ask(key, whole);
    return answer.kind !== "none" || key === plain ? answer : await this.ask(plain, whole);
  }

  /** The domain, then its parents: with their dot unless parents match by themselves. */
  async #domains(domain: string): Promise<Lookup> {
    const parents = this.#world.config.parent_domain_matches_subdomains.includes(this.title);
    for (let name = domain; name !== "";) {
      const answer = await this.ask(name, false);
      if (answer.kind !== "none") return answer;
      const dot = name.indexOf(".", 1);
      if (dot < 0) break;
      name = name.slice(parents ? dot + 1 : dot);
    }
    return NONE;
  }
}

function taken(answer: Lookup, extension: string): AddressFound {
  return answer.kind === "found" ? { kind: "found", value: answer.value, extension } : answer;
}

/** The extension goes before the domain. */
function extended(address: string, extension: string): string {
  const plain = unquoted(address);
  const at = plain.lastIndexOf("@");
  return quoted(at < 0 ? plain + extension : plain.slice(0, at) + extension + plain.slice(at));
}
