/**
 * What the differential test of access policy asks: clients, senders, recipients, a DNS zone, tables, and the
 * configurations, each of which is one smtpd service. Random ones come from a seed.
 */

import type { Zone } from "../dns/server.ts";

const addresses = (...list: string[]): readonly string[] => list;
/** Each row "key=value" in braces, as values with spaces need. */
const inline = (rows: string): string => `inline:{${rows.split(", ").map((row) => `{${row}}`).join(", ")}}`;
const mx = (...hosts: string[]) => hosts.map((exchange, at) => ({ preference: 10 * (at + 1), exchange }));

/** main.cf of all configurations. */
export const MAIN = `myhostname = mx.test.example
mydomain = test.example
myorigin = home.example
mydestination = home.example, localhost.home.example
smtpd_banner = $myhostname ESMTP
alias_maps =
local_recipient_maps = inline:{user=x, root=x}
virtual_alias_domains = valias.example
virtual_alias_maps = inline:{a@valias.example=user@home.example}
virtual_mailbox_domains = vmail.example
virtual_mailbox_maps = inline:{m@vmail.example=m/}
virtual_mailbox_base = /nowhere
relay_domains = relay.example
relay_recipient_maps = inline:{r@relay.example=x, @sub.relay.example=x, moved@relay.example=x, error@relay.example=x}
transport_maps = inline:{{error@relay.example=error:5.1.2 not here}}
relocated_maps = inline:{{moved@home.example=other@good.example}, moved@relay.example=x@good.example}
recipient_delimiter = +
mynetworks = 10.0.0.0/8
parent_domain_matches_subdomains = smtpd_access_maps, relay_domains
smtpd_authorized_xclient_hosts = 127.0.0.1
smtpd_soft_error_limit = 10000
smtpd_hard_error_limit = 10000
smtpd_junk_command_limit = 10000
smtpd_forbid_unauth_pipelining = no
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_recipient_restrictions =
maps_rbl_domains = bl2.example, bl.example
smtpd_restriction_classes = first_class, second_class, deep_class
first_class = check_sender_access inline:{{good.example=450 class}}
second_class = reject_unknown_sender_domain, defer
deep_class = check_sender_access inline:{{good.example=deep_class}}
defer_transports = smtp local virtual relay
max_idle = 5s
in_flow_delay = 0
`;

export const ZONE: Zone = {
  "good.example MX": mx("mx.good.example", "mx2.good.example"),
  "good.example NS": ["ns.good.example"],
  "mx.good.example A": addresses("198.51.100.1"),
  "mx2.good.example A": addresses("198.51.100.2"),
  "ns.good.example A": addresses("198.51.100.53"),
  "sub.good.example A": addresses("198.51.100.9"),
  "aonly.example A": addresses("198.51.100.7"),
  "cname.example CNAME": ["good.example"],
  "null.example MX": [{ preference: 0, exchange: "." }],
  "txtonly.example TXT": ["nothing else"],
  "tmp.example MX": "SERVFAIL",
  "tmp.example A": "SERVFAIL",
  "tmp.example AAAA": "SERVFAIL",
  "tmp.example NS": "SERVFAIL",
  "mxtmp.example MX": "SERVFAIL",
  "mxtmp.example A": addresses("198.51.100.8"),
  "refused.example MX": "REFUSED",
  "refused.example A": "REFUSED",
  "refused.example AAAA": "REFUSED",
  "loop.example CNAME": ["pool.example", "stop"],
  "pool.example CNAME": ["loop.example", "stop"],
  "lost.example MX": mx("nowhere.lost.example"),
  "lost.example NS": ["nowhere.lost.example"],
  "lost.example A": addresses("198.51.100.77"),
  "backup.example MX": mx("mx.good.example", "mx.test.example"),
  "primary.example MX": mx("mx.test.example", "mx.good.example"),
  "mx.test.example A": addresses("127.0.0.1"),
  "c.isp.example A": addresses("203.0.113.9"),
  "c.isp.example MX": mx("mx.isp.example"),
  "mx.isp.example A": addresses("203.0.113.25"),
  "isp.example NS": ["ns.isp.example"],
  "ns.isp.example A": addresses("203.0.113.53"),
  "helo.example A": addresses("203.0.113.10"),
  "helo.example MX": mx("mx.isp.example"),
  "9.113.0.203.bl.example A": addresses("127.0.0.2", "127.0.0.9"),
  "9.113.0.203.bl.example TXT": ["Listed, see http://bl.example/?203.0.113.9", "second $text {x}"],
  "9.113.0.203.bl2.example A": addresses("127.0.0.4"),
  "77.113.0.203.bl.example A": "SERVFAIL",
  "9.113.0.203.wl.example A": addresses("127.0.1.1"),
  "77.113.0.203.wl.example A": "SERVFAIL",
  "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.example A": addresses("127.0.0.2"),
  "good.example.rhs.example A": addresses("127.0.0.3"),
  "good.example.rhs.example TXT": ["bad domain"],
  "c.isp.example.rhs.example A": addresses("127.0.0.3"),
  "helo.example.rhs.example A": addresses("127.0.0.3"),
  "rev.isp.example.rhs.example A": addresses("127.0.0.3"),
  "home.example.rhs.example A": addresses("127.0.0.3"),
  "tmp.example.rhs.example A": "SERVFAIL",
};

export const CLIENTS = [
  "NAME=c.isp.example REVERSE_NAME=c.isp.example ADDR=203.0.113.9 PORT=4321",
  "NAME=[UNAVAILABLE] REVERSE_NAME=[UNAVAILABLE] ADDR=203.0.113.10",
  "NAME=[TEMPUNAVAIL] REVERSE_NAME=[TEMPUNAVAIL] ADDR=203.0.113.77",
  "NAME=[UNAVAILABLE] REVERSE_NAME=rev.isp.example ADDR=203.0.113.11",
  "NAME=in.home.example REVERSE_NAME=in.home.example ADDR=10.1.2.3",
  "NAME=six.isp.example REVERSE_NAME=six.isp.example ADDR=IPV6:2001:db8::1",
  "NAME=host.relay.example REVERSE_NAME=host.relay.example ADDR=192.0.2.1",
  "NAME=mail.good.example REVERSE_NAME=mail.good.example ADDR=198.51.100.1",
];

export const HELOS = [
  "helo.example",
  "c.isp.example",
  "localhost",
  "nx.nowhere.example",
  "tmp.example",
  "null.example",
  "203.0.113.9",
  "[203.0.113.9]",
  "[203.0.113.999]",
  "[IPv6:2001:db8::1]",
  "bad_name.example",
  "-bad.example",
  "dot.example.",
  "bad..example",
  "2001:db8::1",
  "sub.good.example",
  "txtonly.example",
];

export const SENDERS = [
  "<s@good.example>",
  "<s@sub.good.example>",
  "<s@aonly.example>",
  "<>",
  "<s@nx.nowhere.example>",
  "<s@tmp.example>",
  "<s@mxtmp.example>",
  "<s@null.example>",
  "<s@cname.example>",
  "<s@loop.example>",
  "<s@refused.example>",
  "<s@txtonly.example>",
  "<s@lost.example>",
  "<s@[203.0.113.9]>",
  "<bare>",
  "<s@host>",
  "<User+Ext@Good.Example>",
  '<"quoted part"@good.example>',
  "<user@home.example>",
  "<nobody2@home.example>",
  "<m@vmail.example>",
  "<no@vmail.example>",
  "<no@valias.example>",
  "<r@relay.example>",
  "<a@b.c.d.good.example>",
];

export const RECIPIENTS = [
  "<user@home.example>",
  "<user+ext@home.example>",
  "<nobody2@home.example>",
  "<USER@HOME.example>",
  "<user>",
  "<postmaster>",
  "<postmaster@home.example>",
  "<MAILER-DAEMON@home.example>",
  "<double-bounce@home.example>",
  "<m@vmail.example>",
  "<m+x@vmail.example>",
  "<no@vmail.example>",
  "<a@valias.example>",
  "<no@valias.example>",
  "<r@relay.example>",
  "<r@sub.relay.example>",
  "<no@relay.example>",
  "<x@good.example>",
  "<x@elsewhere.example>",
  "<x@nx.nowhere.example>",
  "<x@tmp.example>",
  "<x@null.example>",
  "<x@backup.example>",
  "<x@primary.example>",
  "<x@lost.example>",
  "<x@[127.0.0.1]>",
  "<x@[203.0.113.9]>",
  "<x%good.example@home.example>",
  "<good.example!x@home.example>",
  "<x@good.example@home.example>",
  '<"x@good.example"@home.example>',
  '<"x%good.example"@home.example>',
  "<@home.example:x@good.example>",
  "<@good.example,@home.example:user@home.example>",
  "<x%good.example>",
  "<good.example!x>",
  "<user%home.example@home.example>",
  "<x%good.example@relay.example>",
  "<x@host>",
  "<moved@home.example>",
  "<moved@relay.example>",
  "<error@relay.example>",
  '<"a b"@home.example>',
  "<user@home.example.>",
];

/** Every kind of entry that access(5) has, and some that it has not. */
export const RESULTS = [
  "OK",
  "ok with text",
  "RELAY",
  "REJECT",
  "REJECT go away",
  "REJECT 5.1.1 go away",
  "reject 4.7.8 go away",
  "REJECT 5.7.1",
  "DEFER",
  "DEFER later",
  "DEFER 4.1.3 later",
  "DEFER_IF_PERMIT",
  "DEFER_IF_PERMIT 4.2.2 perhaps",
  "DEFER_IF_REJECT",
  "DEFER_IF_REJECT 5.1.7 perhaps",
  "450 try again",
  "450 4.1.8 try again",
  "550 5.1.2 no such system",
  "551 no",
  "599 5.1.99 odd",
  "421 4.7.0 bye",
  "521 bye",
  "550",
  "400",
  "650 x",
  "HOLD",
  "HOLD for a reason",
  "DISCARD",
  "DISCARD silently",
  "FILTER smtp:[127.0.0.1]:9",
  "FILTER",
  "FILTER nocolon",
  "REDIRECT user@home.example",
  "REDIRECT nowhere",
  "BCC user@home.example",
  "BCC nowhere",
  "PREPEND X-Policy: seen",
  "PREPEND no header",
  "PREPEND",
  "WARN look here",
  "INFO look here",
  "DUNNO",
  "dunno text",
  "1234567890",
  "permit",
  "reject",
  "defer",
  "reject_unauth_destination",
  "reject_unauth_destination, permit",
  "warn_if_reject reject, defer_if_permit",
  "first_class",
  "nonsense",
  "nonsense words",
  "hash:/nowhere",
  "check_sender_access hash:/nowhere",
  "reject_rbl_client bl.example",
  "permit_mynetworks reject_unknown_client_hostname",
  "HANGUP",
];

/** One smtpd service: name and its -o settings. */
export interface PolicyConfig {
  readonly name: string;
  readonly settings: Readonly<Record<string, string>>;
}

const RECIPIENT_LIST = "smtpd_recipient_restrictions";

/** Restrictions without a table, each alone in the list where it belongs. */
const SINGLE: readonly (readonly [string, string])[] = [
  ["client", "reject_unknown_client_hostname"],
  ["client", "reject_unknown_client"],
  ["client", "reject_unknown_reverse_client_hostname"],
  ["client", "permit_mynetworks, reject"],
  ["client", "reject_rbl_client bl.example"],
  ["client", "reject_rbl_client bl.example=127.0.0.[3..9]"],
  ["client", "reject_rbl_client bl2.example=127.0.0.2, reject_rbl_client bl2.example=127.0.0.[1;4]"],
  ["client", "reject_maps_rbl"],
  ["client", "reject_rhsbl_client rhs.example"],
  ["client", "reject_rhsbl_reverse_client rhs.example"],
  ["client", "permit_dnswl_client wl.example=127.0.1.1, reject"],
  ["client", "permit_rhswl_client rhs.example, reject"],
  ["client", "reject_plaintext_session"],
  ["client", "reject_unauth_pipelining"],
  ["client", "permit_tls_clientcerts, permit_tls_all_clientcerts, permit_sasl_authenticated, defer"],
  ["helo", "reject_invalid_helo_hostname"],
  ["helo", "reject_invalid_hostname, reject_non_fqdn_hostname"],
  ["helo", "reject_non_fqdn_helo_hostname"],
  ["helo", "reject_unknown_helo_hostname"],
  ["helo", "reject_unknown_hostname, defer_if_reject"],
  ["helo", "permit_naked_ip_address, reject"],
  ["helo", "reject_rhsbl_helo rhs.example"],
  ["sender", "reject_unknown_sender_domain"],
  ["sender", "reject_unknown_address"],
  ["sender", "reject_non_fqdn_sender"],
  ["sender", "reject_unlisted_sender"],
  ["sender", "reject_rhsbl_sender rhs.example"],
  ["sender", "reject_sender_login_mismatch, reject_known_sender_login_mismatch, reject_non_fqdn_sender"],
  ["recipient", "reject_unknown_recipient_domain"],
  ["recipient", "reject_non_fqdn_recipient"],
  ["recipient", "reject_unlisted_recipient, reject"],
  ["recipient", "check_recipient_maps, defer"],
  ["recipient", "reject_rhsbl_recipient rhs.example"],
  ["recipient", "permit_auth_destination, reject"],
  ["recipient", "reject_multi_recipient_bounce"],
  ["recipient", "permit_dnswl_client wl.example, reject"],
  ["relay", "permit_mynetworks, defer_unauth_destination"],
  ["relay", "permit_mx_backup, reject_unauth_destination"],
  ["relay", "check_relay_domains"],
  ["relay", "defer_if_permit, reject_unauth_destination"],
  ["relay", "defer_if_reject, reject_unauth_destination"],
  ["data", "reject_unauth_pipelining"],
  ["data", "reject_multi_recipient_bounce"],
  ["data", "reject"],
  ["data", "reject_unknown_sender_domain"],
  ["end_of_data", "defer"],
  ["end_of_data", "reject_rbl_client bl.example"],
  ["end_of_data", "reject_unknown_recipient_domain"],
  ["etrn", "reject"],
  ["etrn", "permit_mynetworks, defer"],
];

const single = SINGLE.map(([stage, text]): PolicyConfig => ({
  name: `${stage}: ${text}`,
  settings: { [`smtpd_${stage}_restrictions`]: text },
}));

const SERVER_TABLE = inline(
  "198.51.100=REJECT net, mx.isp.example=450 mx, ns.good.example=550 ns, .isp.example=DEFER, " +
    "198.51.100.77=OK, 203.0.113.9=DUNNO",
);

const servers = ["client", "reverse_client_hostname", "helo", "sender", "recipient"].flatMap((what) =>
  ["a", "mx", "ns"].map((kind): PolicyConfig => ({
    name: `check_${what}_${kind}_access`,
    settings: { [RECIPIENT_LIST]: `check_${what}_${kind}_access ${SERVER_TABLE}` },
  }))
);

/** Keys of all kinds in one table: the order in which they are asked shows. */
const KEYS = inline(
  "user+ext@home.example=450 user+ext@home, user@home.example=450 user@home, " +
    "home.example=450 home, .home.example=450 .home, .good.example=450 .good, good.example=450 good, " +
    "user+ext@=450 user+ext@, user@=450 user@, x@=450 x@, s@=450 s@, <>=450 null, example=450 example, " +
    "c.isp.example=450 c.isp, isp.example=450 isp, unknown=450 unknown, 203.0.113=450 203.0.113, 10=450 10, " +
    "2001:db8=450 2001:db8, 2001=450 2001, 203.0.113.9=450 203.0.113.9, " +
    "helo.example=450 helo, .example=450 .example, relay.example=450 relay",
);

const PATTERNS =
  "pcre:{{/^(user|s)@/ 450 pattern $$1}, {/^203\\.0\\.113\\.9$$/ 450 address}, {/isp\\.example$$/ 450 host}, " +
  "{/^good\\.example$$/ 450 never a part}, {/^<>$$/ 450 null}}";

const keys = ["client", "reverse_client_hostname", "helo", "sender", "recipient"].flatMap((what) => [
  { name: `keys of check_${what}_access`, settings: { [RECIPIENT_LIST]: `check_${what}_access ${KEYS}` } },
  {
    name: `keys of check_${what}_access, .domain`,
    settings: { [RECIPIENT_LIST]: `check_${what}_access ${KEYS}`, parent_domain_matches_subdomains: "relay_domains" },
  },
  { name: `patterns of check_${what}_access`, settings: { [RECIPIENT_LIST]: `check_${what}_access ${PATTERNS}` } },
  { name: `a table that fails in check_${what}_access`, settings: { [RECIPIENT_LIST]: `check_${what}_access fail:x` } },
]);

const STAGES = ["client", "helo", "sender", "recipient", "data", "end_of_data"] as const;

/** Each entry at two stages, in turn. */
const results = RESULTS.flatMap((value, at): PolicyConfig[] =>
  [0, 1].map((shift) => {
    const stage = STAGES[(at + shift * 3) % STAGES.length] as string;
    const what = ["client", "helo", "sender", "recipient"][(at + shift) % 4] as string;
    return {
      name: `${value} at ${stage}`,
      settings: { [`smtpd_${stage}_restrictions`]: `check_${what}_access static:{${value}}, defer` },
    };
  })
);

const EARLY = { smtpd_delay_reject: "no" };

const mixed: readonly PolicyConfig[] = [
  { name: "early: client refused", settings: { ...EARLY, smtpd_client_restrictions: "reject_unknown_client" } },
  { name: "early: 421", settings: { ...EARLY, smtpd_client_restrictions: "check_client_access static:{421 no}" } },
  { name: "early: 521", settings: { ...EARLY, smtpd_helo_restrictions: "check_client_access static:{521 no}" } },
  { name: "early: helo", settings: { ...EARLY, smtpd_helo_restrictions: "reject_invalid_helo_hostname" } },
  { name: "early: sender", settings: { ...EARLY, smtpd_sender_restrictions: "reject_non_fqdn_sender" } },
  { name: "early: hold", settings: { ...EARLY, smtpd_client_restrictions: "check_client_access static:HOLD" } },
  { name: "early: put off", settings: { ...EARLY, smtpd_client_restrictions: "defer_if_permit" } },
  { name: "early: spared", settings: { ...EARLY, smtpd_helo_restrictions: "defer_if_reject" } },
  {
    name: "early: null sender",
    settings: { ...EARLY, smtpd_sender_restrictions: "check_sender_access static:DISCARD" },
  },
  { name: "early: unlisted sender", settings: { ...EARLY, smtpd_reject_unlisted_sender: "yes" } },
  { name: "helo required", settings: { smtpd_helo_required: "yes" } },
  { name: "soft_bounce", settings: { soft_bounce: "yes", smtpd_sender_restrictions: "reject_non_fqdn_sender" } },
  { name: "unlisted sender", settings: { smtpd_reject_unlisted_sender: "yes" } },
  { name: "nothing unlisted", settings: { smtpd_reject_unlisted_recipient: "no" } },
  { name: "override", settings: { receive_override_options: "no_unknown_recipient_checks" } },
  {
    name: "relay after recipient",
    settings: { smtpd_relay_before_recipient_restrictions: "no", [RECIPIENT_LIST]: "defer" },
  },
  {
    name: "codes",
    settings: {
      unknown_address_reject_code: "550",
      unknown_client_reject_code: "550",
      unknown_hostname_reject_code: "550",
      unknown_local_recipient_reject_code: "450",
      unknown_virtual_mailbox_reject_code: "450",
      unknown_virtual_alias_reject_code: "450",
      relay_domains_reject_code: "550",
      smtpd_sender_restrictions: "reject_unknown_sender_domain, reject_unknown_client, reject_unknown_helo_hostname",
    },
  },
  {
    name: "codes of tables",
    settings: {
      access_map_reject_code: "551",
      access_map_defer_code: "451",
      maps_rbl_reject_code: "550",
      reject_code: "552",
      defer_code: "452",
      non_fqdn_reject_code: "450",
      invalid_hostname_reject_code: "450",
      smtpd_helo_restrictions: "reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname",
      smtpd_sender_restrictions: `check_sender_access ${
        inline("good.example=REJECT, home.example=DEFER, null.example=reject")
      }`,
      [RECIPIENT_LIST]: "reject_rbl_client bl.example, defer",
    },
  },
  {
    name: "tempfail actions",
    settings: {
      reject_tempfail_action: "defer",
      smtpd_sender_restrictions: "reject_unknown_sender_domain, reject_unknown_helo_hostname",
    },
  },
  {
    name: "unknown, permitted after all",
    settings: { smtpd_sender_restrictions: "reject_unknown_sender_domain, reject_unknown_helo_hostname, permit" },
  },
  {
    name: "a reply of the site's own",
    settings: {
      smtpd_client_restrictions: "reject_rbl_client bl.example=127.0.0.2, reject_rbl_client bl2.example",
      rbl_reply_maps: "static:{450 4.1.1 $$client $${rbl_txt?{$$rbl_txt}:{none}} $$helo_name $$sender_domain " +
        "$$recipient_name $$rbl_what $$rbl_class $$reverse_client_name $$client_port $$client_address}",
    },
  },
  {
    name: "a reply that is none",
    settings: {
      smtpd_client_restrictions: "reject_rbl_client bl.example",
      default_rbl_reply: "$rbl_reason",
    },
  },
  {
    name: "a template with an unknown name",
    settings: {
      smtpd_client_restrictions: "reject_rbl_client bl.example",
      rbl_reply_maps: "static:{554 $$nonsense}",
    },
  },
  { name: "no delimiter", settings: { recipient_delimiter: "", [RECIPIENT_LIST]: `check_recipient_access ${KEYS}` } },
  {
    name: "untrusted routing",
    settings: { allow_untrusted_routing: "yes", [RECIPIENT_LIST]: "reject_unauth_destination" },
  },
  {
    name: "null key",
    settings: {
      smtpd_null_access_lookup_key: "nobody",
      [RECIPIENT_LIST]: `check_sender_access ${inline("nobody=450 null")}`,
    },
  },
  {
    name: "classes",
    settings: { [RECIPIENT_LIST]: "first_class, warn_if_reject second_class, reject_non_fqdn_recipient" },
  },
  {
    name: "class by table",
    settings: {
      [RECIPIENT_LIST]: `check_sender_access ${inline("good.example=first_class, null.example=second_class")}`,
    },
  },
  {
    name: "class for ever",
    settings: { [RECIPIENT_LIST]: `check_sender_access ${inline("good.example=deep_class")}` },
  },
  { name: "bare table, client", settings: { smtpd_client_restrictions: KEYS } },
  { name: "bare table, helo", settings: { smtpd_helo_restrictions: KEYS } },
  { name: "bare table, sender", settings: { smtpd_sender_restrictions: KEYS } },
  { name: "bare table, recipient", settings: { [RECIPIENT_LIST]: KEYS } },
  { name: "bare table, data", settings: { smtpd_data_restrictions: KEYS } },
  {
    name: "warnings only",
    settings: {
      smtpd_sender_restrictions: "warn_if_reject reject, warn_if_reject defer_if_permit, reject_non_fqdn_sender",
    },
  },
  {
    name: "warn_if_reject at the end",
    settings: { smtpd_sender_restrictions: "warn_if_reject", [RECIPIENT_LIST]: "reject_non_fqdn_recipient" },
  },
  { name: "put off and spared", settings: { [RECIPIENT_LIST]: "defer_if_permit, defer_if_reject, reject" } },
  {
    name: "put off early",
    settings: { smtpd_client_restrictions: "defer_if_permit, permit", [RECIPIENT_LIST]: "reject_non_fqdn_recipient" },
  },
  { name: "networks that fail", settings: { mynetworks: "fail:x", [RECIPIENT_LIST]: "permit_mynetworks" } },
  { name: "relay domains that fail", settings: { [RECIPIENT_LIST]: "permit_mynetworks" } },
  { name: "recipients that fail", settings: { local_recipient_maps: "fail:x", relay_recipient_maps: "fail:x" } },
  { name: "aliases that fail", settings: { virtual_alias_maps: "fail:x" } },
  {
    name: "backup networks",
    settings: {
      permit_mx_backup_networks: "198.51.100.0/24",
      smtpd_relay_restrictions: "permit_mx_backup, reject_unauth_destination",
    },
  },
  {
    name: "other backup networks",
    settings: {
      permit_mx_backup_networks: "192.0.2.0/24",
      smtpd_relay_restrictions: "permit_mx_backup, reject_unauth_destination",
    },
  },
  { name: "strict", settings: { strict_rfc821_envelopes: "yes" } },
  { name: "sleep", settings: { smtpd_client_restrictions: "sleep 0, reject_unknown_reverse_client_hostname" } },
];

/** What the policy server says to a sender. */
export const POLICY_ACTIONS: Readonly<Record<string, string>> = {
  "s@aonly.example": "450 4.1.8 policy",
  "s@null.example": "DEFER_IF_PERMIT perhaps",
  "s@tmp.example": "REJECT",
  "s@host": "reject_non_fqdn_sender",
  "user@home.example": "OK",
  "s@sub.good.example": "hash:/nowhere",
  "bare": "nonsense",
};

const policy: readonly PolicyConfig[] = ["client", "helo", "sender", "recipient", "data", "end_of_data", "etrn"]
  .flatMap(
    (stage) => [
      {
        name: `policy service at ${stage}`,
        settings: {
          [`smtpd_${stage}_restrictions`]: "check_policy_service { inet:127.0.0.1:POLICY_PORT, retry_delay=1s, " +
            "{ default_action = 450 4.2.2 no answer }, policy_context=here }",
        },
      },
      {
        name: `policy service at ${stage}, early`,
        settings: {
          smtpd_delay_reject: "no",
          [`smtpd_${stage}_restrictions`]: "check_policy_service inet:127.0.0.1:POLICY_PORT",
        },
      },
    ],
  );

export const CONFIGS: readonly PolicyConfig[] = [...single, ...servers, ...keys, ...results, ...mixed, ...policy];

/** Where we differ from Postfix 3.7 on purpose: the last reply to these lines. */
export interface Wanted {
  readonly why: string;
  readonly config: PolicyConfig;
  readonly lines: readonly string[];
  readonly ours: RegExp;
  readonly theirs: RegExp;
}

const XCLIENT = "XCLIENT NAME=c.isp.example REVERSE_NAME=c.isp.example ADDR=203.0.113.9";

export const WANTED: readonly Wanted[] = [
  {
    why: "permit_inet_interfaces looks at the address that XCLIENT tells: a stranger behind a proxy stays a stranger",
    config: { name: "own addresses", settings: { smtpd_client_restrictions: "permit_inet_interfaces, defer" } },
    lines: [XCLIENT, "EHLO helo.example", "MAIL FROM:<s@good.example>", "RCPT TO:<user@home.example>"],
    ours: /^450 4\.3\.2 <c\.isp\.example\[203\.0\.113\.9\]>: Client host rejected: Try again later$/,
    theirs: /^250 2\.1\.5 Ok$/,
  },
  {
    why: "a message refused at its end is over, and the next may begin (RFC 5321 §4.1.1.4)",
    config: { name: "end", settings: { smtpd_end_of_data_restrictions: "reject" } },
    lines: [
      ...[XCLIENT, "EHLO helo.example", "MAIL FROM:<s@good.example>", "RCPT TO:<user@home.example>", "DATA"],
      ...["Subject: x\r\n\r\nbody\r\n.", "MAIL FROM:<s@good.example>"],
    ],
    ours: /^250 2\.1\.0 Ok$/,
    theirs: /^503 5\.5\.1 Error: nested MAIL command$/,
  },
];

export type Pick = <T>(list: readonly T[]) => T;

/** Numbers that a seed gives. */
export function picker(seed: number): Pick {
  let state = seed >>> 0;
  return (list) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return list[((mixed ^ (mixed >>> 14)) >>> 0) % list.length]!;
  };
}

const WORDS = [
  ...SINGLE.filter(([stage]) => stage !== "etrn").flatMap(([, text]) => text.split(/, (?![^{]*\})/)),
  "warn_if_reject",
  "defer_if_permit",
  "defer_if_reject",
  "first_class",
  "second_class",
  `check_sender_access ${KEYS}`,
  `check_client_access ${KEYS}`,
];

/** Lists of restrictions by chance; those that end everything are rare. */
export function randomConfig(pick: Pick, at: number): PolicyConfig {
  const few = WORDS.filter((word) => !/^(reject|defer|permit)$/.test(word));
  const settings: Record<string, string> = {};
  for (const stage of ["client", "helo", "sender", "recipient", "data"]) {
    const words = Array.from({ length: pick([0, 1, 2, 3]) }, () => pick([...few, ...few, ...WORDS]));
    const value = pick(RESULTS.filter((text) => text !== "HANGUP"));
    if (pick([true, false, false])) words.push(`check_${pick(["client", "helo", "sender"])}_access static:{${value}}`);
    if (words.length > 0) settings[`smtpd_${stage}_restrictions`] = words.join(", ");
  }
  if (pick([true, false, false])) settings.smtpd_delay_reject = "no";
  if (pick([true, false, false, false])) settings.soft_bounce = "yes";
  return { name: `random ${at}`, settings };
}
