/**
 * Address rewriting to canonical form, as trivial-rewrite(8) does it: source routes, bang paths, percent hack, missing
 * domains. Addresses are in external form. Pure: address and configuration in, address out. The null sender stays as
 * it is.
 */

import type { Config } from "../config/config.ts";
import { internal, quoted, scan, type Token, token } from "./tokens.ts";

export type RewriteParameters = Pick<
  Config,
  "swap_bangpath" | "allow_percent_hack" | "append_at_myorigin" | "append_dot_mydomain" | "myorigin" | "mydomain"
>;

/** What completes an address: the local context, or remote_header_rewrite_domain; "": nothing does. */
export interface RewriteContext {
  readonly origin: string;
  readonly domain: string;
}

export function localContext(config: RewriteParameters): RewriteContext {
  return { origin: config.myorigin, domain: config.mydomain };
}

/** user@name.name of plain characters: nothing is to be done. */
const WHOLE = /^[A-Za-z0-9_+=~^{}&*$#'/?`-]+(?:\.[A-Za-z0-9_+=~^{}&*$#'/?`-]+)*@[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+$/;

export function isWholeAddress(address: string): boolean {
  return WHOLE.test(address);
}

export function rewriteAddress(
  address: string,
  config: RewriteParameters,
  context: RewriteContext = localContext(config),
): string {
  if (address === "" || WHOLE.test(address)) return address;
  const rewritten = quoted(internal(rewriteTokens(scan(address), config, context)));
  return rewritten === '""' ? "" : rewritten;
}

const lastOf = (list: readonly Token[], type: string): number => list.findLastIndex((one) => one.type === type);

/** Tokens of one address. */
export function rewriteTokens(list: readonly Token[], config: RewriteParameters, context: RewriteContext): Token[] {
  const [only] = list;
  if (only === undefined) return [];
  if (list.length === 1 && only.type === "quoted" && only.text === "") return [...list];
  if (list.length === 1 && only.type === "@") return [token("quoted")];
  const colon = only.type === "@" ? list.findIndex(({ type }) => type === ":") : -1;
  const bare = colon >= 0 && colon < list.length - 1 ? list.slice(colon + 1) : [...list];
  const whole = lastOf(bare, "@") < 0 ? withDomain(bare, config, context) : bare;
  if (config.append_dot_mydomain && context.domain !== "") {
    const at = lastOf(whole, "@");
    const domain = whole.slice(at + 1);
    const complete = domain.some(({ type }) => type === "literal" || type === ".");
    if (at >= 0 && domain.length > 0 && !complete) whole.push(token("."), ...scan(context.domain));
  }
  const before = whole.at(-2)?.type;
  if (whole.at(-1)?.type === "." && before !== undefined && before !== "." && before !== "@") whole.pop();
  return whole;
}

function withDomain(list: readonly Token[], config: RewriteParameters, context: RewriteContext): Token[] {
  const bang = config.swap_bangpath ? list.findIndex(({ type }) => type === "!") : -1;
  // With nothing before the "!", Postfix builds the address anew, as one whole: "!a,b" is "a,b@", not "a, b@".
  if (bang === 0) return [...list.slice(1).map((one) => ({ ...one, glued: true })), token("@")];
  if (bang > 0) return [...list.slice(bang + 1), token("@"), ...list.slice(0, bang)];
  const percent = config.allow_percent_hack ? lastOf(list, "%") : -1;
  if (percent >= 0) return [...list.slice(0, percent), token("@"), ...list.slice(percent + 1)];
  if (!config.append_at_myorigin || context.origin === "") return [...list];
  return [...list, token("@"), ...scan(context.origin)];
}
