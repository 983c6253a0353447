/**
 * main.cf parameters of address probes.
 * Rows of the table in src/params.ts, which says what the columns mean.
 * Source: postconf(5). Nothing here can fail.
 */

export const verify = {
  // Recognised, not implemented.
  address_verify_cache_cleanup_interval: { kind: "time", default: "12h", ready: false },
  address_verify_default_transport: { kind: "string", default: "$default_transport", ready: false },
  address_verify_local_transport: { kind: "string", default: "$local_transport", ready: false },
  address_verify_map: { kind: "list", default: "btree:$data_directory/verify_cache", ready: false },
  address_verify_negative_cache: { kind: "boolean", default: "yes", ready: false },
  address_verify_negative_expire_time: { kind: "time", default: "3d", ready: false },
  address_verify_negative_refresh_time: { kind: "time", default: "3h", ready: false },
  address_verify_pending_request_limit: { kind: "number", default: "5000", ready: false },
  address_verify_poll_count: { kind: "number", default: "${stress?{1}:{3}}", ready: false },
  address_verify_poll_delay: { kind: "time", default: "3s", ready: false },
  address_verify_positive_expire_time: { kind: "time", default: "31d", ready: false },
  address_verify_positive_refresh_time: { kind: "time", default: "7d", ready: false },
  address_verify_relay_transport: { kind: "string", default: "$relay_transport", ready: false },
  address_verify_relayhost: { kind: "list", default: "$relayhost", ready: false },
  address_verify_sender: { kind: "string", default: "$double_bounce_sender", ready: false },
  address_verify_sender_dependent_default_transport_maps: {
    kind: "list",
    default: "$sender_dependent_default_transport_maps",
    ready: false,
  },
  address_verify_sender_dependent_relayhost_maps: {
    kind: "list",
    default: "$sender_dependent_relayhost_maps",
    ready: false,
  },
  address_verify_sender_ttl: { kind: "time", default: "0s", ready: false },
  address_verify_service_name: { kind: "string", default: "verify", ready: false },
  address_verify_transport_maps: { kind: "list", default: "$transport_maps", ready: false },
  address_verify_virtual_transport: { kind: "string", default: "$virtual_transport", ready: false },
  unverified_recipient_defer_code: { kind: "number", default: "450", ready: false },
  unverified_recipient_reject_code: { kind: "number", default: "450", ready: false },
  unverified_recipient_reject_reason: { kind: "string", default: "", ready: false },
  unverified_recipient_tempfail_action: { kind: "string", default: "$reject_tempfail_action", ready: false },
  unverified_sender_defer_code: { kind: "number", default: "450", ready: false },
  unverified_sender_reject_code: { kind: "number", default: "450", ready: false },
  unverified_sender_reject_reason: { kind: "string", default: "", ready: false },
  unverified_sender_tempfail_action: { kind: "string", default: "$reject_tempfail_action", ready: false },
} as const;
