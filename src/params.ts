/**
 * Every main.cf parameter, once: kind, default, limits, doc. Types, `postconf`, docs/parameters.md and the warnings
 * about unknown names follow from these rows. `ready: false` marks a name that is recognised and not implemented.
 * Source: postconf(5) of Postfix 3.12; the columns are explained at Row in params/kinds.ts.
 */

import { bounce } from "./params/bounce.ts";
import { cleanup } from "./params/cleanup.ts";
import type { Row } from "./params/kinds.ts";
import { lmtp } from "./params/lmtp.ts";
import { local } from "./params/local.ts";
import { main } from "./params/main.ts";
import { milter } from "./params/milter.ts";
import { postscreen } from "./params/postscreen.ts";
import { qmgr } from "./params/qmgr.ts";
import { sasl } from "./params/sasl.ts";
import { smtp } from "./params/smtp.ts";
import { smtpd } from "./params/smtpd.ts";
import { tls } from "./params/tls.ts";
import { trivialRewrite } from "./params/trivial-rewrite.ts";
import { verify } from "./params/verify.ts";
import { virtual } from "./params/virtual.ts";

type Rows =
  & typeof main
  & typeof smtpd
  & typeof cleanup
  & typeof trivialRewrite
  & typeof qmgr
  & typeof local
  & typeof virtual
  & typeof smtp
  & typeof lmtp
  & typeof bounce
  & typeof tls
  & typeof sasl
  & typeof postscreen
  & typeof milter
  & typeof verify;

export type ParameterName = keyof Rows & string;

type ValueOf<R> = R extends { readonly kind: "number" | "time" } ? number
  : R extends { readonly kind: "boolean" } ? boolean
  : R extends { readonly kind: "list" } ? readonly string[]
  : R extends { readonly kind: "enum"; readonly values: readonly (infer V)[] } ? V
  : string;

/** The typed value of a parameter; times are milliseconds. */
export type Value<K extends ParameterName> = ValueOf<Rows[K]>;

/** What may follow a transport's name: `destination_concurrency_limit`, `time_limit`, … */
export type TransportSuffix = {
  [K in ParameterName]: Rows[K] extends { readonly template: true } ? K extends `transport_${infer S}` ? S : never
    : never;
}[ParameterName];

export type SuffixValue<S extends TransportSuffix> = `transport_${S}` extends ParameterName ? Value<`transport_${S}`>
  : never;

/** The rows of each role, in the order of docs/parameters.md. */
export const ROLES: Readonly<Record<string, Readonly<Record<string, Row>>>> = {
  main,
  smtpd,
  cleanup,
  "trivial-rewrite": trivialRewrite,
  qmgr,
  local,
  virtual,
  smtp,
  lmtp,
  bounce,
  tls,
  sasl,
  postscreen,
  milter,
  verify,
};

const table: ReadonlyMap<string, Row> = new Map(Object.values(ROLES).flatMap((rows) => Object.entries(rows)));

export const PARAMETER_NAMES: readonly ParameterName[] = [...table.keys()] as ParameterName[];

export function isParameter(name: string): name is ParameterName {
  return table.has(name);
}

/** Null for a name that no row declares. */
export function rowOf(name: string): Row | null {
  return table.get(name) ?? null;
}

/** Suffixes that a delivering service's name may be followed by. */
export const TRANSPORT_SUFFIXES: readonly TransportSuffix[] = PARAMETER_NAMES
  .filter((name) => table.get(name)!.template === true)
  .map((name) => name.slice("transport_".length) as TransportSuffix);
