/** What the tests of access policy share: facts of a session, and a system whose name servers are a table. */

import { loadConfig } from "../../src/config/config.ts";
import type { DnsAnswer } from "../../src/dns/answer.ts";
import type { Resolver } from "../../src/dns/dns.ts";
import { plainRecipient } from "../../src/envelope.ts";
import type { Logger } from "../../src/log.ts";
import { wordsOutsideBraces } from "../../src/logical-lines.ts";
import { openTable } from "../../src/maps/map.ts";
import { parseMatchList } from "../../src/match-list.ts";
import type { Verifier } from "../../src/probe.ts";
import { replyLine } from "../../src/reply.ts";
import type { Runtime } from "../../src/runtime.ts";
import type { SessionFacts, Verdict } from "../../src/smtpd/facts.ts";
import { Judging, PolicyMemory } from "../../src/smtpd/judging.ts";
import { Lists } from "../../src/smtpd/lists.ts";
import { type PolicyServices, restrictionServices } from "../../src/smtpd/stages.ts";
import { AddressClasses } from "../../src/trivial-rewrite/resolve.ts";
import { AddressResolver } from "../../src/trivial-rewrite/resolver.ts";
import { configured } from "../config/fake-runtime.ts";

export const FACTS: SessionFacts = {
  client: {
    name: "c.isp.example",
    nameStatus: "ok",
    reverseName: "c.isp.example",
    reverseStatus: "ok",
    address: "203.0.113.9",
    port: 4321,
    localAddress: "192.0.2.25",
    localPort: 25,
    protocol: "ESMTP",
    where: "RCPT",
  },
  helo: "helo.example",
  sender: "s@x.example",
  recipient: "r@home.example",
  recipients: 0,
  queueId: "",
  size: 0,
  instance: "1.2.3",
  etrn: null,
  pipelined: false,
};

export const clientFacts = (change: Partial<SessionFacts["client"]>): Partial<SessionFacts> => ({
  client: { ...FACTS.client, ...change },
});

/** "name TYPE": records, "unsure" or a fault; what is not there does not exist. */
export type FakeZone = Readonly<Record<string, readonly unknown[] | "unsure" | "records" | "loop">>;

export function fakeResolver(zone: FakeZone, asked: string[] = []): Resolver {
  const answer = (name: string, type: string): Promise<DnsAnswer<unknown>> => {
    asked.push(`${name} ${type}`);
    const found = zone[`${name} ${type}`];
    if (found === "unsure") return Promise.resolve({ kind: "unsure", why: "try again" });
    if (found === "records" || found === "loop") {
      return Promise.resolve({ kind: "unsure", why: "malformed", fault: found });
    }
    if (found === undefined) return Promise.resolve({ kind: "none", why: "nxdomain" });
    return Promise.resolve({ kind: "found", records: found, secure: false, name });
  };
  const addresses = (name: string, family: 4 | 6) => answer(name, family === 4 ? "A" : "AAAA");
  return {
    lookup: answer,
    mx: (name: string) => answer(name, "MX"),
    ns: (name: string) => answer(name, "NS"),
    txt: (name: string) => answer(name, "TXT"),
    addresses,
    nativeAddresses: addresses,
  } as unknown as Resolver;
}

const BASE = `mydestination = home.example
mynetworks = 192.0.2.0/24
local_recipient_maps =
alias_maps =
smtpd_relay_restrictions = reject_unauth_destination
`;

export interface World {
  readonly main?: string;
  readonly zone?: FakeZone;
  /** Takes log lines. */
  readonly lines?: string[];
  readonly asked?: string[];
  readonly network?: Runtime["network"];
  readonly verifier?: Verifier;
}

export function services(
  { main = "", zone = {}, lines = [], asked, network = null, verifier }: World = {},
): PolicyServices {
  const made = configured(`${BASE}${main}\n`).runtime;
  const after = (delay: number, action: () => void) => {
    const timer = setTimeout(action, delay);
    return { cancel: () => clearTimeout(timer) };
  };
  const runtime: Runtime = { ...made, clock: { ...made.clock, after }, ...network === null ? {} : { network } };
  const config = loadConfig(runtime, "/etc/postfix").main;
  const classes = new AddressClasses(config, runtime);
  const resolver = new AddressResolver(config, classes, runtime);
  return {
    config,
    runtime,
    classes,
    myNetworks: parseMatchList(config.mynetworks, { runtime, parents: false, addresses: true, place: "mynetworks" }),
    resolver: fakeResolver(zone, asked),
    open: (name) => openTable(name, runtime),
    route: (address) => resolver.resolve(plainRecipient(address), {}),
    ...verifier === undefined ? {} : { verifier },
    warn: (text) => void lines.push(text),
  };
}

export function memory(lines: string[] = []): PolicyMemory {
  const add = (text: string): void => void lines.push(text);
  const logger: Logger = { info: add, warn: add, error: add, fatal: add, slot: () => logger };
  return new PolicyMemory(logger);
}

export const shown = (verdict: Verdict): string => typeof verdict === "string" ? verdict : replyLine(verdict);

/** Runs one list about a recipient; throws ConfigError. */
export function judged(
  words: string,
  facts: Partial<SessionFacts> = {},
  world: World = {},
): Verdict | Promise<Verdict> {
  const lists = new Lists(
    restrictionServices(services({ ...world, main: `${world.main ?? ""}\nown_list = ${words}` })),
  );
  const list = lists.make("own_list", wordsOutsideBraces(lists.services.config.text("own_list")));
  lists.check();
  const judging = new Judging(
    { ...FACTS, ...facts },
    memory(world.lines),
    lists.services.config.soft_bounce,
    () => false,
  );
  judging.begin(
    judging.facts.recipient ?? "DATA",
    judging.facts.recipient === null ? "Data command" : "Recipient address",
    "check_recipient_access",
  );
  return lists.run(list, judging);
}
