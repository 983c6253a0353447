/**
 * An envelope address as policy must see it (trivial-rewrite(8), resolve): own domains are taken off as long as a
 * routing operator is left behind them, so that user%elsewhere@here is mail for elsewhere. An address whose local part
 * routes on by any operator is "routed": permit_auth_destination does not trust it.
 */

import { splitAddress, unquoteLocal } from "../address.ts";
import type { Config } from "../config/config.ts";
import type { AddressClass, ClassAnswer } from "../trivial-rewrite/resolve.ts";
import { rewriteAddress } from "../trivial-rewrite/rewrite.ts";
import { after } from "./facts.ts";

export interface ResolvedAddress {
  /** user@domain, in the form that tables are asked with. */
  readonly address: string;
  readonly domain: string;
  readonly domainClass: AddressClass | "unsure";
  readonly routed: boolean;
}

export type ResolveParameters = Pick<
  Config,
  | "swap_bangpath"
  | "allow_percent_hack"
  | "append_at_myorigin"
  | "append_dot_mydomain"
  | "myorigin"
  | "mydomain"
  | "myhostname"
>;

export interface ClassSource {
  of(address: string): ClassAnswer | Promise<ClassAnswer>;
}

/** The routing operator that counts next in a local part without "@" outside: "!" before "%". */
function routedOn(local: string, config: ResolveParameters): { local: string; domain: string } | null {
  const at = local.lastIndexOf("@");
  if (at > 0) return { local: local.slice(0, at), domain: local.slice(at + 1) };
  const bang = local.indexOf("!");
  if (config.swap_bangpath && bang > 0 && bang < local.length - 1) {
    return { local: local.slice(bang + 1), domain: local.slice(0, bang) };
  }
  const percent = local.lastIndexOf("%");
  if (config.allow_percent_hack && percent > 0 && percent < local.length - 1) {
    return { local: local.slice(0, percent), domain: local.slice(percent + 1) };
  }
  return null;
}

/** Domains may lack their parent, and may end in a dot. */
function whole(domain: string, config: ResolveParameters): string {
  const bare = domain.length > 1 && domain.endsWith(".") ? domain.slice(0, -1) : domain;
  const short = config.append_dot_mydomain && bare !== "" && !bare.includes(".") && !bare.startsWith("[");
  return short ? `${bare}.${config.mydomain}` : bare;
}

const STEPS_LIMIT = 100;

export function resolveAddress(
  address: string,
  config: ResolveParameters,
  classes: ClassSource,
): ResolvedAddress | Promise<ResolvedAddress> {
  const { local, domain } = splitAddress(rewriteAddress(address, config));
  const plain = unquoteLocal(local);
  if (domain !== "") return step(plain, whole(domain, config), config, classes, 0);
  const quoted = local.startsWith('"');
  const on = quoted ? null : routedOn(plain, config);
  if (on !== null) return step(on.local, whole(on.domain, config), config, classes, 0);
  return step(plain, config.append_at_myorigin ? config.myorigin : config.myhostname, config, classes, 0);
}

function step(
  local: string,
  domain: string,
  config: ResolveParameters,
  classes: ClassSource,
  steps: number,
): ResolvedAddress | Promise<ResolvedAddress> {
  return after(classes.of(`x@${domain}`), (domainClass) => {
    const on = domainClass === "local" && steps < STEPS_LIMIT ? routedOn(local, config) : null;
    if (on !== null) return step(on.local, whole(on.domain, config), config, classes, steps + 1);
    const user = local === "" && domainClass === "local" ? "MAILER-DAEMON" : local;
    return { address: `${user}@${domain}`, domain, domainClass, routed: /[@!%]/.test(user) };
  });
}
