/**
 * main.cf parameters of virtual domains.
 * Rows of the table in src/params.ts, which says what the columns mean.
 * Source: postconf(5). Nothing here can fail.
 */

export const virtual = {
  virtual_mailbox_domains: {
    kind: "list",
    default: "$virtual_mailbox_maps",
    ready: true,
    doc: "Domains with mailboxes that need no account on this host.",
  },
  virtual_mailbox_maps: {
    kind: "list",
    default: "",
    ready: true,
    doc: "Table of mailboxes below virtual_mailbox_base by address.",
  },
  virtual_mailbox_base: {
    kind: "string",
    default: "",
    ready: true,
    doc: "Folder that mailbox names of virtual_mailbox_maps are below.",
  },
  virtual_uid_maps: { kind: "list", default: "", ready: true, doc: "Table of user numbers by address." },
  virtual_gid_maps: { kind: "list", default: "", ready: true, doc: "Table of group numbers by address." },
  virtual_minimum_uid: {
    kind: "number",
    default: "100",
    min: 1,
    ready: true,
    doc: "Least user number that virtual delivery accepts.",
  },
  virtual_mailbox_limit: {
    kind: "number",
    default: "51200000",
    min: 0,
    ready: true,
    doc: "Largest virtual mailbox file in bytes; 0 is no limit.",
  },
  virtual_mailbox_lock: {
    kind: "list",
    default: "fcntl, dotlock",
    ready: true,
    doc: "Locks taken on a virtual mailbox: fcntl, flock, dotlock.",
  },
  virtual_alias_expansion_limit: {
    kind: "number",
    default: "1000",
    min: 1,
    ready: true,
    doc: "Recipients that one address may expand to.",
  },
  virtual_alias_recursion_limit: {
    kind: "number",
    default: "1000",
    min: 1,
    ready: true,
    doc: "Steps from alias to alias.",
  },
  virtual_alias_address_length_limit: {
    kind: "number",
    default: "1000",
    min: 1,
    ready: true,
    doc: "Longest address that aliasing may make.",
  },

  // Recognised, not implemented.
  virtual_delivery_status_filter: { kind: "string", default: "$default_delivery_status_filter", ready: false },
} as const;
