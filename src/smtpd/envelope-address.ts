/**
 * The address in MAIL, RCPT and VRFY, read the tolerant way of smtpd(8): with the tokens of RFC 5322, without source
 * routes (RFC 5321 appendix C); what stands around it (phrases, comments, brackets) is passed over. Whether it is an
 * address for all that, the resolver knows. Pure; a text that is none gives null.
 */

import type { Transport } from "../agent.ts";
import { splitAddress, validDomain } from "../address.ts";
import { asciiDomain } from "../idna.ts";
import { isMalformed } from "../trivial-rewrite/resolver.ts";
import { after } from "./facts.ts";
import { internal, parse, quoted } from "../trivial-rewrite/tokens.ts";

export interface EnvelopeAddress {
  /** "local@domain", local, or "". */
  readonly address: string;
  /** An address like most: no resolver will find fault with it. */
  readonly plain: boolean;
}

/** The usual address, taken whole without the parser. */
const SIMPLE = /^<([A-Za-z0-9#$&'*+/=?^_`{|}~][A-Za-z0-9#$&'*+/=?^_`{|}~.-]*@[A-Za-z0-9_.-]*[A-Za-z0-9])>$/;

/** `strict`: strict_rfc821_envelopes */
export function parseEnvelopeAddress(text: string, strict: boolean): EnvelopeAddress | null {
  const simple = SIMPLE.exec(text)?.[1];
  if (simple !== undefined && !/\.[.@]/.test(simple) && validDomain(simple.slice(simple.indexOf("@") + 1))) {
    return { address: simple, plain: true };
  }
  const inner = text.length > 1 && text.startsWith("<") && text.endsWith(">") ? text.slice(1, -1) : text;
  const found = parse(inner.startsWith("@") ? inner.slice(inner.indexOf(":") + 1) : inner);
  const addresses = found.filter(({ type }) => type === "address");
  const others = found.filter(({ type }) => type !== "address" && type !== "<" && type !== ">");
  if (addresses.length > 1 || (strict && (others.length > 0 || !text.startsWith("<")))) return null;
  const bare = internal(addresses[0]?.tokens ?? [], true);
  if (strict && bare.startsWith("@")) return null;
  return { address: bare === "" ? "" : quoted(bare), plain: bare === "" };
}

/** The judge of what parseEnvelopeAddress() gives, by where the rewritten address would go. */
export function addressJudge(
  rewrite: (address: string) => string,
  route: (address: string) => Transport | Promise<Transport>,
): (address: string, unicode: boolean) => boolean | Promise<boolean> {
  return (address, unicode) => after(route(rewrite(address)), (transport) => isAddress(transport, unicode));
}

/** Whether the resolver's answer makes it one; `unicode`: the domain may be internationalised (RFC 6531 §3.3). */
export function isAddress(transport: Transport, unicode: boolean): boolean {
  if (isMalformed(transport)) return false;
  const domain = transport.kind === "deliver" ? splitAddress(transport.recipient).domain : "";
  return !/[\x80-\xff]/.test(domain) || (unicode && asciiDomain(domain) !== null);
}
