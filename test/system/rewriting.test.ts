/**
 * trivial-rewrite beside Debian's: random addresses in random configurations, asked over Postfix's own protocol. All
 * differences of a configuration are told at once. POSTRIDER_TEST_SEED repeats a run.
 */

import assert from "node:assert/strict";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import { loadConfig } from "../../src/config/config.ts";
import { AddressClasses } from "../../src/trivial-rewrite/resolve.ts";
import { AddressResolver } from "../../src/trivial-rewrite/resolver.ts";
import { rewriteAddress } from "../../src/trivial-rewrite/rewrite.ts";
import { quoted } from "../../src/trivial-rewrite/tokens.ts";
import { configured } from "../config/fake-runtime.ts";
import { sleep, startPostrider, until } from "../postrider.ts";
import { type Received, Sink } from "../sink.ts";
import { type DebianPostfix, debianPostfix, type Mail, startDebianPostfix, submit } from "./debian-postfix.ts";
import { SEED } from "../seed.ts";

const CASES = 90;

/** mulberry32 */
function randomFrom(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const BASE = `compatibility_level = 3.6
myhostname = mx.test.example
mydestination = mx.test.example, home.example, localhost
virtual_alias_domains = alias.example
virtual_mailbox_domains = box.example
relay_domains = relay.example
inet_interfaces = 127.0.0.1
proxy_interfaces = 192.0.2.9
smtputf8_enable = no
`;

const TRANSPORTS = "inline:{ {far.example = slow:[10.0.0.1]} {.far.example = :[10.0.0.2]} {u+x@far.example = ext:}" +
  " {u@relay.example = error:} {box.example = error:5.7.1 no} {home.example = :other} {*= star:}" +
  " {u@sub.far.example=:} }";
const RELOCATED =
  "inline:{ {u@far.example = v@new.example} {u@home.example = gone@new.example} {v = w} {@x.example=y} }";

const CONFIGS: readonly (readonly string[])[] = [
  [],
  ["append_dot_mydomain = yes", "myorigin = test.example"],
  ["append_at_myorigin = no", "swap_bangpath = no"],
  ["allow_percent_hack = no", "resolve_dequoted_address = no"],
  ["resolve_null_domain = yes", "resolve_numeric_domain = yes"],
  [`transport_maps = ${TRANSPORTS}`, "recipient_delimiter = +"],
  [`transport_maps = ${TRANSPORTS}`, "parent_domain_matches_subdomains = transport_maps, relay_domains"],
  ["relayhost = [192.0.2.1]:587", "recipient_delimiter = +-", `relocated_maps = ${RELOCATED}`],
  [
    "sender_dependent_relayhost_maps = inline:{{s@home.example=[r1]} {@far.example=r2} {<> = r3} {t@x.example=DUNNO}}",
    "sender_dependent_default_transport_maps = inline:{ {s@home.example=d1:} {@x.example=d2:h} {<> = dunno} }",
    "relayhost = r0",
  ],
  [
    "local_transport = lmtp:unix:private/x",
    "virtual_transport = v:w",
    "relay_transport = relay:r",
    "default_transport = d:",
  ],
  ["mydestination = fail:dest"],
  ["relay_domains = fail:relay", "allow_min_user = yes"],
  ["transport_maps = fail:t", "show_user_unknown_table_name = no", "empty_address_recipient = nobody"],
];

const DOMAINS = ["home.example", "alias.example", "box.example", "relay.example", "sub.relay.example", "far.example"]
  .concat(
    "sub.far.example",
    "a.sub.far.example",
    "mx.test.example",
    "x.example",
    "HOME.Example",
    "test.example",
    "host",
  )
  .concat(
    "localhost",
    "[127.0.0.1]",
    "[192.0.2.9]",
    "[192.0.2.3]",
    "[ipv6:::1]",
    "192.0.2.9",
    "192.0.2.3",
    "-bad.example",
  )
  .concat("two..dots.example", "far.example.", "home.example.", "a_b.example", "", ".", "[bad", "host.", "[300.1.1.1]");
const USERS = ["u", "v", "u+x", "u-x", "+x", "postmaster", "MAILER-DAEMON", "first last", "a.b", ".a", "a..b", "a.", ""]
  .concat(
    "-opt",
    'q"uote',
    "back\\slash",
    "comma,one",
    "semi;colon",
    "(comment)",
    "owner-u",
    "caf\xe9",
    "a:b",
    "<v>",
    "a|b",
  );

class Cases {
  readonly #random: () => number;

  constructor(start: number) {
    this.#random = randomFrom(start);
  }

  pick(list: readonly string[]): string {
    return list[Math.floor(this.#random() * list.length)] as string;
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }

  /** In internal form. */
  address(): string {
    let address = this.pick(USERS);
    for (let rounds = this.#chance(0.4) ? 2 : 1; rounds > 0; rounds--) {
      const domain = this.pick(DOMAINS);
      const sort = this.#random();
      if (sort < 0.65) address += `@${domain}`;
      else if (sort < 0.78) address += `%${domain}`;
      else if (sort < 0.9) address = `${domain}!${address}`;
    }
    // A bang path with a quote in it is put together otherwise.
    if (address.includes("!")) address = address.replace('"', "");
    return this.#chance(0.06) ? `@${this.pick(DOMAINS)}:${address}` : address;
  }

  sender(): string {
    return this.pick(["", "s@home.example", "t@x.example", "q@far.example", "z@elsewhere.example"]);
  }
}

/** One connection to a rewrite service; requests one at a time, attributes ended by NUL. */
class RewriteClient {
  readonly #socket: net.Socket;
  #text = "";
  #waiting: ((reply: ReadonlyMap<string, string>) => void) | null = null;

  constructor(path: string) {
    this.#socket = net.connect(path);
    this.#socket.setEncoding("latin1");
    this.#socket.on("data", (text: string) => {
      this.#text += text;
      this.#take();
    });
    this.#socket.on("error", () => {});
  }

  ask(attributes: Readonly<Record<string, string>>): Promise<ReadonlyMap<string, string>> {
    const request = Object.entries(attributes).map(([name, value]) => `${name}\0${value}\0`).join("");
    return new Promise((resolve) => {
      this.#waiting = resolve;
      this.#socket.write(`${request}\0`, "latin1");
    });
  }

  end(): void {
    this.#socket.destroy();
  }

  #take(): void {
    const fields: string[] = [];
    let at = 0;
    for (;;) {
      const end = this.#text.indexOf("\0", at);
      if (end < 0) return;
      const field = this.#text.slice(at, end);
      at = end + 1;
      // An empty name ends the reply.
      if (fields.length % 2 === 0 && field === "") break;
      fields.push(field);
    }
    this.#text = this.#text.slice(at);
    const reply = new Map<string, string>();
    for (let index = 0; index < fields.length; index += 2) reply.set(fields[index]!, fields[index + 1]!);
    if (reply.has("protocol")) return this.#take();
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.(reply);
  }
}

const CLASSES = { 256: "local", 512: "virtual-alias", 1024: "virtual", 2048: "relay", 4096: "default" } as const;

function theirs(reply: ReadonlyMap<string, string>): string {
  const flags = Number(reply.get("flags"));
  if ((flags & 8) !== 0) return "unsure";
  if ((flags & 4) !== 0) return `syntax ${reply.get("recipient")}`;
  const domainClass = CLASSES[(flags & 0x1f00) as keyof typeof CLASSES];
  const routed = (flags & 2) !== 0 ? " routed" : "";
  return `${reply.get("transport")} ${reply.get("nexthop")} ${reply.get("recipient")} ${domainClass}${routed}`;
}

describe("trivial-rewrite", { skip: !debianPostfix }, () => {
  let debian: DebianPostfix;

  before(async () => {
    console.log(`# POSTRIDER_TEST_SEED=${SEED}`);
    const services = CONFIGS.map((lines, at) =>
      `rewrite${at} unix - - n - - trivial-rewrite ${lines.map((line) => `-o { ${line} }`).join(" ")}`
    );
    debian = await startDebianPostfix(BASE, { services: services.join("\n") });
  });

  after(() => debian.stop());

  for (const [at, lines] of CONFIGS.entries()) {
    test(`answers as Debian's does with ${lines.join(", ") || "defaults"}`, async () => {
      const cases = new Cases(SEED + at);
      const { runtime } = configured(`${BASE}${lines.join("\n")}\n`);
      const config = loadConfig(runtime, "/etc/postfix").main;
      const classes = new AddressClasses(config, runtime);
      const resolver = new AddressResolver(config, classes, runtime);
      const client = new RewriteClient(`${debian.folder}/spool/private/rewrite${at}`);
      const differences: string[] = [];
      const compare = (what: string, ours: string, expected: string): void => {
        if (ours !== expected) differences.push(`${what}\n  ours:   ${ours}\n  theirs: ${expected}`);
      };
      for (let count = 0; count < CASES; count++) {
        const address = cases.address();
        const sender = cases.sender();
        const form = quoted(address);
        const rewritten = await client.ask({ request: "rewrite", rule: "local", address: form });
        const expected = rewritten.get("address") ?? "";
        compare(`rewrite ${form}`, rewriteAddress(form, config), expected === '""' ? "" : expected);
        if (address === "") continue;
        const found = await resolver.find(form, sender);
        const { transport, recipient, domainClass, routed } = found;
        const ours = transport.kind === "unsure"
          ? "unsure"
          : transport.nexthop === "5.1.3 bad address syntax"
          ? `syntax ${recipient}`
          : `${transport.transport} ${transport.nexthop} ${recipient} ${domainClass}${routed ? " routed" : ""}`;
        compare(
          `resolve ${form} from <${sender}>`,
          ours,
          theirs(await client.ask({ request: "resolve", sender, address })),
        );
      }
      client.end();
      assert.equal(differences.join("\n"), "", `seed ${SEED}`);
    });
  }
});

const MAPS = {
  canonical:
    "inline:{ {u@home.example = first.last@far.example} {v = vv@x.example} {@host.test.example = @deep.x.example}" +
    " {loop@x.example = loop2@x.example} {loop2@x.example = loop2@x.example} {q@x.example = a b@x.example} }",
  virtual:
    "inline:{ {list@alias.example = u@far.example, w, self@alias.example} {self@alias.example = self@alias.example}" +
    " {u@alias.example = u+more@x.example} {@all.example = catch@far.example} {w = w1@x.example}" +
    " {@move.example = @x.example}" +
    " {endless@alias.example = y.endless@alias.example} {broken@alias.example = <>} }",
  copies:
    "inline:{ {s@home.example = copy@x.example} {u@far.example = copy2@x.example} {@x.example = xcopy@far.example} }",
};

/** Lines of main.cf; `smtpd` are -o settings of smtpd. */
const MAIL_CONFIGS: readonly (readonly string[])[] = [
  [],
  [`canonical_maps = ${MAPS.canonical}`, "myorigin = home.example", "recipient_delimiter = +"],
  [`canonical_maps = ${MAPS.canonical}`, "canonical_classes = header_sender, envelope_recipient"],
  [
    `sender_canonical_maps = ${MAPS.canonical}`,
    "local_header_rewrite_clients =",
    "remote_header_rewrite_domain = un.known",
  ],
  [`recipient_canonical_maps = ${MAPS.canonical}`, "local_header_rewrite_clients ="],
  ["masquerade_domains = !no.x.example x.example test.example", "masquerade_exceptions = root, u"],
  ["masquerade_domains = x.example", "masquerade_classes = envelope_recipient, header_recipient"],
  [`virtual_alias_maps = ${MAPS.virtual}`, "recipient_delimiter = +"],
  [
    `virtual_alias_maps = ${MAPS.virtual}`,
    "propagate_unmatched_extensions =",
    "recipient_delimiter = +",
    "enable_original_recipient = no",
  ],
  [`sender_bcc_maps = ${MAPS.copies}`, `recipient_bcc_maps = ${MAPS.copies}`, "always_bcc = all@far.example"],
  [
    `virtual_alias_maps = ${MAPS.virtual}`,
    "virtual_alias_expansion_limit = 2",
    "virtual_alias_address_length_limit = 60",
  ],
  ["virtual_alias_maps = fail:v", "virtual_alias_domains ="],
  ["canonical_maps = fail:c"],
  [
    `virtual_alias_maps = ${MAPS.virtual}`,
    "receive_override_options = no_address_mappings",
    `always_bcc = all@far.example`,
  ],
  [`smtp_generic_maps = ${MAPS.canonical}`, "recipient_delimiter = +"],
];

const MAILBOXES = ["u@home.example", "v@home.example", "u+ext@home.example", "u@host.test.example", "loop@x.example"]
  .concat("list@alias.example", "self@alias.example", "u@alias.example", "u+ext@alias.example", "any@all.example")
  .concat("any+ext@move.example", "endless@alias.example", "broken@alias.example", "w@mx.test.example", "q@x.example")
  .concat("u@far.example", "root@a.x.example", "a@b.no.x.example", "z@sub.x.example", "s@home.example", "p@x.example");
const HEADERS = ["From", "To", "Cc", "Reply-To", "Sender", "Errors-To", "Resent-To", "Resent-From", "Return-Receipt-To"]
  .concat("Mail-Followup-To", "Disposition-Notification-To", "Resent-Reply-To", "Apparently-To", "Bcc", "X-To", "FROM");
const SHAPES = [
  "@",
  "<@>",
  "Name <@>",
  '"Quoted, Name" <@>',
  "@ (comment)",
  "(c) First Last <@> (d)",
  "group: @, @;",
  "@, @",
]
  .concat(
    "Bare",
    "host!user",
    "user%far.example",
    "@,\n\t@",
    "A <@>,\n B <@>, @, @, @, @, @, @",
    "<@r.example:@>",
    "a b c",
    "",
  )
  .concat(
    "<>",
    '"a b"@x.example',
    "us\\,er@x.example",
    "@@x.example",
    "undisclosed-recipients:;",
    "Name <@",
    "x@[192.0.2.1]",
  );

function mailOf(cases: Cases, number: number): Mail {
  const mailbox = (): string => cases.pick(MAILBOXES);
  const header = (): string =>
    `${cases.pick(HEADERS)}: ${cases.pick(SHAPES).replaceAll("@", () => cases.pick([mailbox(), "u", "w@host"]))}`;
  const headers = [header(), header(), header()].join("\n").replaceAll("\n", "\r\n");
  const recipients = [
    mailbox(),
    mailbox(),
    ...number % 3 === 0 ? [`${mailbox()} NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;o@o.example`] : [],
  ];
  return {
    sender: cases.pick([mailbox(), "s@home.example", ""]),
    recipients,
    content: `X-Case: ${number}\r\nMessage-Id: <${number}@case>\r\nDate: today\r\n${headers}\r\n\r\nbody\r\n`,
  };
}

/** Everything about a case that must be the same: the reply, who got it, what it was. */
function outcomes(replies: readonly string[], messages: readonly Received[], log: string): string[] {
  return replies.map((reply, number) => {
    const mine = messages.filter(({ content }) =>
      !content.includes("This is the mail system at host") && new RegExp(`^X-Case: ${number}\r$`, "m").test(content)
    );
    const recipients = mine.flatMap((one) => one.recipients).sort();
    const contents = new Set(mine.map(({ content }) =>
      content.replace(/^Received: .*\r\n(?:[\t ].*\r\n)*/gm, "")
        .replace(/^(Resent-Message-Id: <|Resent-Date: ).*/gm, "$1")
    ));
    const senders = new Set(mine.map(({ sender }) => sender));
    const known = reply.replace(/queued as \S+/, "queued").trim();
    const id = new RegExp(`([0-9A-Za-z]+): message-id=<${number}@case>`).exec(log)?.[1];
    const lines = [
      ...log.matchAll(new RegExp(`${id}: (to=<[^>]*>,(?: orig_to=<[^>]*>,)?) .*(dsn=\\S+ status=\\w+)`, "g")),
    ]
      .map((match) => `${match[1]} ${match[2]}`).sort();
    return [known, [...senders].join(" & "), recipients.join(" "), ...contents, ...lines].join("\n");
  });
}

describe("mail through cleanup and smtp", { skip: !debianPostfix }, () => {
  for (const [at, lines] of MAIL_CONFIGS.entries()) {
    test(`comes out as Debian's does with ${lines.join(", ") || "defaults"}`, async () => {
      const cases = new Cases(SEED * 31 + at);
      const mails = Array.from({ length: 14 }, (_, number) => mailOf(cases, number));
      const sinks = await Promise.all([Sink.start(), Sink.start()]);
      const main = (port: number): string =>
        `${
          BASE.replace(/^(compat|inet|myhost).*\n/gm, "")
        }virtual_mailbox_domains =\nrelayhost = [127.0.0.1]:${port}\n` +
        `mydestination = mx.test.example, home.example\nlocal_transport = smtp:[127.0.0.1]:${port}\n` +
        `smtpd_relay_restrictions = permit_mynetworks, reject\nsmtpd_reject_unlisted_recipient = no\n` +
        `append_dot_mydomain = yes\n` +
        `minimal_backoff_time = 1000s\nmydomain = test.example\nbounce_notice_recipient = nobody@x.example\n${
          lines.join("\n")
        }\n`;
      const debian = await startDebianPostfix(main(sinks[0]!.port));
      const ours = await startPostrider({ main: main(sinks[1]!.port) });
      try {
        const replies: string[][] = [[], []];
        for (const mail of mails) {
          replies[0]!.push(await submit(debian.port, mail));
          replies[1]!.push(await submit(ours.port, mail));
        }
        const idle = (log: string): boolean =>
          replies[0]!.every((reply, number) => {
            if (!reply.startsWith("250")) return true;
            const id = new RegExp(`([0-9A-Za-z]+): message-id=<${number}@case>`).exec(log)?.[1];
            return id === undefined || new RegExp(`${id}: removed|status=deferred`).test(log);
          });
        await until(() => idle(debian.log()) && idle(ours.log), 20_000, () => `${debian.log()}\n${ours.log}`);
        await sleep(200);
        const theirs = outcomes(replies[0]!, sinks[0]!.messages, debian.log());
        const own = outcomes(replies[1]!, sinks[1]!.messages, ours.log);
        const told = mails.map((mail) => `${mail.sender} -> ${mail.recipients.join(" | ")}\n${mail.content}`);
        for (const [number, expected] of theirs.entries()) {
          assert.equal(own[number], expected, `seed ${SEED}\n${told[number]}`);
        }
      } finally {
        debian.stop();
        await ours.remove();
        for (const sink of sinks) await sink.close();
      }
    });
  }
});
