/**
 * main.cf parameters of address probes.
 * Rows of the table in src/params.ts, which says what the columns mean.
 * Source: postconf(5). Nothing here can fail.
 */

export const verify = {
  address_verify_cache_cleanup_interval: {
    kind: "time",
    default: "12h",
    ready: true,
    doc: "How often expired entries are taken out of the cache; 0: at start only.",
  },
  address_verify_default_transport: {
    kind: "string",
    default: "$default_transport",
    ready: true,
    doc: "default_transport for probes.",
  },
  address_verify_local_transport: {
    kind: "string",
    default: "$local_transport",
    ready: true,
    doc: "local_transport for probes.",
  },
  address_verify_map: {
    kind: "list",
    default: "btree:$data_directory/verify_cache",
    ready: true,
    doc: "Where probe results are kept: type:path names a file (path.probes); empty or internal: memory only.",
  },
  address_verify_negative_cache: {
    kind: "boolean",
    default: "yes",
    ready: true,
    doc: "A probe under way of an unknown address is remembered.",
  },
  address_verify_negative_expire_time: {
    kind: "time",
    default: "3d",
    ready: true,
    doc: "How long a failed probe counts.",
  },
  address_verify_negative_refresh_time: {
    kind: "time",
    default: "3h",
    ready: true,
    doc: "After this time a failed probe is made again.",
  },
  address_verify_pending_request_limit: {
    kind: "number",
    default: "5000",
    ready: true,
    doc: "Probes under way at most; further addresses stay unknown.",
  },
  address_verify_poll_count: {
    kind: "number",
    default: "${stress?{1}:{3}}",
    min: 1,
    ready: true,
    doc: "How many times address_verify_poll_delay, less one, a client waits for a probe.",
  },
  address_verify_poll_delay: { kind: "time", default: "3s", ready: true, doc: "See address_verify_poll_count." },
  address_verify_positive_expire_time: {
    kind: "time",
    default: "31d",
    ready: true,
    doc: "How long a successful probe counts.",
  },
  address_verify_positive_refresh_time: {
    kind: "time",
    default: "7d",
    ready: true,
    doc: "After this time a successful probe is made again.",
  },
  address_verify_relay_transport: {
    kind: "string",
    default: "$relay_transport",
    ready: true,
    doc: "relay_transport for probes.",
  },
  address_verify_relayhost: { kind: "list", default: "$relayhost", ready: true, doc: "relayhost for probes." },
  address_verify_sender: {
    kind: "string",
    default: "$double_bounce_sender",
    ready: true,
    doc: "Envelope sender of probes; empty or <>: the null sender.",
  },
  address_verify_sender_dependent_default_transport_maps: {
    kind: "list",
    default: "$sender_dependent_default_transport_maps",
    ready: true,
    doc: "sender_dependent_default_transport_maps for probes.",
  },
  address_verify_sender_dependent_relayhost_maps: {
    kind: "list",
    default: "$sender_dependent_relayhost_maps",
    ready: true,
    doc: "sender_dependent_relayhost_maps for probes.",
  },
  address_verify_sender_ttl: {
    kind: "time",
    default: "0s",
    ready: true,
    doc: "How often the sender of probes changes; 0: never.",
  },
  address_verify_service_name: { kind: "string", default: "verify", ready: false },
  address_verify_transport_maps: {
    kind: "list",
    default: "$transport_maps",
    ready: true,
    doc: "transport_maps for probes.",
  },
  address_verify_virtual_transport: {
    kind: "string",
    default: "$virtual_transport",
    ready: true,
    doc: "virtual_transport for probes.",
  },
  unverified_recipient_defer_code: {
    kind: "number",
    default: "450",
    ready: true,
    doc: "Reply while nothing is known, or a probe failed for now; 250: pass.",
  },
  unverified_recipient_reject_code: {
    kind: "number",
    default: "450",
    ready: true,
    doc: "Reply to an address that a probe found undeliverable; 250: pass.",
  },
  unverified_recipient_reject_reason: {
    kind: "string",
    default: "",
    ready: true,
    doc: "Stands for what the probe found.",
  },
  unverified_recipient_tempfail_action: {
    kind: "string",
    default: "$reject_tempfail_action",
    ready: true,
    doc: "defer_if_permit or defer: what a temporary refusal is.",
  },
  unverified_sender_defer_code: {
    kind: "number",
    default: "450",
    ready: true,
    doc: "Reply while nothing is known, or a probe failed for now; 250: pass.",
  },
  unverified_sender_reject_code: {
    kind: "number",
    default: "450",
    ready: true,
    doc: "Reply to an address that a probe found undeliverable; 250: pass.",
  },
  unverified_sender_reject_reason: {
    kind: "string",
    default: "",
    ready: true,
    doc: "Stands for what the probe found.",
  },
  unverified_sender_tempfail_action: {
    kind: "string",
    default: "$reject_tempfail_action",
    ready: true,
    doc: "defer_if_permit or defer: what a temporary refusal is.",
  },
} as const;
