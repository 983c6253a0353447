/**
 * What this system would do with a mail, without any: a session of smtpd with the restriction lists of main.cf, cleanup
 * over a queue in memory, and the resolver, all of them the real ones; only tables, name servers and the log are looked
 * at. Nothing is queued, nothing is sent, and no counter of the running system is touched.
 */

import { Cleanup } from "../cleanup/cleanup.ts";
import { openRewriting } from "../cleanup/rewriting.ts";
import { type Config, type Loaded, type Service } from "../config/config.ts";
import { plainRecipient } from "../envelope.ts";
import { ConfigError } from "../errors.ts";
import { Log, type LogOptions, type Severity } from "../log.ts";
import { type LookupTable, type OpenOptions, openTable } from "../maps/map.ts";
import { type MatchList, parseMatchList } from "../match-list.ts";
import { openQueue } from "../queue/open.ts";
import type { QueueEntry, QueueStore } from "../queue/store.ts";
import type { Runtime } from "../runtime.ts";
import { Anvil } from "../smtpd/anvil.ts";
import type { Answer, CommandLine } from "../smtpd/dialogue.ts";
import { addressJudge } from "../smtpd/envelope-address.ts";
import { isReply, type Verdict } from "../smtpd/facts.ts";
import type { SessionHost } from "../smtpd/host.ts";
import { type PeerName, PeerNames } from "../smtpd/peer.ts";
import { Session } from "../smtpd/session.ts";
import { QueuedMessage } from "../smtpd/queued-message.ts";
import { localClients, syntaxRules, upperSet } from "../smtpd/smtpd.ts";
import { Stages } from "../smtpd/stages.ts";
import { type AddressClass, AddressClasses } from "../trivial-rewrite/resolve.ts";
import { AddressResolver } from "../trivial-rewrite/resolver.ts";
import { rewriteAddress } from "../trivial-rewrite/rewrite.ts";
import { type DnsScript, TracedResolver } from "./dns.ts";
import { tracedTables } from "./tables.ts";
import { type Step, Trace } from "./trace.ts";

export interface Question {
  readonly address: string;
  /** The client's names; null: the name servers say. */
  readonly name: PeerName | null;
  readonly helo: string;
  readonly sender: string;
  readonly recipients: readonly string[];
  /** With CRLF; null: an empty message. */
  readonly message: Uint8Array | null;
  /** Null: real name servers. */
  readonly dns: DnsScript | null;
  /** First column of the smtpd service in master.cf; null: the first one. */
  readonly service: string | null;
}

export interface Delivery {
  readonly recipient: string;
  readonly transport: string;
  readonly nexthop: string;
}

export interface Explanation {
  readonly steps: readonly Step[];
  /** What the client would have read, a row for each command. */
  readonly replies: readonly { readonly command: string; readonly reply: string }[];
  /** Empty when nothing was taken. */
  readonly deliveries: readonly Delivery[];
}

/** The service whose settings count; throws ConfigError. */
function serviceOf({ services }: Loaded, name: string | null): Service | null {
  const smtpds = services.filter(({ type, command }) => type === "inet" && command === "smtpd");
  if (name === null) return smtpds[0] ?? null;
  const found = smtpds.find((service) => service.name === name);
  if (found === undefined) throw new ConfigError([`fatal: master.cf has no smtpd service "${name}"`]);
  return found;
}

/** Log lines become steps. */
class TraceLog extends Log {
  readonly #trace: Trace;

  constructor(options: LogOptions, trace: Trace) {
    super(options);
    this.#trace = trace;
  }

  override add(_tag: string, _slot: number, severity: Severity, text: string): void {
    this.#trace.add("log", severity === "info" ? text : `${severity}: ${text}`);
  }
}

/** The parameter that says which domains are of the class, and for the rest, where they go. */
const OF: Readonly<Record<AddressClass, string>> = {
  local: "mydestination",
  "virtual-alias": "virtual_alias_domains",
  virtual: "virtual_mailbox_domains",
  relay: "relay_domains",
  default: "relayhost",
};

class Explainer {
  readonly #runtime: Runtime;
  readonly #config: Config;
  readonly #question: Question;
  readonly #trace = new Trace();
  readonly #replies: { readonly command: string; readonly reply: string }[] = [];
  readonly #log: Log;
  readonly #options: OpenOptions;
  /** main.cf alone, as cleanup, trivial-rewrite and the queue manager have it. */
  readonly #main: Config;
  readonly #mainClasses: AddressClasses;
  readonly #mainRoute: AddressResolver;
  readonly #classes: AddressClasses;
  readonly #route: AddressResolver;
  readonly #dns: TracedResolver;
  readonly #store: QueueStore;
  #queued: QueueEntry | null = null;

  constructor(runtime: Runtime, loaded: Loaded, question: Question, store: QueueStore) {
    const service = serviceOf(loaded, question.service);
    const config = service === null ? loaded.main : loaded.configFor(service);
    this.#runtime = runtime;
    this.#main = loaded.main;
    this.#config = config;
    this.#question = question;
    this.#store = store;
    const { clock } = runtime;
    this.#log = new TraceLog(
      { clock, hostname: "", name: "", format: "postfix", write: () => {}, pid: 0 },
      this.#trace,
    );
    const logger = this.#log.service("explain");
    this.#options = { warn: (text) => logger.warn(text), observe: tracedTables(runtime, this.#trace) };
    this.#classes = new AddressClasses(config, runtime, this.#options);
    this.#route = new AddressResolver(config, this.#classes, runtime, this.#options);
    const same = config === loaded.main;
    this.#mainClasses = same ? this.#classes : new AddressClasses(loaded.main, runtime, this.#options);
    this.#mainRoute = same ? this.#route : new AddressResolver(loaded.main, this.#mainClasses, runtime, this.#options);
    const servers = config.postrider_dns_servers;
    this.#dns = new TracedResolver(
      { runtime, ...servers.length > 0 ? { servers } : {} },
      this.#trace,
      question.dns,
    );
  }

  async run(): Promise<Explanation> {
    const { address, helo, sender, recipients } = this.#question;
    const session = new Session(this.#host(), { address, port: 0, localAddress: "127.0.0.1", localPort: 25 }, 1);
    try {
      let next = await this.#step(`connect from ${address}`, () => session.open());
      const say = async (text: string): Promise<Answer["next"]> => {
        const line: CommandLine = { text, bareNewline: false, behind: "" };
        return next === "close" ? next : next = await this.#step(text, () => session.command(line));
      };
      await say(`EHLO ${helo}`);
      await say(`MAIL FROM:<${sender}>`);
      for (const recipient of recipients) await say(`RCPT TO:<${recipient}>`);
      if (this.#taken("RCPT") && await say("DATA") === "data") {
        await this.#step("content and final dot", async () => {
          const { message } = this.#question;
          if (message !== null) await session.data(message);
          return await session.endOfData({ bareNewline: false });
        });
      }
      const deliveries = this.#queued === null ? [] : await this.#deliveries(this.#queued);
      return { steps: this.#trace.steps, replies: this.#replies, deliveries };
    } finally {
      this.#dns.close();
    }
  }

  async #step(command: string, action: () => Answer | Promise<Answer>): Promise<Answer["next"]> {
    this.#trace.enter("command", command);
    const { text, next } = await action();
    const reply = text.trimEnd().replaceAll("\r\n", "\n");
    this.#trace.leave(reply.split("\n").at(-1) as string);
    this.#replies.push({ command, reply });
    return next;
  }

  #taken(command: string): boolean {
    return this.#replies.some((row) => row.command.startsWith(command) && row.reply.startsWith("2"));
  }

  async #deliveries({ envelope }: QueueEntry): Promise<Delivery[]> {
    const found: Delivery[] = [];
    const route = this.#mainRoute;
    for (const recipient of envelope.recipients) {
      const { address, original } = recipient;
      if (original !== "" && original !== address) this.#trace.add("rewrite", original, address);
      this.#trace.enter("delivery", `<${address}>`);
      const filtered = envelope.filter !== undefined && envelope.filter !== "";
      const { domainClass, transport: way } = filtered
        ? { domainClass: null, transport: await route.resolve(recipient, envelope) }
        : await route.find(address, envelope.sender);
      const to = way.kind === "deliver"
        ? { recipient: way.recipient, transport: way.transport, nexthop: way.nexthop }
        : { recipient: address, transport: "retry", nexthop: way.why };
      const why = domainClass === null ? "" : ` (${domainClass} domain)`;
      this.#trace.leave(
        `${to.transport}:${to.nexthop}${why}`,
        domainClass === null ? "" : this.#place(OF[domainClass]),
      );
      found.push(to);
    }
    return found;
  }

  #place(name: string): string {
    const origin = this.#config.origin(name);
    return origin === null ? `${name}: default` : `${origin.file}, line ${origin.line}`;
  }

  #open(name: string, place?: string): LookupTable {
    return openTable(name, this.#runtime, { ...this.#options, ...place === undefined ? {} : { place } });
  }

  #stages(myNetworks: MatchList): Stages {
    const config = this.#config;
    const runtime = this.#runtime;
    return new Stages({
      config,
      runtime,
      classes: this.#classes,
      myNetworks,
      resolver: this.#dns,
      open: (name) => this.#open(name),
      route: (address) => this.#route.resolve(plainRecipient(address), {}),
      warn: this.#options.warn!,
      observer: {
        enter: (kind, what) => this.#trace.enter(kind, what, kind === "list" ? this.#place(what) : ""),
        leave: (verdict) => this.#trace.leave(verdictText(verdict)),
      },
    });
  }

  #cleanup(): Cleanup {
    const config = this.#main;
    const rewriting = openRewriting(config, this.#mainClasses, this.#runtime, this.#options);
    const openTable = (name: string, place: string): LookupTable => this.#open(name, place);
    const { clock } = this.#runtime;
    return new Cleanup({ config, store: this.#store, log: this.#log, clock, openTable, rewriting });
  }

  #host(): SessionHost {
    const config = this.#config;
    const { clock } = this.#runtime;
    const cleanup = this.#cleanup();
    const list = { ...this.#options, runtime: this.#runtime, parents: false, addresses: true, place: "mynetworks" };
    const myNetworks = parseMatchList(config.mynetworks, list);
    const stages = this.#stages(myNetworks);
    const isOwnClient = localClients(config, this.#classes, myNetworks);
    const rewrite = (address: string): string => rewriteAddress(address, config);
    const anvil = new Anvil(clock, { unit: config.anvil_rate_time_unit, prefix4: 32, prefix6: 128 });
    return {
      config,
      clock,
      logger: this.#log.service("smtpd"),
      syntax: syntaxRules(config),
      ipv6: true,
      noop: upperSet(config.smtpd_noop_commands),
      forbids: () => false,
      events: { anvil, service: "explain" },
      keywords: () => [],
      openMessage: () => new QueuedMessage({ cleanup, queued: ({ entry }) => this.#queued = entry }),
      judge: (stage, facts, memory) => stages.at(stage, facts, memory),
      peerName: (address) => this.#peerName(address),
      clientRules: () => ({ bareNewline: "no", xclient: false, xforward: false, limited: false }),
      rewrite,
      resolves: addressJudge(rewrite, (address) => this.#route.resolve(plainRecipient(address), {})),
      completesFor: isOwnClient,
      refuseConnection: () => null,
      diskFull: () => false,
      gone: () => {},
    };
  }

  #peerName(address: string): PeerName | Promise<PeerName> {
    return this.#question.name ?? new PeerNames(this.#dns, this.#runtime.clock).of(address);
  }
}

function verdictText(verdict: Verdict): string {
  return isReply(verdict) ? `${verdict.code} ${verdict.status} ${verdict.lines.join(" ")}`.trim() : verdict;
}

/** Throws ConfigError when tables or lists cannot be used. */
export async function explain(runtime: Runtime, loaded: Loaded, question: Question): Promise<Explanation> {
  const store = await openQueue("memory:", { runtime, longQueueIds: loaded.main.enable_long_queue_ids });
  try {
    return await new Explainer(runtime, loaded, question, store).run();
  } finally {
    await store.close();
  }
}
