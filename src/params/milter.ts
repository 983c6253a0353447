/**
 * main.cf parameters of mail filters.
 * Rows of the table in src/params.ts, which says what the columns mean.
 * Source: postconf(5). Nothing here can fail.
 */

export const milter = {
  // Recognised, not implemented.
  milter_command_timeout: { kind: "time", default: "30s", ready: false },
  milter_connect_macros: { kind: "string", default: "j {daemon_name} {daemon_addr} v _", ready: false },
  milter_connect_timeout: { kind: "time", default: "30s", ready: false },
  milter_content_timeout: { kind: "time", default: "300s", ready: false },
  milter_data_macros: { kind: "string", default: "i", ready: false },
  milter_default_action: { kind: "string", default: "tempfail", ready: false },
  milter_end_of_data_macros: { kind: "string", default: "i", ready: false },
  milter_end_of_header_macros: { kind: "string", default: "i", ready: false },
  milter_header_checks: { kind: "list", default: "", ready: false },
  milter_helo_macros: {
    kind: "string",
    default: "{tls_version} {cipher} {cipher_bits} {cert_subject} {cert_issuer}",
    ready: false,
  },
  milter_macro_daemon_name: { kind: "string", default: "$myhostname", ready: false },
  milter_macro_defaults: { kind: "raw", default: "", ready: false },
  milter_macro_v: { kind: "string", default: "$mail_name $mail_version", ready: false },
  milter_mail_macros: {
    kind: "string",
    default: "i {auth_type} {auth_authen} {auth_author} {mail_addr} {mail_host} {mail_mailer}",
    ready: false,
  },
  milter_protocol: { kind: "number", default: "6", ready: false },
  milter_rcpt_macros: { kind: "string", default: "i {rcpt_addr} {rcpt_host} {rcpt_mailer}", ready: false },
  milter_unknown_command_macros: { kind: "string", default: "", ready: false },
  non_smtpd_milters: { kind: "list", default: "", ready: false },
  smtpd_milter_maps: { kind: "list", default: "", ready: false },
  smtpd_milters: { kind: "list", default: "", ready: false },
} as const;
