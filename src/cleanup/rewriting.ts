/**
 * The address rewriting of cleanup(8), decided once at start-up: canonical tables, masquerading, virtual aliases and
 * automatic copies for the envelope, and the first two with address completion for the headers
 * (ADDRESS_REWRITING_README).
 *   recipient -> recipient_canonical -> canonical -> masquerade -> duplicates -> virtual aliases -> duplicates
 * A table that cannot answer, or an alias without end, is a reply that asks to try again; nothing is thrown.
 */

import type { Config } from "../config/config.ts";
import { type Envelope, plainRecipient, type Recipient } from "../envelope.ts";
import { headerNameLength } from "../header.ts";
import { latin1Decode, latin1Encode } from "../latin1.ts";
import type { OpenOptions } from "../maps/map.ts";
import { type MatchList, parseMatchList } from "../match-list.ts";
import { REPLY, type Reply, reply } from "../reply.ts";
import type { Runtime } from "../runtime.ts";
import { ADDRESS_HEADERS, ADDRESS_NAMES, isComplete, replaceAddresses } from "../trivial-rewrite/address-header.ts";
import { AddressTables, type TableWorld, tableWorld } from "../trivial-rewrite/address-tables.ts";
import type { AddressClasses } from "../trivial-rewrite/resolve.ts";
import { localContext, rewriteAddress, type RewriteContext } from "../trivial-rewrite/rewrite.ts";
import { copyFor } from "./bcc.ts";
import { canonical } from "./canonical.ts";
import { Masquerade } from "./masquerade.ts";
import { expandAlias } from "./virtual-alias.ts";
import { foldCase } from "../maps/fold.ts";

type AddressPlace = "envelope_sender" | "envelope_recipient" | "header_sender" | "header_recipient";

/** What a message may have done to it. */
export interface RewriteScope {
  /** Tables and masquerading; off with no_address_mappings. */
  readonly mapped: boolean;
  /** Automatic copies; not for mail of this system itself. */
  readonly copies: boolean;
  readonly warn: (text: string) => void;
}

export type Rewritten = { readonly envelope: Envelope } | { readonly refused: Reply };

const WAIT: Reply = REPLY.queueWriteError;
const NO_END: Reply = reply(451, "4.6.0", "Alias expansion error");
const MAILER_DAEMON = "mailer-daemon@";

/** Opens all tables; throws ConfigError. */
export function openRewriting(
  config: Config,
  classes: AddressClasses,
  runtime: Runtime,
  options: OpenOptions,
): Rewriting {
  const exceptions = config.masquerade_exceptions.length === 0 ? null : parseMatchList(config.masquerade_exceptions, {
    ...options,
    runtime,
    parents: false,
    addresses: false,
    place: "masquerade_exceptions",
  });
  return new Rewriting(config, tableWorld(config, classes, runtime, options), exceptions);
}

/** Ends a message's rewriting; caught where it began. */
class Refusal extends Error {
  readonly reply: Reply;

  constructor(why: Reply) {
    super("refused");
    this.reply = why;
  }
}

/** One table of canonical addresses with the places that it is for. */
interface Canonical {
  readonly tables: AddressTables;
  readonly places: ReadonlySet<string>;
}

export class Rewriting {
  readonly #config: Config;
  /** In the order in which they are applied. */
  readonly #canonical: readonly Canonical[];
  readonly #masquerade: Masquerade | null;
  readonly #masqueraded: ReadonlySet<string>;
  readonly #aliases: AddressTables | null;
  readonly #senderCopies: AddressTables | null;
  readonly #recipientCopies: AddressTables | null;
  readonly #propagate: ReadonlySet<string>;
  readonly #remote: RewriteContext | null;

  /** `world` opens tables; `exceptions` is masquerade_exceptions. */
  constructor(config: Config, world: TableWorld, exceptions: MatchList | null) {
    this.#config = config;
    const tables = (name: TableParameter): AddressTables | null =>
      config[name].length === 0 ? null : new AddressTables(name, config[name], world);
    const one = (name: TableParameter, places: readonly string[]): readonly Canonical[] => {
      const found = tables(name);
      return found === null ? [] : [{ tables: found, places: new Set(places) }];
    };
    this.#canonical = [
      ...one("sender_canonical_maps", config.sender_canonical_classes.filter((place) => place.endsWith("_sender"))),
      ...one(
        "recipient_canonical_maps",
        config.recipient_canonical_classes.filter((place) => place.endsWith("_recipient")),
      ),
      ...one("canonical_maps", config.canonical_classes),
    ];
    this.#masquerade = config.masquerade_domains.length === 0 ? null : new Masquerade(config, exceptions);
    this.#masqueraded = new Set(config.masquerade_classes);
    this.#aliases = tables("virtual_alias_maps");
    this.#senderCopies = tables("sender_bcc_maps");
    this.#recipientCopies = tables("recipient_bcc_maps");
    this.#propagate = new Set(config.propagate_unmatched_extensions);
    const remote = config.remote_header_rewrite_domain;
    this.#remote = remote === "" ? null : { origin: remote, domain: remote };
  }

  /** Whether the envelope goes on as it is. */
  get idle(): boolean {
    return this.#canonical.length === 0 && this.#masquerade === null && this.#aliases === null &&
      this.#senderCopies === null && this.#recipientCopies === null && this.#config.always_bcc === "" &&
      this.#config.enable_original_recipient;
  }

  /** Where nothing else is done to them: each once. */
  distinct(recipients: readonly Recipient[]): readonly Recipient[] {
    if (recipients.length < 2) return recipients;
    const seen = new Set<string>();
    return recipients.filter((recipient) => {
      const folded = foldCase(keyOf(recipient, recipient.original || recipient.address));
      if (seen.has(folded)) return false;
      if (this.remembers(seen.size)) seen.add(folded);
      return true;
    });
  }

  /** duplicate_filter_limit: so many recipients of a message are told apart. */
  remembers(count: number): boolean {
    const { duplicate_filter_limit: limit } = this.#config;
    return limit === 0 || count < limit;
  }

  /** What completes the addresses of headers; null: headers stay as they are. */
  context(local: boolean): RewriteContext | null {
    return local ? localContext(this.#config) : this.#remote;
  }

  /** Mail from MAILER-DAEMON of this host has the null sender. */
  nullSender(sender: string): string {
    if (sender.length <= MAILER_DAEMON.length || sender.slice(0, 14).toLowerCase() !== MAILER_DAEMON) return sender;
    return sender.toLowerCase() === rewriteAddress("MAILER-DAEMON", this.#config).toLowerCase() ? "" : sender;
  }

  async envelope(envelope: Envelope, scope: RewriteScope): Promise<Rewritten> {
    try {
      return { envelope: await new EnvelopeRewriting(this, scope).run(envelope) };
    } catch (caught) {
      if (caught instanceof Refusal) return { refused: caught.reply };
      throw caught;
    }
  }

  /** The sender as it stands in a From: that is added. */
  async senderOf(sender: string, scope: RewriteScope): Promise<string | Reply> {
    try {
      return await this.sender(sender, scope);
    } catch (caught) {
      if (caught instanceof Refusal) return caught.reply;
      throw caught;
    }
  }

  async sender(sender: string, scope: RewriteScope): Promise<string> {
    return sender === "" || !scope.mapped ? sender : await this.#mapped(sender, "envelope_sender", scope);
  }

  async recipient(address: string, scope: RewriteScope): Promise<string> {
    return scope.mapped ? await this.#mapped(address, "envelope_recipient", scope) : address;
  }

  /** What a logical header [start, end) becomes; null: it stays. Lines end with CRLF. */
  header(
    bytes: Uint8Array,
    start: number,
    end: number,
    context: RewriteContext,
    scope: RewriteScope,
  ): Promise<Uint8Array | Reply | null> | null {
    const length = headerNameLength(bytes, start, end);
    const kind = ADDRESS_HEADERS.get(ADDRESS_NAMES.at(bytes, start, length));
    const colon = bytes.indexOf(58, start);
    if (kind === undefined || colon - start > 32) return null;
    const name = latin1Decode(bytes, start, start + length);
    const value = latin1Decode(bytes, colon + 1, end).replace(/\r\n$/, "").replaceAll("\r\n", "\n");
    const place: AddressPlace = kind === "sender" ? "header_sender" : "header_recipient";
    if (!(scope.mapped && this.#maps(place)) && isComplete(value)) return null;
    return this.#header(name, value, place, context, scope);
  }

  async #header(
    name: string,
    value: string,
    place: AddressPlace,
    context: RewriteContext,
    scope: RewriteScope,
  ): Promise<Uint8Array | Reply | null> {
    try {
      const text = await replaceAddresses(name, value, this.#config.header_address_token_limit, async (address) => {
        const whole = rewriteAddress(address, this.#config, context) || '""';
        return scope.mapped ? await this.#mapped(whole, place, scope) : whole;
      });
      return text === null ? null : latin1Encode(`${text}\r\n`);
    } catch (caught) {
      if (caught instanceof Refusal) return caught.reply;
      throw caught;
    }
  }

  #maps(place: AddressPlace): boolean {
    return this.#canonical.some(({ places }) => places.has(place)) ||
      (this.#masquerade !== null && this.#masqueraded.has(place));
  }

  async #mapped(address: string, place: AddressPlace, { warn }: RewriteScope): Promise<string> {
    let now = address;
    for (const { tables, places } of this.#canonical) {
      if (places.has(place)) now = sure(await canonical(tables, now, this.#propagate.has("canonical"), warn));
    }
    if (this.#masquerade === null || !this.#masqueraded.has(place)) return now;
    const masked = await this.#masquerade.apply(now);
    if (masked === "unsure") warn("masquerade_exceptions map lookup problem -- message not accepted, try again later");
    return sure(masked);
  }

  async copy(kind: "sender" | "recipient", address: string, { copies, warn }: RewriteScope): Promise<string | null> {
    const tables = kind === "sender" ? this.#senderCopies : this.#recipientCopies;
    if (!copies || tables === null) return null;
    const found = await copyFor(tables, address, warn);
    return found === null ? null : rewriteAddress(sure(found), this.#config);
  }

  get always(): string {
    return rewriteAddress(this.#config.always_bcc, this.#config);
  }

  /** Who gets what has no recipient. */
  get nobody(): string {
    return rewriteAddress(this.#config.empty_address_recipient, this.#config);
  }

  get keepsOriginal(): boolean {
    return this.#config.enable_original_recipient;
  }

  /** Null: there are no aliases. */
  async aliases(address: string, { mapped, warn }: RewriteScope): Promise<readonly string[] | null> {
    if (!mapped || this.#aliases === null) return null;
    const found = await expandAlias(this.#aliases, address, this.#config, this.#propagate.has("virtual"), warn);
    if (found.kind === "expanded") return found.addresses;
    throw new Refusal(found.kind === "limit" ? NO_END : WAIT);
  }
}

type TableParameter =
  | "canonical_maps"
  | "sender_canonical_maps"
  | "recipient_canonical_maps"
  | "virtual_alias_maps"
  | "sender_bcc_maps"
  | "recipient_bcc_maps";

function sure(answer: string | "unsure"): string {
  if (answer === "unsure") throw new Refusal(WAIT);
  return answer;
}

/** What two recipients have in common when they are one; upper and lower case aside. */
function keyOf({ originalRecipient, notify, address }: Recipient, original: string): string {
  return `${originalRecipient}\n${notify.join()}\n${original}\n${address}`;
}

/** One message's recipients on their way. */
class EnvelopeRewriting {
  readonly #rewriting: Rewriting;
  readonly #scope: RewriteScope;
  readonly #out: Recipient[] = [];
  readonly #expanded: Recipient[] = [];
  readonly #seen = new Set<string>();

  constructor(rewriting: Rewriting, scope: RewriteScope) {
    this.#rewriting = rewriting;
    this.#scope = scope;
  }

  async run(envelope: Envelope): Promise<Envelope> {
    const rewriting = this.#rewriting;
    const scope = this.#scope;
    const sender = await rewriting.sender(envelope.sender, scope);
    const copy = await rewriting.copy("sender", sender, scope);
    if (copy !== null) await this.#copyTo(copy);
    for (const recipient of envelope.recipients) {
      const address = await rewriting.recipient(recipient.address, scope);
      await this.#add({ ...recipient, address }, recipient.original || recipient.address);
      const also = await rewriting.copy("recipient", address, scope);
      if (also !== null) await this.#copyTo(also);
    }
    if (scope.copies && rewriting.always !== "" && this.#out.length > 0) await this.#copyTo(rewriting.always);
    const expanded = this.#expanded.length === 0 ? {} : { expanded: this.#expanded };
    return { ...envelope, sender, recipients: this.#out, ...expanded };
  }

  async #copyTo(address: string): Promise<void> {
    const mapped = await this.#rewriting.recipient(address, this.#scope);
    await this.#add({ ...plainRecipient(mapped), notify: ["never"] }, address);
  }

  /** Different addresses that lead to one mailbox are told apart by what they were (X-Original-To). */
  async #add(recipient: Recipient, original: string): Promise<void> {
    const aliases = await this.#rewriting.aliases(recipient.address, this.#scope);
    // RFC 3461 §5.2.7.3: what is confirmed is the expansion, not the delivery to each that came of it.
    const replaced = aliases !== null && (aliases.length !== 1 || aliases[0] !== recipient.address);
    const split = replaced && recipient.notify.includes("success");
    if (split) this.#expanded.push({ ...recipient, original: original === recipient.address ? "" : original });
    const others = recipient.notify.filter((event) => event !== "success");
    const notify = !split ? recipient.notify : others.length === 0 ? ["never" as const] : others;
    for (const alias of aliases ?? [recipient.address]) {
      const address = alias === "" ? this.#rewriting.nobody : alias;
      const keeps = this.#rewriting.keepsOriginal;
      const folded = foldCase(keeps ? keyOf({ ...recipient, notify, address }, original) : address);
      if (this.#seen.has(folded)) continue;
      if (this.#rewriting.remembers(this.#seen.size)) this.#seen.add(folded);
      this.#out.push({ ...recipient, address, notify, original: original === address ? "" : original });
    }
  }
}
