/**
 * Address rewriting to canonical form, as trivial-rewrite(8) does it: bang paths, percent hack, missing domains.
 * Pure: address and configuration in, address out. The null sender stays as it is.
 */

import { splitAddress } from "../address.ts";
import type { Config } from "../config/config.ts";

type RewriteParameters = Pick<
  Config,
  "swap_bangpath" | "allow_percent_hack" | "append_at_myorigin" | "append_dot_mydomain" | "myorigin" | "mydomain"
>;

export function rewriteAddress(address: string, config: RewriteParameters): string {
  if (address === "") return "";
  let { local, domain } = splitAddress(address);
  if (domain === "" && !local.startsWith('"')) {
    const bang = local.indexOf("!");
    const percent = local.lastIndexOf("%");
    if (config.swap_bangpath && bang > 0 && bang < local.length - 1) {
      domain = local.slice(0, bang);
      local = local.slice(bang + 1);
    } else if (config.allow_percent_hack && percent > 0 && percent < local.length - 1) {
      domain = local.slice(percent + 1);
      local = local.slice(0, percent);
    }
  }
  if (domain === "") return config.append_at_myorigin ? `${local}@${config.myorigin}` : local;
  if (domain.endsWith(".") && domain.length > 1) domain = domain.slice(0, -1);
  if (config.append_dot_mydomain && !domain.includes(".") && !domain.startsWith("[")) domain += `.${config.mydomain}`;
  return `${local}@${domain}`;
}
