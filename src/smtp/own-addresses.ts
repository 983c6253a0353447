/**
 * At which addresses this host takes mail (inet_interfaces, proxy_interfaces), to see mail loops; and from which it
 * sends. A name that cannot be looked up is left out. Never throws.
 */

import { addressFamily, plainAddress } from "../dns/literal.ts";
import type { Resolver } from "../dns/dns.ts";
import type { Network } from "../runtime.ts";
import { familiesOf } from "./hosts.ts";
import type { SmtpParameters } from "./parameters.ts";

export class OwnAddresses {
  readonly #parameters: SmtpParameters;
  readonly #network: Network;
  readonly #resolver: Resolver;
  #found: Promise<ReadonlySet<string>> | null = null;

  constructor(parameters: SmtpParameters, network: Network, resolver: Resolver) {
    this.#parameters = parameters;
    this.#network = network;
    this.#resolver = resolver;
  }

  /** Looked up once: as in Postfix, a change of inet_interfaces needs a restart. */
  all(): Promise<ReadonlySet<string>> {
    return this.#found ??= this.#find();
  }

  async #find(): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    for (const word of [...this.#parameters.inet_interfaces, ...this.#parameters.proxy_interfaces]) {
      for (const address of await this.#addressesOf(word.replace(/^\[(.*)\]$/, "$1"))) found.add(plainAddress(address));
    }
    return found;
  }

  async #addressesOf(word: string): Promise<readonly string[]> {
    if (word === "all") return this.#network.interfaces().map((one) => one.address);
    if (word === "loopback-only") return ["127.0.0.1", "::1"];
    if (addressFamily(word) !== null) return [word];
    const answers = await Promise.all(
      familiesOf(this.#parameters).map((family) => this.#resolver.nativeAddresses(word, family)),
    );
    return answers.flatMap((answer) => answer.kind === "found" ? answer.records : []);
  }
}

/** smtp_bind_address; without it, a lone inet_interfaces address, so that mail leaves from where it is taken. */
export function bindAddress(parameters: SmtpParameters, destination: string): string {
  const family = addressFamily(destination);
  if (family === null) return "";
  const given = family === 4 ? parameters.smtp_bind_address : parameters.smtp_bind_address6;
  if (given !== "") return given;
  const words = parameters.inet_interfaces.map((word) => word.replace(/^\[(.*)\]$/, "$1"));
  const ours = words.filter((word) => addressFamily(word) === family);
  const others = words.filter((word) => addressFamily(word) === null);
  const only = ours[0] ?? "";
  return ours.length === 1 && others.length === 0 && !/^(127\.|::1$|0\.0\.0\.0$|::$)/.test(only) ? only : "";
}
