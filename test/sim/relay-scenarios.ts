/**
 * Scenarios of the whole relay. Domains are what their names say:
 *   ok7.example        a host that answers;           flaky7.example   one that does all that goes wrong, for hours
 *   backup7.example    only its second host answers;  gone7.example    nobody ever answers
 *   none7.example      does not exist;                null7.example    takes no mail
 *   bare7.example      its exchanger has no address;  self7.example    its exchanger is this relay
 * A recipient whose name begins with "no" is refused, and so is the content of mail marked as spam.
 */

import { currentRuntime } from "../../runtimes/select.ts";
import type { Millis, Runtime } from "../../src/runtime.ts";
import { Seeded, SimulatedDisk } from "../queue/simulated-disk.ts";
import { VirtualClock } from "./clock.ts";
import { Internet, OWN_ADDRESS, type Zone } from "./internet.ts";
import { type Fate, Ledger, type SimMail } from "./ledger.ts";
import type { Asked, Deed, MailHost, Stage } from "./mail-host.ts";
import { RelayWorld } from "./relay-world.ts";
import type { Outcome } from "./scenarios.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const crc32: Runtime["crc32"] = (await currentRuntime()).crc32;

const kindOf = (domain: string): string => /^[a-z]+/.exec(domain)![0];
const domainOf = (address: string): string => address.slice(address.indexOf("@") + 1);
const KINDS = ["ok", "flaky", "backup", "gone", "relay"];
const HOPELESS = new Set(["gone", "none", "null", "bare", "self"]);
const isSpam = (content: string): boolean => /^X-Spam: yes\r$/m.test(content.slice(0, content.indexOf("\r\n\r\n") + 2));

function fateOf(mail: SimMail, recipient: string): Fate {
  if (HOPELESS.has(kindOf(domainOf(recipient))) || recipient.startsWith("no")) return "bounces";
  return recipient !== mail.sender && isSpam(mail.content) ? "bounces" : "arrives";
}

/** What hosts do beyond what their names say; null: nothing. */
type Mood = (domain: string, stage: Stage, at: Millis) => Deed | null;

/** In percent. */
const TROUBLES: readonly (readonly [Stage, number, Deed])[] = [
  ["connect", 4, "refused"],
  ["connect", 2, "silent"],
  ["greeting", 3, "421 4.3.2 too busy"],
  ["greeting", 2, "554 5.3.2 not today"],
  ["greeting", 1, "silent"],
  ["greeting", 2, "close"],
  ["ehlo", 3, "502 5.5.1 what?"],
  ["ehlo", 1, "close"],
  ["mail", 2, "451 4.3.0 later"],
  ["mail", 1, "421 4.3.0 closing"],
  ["mail", 1, "close"],
  ["mail", 1, "silent"],
  ["rcpt", 4, "450 4.2.1 later"],
  ["rcpt", 1, "close"],
  ["data", 2, "451 4.3.0 later"],
  ["data", 1, "close"],
  ["dot", 3, "451 4.3.0 later"],
  ["dot", 2, "close"],
  ["dot", 1, "silent"],
  ["dot", 3, "say-close"],
];

function flaky(random: Seeded, until: Millis): Mood {
  return (domain, stage, at) => {
    if (kindOf(domain) !== "flaky" || at > until) return null;
    let chance = random.next() * 100;
    for (const [where, percent, deed] of TROUBLES) {
      if (where !== stage) continue;
      chance -= percent;
      if (chance < 0) return deed;
    }
    return null;
  };
}

function actOf(kind: string, stage: Stage, { recipient, content }: Asked): Deed {
  if (kind === "gone" && stage === "connect") return "silent";
  if (stage === "rcpt" && recipient.startsWith("no")) return "550 5.1.1 no such user";
  return stage === "dot" && isSpam(content) ? "554 5.7.1 spam" : "ok";
}

interface Place {
  readonly internet: Internet;
  readonly ledger: Ledger;
}

/** The world around: `outage`: what the name server says instead, null for what it knows. */
function place(
  random: Seeded,
  mood: Mood,
  outage: (domain: string, type: string, at: Millis) => ReturnType<Zone> | null = () => null,
): Place {
  const clock = new VirtualClock();
  const ledger = new Ledger(() => clock.monotonic(), fateOf);
  /** The address of a domain's first or second host, or (0) of its web server; it comes to be when it is asked for. */
  const hostAt = (domain: string, which: number): string => {
    const number = Number(/\d+/.exec(domain)?.[0] ?? 0);
    const address = `10.${3 * KINDS.indexOf(kindOf(domain)) + which}.${number >> 8}.${number & 255}`;
    if (!internet.hosts.has(address)) internet.hosts.set(address, host(domain, which, address));
    return address;
  };
  const host = (domain: string, which: number, address: string): MailHost => {
    const kind = kindOf(domain);
    const chance = new Seeded(Number(address.replace(/\D/g, "")));
    return {
      name: `mx${which}.${domain}`,
      latency: 1 + chance.below(60),
      think: chance.below(100),
      pipelining: chance.below(4) > 0,
      patience: chance.below(3) === 0 ? 800 : Infinity,
      act: (stage, asked) => {
        if (kind === "backup" && which === 1 && stage === "connect") return "silent";
        if (which === 0) ledger.breaks(`the web server of ${domain} is asked to take mail`);
        const deed = actOf(kind, stage, asked);
        return deed === "ok" ? mood(domain, stage, clock.monotonic()) ?? deed : deed;
      },
      received: (mail) => ledger.received(mail),
    };
  };
  const zone: Zone = (name, type) => {
    const domain = name.replace(/^mx\d\./, "");
    const instead = outage(domain, type, clock.monotonic());
    if (instead !== null) return instead;
    const kind = kindOf(domain);
    if (kind === "none") return "NXDOMAIN";
    const exchanger = /^mx(\d)\./.exec(name);
    if (exchanger === null && type === "MX") {
      if (kind === "null") return [{ preference: 0, exchange: "." }];
      const count = kind === "backup" ? 2 : 1;
      return Array.from({ length: count }, (_, at) => ({ preference: 10 * at, exchange: `mx${at + 1}.${domain}` }));
    }
    if (type !== "A" || kind === "bare" || kind === "self" && exchanger === null) return [];
    return [kind === "self" ? OWN_ADDRESS : hostAt(domain, Number(exchanger?.[1] ?? 0))];
  };
  const internet = new Internet(clock, random, zone);
  const itself = host("self0.example", 1, OWN_ADDRESS);
  internet.hosts.set(OWN_ADDRESS, { ...itself, act: () => (ledger.breaks("it sends mail to itself"), "refused") });
  return { internet, ledger };
}

/** Mail of all kinds; `kinds` are picked from, so that what is named twice comes twice as often. */
function mailOf(random: Seeded, number: number, kinds: readonly string[], sites: number, large = false): SimMail {
  const pick = (): string => `${kinds[random.below(kinds.length)]}${random.below(sites)}.example`;
  const recipients = new Set<string>();
  for (let count = random.below(4) === 0 ? 1 + random.below(4) : 1; count > 0; count--) {
    recipients.add(`${random.below(12) === 0 ? "no" : "u"}${random.below(100)}@${pick()}`);
  }
  const chance = random.below(40);
  const sender = chance === 0
    ? ""
    : chance < 3
    ? `no${number}@ok0.example`
    : chance < 4
    ? `s${number}@none0.example`
    : `s${number}@ok${random.below(sites)}.example`;
  const spam = random.below(25) === 0 ? "X-Spam: yes\r\n" : "";
  const lines = [`X-Number: ${number}`, `${spam}Subject: ${number}`, "", ".a dot", "..", `text ${random.below(1e9)}`];
  if (large) { for (let count = 4_000; count > 0; count--) lines.push(`${count} of ${number}`.padEnd(70, "x")); }
  return { number, sender, recipients: [...recipients], content: lines.map((line) => `${line}\r\n`).join("") };
}

interface Timed {
  readonly mail: SimMail;
  readonly at: Millis;
}

async function feed(world: RelayWorld, mails: readonly Timed[], rest: Millis): Promise<void> {
  const { clock } = world.internet;
  const start = clock.monotonic();
  for (const { mail, at } of [...mails].sort((one, other) => one.at - other.at)) {
    const wait = start + at - clock.monotonic();
    if (wait > 0) await world.pass(wait);
    await world.accept(mail);
  }
  await world.pass(rest);
}

async function calm({ internet, ledger }: Place, mails: readonly Timed[], rest: Millis, main = ""): Promise<void> {
  const world = await RelayWorld.open({ internet, ledger, crc32, main });
  await feed(world, mails, rest);
  for (const queue of ["incoming", "active", "deferred"] as const) {
    if (world.store.count(queue) > 0) ledger.breaks(`${world.store.count(queue)} messages are left in ${queue}`);
  }
  await world.stop(0);
}

function told({ ledger }: Place, ...more: string[]): string {
  const { acknowledged, notices, copies } = ledger;
  return [`${acknowledged.size} messages`, `${notices} undeliverable`, `${copies} copies`, ...more].join(", ");
}

const EVERY_KIND = ["ok", "ok", "flaky", "flaky", "flaky", "backup", "gone", "none", "null", "bare", "self"];

/** All that goes wrong on a network, but lost answers and crashes: every recipient ends in exactly one way. */
async function relay(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const here = place(random, flaky(random, 3 * HOUR));
  const mails = Array.from({ length: size }, (_, number) => ({
    mail: mailOf(random, number, EVERY_KIND, 5, random.below(100) === 0),
    at: random.below(HOUR),
  }));
  const ahead = random.below(2) === 0 ? "yes" : "no";
  const main = `maximal_queue_lifetime = 8h\nbounce_queue_lifetime = 8h\npostrider_smtp_send_ahead = ${ahead}`;
  await calm(here, mails, 14 * HOUR, main);
  return { broken: here.ledger.settle(), told: told(here) };
}

/** Receivers that go away around the final dot: nothing is lost, and each lost answer costs one copy at most. */
async function finalDot(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const deeds: readonly Deed[] = ["close", "lost", "lost", "lost-silent", "say-close", "silent", "ok"];
  const here = place(random, (_domain, stage, at) => {
    if (stage !== "dot" || at > 4 * HOUR || random.below(4) > 0) return null;
    return deeds[random.below(deeds.length)]!;
  });
  const mails = Array.from({ length: size }, (_, number) => ({
    mail: mailOf(random, number, ["ok", "ok", "backup"], 6),
    at: random.below(HOUR),
  }));
  await calm(here, mails, 10 * HOUR);
  const broken = here.ledger.settle();
  return { broken, told: told(here, `${here.ledger.lostAnswers} answers lost`) };
}

/** Name servers that say nothing, refuse or fail for hours, for some names or all: nobody's mail comes back for it. */
async function dnsOutage(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const back = 2 * HOUR + random.below(2 * HOUR);
  const hows = ["drop", "SERVFAIL", "REFUSED"] as const;
  const here = place(random, () => null, (domain, type, at) => {
    if (at < 10 * MINUTE || at > back) return null;
    // Of some domains exchangers are known, but not their addresses; of others only the web server's address is.
    const key = Number(/\d+/.exec(domain)?.[0] ?? 0);
    if (type === ["MX", "A", "none"][key % 3]) return null;
    return key % 5 === 4 ? null : hows[key % hows.length]!;
  });
  const mails = Array.from({ length: size }, (_, number) => ({
    mail: mailOf(random, number, ["ok", "ok", "ok", "none", "null", "bare"], 15),
    at: random.below(3 * HOUR),
  }));
  await calm(here, mails, back + 4 * HOUR);
  const { ledger } = here;
  const broken = [...ledger.settle()];
  const late = [...ledger.arrived.values()].filter(([at]) => at! > Math.max(back, 3 * HOUR) + 4_000 * SECOND + HOUR);
  if (late.length > 0) broken.push(`${late.length} later than maximal_backoff_time`);
  return { broken, told: told(here) };
}

/** Dead hosts among many, with connections that hang until they time out: live ones do not notice. */
async function hanging(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const sites = Math.max(20, Math.floor(size / 40));
  const mails = Array.from({ length: size }, (_, number): Timed => {
    const site = random.below(sites);
    const domain = `${site % 20 === 0 ? "gone" : "ok"}${site}.example`;
    const content = `X-Number: ${number}\r\nSubject: x\r\n\r\nx\r\n`;
    return { mail: { number, sender: "", recipients: [`u@${domain}`], content }, at: random.below(MINUTE) };
  });
  const isLive = (recipient: string): boolean => kindOf(domainOf(recipient)) === "ok";
  const run = async (chosen: readonly Timed[]): Promise<Place> => {
    const here = place(new Seeded(seed), () => null);
    const world = await RelayWorld.open({ ...here, crc32 });
    await feed(world, chosen, HOUR);
    await world.stop(0);
    return here;
  };
  const mixed = await run(mails);
  const alone = await run(mails.filter(({ mail }) => isLive(mail.recipients[0]!)));
  const broken = [...mixed.ledger.broken, ...alone.ledger.settle()];
  const [with_, without] = [mixed.ledger.latency(isLive), alone.ledger.latency(isLive)];
  if (!(with_ <= without * 1.1)) broken.push(`live ones waited ${with_} ms, and ${without} ms without the dead ones`);
  return { broken, told: `${size} messages: ${with_.toFixed(0)} ms, ${without.toFixed(0)} ms without the dead ones` };
}

const QUICK = `minimal_backoff_time = 10s
maximal_backoff_time = 60s
maximal_queue_lifetime = 1h
bounce_queue_lifetime = 1h`;
/** Most of what is to be done waits in line. */
const NARROW = `default_process_limit = 20
smtp_destination_concurrency_limit = 1
smtp_destination_recipient_limit = 2
postrider_stalled_delivery_limit = 0`;
/** Nothing that takes hours to be given up. */
const CRASH_KINDS = ["ok", "ok", "ok", "flaky", "backup", "gone", "none", "self"];

/** What is left of the disk when the process has died, by power cut or by itself. */
function leftOf(disk: SimulatedDisk, random: Seeded): SimulatedDisk {
  disk.cut();
  return random.below(2) === 0 ? disk.afterCut() : disk.afterKill();
}

async function opened({ internet, ledger }: Place, disk: SimulatedDisk, more = ""): Promise<RelayWorld | null> {
  const opening = RelayWorld.open({ internet, ledger, crc32, disk, main: `${QUICK}\n${more}` });
  return await Promise.race([opening, disk.died.then(() => null)]);
}

/** After the last crash: all that is left ends. */
async function toTheEnd(here: Place, last: RelayWorld): Promise<void> {
  await last.pass(DAY / 4);
  const { store } = last;
  const left = store.count("incoming") + store.count("active") + store.count("deferred");
  if (left > 0) here.ledger.breaks(`${left} messages are left`);
  await last.stop(0);
}

/** Power cuts and kills at any storage operation, while mail comes in, goes out and comes back. */
async function relayCrashes(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const here = place(random, flaky(random, DAY));
  const rounds = Math.max(3, Math.floor(size / 60));
  let disk = new SimulatedDisk(random);
  let number = 0;
  for (let round = 0; round < rounds; round++) {
    disk.cutAt = disk.operations + 5 + random.below(600);
    const world = await opened(here, disk);
    for (let count = 0; world !== null && count < 40 && !disk.dead; count++) {
      const mail = mailOf(random, number++, CRASH_KINDS, 4, random.below(40) === 0);
      await Promise.race([world.accept(mail), disk.died]);
      if (random.below(3) === 0 && !disk.dead) await world.pass(random.below(20 * SECOND));
    }
    if (world === null) here.ledger.crashes++;
    else world.crash();
    disk = leftOf(disk, random);
  }
  await toTheEnd(here, (await opened(here, disk))!);
  return { broken: here.ledger.settle(), told: told(here, `${rounds} crashes`) };
}

/** Started and killed or stopped again and again, within seconds: the queue still goes down. */
async function restarts(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const here = place(random, flaky(random, DAY));
  let disk = new SimulatedDisk(random);
  const first = await opened(here, disk);
  for (let number = 0; number < size / 4; number++) await first!.accept(mailOf(random, number, CRASH_KINDS, 4));
  first!.crash();
  disk = leftOf(disk, random);
  const rounds = Math.max(10, Math.floor(size / 20));
  for (let round = 0; round < rounds; round++) {
    if (random.below(3) === 0) disk.cutAt = disk.operations + random.below(60);
    const world = await opened(here, disk);
    await world?.pass(random.below(3 * SECOND));
    const orderly = world !== null && !disk.dead && random.below(3) === 0;
    if (orderly) await world.stop(random.below(SECOND));
    if (orderly && !disk.dead) {
      disk.cut();
      disk = disk.afterKill();
      continue;
    }
    if (world === null || orderly) here.ledger.crashes++;
    else world.crash();
    disk = leftOf(disk, random);
  }
  await toTheEnd(here, (await opened(here, disk))!);
  return { broken: here.ledger.settle(), told: told(here, `${rounds} restarts, ${here.ledger.crashes} crashes`) };
}

/** Reloaded again and again, and held and released on top of it, while mail comes in and goes out: nothing is twice. */
async function reloads(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const here = place(random, flaky(random, DAY));
  const world = (await opened(here, new SimulatedDisk(random), NARROW))!;
  let [count, held] = [0, 0];
  for (let number = 0; number < size; number++) {
    await world.accept(mailOf(random, number, CRASH_KINDS, 4, random.below(40) === 0));
    if (random.below(2) === 0) await world.pass(random.below(2 * SECOND));
    if (random.below(4) > 0) continue;
    const active = [...world.store.list("active")];
    const id = random.below(4) === 0 ? active[random.below(active.length)] : undefined;
    if (id !== undefined) held += (await world.store.hold([id])).length;
    world.reload();
    count++;
    if (id === undefined) continue;
    await world.store.release([id]);
    world.qmgr.look();
  }
  await toTheEnd(here, world);
  return { broken: here.ledger.settle(), told: told(here, `${count} reloads, ${held} held`) };
}

export const RELAY_SCENARIOS: Readonly<Record<string, (seed: number, size: number) => Promise<Outcome>>> = {
  relay,
  "final-dot": finalDot,
  "dns-outage": dnsOutage,
  hanging,
  "relay-crashes": relayCrashes,
  restarts,
  reloads,
};
