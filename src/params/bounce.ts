/**
 * main.cf parameters of notices about undelivered mail.
 * Rows of the table in src/params.ts, which says what the columns mean.
 * Source: postconf(5). Nothing here can fail.
 */

export const bounce = {
  bounce_size_limit: {
    kind: "number",
    default: "50000",
    min: 1,
    ready: true,
    doc: "Bytes of the original message that a notice holds.",
  },
  bounce_notice_recipient: {
    kind: "string",
    default: "postmaster",
    ready: true,
    doc: "Who gets the postmaster's copies of undeliverable mail.",
  },
  "2bounce_notice_recipient": {
    kind: "string",
    default: "postmaster",
    ready: true,
    doc: "Who gets notices that could not be delivered themselves.",
  },
  delay_notice_recipient: {
    kind: "string",
    default: "postmaster",
    ready: true,
    doc: "Who gets the postmaster's copies of delay notices.",
  },
  error_notice_recipient: {
    kind: "string",
    default: "postmaster",
    ready: true,
    doc: "Who gets notices about SMTP sessions that went wrong.",
  },
  notify_classes: {
    kind: "list",
    default: "resource, software",
    values: ["bounce", "2bounce", "data", "delay", "policy", "protocol", "resource", "software"],
    ready: true,
    doc: "Kinds of trouble that the postmaster is told about.",
  },
  double_bounce_sender: {
    kind: "string",
    default: "double-bounce",
    ready: true,
    doc: "Sender of notices to the postmaster; what cannot be delivered to it is dropped.",
  },
  delay_warning_time: {
    kind: "time",
    default: "0h",
    ready: true,
    doc: "Age at which the sender is told that mail is late; 0: never.",
  },
  confirm_delay_cleared: {
    kind: "boolean",
    default: "no",
    ready: true,
    doc: "The sender of delayed mail is told when it has been delivered.",
  },
  empty_address_recipient: {
    kind: "string",
    default: "MAILER-DAEMON",
    ready: true,
    doc: "Who gets mail for the empty address.",
  },
  bounce_template_file: { kind: "string", default: "", ready: true, doc: "File with texts of notices." },
  enable_threaded_bounces: {
    kind: "boolean",
    default: "no",
    ready: true,
    doc: "Notices refer to their message by References: and In-Reply-To:.",
  },

  // Recognised, not implemented.
  backwards_bounce_logfile_compatibility: { kind: "boolean", default: "yes", ready: false },
  bounce_service_name: { kind: "string", default: "bounce", ready: false },
  default_verp_delimiters: { kind: "string", default: "+=", ready: false },
  disable_verp_bounces: { kind: "boolean", default: "no", ready: false },
  dont_remove: { kind: "number", default: "0", ready: false },
  verp_delimiter_filter: { kind: "string", default: "-=+", ready: false },
} as const;
