/**
 * The command parser beside Debian's Postfix: the same commands, by chance, most of them wrong in some way. Replies are
 * equal to the letter, and so is what policy and the next hop get to see. POSTRIDER_TEST_SEED repeats a run.
 */

import assert from "node:assert/strict";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { type Running, startPostrider, until } from "../postrider.ts";
import { SEED } from "../seed.ts";
import { Sink } from "../sink.ts";
import { SmtpClient } from "../smtp-client.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix } from "./debian-postfix.ts";
import { missing } from "./missing-lines.ts";
import { Cases } from "./syntax-cases.ts";

const FIRST_PORT = 26_000;
const TRANSACTIONS = Math.ceil(60 * Number(process.env.POSTRIDER_TEST_SCALE ?? 1));

/** Settings of each smtpd. */
const CONFIGS: readonly string[] = [
  "",
  "smtputf8_enable = no",
  "strict_rfc821_envelopes = yes",
  "strict_smtputf8 = yes",
  "disable_vrfy_command = yes",
];

/** Settings of rewriting, which all services of a system share. */
const SYSTEMS: readonly string[] = [
  "",
  "resolve_dequoted_address = no\nallow_percent_hack = no\nswap_bangpath = no\n",
  "smtputf8_enable = no\n",
];

const main = (sink: number, more: string): string =>
  `mydomain = test.example
mydestination = home.example, mx.test.example
myorigin = home.example
smtpd_banner = $myhostname ESMTP
mail_name = Postfix
relayhost = [127.0.0.1]:${sink}
local_transport = smtp:[127.0.0.1]:${sink}
smtp_send_xforward_command = yes
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_recipient_restrictions = check_client_access static:{INFO seen}
smtpd_reject_unlisted_recipient = no
smtpd_authorized_xclient_hosts = 127.0.0.2
smtpd_forbidden_commands = CONNECT GET POST
smtpd_forbid_unauth_pipelining = no
smtpd_forbid_bare_newline = no
smtpd_soft_error_limit = 100000
smtpd_hard_error_limit = 100000
smtpd_junk_command_limit = 100000
smtpd_error_sleep_time = 0
smtpd_client_event_limit_exceptions = static:all
minimal_backoff_time = 1000s
in_flow_delay = 0
local_header_rewrite_clients =
fast_flush_domains =
${more}`;

const PLAIN = "MAIL FROM:<s@x.example>";

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (char) => char.charCodeAt(0));

/** What may differ from one run to the next; and no control character of a client comes back from ours. */
const plain = (reply: string): string =>
  reply.replace(/queued as \S+/, "queued as ID").replaceAll("\r\n", "\n").replace(/[^\n -~\x80-\xff]/g, "?").replace(
    /^(250-mx\.test\.example)\n[^]*/,
    "$1",
  );

/** What a side told the next hop about each message. */
class NextHop {
  readonly seen = new Map<string, string>();
  sink!: Sink;

  static async start(): Promise<NextHop> {
    const hop = new NextHop();
    const told = new Map<number, string[]>();
    hop.sink = await Sink.start({
      keywords: [
        "PIPELINING",
        "8BITMIME",
        "SIZE 0",
        "DSN",
        "SMTPUTF8",
        "XFORWARD NAME ADDR PROTO HELO IDENT PORT SOURCE",
      ],
      answer: (line, session) => {
        if (/^(?:EHLO|RSET)/.test(line)) told.set(session, []);
        if (/^(?:XFORWARD|MAIL|RCPT)/.test(line)) {
          told.get(session)?.push(line.replace(/ (?:SIZE|PORT|IDENT)=\S+/g, ""));
        }
        return null;
      },
      dot: ({ content }, session) => {
        const id = /^X-Case: (.*)\r$/m.exec(content)?.[1];
        const trace = /^Received: [^]*?(?=\r\n\S)/m.exec(content)?.[0].replace(/(?:\sid \w+|;.*)/g, "").replace(
          /\s+/g,
          " ",
        );
        const bounce = content.includes("This is the mail system at host");
        const lines = told.get(session)!.map((line) => line.replace(/^XFORWARD PROTO=/, "XFORWARD  PROTO=")).sort();
        if (id !== undefined && !bounce) {
          hop.seen.set(id, [...hop.seen.get(id)?.split("\n") ?? [], ...lines, trace].join("\n"));
        }
        told.set(session, []);
        return null;
      },
    });
    return hop;
  }
}

interface Pair {
  readonly ours: number;
  readonly theirs: number;
}

interface Found {
  steps: number;
  readonly sent: string[];
  readonly differences: string[];
}

class Comparison {
  readonly #clients: readonly SmtpClient[];
  readonly #name: string;
  readonly #found: Found;
  #told: string[] = [];

  private constructor(name: string, clients: readonly SmtpClient[], found: Found) {
    this.#name = name;
    this.#clients = clients;
    this.#found = found;
  }

  static async start(name: string, { ours, theirs }: Pair, found: Found): Promise<Comparison> {
    const clients = await Promise.all([SmtpClient.connect(ours), SmtpClient.connect(theirs)]);
    return new Comparison(name, clients, found);
  }

  /** The reply where both sides gave one of the same class, else "". */
  async say(line: string | null): Promise<string> {
    if (line !== null) { for (const client of this.#clients) client.write(bytes(`${line}\r\n`)); }
    const [ours, theirs] = await Promise.all(this.#clients.map(async (client) => plain(await client.reply())));
    this.#found.steps++;
    if (line === "RSET") this.#told = [];
    else this.#told.push(line ?? "(greeting)");
    if (ours !== theirs) {
      const lines = this.#told.slice(-4).map((told) => JSON.stringify(told).slice(0, 300)).join(" | ");
      const both = `ours   ${JSON.stringify(ours)}\n    theirs ${JSON.stringify(theirs)}`;
      this.#found.differences.push(`${this.#name}: ${lines}\n    ${both}`);
    }
    return ours![0] === theirs![0] ? ours! : "";
  }

  /** One transaction; false when the connection is over. */
  async transaction(cases: Cases, id: string): Promise<boolean> {
    let mail = cases.once(3) ? PLAIN : cases.mail();
    if (!await this.#other(cases, "")) return false;
    if (!(await this.say(mail)).startsWith("2")) {
      // Debian's remembers options of a MAIL that it has refused.
      mail = PLAIN;
      if (await this.say("RSET") === "" || !(await this.say(mail)).startsWith("2")) return true;
    }
    if (!await this.#other(cases, mail)) return false;
    let taken = false;
    for (let left = 3; left > 0; left--) taken = (await this.say(cases.rcpt())).startsWith("2") || taken;
    if (!await this.#other(cases, mail)) return false;
    if (taken && (await this.say("DATA")).startsWith("354")) {
      await this.say(`X-Case: ${id}\r\nMessage-Id: <${id}@case>\r\n\r\nbody\r\n.`);
      this.#found.sent.push(id);
    }
    return true;
  }

  async #other(cases: Cases, mail: string): Promise<boolean> {
    if (!cases.once(6)) return true;
    const line = cases.other();
    // Debian's forgets BODY and RET at a MAIL that comes too early.
    if (/(?:body|ret)=/i.test(mail) && /^\s*mail/i.test(line)) return true;
    const reply = await this.say(line);
    return reply !== "" && !/^(?:221|354|421|521)/.test(reply);
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}

async function compare(name: string, ports: Pair, cases: Cases, found: Found): Promise<void> {
  let talk: Comparison | null = null;
  for (let left = TRANSACTIONS; left > 0; left--) {
    if (talk === null) {
      talk = await Comparison.start(name, ports, found);
      await talk.say(null);
      await talk.say(cases.once(3) ? cases.helo() : "EHLO client.example");
    }
    let alive = await talk.transaction(cases, `${name}-${left}`.replace(/\W+/g, "-"));
    if (alive && cases.once(20)) {
      await talk.say(cases.bdat());
      alive = false;
    }
    if (alive) alive = (await talk.say("RSET")) !== "";
    if (alive && left > 1) continue;
    talk.close();
    talk = null;
  }
}

/** What smtpd wrote beside connections, without process and queue id. */
const logLines = (log: string): string[] =>
  [
    ...log.replace(/[^\n -~]/g, "?").matchAll(
      /smtpd\[\d+\]: (?!(?:dis)?connect |lost connection )(?:warning: )?(?:NOQUEUE: |[0-9A-Z]{6,}: )?(.*)$/gm,
    ),
  ]
    .map((match) => match[1]!.slice(0, 200)).filter((line) =>
      !/^(?:client=|improper command|unknown DSN|\S+: request longer)|process|daemon/.test(line)
    );

for (const [at, more] of SYSTEMS.entries()) {
  describe(`commands beside Debian's Postfix, ${JSON.stringify(more)}`, { skip: !debianPostfix }, () => {
    let ours: Running;
    let theirs: DebianPostfix;
    let hops: { readonly ours: NextHop; readonly theirs: NextHop };
    const first = FIRST_PORT + 100 * at;
    const sent: string[] = [];

    before(async () => {
      console.log(`POSTRIDER_TEST_SEED=${SEED}`);
      hops = { ours: await NextHop.start(), theirs: await NextHop.start() };
      const services = (offset: number): string =>
        CONFIGS.map((config, index) =>
          `127.0.0.1:${first + 2 * index + offset} inet n - n - - smtpd${config === "" ? "" : ` -o { ${config} }`}`
        ).join("\n");
      theirs = await startDebianPostfix(main(hops.theirs.sink.port, more), { services: services(1) });
      ours = await startPostrider({ main: main(hops.ours.sink.port, more), master: services(0) });
    });
    after(async () => {
      await ours?.remove();
      theirs?.stop();
      await hops?.ours.sink.close();
      await hops?.theirs.sink.close();
    });

    test("replies equal to the letter", async () => {
      const found: Found = { steps: 0, sent, differences: [] };
      for (const [index, config] of CONFIGS.entries()) {
        // Without SMTPUTF8 it makes no sense, and Debian's wants it all the same.
        if (config.startsWith("strict_smtputf8") && more.startsWith("smtputf8_enable")) continue;
        const ports = { ours: first + 2 * index, theirs: first + 2 * index + 1 };
        await compare(config === "" ? "defaults" : config, ports, new Cases(SEED + index + 100 * at), found);
      }
      console.log(`${found.steps} commands, ${sent.length} messages, ${found.differences.length} differences`);
      assert.equal(found.differences.join("\n"), "");
    });

    test("the log tells the same", async () => {
      const both = (): [string[], string[]] => [logLines(ours.log), logLines(theirs.log())];
      await until(() => both()[0].length === both()[1].length, 5_000, () => "").catch(() => {});
      const [mine, other] = both();
      console.log(`${other.length} log lines`);
      assert.deepEqual({ more: missing(mine, other), less: missing(other, mine) }, { more: [], less: [] });
    });

    test("the next hop gets the same", async () => {
      const over = (log: string): boolean => {
        const ended = new Set([...log.matchAll(/: (\w+): (?:removed|.*status=deferred)/g)].map((match) => match[1]!));
        const ids = [...log.matchAll(/: (\w+): message-id=<\S+@case>/g)].map((match) => match[1]!);
        return ids.length === sent.length && ids.every((id) => ended.has(id));
      };
      await until(() => over(ours.log) && over(theirs.log()), 10_000, () => `${ours.log}\n${theirs.log()}`);
      const differences = sent.flatMap((id) => {
        const [mine, other] = [hops.ours.seen.get(id), hops.theirs.seen.get(id)];
        return mine === other ? [] : [`${id}\n--- ours\n${mine}\n--- theirs\n${other}`];
      });
      console.log(`${sent.length} messages, ${hops.theirs.seen.size} arrived, ${differences.length} differences`);
      assert.equal(differences.join("\n"), "");
    });
  });
}
