/**
 * main.cf parameters of delivery to accounts of this host.
 * Rows of the table in src/params.ts, which says what the columns mean.
 * Source: postconf(5). Nothing here can fail.
 */

export const local = {
  home_mailbox: {
    kind: "string",
    default: "",
    ready: true,
    doc: "Mailbox below the user's home folder; one that ends in / is a maildir.",
  },
  mail_spool_directory: {
    kind: "path",
    default: "/var/mail",
    ready: true,
    doc: "Folder of mailbox files named after their users.",
  },
  mailbox_size_limit: {
    kind: "number",
    default: "51200000",
    min: 0,
    ready: true,
    doc: "Largest mailbox file in bytes; 0 is no limit.",
  },
  mailbox_delivery_lock: {
    kind: "list",
    default: "fcntl, dotlock",
    ready: true,
    doc: "Locks taken on a mailbox: fcntl, flock, dotlock.",
  },
  deliver_lock_attempts: { kind: "number", default: "20", min: 1, ready: true, doc: "Tries to lock a mailbox." },
  deliver_lock_delay: {
    kind: "time",
    default: "1s",
    min: 1000,
    ready: true,
    doc: "Time between tries to lock a mailbox.",
  },
  stale_lock_time: {
    kind: "time",
    default: "500s",
    min: 1000,
    ready: true,
    doc: "Age of a lock file that nobody owns any more.",
  },
  prepend_delivered_header: {
    kind: "list",
    default: "command, file, forward",
    ready: true,
    doc: "Deliveries that add a Delivered-To: field: command, file, forward.",
  },
  strict_mailbox_ownership: {
    kind: "boolean",
    default: "yes",
    ready: true,
    doc: "A mailbox file must belong to its user.",
  },
  require_home_directory: {
    kind: "boolean",
    default: "no",
    ready: true,
    doc: "Mail waits while the user's home folder is missing.",
  },
  forward_path: {
    kind: "raw",
    default: "$home/.forward${recipient_delimiter}${extension}, $home/.forward",
    ready: false,
    doc: "Where a user's .forward file is looked for.",
  },
  mailbox_command: {
    kind: "raw",
    default: "",
    ready: false,
    doc: "Command that delivers to a user instead of the mailbox.",
  },
  mailbox_transport: {
    kind: "string",
    default: "",
    ready: false,
    doc: "Transport that delivers to all local users instead of local.",
  },
  fallback_transport: {
    kind: "string",
    default: "",
    ready: false,
    doc: "Transport for local names without an account.",
  },
  luser_relay: { kind: "raw", default: "", ready: false, doc: "Address for local names without an account." },
  owner_request_special: {
    kind: "boolean",
    default: "yes",
    ready: true,
    doc: 'owner-list and list-request are not split at the delimiter "-".',
  },
  allow_mail_to_commands: {
    kind: "list",
    default: "alias, forward",
    ready: false,
    doc: "Where a delivery to a command may be written: alias, forward, include.",
  },
  allow_mail_to_files: {
    kind: "list",
    default: "alias, forward",
    ready: false,
    doc: "Where a delivery to a file may be written: alias, forward, include.",
  },
  local_command_shell: {
    kind: "string",
    default: "",
    ready: false,
    doc: "Shell for delivery to commands; empty runs simple commands without one.",
  },
  command_time_limit: {
    kind: "time",
    default: "1000s",
    min: 1000,
    ready: false,
    doc: "Time that a delivery to a command may take.",
  },
  frozen_delivered_to: {
    kind: "boolean",
    default: "yes",
    ready: false,
    doc: "Delivered-To: fields of the message are read once, before the delivery.",
  },
  biff: {
    kind: "boolean",
    default: "yes",
    ready: false,
    doc: "Tells a local comsat server about new mail; accepted, Postrider has no such client.",
  },

  // Recognised, not implemented.
  allow_min_user: { kind: "boolean", default: "no", ready: true, doc: 'Recipients may begin with "-".' },
  command_execution_directory: { kind: "raw", default: "", ready: false },
  command_expansion_filter: {
    kind: "raw",
    default: "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    ready: false,
  },
  execution_directory_expansion_filter: {
    kind: "raw",
    default: "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    ready: false,
  },
  expand_owner_alias: { kind: "boolean", default: "no", ready: false },
  export_environment: { kind: "list", default: "TZ MAIL_CONFIG LANG", ready: false },
  fallback_transport_maps: { kind: "list", default: "", ready: false },
  fault_injection_code: { kind: "number", default: "0", ready: false },
  forward_expansion_filter: {
    kind: "raw",
    default: "1234567890!@%-_=+:,./abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    ready: false,
  },
  header_from_format: { kind: "string", default: "standard", ready: false },
  local_delivery_status_filter: { kind: "string", default: "$default_delivery_status_filter", ready: false },
  mailbox_command_maps: { kind: "list", default: "", ready: false },
  mailbox_transport_maps: { kind: "list", default: "", ready: false },
  propagate_unmatched_extensions: {
    kind: "list",
    default: "canonical, virtual",
    ready: true,
    doc: "Tables whose answers get the extension that no key had.",
  },
  reset_owner_alias: { kind: "boolean", default: "no", ready: false },
  sun_mailtool_compatibility: { kind: "boolean", default: "no", ready: false },
} as const;
