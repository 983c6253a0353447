/**
 * main.cf parameters of address completion and routing.
 * Rows of the table in src/params.ts, which says what the columns mean.
 * Source: postconf(5). Nothing here can fail.
 */

export const trivialRewrite = {
  transport_maps: {
    kind: "list",
    default: "",
    ready: true,
    doc: "Table that says by which transport and next hop a recipient is delivered.",
  },
  local_transport: {
    kind: "string",
    default: "local:$myhostname",
    ready: true,
    doc: "Transport for the domains of mydestination and for [own address].",
  },
  virtual_transport: {
    kind: "string",
    default: "virtual",
    ready: true,
    doc: "Transport for the domains of virtual_mailbox_domains.",
  },
  relay_transport: {
    kind: "string",
    default: "relay",
    ready: true,
    doc: "Transport for the domains of relay_domains.",
  },
  default_transport: { kind: "string", default: "smtp", ready: true, doc: "Transport for everything else." },
  recipient_delimiter: {
    kind: "string",
    default: "",
    ready: true,
    doc: "Characters that separate a user name from its extension.",
  },
  append_at_myorigin: {
    kind: "boolean",
    default: "yes",
    ready: true,
    doc: "Addresses without a domain get @$myorigin.",
  },
  append_dot_mydomain: {
    kind: "boolean",
    default: "${{$compatibility_level} <level {1} ? {yes} : {no}}",
    ready: true,
    doc: "Domains without a dot get .$mydomain.",
  },
  allow_percent_hack: { kind: "boolean", default: "yes", ready: true, doc: "user%domain is rewritten to user@domain." },
  swap_bangpath: { kind: "boolean", default: "yes", ready: true, doc: "site!user is rewritten to user@site." },
  resolve_dequoted_address: {
    kind: "boolean",
    default: "yes",
    ready: true,
    doc: "The local part is looked at without its quotes when an address is resolved.",
  },
  resolve_null_domain: { kind: "boolean", default: "no", ready: true, doc: "user@ is taken as a local address." },
  resolve_numeric_domain: {
    kind: "boolean",
    default: "no",
    ready: true,
    doc: "user@1.2.3.4 is taken as user@[1.2.3.4].",
  },
  relocated_maps: { kind: "list", default: "", ready: true, doc: "Table of users who moved, with their new address." },
  sender_dependent_relayhost_maps: {
    kind: "list",
    default: "",
    ready: true,
    doc: "Table of next hops by sender, instead of relayhost.",
  },
  sender_dependent_default_transport_maps: {
    kind: "list",
    default: "",
    ready: true,
    doc: "Table of transports by sender, instead of default_transport.",
  },
  local_recipient_maps: {
    kind: "list",
    default: "proxy:unix:passwd.byname $alias_maps",
    ready: true,
    doc: "Tables of all local recipients; empty accepts every name.",
  },
  relay_recipient_maps: {
    kind: "list",
    default: "",
    ready: true,
    doc: "Tables of all recipients in relay_domains; empty accepts every address.",
  },

  // Recognised, not implemented.
  empty_address_default_transport_maps_lookup_key: {
    kind: "string",
    default: "<>",
    ready: true,
    doc: "Key of the null sender in sender_dependent_default_transport_maps.",
  },
  empty_address_relayhost_maps_lookup_key: {
    kind: "string",
    default: "<>",
    ready: true,
    doc: "Key of the null sender in sender_dependent_relayhost_maps.",
  },
  masquerade_classes: {
    kind: "list",
    default: "envelope_sender, header_sender, header_recipient",
    ready: true,
    doc: "Addresses that masquerading applies to.",
  },
  masquerade_domains: {
    kind: "list",
    default: "",
    ready: true,
    doc: "Domains whose subdomains are cut off; ! before one leaves it alone.",
  },
  masquerade_exceptions: { kind: "list", default: "", ready: true, doc: "User names that are not masqueraded." },
} as const;
