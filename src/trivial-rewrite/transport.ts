/**
 * transport(5): table answers "transport:nexthop" for an address, its domain, the parents of that, or "*". What an
 * answer leaves out stays as it was, but a new transport goes to the domain itself.
 * A table that cannot answer makes it "unsure"; nothing is thrown.
 */

import { AddressTables, type TableWorld } from "./address-tables.ts";

export interface Route {
  readonly transport: string;
  readonly nexthop: string;
}

export class TransportTable {
  readonly #tables: AddressTables;

  constructor(title: string, names: readonly string[], world: TableWorld) {
    this.#tables = new AddressTables(title, names, world);
  }

  /** `recipient` in internal form; `standard` is what holds without the table. */
  async find(recipient: string, domain: string, standard: Route): Promise<Route | "unsure"> {
    let answer = await this.#tables.find(recipient, "transport");
    if (answer.kind === "none") {
      const wild = await this.#tables.ask("*", true);
      answer = wild.kind === "found" ? { ...wild, extension: "" } : wild;
    }
    if (answer.kind === "unsure") return answer.kind;
    return answer.kind === "none" ? standard : overlaid(answer.value, domain, standard);
  }
}

function overlaid(value: string, domain: string, standard: Route): Route {
  const colon = value.indexOf(":");
  const transport = colon < 0 ? value : value.slice(0, colon);
  const nexthop = colon < 0 ? "" : value.slice(colon + 1);
  if (transport === "") return nexthop === "" ? standard : { ...standard, nexthop };
  if (nexthop !== "") return { transport, nexthop };
  return { transport, nexthop: transport === "error" ? "Address is undeliverable" : domain };
}
