/**
 * The scenarios of the simulation. Each builds its world from a seed and a size, lets it run, and gives what broke its
 * rules: nothing, when all is well.
 */

import assert from "node:assert/strict";
import { currentRuntime } from "../../runtimes/select.ts";
import type { Runtime } from "../../src/runtime.ts";
import { Seeded, SimulatedDisk } from "../queue/simulated-disk.ts";
import { VirtualClock } from "./clock.ts";
import { calmWorld, DEAD, diskWorld, type Host, LIVE, Outside, type World } from "./world.ts";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const crc32: Runtime["crc32"] = (await currentRuntime()).crc32;

export interface Outcome {
  readonly broken: readonly string[];
  /** A line for people. */
  readonly told: string;
}

interface Mail {
  readonly number: number;
  readonly site: string;
  /** When it is handed in. */
  readonly at: number;
}

/** Hands mail in at its times, then lets the world run on. */
async function feed(world: World, mails: readonly Mail[], rest: number): Promise<void> {
  const start = world.clock.monotonic();
  for (const { number, site, at } of [...mails].sort((a, b) => a.at - b.at)) {
    const wait = start + at - world.clock.monotonic();
    if (wait > 0) await world.pass(wait);
    await world.accept(number, site);
  }
  await world.pass(rest);
}

async function calm(seed: number, hosts: (name: string) => Host, mails: readonly Mail[], rest: number, main = "") {
  const outside = new Outside(new Seeded(seed), hosts);
  const world = await calmWorld(outside, new VirtualClock(), crc32, main);
  await feed(world, mails, rest);
  await world.stop();
  return outside;
}

function doubled(outside: Outside, most = 1): string[] {
  return [...outside.arrived].filter(([, times]) => times.length > most)
    .map(([number, times]) => `message ${number} arrived ${times.length} times`);
}

const isDead = (name: string): boolean => name.startsWith("dead");
const byName = (name: string): Host => isDead(name) ? DEAD : LIVE;

/** Many messages at once to many destinations, some of them dead. */
async function storm(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const sites = Math.max(20, Math.floor(size / 100));
  const mails = Array.from({ length: size }, (_, number) => {
    const site = random.below(sites);
    return { number, site: site % 20 === 0 ? `dead${site}` : `live${site}`, at: random.below(MINUTE) };
  });
  const live = new Set(mails.filter(({ site }) => !isDead(site)).map(({ number }) => number));
  const outside = await calm(seed, byName, mails, HOUR);
  const without = await calm(seed, byName, mails.filter(({ number }) => live.has(number)), HOUR);
  const broken = [...outside.broken, ...doubled(outside)];
  const missing = [...live].filter((number) => !outside.arrived.has(number));
  if (missing.length > 0) broken.push(`${missing.length} for live destinations did not arrive`);
  const [mixed, alone] = [outside, without].map((one) => one.latency((number) => live.has(number))) as [number, number];
  if (mixed > alone * 1.1) broken.push(`live destinations waited ${mixed} ms, and ${alone} ms without the dead ones`);
  const told =
    `${size} messages, ${sites} destinations: ${mixed.toFixed(0)} ms, ${alone.toFixed(0)} ms without dead ones, ` +
    `${outside.attemptsOnDead} attempts on the dead`;
  return { broken, told };
}

/** More mail than processes for it, and dead hosts, half of which come later: the others have the processes. */
async function crowd(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const host: Host = { latency: (chance) => 100 + Math.floor(chance * 200), up: () => true };
  // With fewer there is no crowd.
  const mails = Array.from({ length: Math.max(2_000, size) }, (_, number) => {
    const site = random.below(32);
    const late = site % 8 === 0 ? 3_000 : 0;
    return { number, site: site % 4 === 0 ? `dead${site}` : `live${site}`, at: late + random.below(1_000) };
  });
  const main = "default_process_limit = 20";
  const hosts = (name: string): Host => isDead(name) ? DEAD : host;
  const outside = await calm(seed, hosts, mails, HOUR, main);
  const without = await calm(seed, hosts, mails.filter(({ site }) => !isDead(site)), HOUR, main);
  const live = (number: number): boolean => !isDead(mails[number]!.site);
  const broken = [...outside.broken, ...doubled(outside), ...without.broken];
  const [mixed, alone] = [outside.latency(live), without.latency(live)];
  if (!(mixed <= alone * 1.1)) broken.push(`live destinations waited ${mixed} ms, and ${alone} ms without the dead`);
  const told = `${mails.length} messages: ${mixed.toFixed(0)} ms, ${alone.toFixed(0)} ms without the dead ones`;
  return { broken, told };
}

/**
 * A burst, and behind it for long nearly as much mail as there are processes for: nobody waits much longer than the
 * burst takes. Who is served last, if the newest were first, waits as long as mail comes.
 */
async function queueing(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const [processes, latency] = [20, 200];
  const host: Host = { latency: (chance) => latency / 2 + Math.floor(chance * latency), up: () => true };
  const burst = Math.max(400, Math.floor(size / 2));
  const drained = burst * latency / processes;
  const steady = Math.floor(burst * 9);
  const mails = Array.from({ length: burst + steady }, (_, number) => ({
    number,
    site: `live${random.below(40)}`,
    at: number < burst ? 0 : Math.floor((number - burst) * latency / processes / 0.9),
  }));
  const outside = await calm(seed, () => host, mails, HOUR, `default_process_limit = ${processes}`);
  const broken = [...outside.broken, ...doubled(outside), ...outside.lost.map((number) => `${number} did not arrive`)];
  const longest = outside.longest();
  // Three times at most with 500 seeds; seven times at least when the newest are first.
  if (longest > 5 * drained) broken.push(`somebody waited ${longest} ms, and the burst takes ${drained} ms`);
  return { broken, told: `${mails.length} messages: ${longest} ms at most, the burst takes ${drained} ms` };
}

/**
 * Due mail that fails again and again has all places of the active queue: new mail has its turn all the same.
 */
async function crowdedOut(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const failing: Host = { latency: () => 500, up: () => false };
  const mass = Array.from({ length: Math.max(400, size) }, (_, at) => ({ number: 1e6 + at, site: `dead${at}`, at: 0 }));
  const fresh = Array.from({ length: 100 }, (_, number) => ({
    number,
    site: `live${random.below(20)}`,
    at: 10 * MINUTE + number * 1_000,
  }));
  const main = "qmgr_message_active_limit = 20\ndefault_process_limit = 20\n" +
    "minimal_backoff_time = 10s\nmaximal_backoff_time = 10s";
  const hosts = (name: string): Host => isDead(name) ? failing : LIVE;
  const outside = await calm(seed, hosts, [...mass, ...fresh], MINUTE, main);
  const longest = outside.longest((number) => number < 1e6);
  const missing = fresh.filter(({ number }) => !outside.arrived.has(number)).length;
  const broken = [...outside.broken, ...doubled(outside)];
  if (missing > 0 || longest > 5_000) broken.push(`new mail waited ${longest} ms, ${missing} did not arrive`);
  return { broken, told: `${mass.length} that fail: new mail waited ${longest} ms at most` };
}

/** A dead host comes back: all of its mail arrives within maximal_backoff_time, once. */
async function comesBack(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const back = HOUR + random.below(HOUR);
  const host: Host = { latency: (chance) => 100 + Math.floor(chance * 20_000), up: (at) => at >= back };
  // By tens, as mailings come.
  const mails = Array.from({ length: size }, (_, number) => ({
    number,
    site: "x",
    at: Math.floor(number / 10) * Math.floor(10 * HOUR / size),
  }));
  const outside = await calm(seed, () => host, mails, back + 4000_000 + HOUR);
  const broken = [...outside.broken, ...doubled(outside), ...outside.lost.map((number) => `${number} did not arrive`)];
  const late = [...outside.arrived].filter(([, [at]]) => at! > back + 4000_000 + 10 * MINUTE);
  if (late.length > 0) broken.push(`${late.length} later than maximal_backoff_time`);
  return { broken, told: `${size} messages, ${outside.attemptsOnDead} attempts before it came back` };
}

/** One host takes a minute for each message: the others do not notice. */
async function slowHost(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const hosts = (name: string): Host => name === "slow" ? { ...LIVE, latency: () => MINUTE } : LIVE;
  const mails = Array.from({ length: size }, (_, number) => ({
    number,
    site: number % 4 === 0 ? "slow" : `live${random.below(20)}`,
    at: random.below(10 * MINUTE),
  }));
  const others = (number: number): boolean => number % 4 !== 0;
  const outside = await calm(seed, hosts, mails, DAY);
  const without = await calm(seed, hosts, mails.filter(({ number }) => others(number)), DAY);
  const broken = [...outside.broken, ...doubled(outside), ...outside.lost.map((number) => `${number} did not arrive`)];
  const [mixed, alone] = [outside.latency(others), without.latency(others)];
  if (mixed > alone * 1.1) broken.push(`the others waited ${mixed} ms, and ${alone} ms without the slow one`);
  return { broken, told: `${size} messages: ${mixed.toFixed(0)} ms, ${alone.toFixed(0)} ms without the slow one` };
}

/** A flood to one destination beside trickles to others. */
async function flood(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const trickle = Array.from({ length: Math.floor(size / 10) }, (_, number) => ({
    number,
    site: `small${number % 20}`,
    at: number * 200,
  }));
  const mass = Array.from({ length: size }, (_, at) => ({ number: 1e6 + at, site: "big", at: random.below(1000) }));
  const small = (number: number): boolean => number < 1e6;
  const outside = await calm(seed, byName, [...trickle, ...mass], HOUR);
  const without = await calm(seed, byName, trickle, HOUR);
  const broken = [...outside.broken, ...doubled(outside), ...outside.lost.map((number) => `${number} did not arrive`)];
  const [mixed, alone] = [outside.latency(small), without.latency(small)];
  if (mixed > alone * 1.1) broken.push(`the trickles waited ${mixed} ms, and ${alone} ms without the flood`);
  return {
    broken,
    told: `${size} messages: trickles ${mixed.toFixed(0)} ms, ${alone.toFixed(0)} ms without the flood`,
  };
}

/** The power goes, or the process dies, at one storage operation after the other; each start takes what is left. */
async function crashes(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const outside = new Outside(random, (name) => name === "often" ? { ...LIVE, up: () => random.below(3) > 0 } : LIVE);
  const rounds = Math.max(3, Math.floor(size / 60));
  const main = "minimal_backoff_time = 10s\nmaximal_backoff_time = 60s\nqueue_run_delay = 10s";
  let disk = new SimulatedDisk(random);
  let number = 0;
  for (let round = 0; round < rounds; round++) {
    disk.cutAt = disk.operations + 5 + random.below(600);
    const clock = new VirtualClock();
    const opened = await Promise.race([diskWorld(outside, clock, disk, crc32, main), disk.died.then(() => null)]);
    if (opened !== null) {
      for (let count = 0; count < 40 && !disk.dead; count++) {
        const site = random.below(4) === 0 ? "often" : `live${random.below(5)}`;
        await Promise.race([opened.accept(number++, site), disk.died]);
        if (random.below(3) === 0 && !disk.dead) await Promise.race([opened.pass(random.below(2000)), disk.died]);
      }
      opened.crash();
    }
    disk.cut();
    disk = random.below(2) === 0 ? disk.afterCut() : disk.afterKill();
  }
  const last = await diskWorld(outside, new VirtualClock(), disk, crc32, main);
  await last.pass(HOUR);
  last.crash();
  const broken = [...outside.broken, ...doubled(outside, 1 + rounds), ...outside.lost.map((one) => `${one} is lost`)];
  const copies = [...outside.arrived.values()].reduce((sum, times) => sum + times.length - 1, 0);
  if (copies > rounds * 25) broken.push(`${copies} duplicates in ${rounds} crashes`);
  return { broken, told: `${outside.acknowledged.size} acknowledged, ${rounds} crashes, ${copies} duplicates` };
}

/** Writes and syncs of the disk fail for some time, again and again: what was acknowledged arrives, once. */
async function diskFaults(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const outside = new Outside(random, (name) => name === "often" ? { ...LIVE, up: () => random.below(3) > 0 } : LIVE);
  const disk = new SimulatedDisk(random);
  let fails = false;
  let faults = 0;
  disk.fault = (operation) => {
    if (!fails || !/^(write|sync|open|create)/.test(operation) || random.below(4) === 0) return null;
    faults++;
    return random.below(2) === 0 ? "ENOSPC" : "EIO";
  };
  const main = "minimal_backoff_time = 10s\nmaximal_backoff_time = 60s";
  const world = await diskWorld(outside, new VirtualClock(), disk, crc32, main);
  let refused = 0;
  for (let number = 0; number < size; number++) {
    if (number % 20 === 0) fails = random.below(2) === 0;
    const site = random.below(4) === 0 ? "often" : `live${random.below(5)}`;
    await world.accept(number, site).catch(() => refused++);
    if (random.below(3) === 0) await world.pass(random.below(2_000));
  }
  fails = false;
  await world.pass(HOUR);
  world.crash();
  const broken = [...outside.broken, ...doubled(outside), ...outside.lost.map((one) => `${one} is lost`)];
  broken.push(...disk.violations);
  if (faults < size / 20) broken.push(`only ${faults} faults: nothing was shown`);
  return {
    broken,
    told: `${outside.acknowledged.size} acknowledged, ${refused} refused, ${faults} faults of the disk`,
  };
}

/** Somebody sets the clock, forward and back. */
async function jumps(seed: number, size: number): Promise<Outcome> {
  const random = new Seeded(seed);
  const back = 3 * HOUR;
  const outside = new Outside(random, (name) => isDead(name) ? { ...DEAD, up: (at) => at >= back } : LIVE);
  const clock = new VirtualClock();
  const world = await calmWorld(outside, clock, crc32);
  for (let number = 0; number < size; number++) {
    await world.accept(number, number % 3 === 0 ? `dead${number % 5}` : `live${number % 7}`);
    await world.pass(random.below(2 * HOUR / size));
    if (random.below(Math.max(2, size / 10)) === 0) clock.jump += random.below(2 * HOUR) - HOUR;
  }
  clock.jump = 0;
  await world.pass(DAY);
  assert.equal(world.store.count("active"), 0);
  const broken = [...outside.broken, ...doubled(outside)];
  broken.push(...outside.lost.map((number) => `${number} did not arrive`));
  return { broken, told: `${size} messages` };
}

export const SCENARIOS: Readonly<Record<string, (seed: number, size: number) => Promise<Outcome>>> = {
  storm,
  crowd,
  "comes-back": comesBack,
  "slow-host": slowHost,
  flood,
  queueing,
  "crowded-out": crowdedOut,
  crashes,
  "disk-faults": diskFaults,
  jumps,
};
