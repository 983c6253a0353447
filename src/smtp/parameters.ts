/**
 * The parameters of one agent, under their smtp_ names: for lmtp the values are those of the lmtp_ parameters, so that
 * the rest of this folder asks one name only. Nothing here can fail: the configuration is checked before.
 */

import type { Config } from "../config/config.ts";

export type Protocol = "smtp" | "lmtp";

export type SmtpParameters = Pick<
  Config,
  | "smtp_connect_timeout"
  | "smtp_helo_timeout"
  | "smtp_mail_timeout"
  | "smtp_rcpt_timeout"
  | "smtp_data_init_timeout"
  | "smtp_data_xfer_timeout"
  | "smtp_send_xforward_command"
  | "smtp_xforward_timeout"
  | "smtp_data_done_timeout"
  | "smtp_rset_timeout"
  | "smtp_quit_timeout"
  | "smtp_helo_name"
  | "smtp_bind_address"
  | "smtp_bind_address6"
  | "smtp_bind_address_enforce"
  | "smtp_address_preference"
  | "smtp_balance_inet_protocols"
  | "smtp_mx_address_limit"
  | "smtp_mx_session_limit"
  | "smtp_fallback_relay"
  | "smtp_randomize_addresses"
  | "smtp_skip_5xx_greeting"
  | "smtp_skip_quit_response"
  | "smtp_always_send_ehlo"
  | "smtp_never_send_ehlo"
  | "smtp_defer_if_no_mx_address_found"
  | "smtp_line_length_limit"
  | "smtp_host_lookup"
  | "smtp_dns_support_level"
  | "smtp_tcp_port"
  | "smtp_discard_ehlo_keywords"
  | "smtp_connection_cache_on_demand"
  | "smtp_connection_cache_destinations"
  | "smtp_connection_cache_time_limit"
  | "smtp_connection_reuse_time_limit"
  | "smtp_connection_reuse_count_limit"
  | "disable_dns_lookups"
  | "disable_mime_output_conversion"
  | "postrider_smtp_send_ahead"
  | "mime_nesting_limit"
  | "mime_boundary_length_limit"
  | "ignore_mx_lookup_error"
  | "inet_interfaces"
  | "inet_protocols"
  | "proxy_interfaces"
  | "myhostname"
  | "relayhost"
>;

/** Postfix's defaults (postconf -d of 3.7), with the names that depend on the machine left for the caller. */
const DEFAULTS: SmtpParameters = {
  smtp_connect_timeout: 30_000,
  smtp_helo_timeout: 300_000,
  smtp_mail_timeout: 300_000,
  smtp_rcpt_timeout: 300_000,
  smtp_data_init_timeout: 120_000,
  smtp_data_xfer_timeout: 180_000,
  smtp_send_xforward_command: false,
  smtp_xforward_timeout: 300_000,
  smtp_data_done_timeout: 600_000,
  smtp_rset_timeout: 20_000,
  smtp_quit_timeout: 300_000,
  smtp_helo_name: "localhost",
  smtp_bind_address: "",
  smtp_bind_address6: "",
  smtp_bind_address_enforce: false,
  smtp_address_preference: "any",
  smtp_balance_inet_protocols: true,
  smtp_mx_address_limit: 5,
  smtp_mx_session_limit: 2,
  smtp_fallback_relay: [],
  smtp_randomize_addresses: true,
  smtp_skip_5xx_greeting: true,
  smtp_skip_quit_response: true,
  smtp_always_send_ehlo: true,
  smtp_never_send_ehlo: false,
  smtp_defer_if_no_mx_address_found: false,
  smtp_line_length_limit: 998,
  smtp_host_lookup: ["dns"],
  smtp_dns_support_level: "",
  smtp_tcp_port: "smtp",
  smtp_discard_ehlo_keywords: [],
  smtp_connection_cache_on_demand: true,
  smtp_connection_cache_destinations: [],
  smtp_connection_cache_time_limit: 2_000,
  smtp_connection_reuse_time_limit: 300_000,
  smtp_connection_reuse_count_limit: 0,
  disable_mime_output_conversion: false,
  postrider_smtp_send_ahead: false,
  mime_nesting_limit: 100,
  mime_boundary_length_limit: 2048,
  disable_dns_lookups: false,
  ignore_mx_lookup_error: false,
  inet_interfaces: ["all"],
  inet_protocols: ["all"],
  proxy_interfaces: [],
  myhostname: "localhost",
  relayhost: [],
};

/** The lmtp_ names that are not the smtp_ name with another beginning. */
const LMTP_NAMES: Readonly<Record<string, string>> = {
  smtp_helo_name: "lmtp_lhlo_name",
  smtp_helo_timeout: "lmtp_lhlo_timeout",
  smtp_discard_ehlo_keywords: "lmtp_discard_lhlo_keywords",
};

/**
 * The view of one agent. A name that the configuration does not hold takes Postfix's default; smtp_helo_name then
 * takes myhostname.
 */
export function smtpParameters(config: object, protocol: Protocol): SmtpParameters {
  const given = config as Readonly<Record<string, unknown>>;
  const view: Record<string, unknown> = { ...DEFAULTS };
  const ownDefaults = protocol === "lmtp" ? { smtp_tcp_port: "24", smtp_connect_timeout: 0 } : {};
  Object.assign(view, ownDefaults, { smtp_helo_name: given["myhostname"] ?? DEFAULTS.myhostname });
  for (const name of Object.keys(DEFAULTS)) {
    const from = protocol === "lmtp" ? LMTP_NAMES[name] ?? name.replace(/^smtp_/, "lmtp_") : name;
    if (given[from] !== undefined) view[name] = given[from];
  }
  return Object.freeze(view) as unknown as SmtpParameters;
}
