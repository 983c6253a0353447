/**
 * check_policy_service (SMTPD_POLICY_README): attributes of the request to a server, an action as in access(5) back.
 * Connections are kept. A request without an answer is made again after a delay (try_limit, retry_delay); then the
 * default action counts. A service is `inet:host:port`, `inet:port`, `unix:path` or `{ service, name=value, ... }`.
 */

import type { Config } from "../config/config.ts";
import { closingBrace, wordsOutsideBraces } from "../logical-lines.ts";
import { latin1Encode } from "../latin1.ts";
import { type Framing, RequestClient } from "../maps/request-client.ts";
import { type Parsed, parseValue } from "../params/kinds.ts";
import type { ConnectAddress, Millis, Runtime } from "../runtime.ts";
import { unquoted } from "../trivial-rewrite/tokens.ts";
import { type AccessServices, accessVerdict } from "./access.ts";
import type { SessionFacts, Verdict } from "./facts.ts";
import type { Judging } from "./judging.ts";

export interface PolicyOptions {
  readonly service: string;
  readonly address: ConnectAddress;
  readonly timeout: Millis;
  readonly maxIdle: Millis;
  readonly maxTtl: Millis;
  readonly retryDelay: Millis;
  readonly tryLimit: number;
  readonly requestLimit: number;
  readonly defaultAction: string;
  readonly policyContext: string;
}

type Changes = { -readonly [K in keyof PolicyOptions]: PolicyOptions[K] };

const time = (text: string): Parsed => parseValue({ kind: "time", default: "1s", ready: true }, text);
const number = (text: string): Parsed => parseValue({ kind: "number", default: "0", ready: true }, text);

/** What a service may set for itself. */
const OVERRIDES: Readonly<Record<string, readonly [keyof PolicyOptions, (text: string) => Parsed]>> = {
  __proto__: null as never,
  timeout: ["timeout", time],
  max_idle: ["maxIdle", time],
  max_ttl: ["maxTtl", time],
  retry_delay: ["retryDelay", time],
  request_limit: ["requestLimit", number],
  try_limit: ["tryLimit", number],
  default_action: ["defaultAction", (value) => ({ value })],
  policy_context: ["policyContext", (value) => ({ value })],
};

function addressOf(service: string, queueDirectory: string): ConnectAddress | null {
  const [, type = "", rest = ""] = /^([^:]*):(.*)$/s.exec(service) ?? [];
  if (type === "unix" || type === "local") {
    return rest === "" ? null : { path: rest.startsWith("/") ? rest : `${queueDirectory}/${rest}` };
  }
  const found = type === "inet" ? /^(?:(?:\[(.*)\]|(.*)):)?(\d{1,5})$/.exec(rest) : null;
  return found === null ? null : { host: found[1] ?? found[2] ?? "localhost", port: Number(found[3]) };
}

/** The text after check_policy_service. */
export function parsePolicyService(text: string, config: Config): PolicyOptions | { readonly fault: string } {
  const braced = text.startsWith("{");
  if (braced && closingBrace(text, 0) !== text.length - 1) return { fault: `policy service syntax error: ${text}` };
  const [service = "", ...settings] = braced ? wordsOutsideBraces(text.slice(1, -1)) : [text];
  if (service === "") return { fault: `empty policy service: "${text}"` };
  const address = addressOf(service, config.queue_directory);
  if (address === null) return { fault: `check_policy_service must be followed by transport:server: "${service}"` };
  const options: Changes = {
    service,
    address,
    timeout: config.smtpd_policy_service_timeout,
    maxIdle: config.smtpd_policy_service_max_idle,
    maxTtl: config.smtpd_policy_service_max_ttl,
    retryDelay: config.smtpd_policy_service_retry_delay,
    tryLimit: config.smtpd_policy_service_try_limit,
    requestLimit: config.smtpd_policy_service_request_limit,
    defaultAction: config.smtpd_policy_service_default_action,
    policyContext: config.smtpd_policy_service_policy_context,
  };
  for (const word of settings) {
    const setting = word.startsWith("{") && word.endsWith("}") ? word.slice(1, -1) : word;
    const [, name = "", value = ""] = /^\s*([a-z_]+)\s*=\s*([^]*?)\s*$/.exec(setting) ?? [];
    const override = OVERRIDES[name];
    const parsed = override?.[1](value);
    if (override === undefined || parsed === undefined) {
      return { fault: `unknown policy service setting: "${setting}"` };
    }
    if ("fault" in parsed) return { fault: `policy service setting ${name}: ${parsed.fault}` };
    Object.assign(options, { [override[0]]: parsed.value });
  }
  return options;
}

const REPLY_LIMIT = 64 * 1024;

/** A reply ends with an empty line. */
function frame(received: string): Framing {
  const end = received.indexOf("\n\n");
  if (end >= 0) return { text: received.slice(0, end) };
  if (received.startsWith("\n")) return "format";
  return received.length > REPLY_LIMIT ? "size" : "more";
}

function actionOf(reply: string): string | null {
  for (const line of reply.split("\n")) if (line.startsWith("action=")) return line.slice("action=".length);
  return null;
}

/** The attributes in Postfix's order; what belongs to SASL and TLS is empty without them. */
export function policyRequest(facts: SessionFacts, { policyContext }: PolicyOptions, stress: string): string {
  const { client } = facts;
  const state = client.where === "BDAT" ? "DATA" : client.where;
  const counted = state === "DATA" || state === "END-OF-MESSAGE";
  const plain = (address: string | null): string => address === null ? "" : unquoted(address);
  const attributes: readonly (readonly [string, string | number])[] = [
    ["request", "smtpd_access_policy"],
    ["protocol_state", state],
    ["protocol_name", client.protocol],
    ["client_address", client.address],
    ["client_name", client.name],
    ["client_port", client.port],
    ["reverse_client_name", client.reverseName],
    ["server_address", client.localAddress],
    ["server_port", client.localPort],
    ["helo_name", facts.helo],
    ["sender", plain(facts.sender)],
    ["recipient", plain(facts.recipient)],
    ["recipient_count", counted ? facts.recipients : 0],
    ["queue_id", facts.queueId],
    ["instance", facts.instance],
    ["size", facts.size],
    ["etrn_domain", facts.etrn ?? ""],
    ["stress", stress],
    ["sasl_method", ""],
    ["sasl_username", ""],
    ["sasl_sender", ""],
    ["ccert_subject", ""],
    ["ccert_issuer", ""],
    ["ccert_fingerprint", ""],
    ["ccert_pubkey_fingerprint", ""],
    ["encryption_protocol", ""],
    ["encryption_cipher", ""],
    ["encryption_keysize", 0],
    ["policy_context", policyContext],
  ];
  // deno-lint-ignore no-control-regex
  return attributes.map(([name, value]) => `${name}=${String(value).replace(/[\x00\n]/g, "?")}\n`).join("") + "\n";
}

/** One check_policy_service of the configuration. */
export class PolicyService {
  readonly #runtime: Runtime;
  readonly #options: PolicyOptions;
  readonly #client: RequestClient;
  readonly #stress: string;

  constructor(runtime: Runtime, options: PolicyOptions, stress: string) {
    const { address, timeout, maxIdle, maxTtl, requestLimit } = options;
    this.#runtime = runtime;
    this.#options = options;
    this.#stress = stress;
    this.#client = new RequestClient(runtime, {
      address,
      timeout,
      maxIdle,
      maxAge: maxTtl,
      frame,
      requestLimit,
      once: true,
    });
  }

  async check(judging: Judging, services: AccessServices): Promise<Verdict> {
    const { service, defaultAction } = this.#options;
    const action = await this.#ask(judging);
    const { name, subject } = judging;
    const entry = { table: service, value: action ?? defaultAction, key: "policy query", name, subject };
    return await accessVerdict(entry, judging, services);
  }

  async #ask(judging: Judging): Promise<string | null> {
    const { tryLimit, retryDelay, service } = this.#options;
    const request = latin1Encode(policyRequest(judging.facts, this.#options, this.#stress));
    for (let tries = 1;; tries++) {
      const answered = await this.#client.ask(request);
      const action = answered.kind === "reply" ? actionOf(answered.text) : null;
      if (action !== null) return action;
      const why = answered.kind === "reply" ? "no action in the reply" : answered.why || answered.kind;
      if (tries >= tryLimit) {
        judging.warn(`problem talking to server ${service.replace(/^(?:inet|unix|local):/, "")}: ${why}`);
        return null;
      }
      await new Promise<void>((resolve) => void this.#runtime.clock.after(retryDelay, resolve));
    }
  }
}
