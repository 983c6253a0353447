import assert from "node:assert/strict";
import { test } from "node:test";
import type { Cleanup } from "../../src/cleanup/cleanup.ts";
import { loadConfig } from "../../src/config/config.ts";
import { type Envelope, plainRecipient } from "../../src/envelope.ts";
import type { Notices } from "../../src/notices.ts";
import type { Committed } from "../../src/queue/store.ts";
import { reply } from "../../src/reply.ts";
import type { Clock, Millis } from "../../src/runtime.ts";
import type { Outcome } from "../../src/status.ts";
import { Verify } from "../../src/verify/verify.ts";
import { configured } from "../config/fake-runtime.ts";

const HOUR: Millis = 3_600_000;
const A = "a@x.example";

/** Probes are gathered instead of queued; timers run when the time is moved on. */
class Desk {
  now: Millis = 1e12;
  readonly probes: Envelope[] = [];
  readonly lines: string[] = [];
  readonly told: string[] = [];
  /** Workers before and after this one. */
  readonly others: Desk[] = [];
  readonly #timers = new Set<{ readonly at: Millis; readonly action: () => void }>();
  readonly verify: Verify;
  readonly notices: Notices;

  constructor(main = "", refused: number | null = null) {
    const clock = {
      now: () => this.now,
      after: (delay: Millis, action: () => void) => {
        const timer = { at: this.now + delay, action };
        this.#timers.add(timer);
        return { cancel: () => void this.#timers.delete(timer) };
      },
      zoneMinutes: () => 0,
      zoneName: () => "UTC",
    } as unknown as Clock;
    const open = () => ({
      id: "PROBE",
      begin: () => {},
      finish: (envelope: Envelope) => {
        if (refused !== null) return Promise.resolve({ kind: "refused", reply: reply(refused, "5.0.0", "Error: no") });
        this.probes.push(envelope);
        return Promise.resolve({ kind: "queued", committed: {} });
      },
    });
    const config = loadConfig(configured(`address_verify_map =\n${main}\n`).runtime, "/etc/postfix").main;
    const log = (text: string): void => void this.lines.push(text);
    this.verify = new Verify({
      config,
      cleanup: { open } as unknown as Cleanup,
      clock,
      files: null,
      log: { info: log, warn: log, error: log, fatal: log, slot: () => assert.fail() },
      queued: (_committed: Committed) => {},
      others: () => this.others.map(({ verify }) => verify),
    });
    const other = (name: string) => (): Promise<void> => Promise.resolve(void this.told.push(name));
    this.notices = this.verify.notices({
      undeliverable: () => other("undeliverable")().then(() => null),
      delayed: other("delayed"),
      delivered: other("delivered"),
      traced: other("traced"),
    });
  }

  pass(time: Millis): void {
    this.now += time;
    for (const timer of [...this.#timers].filter(({ at }) => at <= this.now)) {
      this.#timers.delete(timer);
      timer.action();
    }
  }

  /** The last probe comes back. */
  async result(outcome: Outcome, reason = outcome as string, original = ""): Promise<void> {
    const envelope = this.probes.at(-1)!;
    const recipient = { ...plainRecipient(envelope.recipients[0]!.address), original };
    const result = { outcome, scope: "recipient" as const, status: "2.0.0", reason, remote: null, relay: "none" };
    await this.notices.undeliverable({ id: "PROBE", envelope, size: 0 }, [
      { waiting: { recipient, index: 0 }, result: { ...result, connectionUse: 0, connectedAt: 0 } },
    ]);
  }

  status(address = A): string {
    return this.verify.query(address).status;
  }
}

test("an address is probed once, and a result is given from then on", async () => {
  const desk = new Desk();
  assert.deepEqual(desk.verify.query(A), { status: "unknown", why: "Address verification in progress" });
  assert.equal(desk.status(), "unknown");
  assert.deepEqual(desk.probes.map(({ sender, recipients: [one], probe }) => [sender, one?.address, probe]), [
    ["double-bounce@mx1.example.org", A, "verify"],
  ]);
  await desk.result("bounced", "no such user");
  assert.deepEqual(desk.verify.query(A), { status: "undeliverable", why: "no such user" });
  assert.equal(desk.probes.length, 1);
  assert.deepEqual(desk.told, []);
});

test("who waits hears of the result at once, or of nothing when the time is over", async () => {
  const desk = new Desk();
  const early = desk.verify.wait(A, 3_000);
  await desk.result("deferred", "later", A);
  const late = desk.verify.wait("b@x.example", 3_000);
  desk.pass(3_000);
  assert.deepEqual([(await early).status, (await late).status], ["deferred", "unknown"]);
});

test("a probe that another worker sent: who waits there hears of its result, and knows it", async () => {
  const [first, second] = [new Desk(), new Desk()];
  const wait = first.verify.wait(A, 3_000);
  await first.verify.close();
  second.others.push(first);
  second.probes.push(...first.probes);
  await second.result("sent", "250 Ok");
  first.pass(3_000);
  assert.deepEqual([(await wait).status, first.status(), second.status()], Array(3).fill("deliverable"));
});

test("statuses are refreshed and expire by their own times", async () => {
  const rows: readonly (readonly [Outcome, readonly (readonly [number, string, number])[]])[] = [
    // Hours from one look to the next, status, probes so far.
    ["sent", [[167, "deliverable", 1], [2, "deliverable", 2], [1, "deliverable", 3], [31 * 24, "unknown", 4]]],
    ["bounced", [[2, "undeliverable", 1], [2, "undeliverable", 2], [72, "unknown", 3]]],
    ["deferred", [[2, "deferred", 1], [2, "deferred", 2], [72, "unknown", 3]]],
  ];
  for (const [outcome, looks] of rows) {
    const desk = new Desk();
    desk.status();
    await desk.result(outcome);
    for (const [hours, status, probes] of looks) {
      desk.pass(hours * HOUR);
      assert.deepEqual([desk.status(), desk.probes.length], [status, probes], `${outcome} after ${hours} h`);
    }
  }
});

test("a probe that fails does not make a deliverable address undeliverable", async () => {
  const desk = new Desk();
  desk.status();
  await desk.result("sent");
  await desk.result("bounced");
  assert.equal(desk.status(), "deliverable");
});

test("the address that was asked for and the one it became are both known", async () => {
  const desk = new Desk();
  desk.status("short");
  await desk.result("sent", "250 Ok", "short");
  assert.deepEqual([desk.status("short"), desk.status("short@mx1.example.org"), desk.probes.length], [
    "deliverable",
    "deliverable",
    1,
  ]);
});

test("no more probes are under way than address_verify_pending_request_limit", async () => {
  const desk = new Desk("address_verify_pending_request_limit = 2");
  for (const name of ["a", "b", "c"]) desk.status(`${name}@x.example`);
  assert.equal(desk.probes.length, 2);
  await desk.result("sent");
  desk.status("c@x.example");
  assert.equal(desk.probes.length, 3);
});

test("what cleanup refuses is the result", async () => {
  for (const [code, status] of [[550, "undeliverable"], [451, "deferred"]] as const) {
    const desk = new Desk("", code);
    assert.equal((await desk.verify.wait(A, 1)).status, status);
    assert.deepEqual(desk.verify.query(A), { status, why: "no" });
  }
});

test("expired entries leave the cache every address_verify_cache_cleanup_interval", async () => {
  const desk = new Desk("address_verify_cache_cleanup_interval = 1h\naddress_verify_negative_expire_time = 30m");
  desk.status();
  await desk.result("bounced");
  desk.pass(HOUR);
  assert.deepEqual(desk.lines, [
    "cache internal:verify full cleanup: retained=0 dropped=0 entries",
    "cache internal:verify full cleanup: retained=0 dropped=1 entries",
  ]);
});

test("other mail's notices go where they went", async () => {
  const desk = new Desk();
  const message = { id: "M", envelope: { probe: undefined } as unknown as Envelope, size: 0 };
  await desk.notices.undeliverable(message, []);
  await desk.notices.delayed(message, []);
  await desk.notices.delivered(message, []);
  await desk.notices.traced(message, []);
  await desk.notices.undeliverable({ ...message, envelope: { probe: "report" } as unknown as Envelope }, []);
  assert.deepEqual(desk.told, ["undeliverable", "delayed", "delivered", "traced", "traced"]);
});
