/**
 * postsuper -r without a running system: what cleanup is given of a message that waits, and what becomes of its answer.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { currentRuntime } from "../runtimes/select.ts";
import { Cleanup } from "../src/cleanup/cleanup.ts";
import { loadConfig } from "../src/config/config.ts";
import { type Envelope, NO_CLIENT, plainRecipient } from "../src/envelope.ts";
import { latin1Decode, latin1Encode } from "../src/latin1.ts";
import { openTable } from "../src/maps/map.ts";
import { openQueue } from "../src/queue/open.ts";
import type { QueueEntry, QueueStore } from "../src/queue/store.ts";
import { Requeue } from "../src/requeue.ts";
import { configured } from "./config/fake-runtime.ts";
import { testLog } from "./test-log.ts";

const runtime = await currentRuntime();
const { clock } = runtime;

interface World {
  readonly store: QueueStore;
  readonly requeue: Requeue;
  readonly queued: QueueEntry[];
  readonly back: string[];
  readonly log: () => string;
}

async function open(main: string): Promise<World> {
  const config =
    loadConfig(configured(`myhostname = mx.x.example\nmail_name = Postfix\n${main}`).runtime, "/etc/postfix")
      .main;
  let lines = "";
  const log = testLog(clock, (text) => lines += text);
  const store = await openQueue("memory:", { runtime });
  const cleanup = new Cleanup({
    config,
    store,
    log,
    clock,
    openTable: (name, place) => openTable(name, runtime, { place }),
  });
  const queued: QueueEntry[] = [];
  const back: string[] = [];
  const requeue = new Requeue({
    runtime,
    config,
    cleanup,
    log,
    queued: ({ entry }) => void queued.push(entry),
    giveBack: (message, failed) => {
      for (const { waiting, result } of failed) back.push(`${waiting.recipient.address} ${result.reason}`);
      assert.equal(message.envelope.ret, "hdrs");
      return Promise.resolve();
    },
  }, store);
  return { store, requeue, queued, back, log: () => (log.flush(), lines) };
}

/** Deferred, with its second recipient done. */
async function waiting(store: QueueStore, subject: string, change: Partial<Envelope> = {}): Promise<QueueEntry> {
  const incoming = store.begin();
  void incoming.append(latin1Encode(`From: s@x.example\r\nSubject: ${subject}\r\n\r\nbody\r\n`));
  const { entry: { id } } = await incoming.commit({
    sender: "s@x.example",
    recipients: ["a@b.example", "c@d.example", "e@f.example"].map(plainRecipient),
    arrived: 1_795_000_000_000,
    client: NO_CLIENT,
    encoding: "8bit",
    ret: "full",
    envid: "E1",
    ...change,
  });
  store.activate(id);
  await store.defer(id, 5, { done: [1], deferred: [{ index: 0, reason: "why", status: "4.4.1" }] });
  return store.get(id)!;
}

async function contentOf(store: QueueStore, id: string): Promise<string> {
  let content = "";
  for await (const piece of store.read(id)) content += latin1Decode(piece);
  return content;
}

describe("requeued mail", () => {
  it("is a new message for who still waits, with a line that says so", async () => {
    const { store, requeue, queued, log } = await open("content_filter = smtp:[filter]:25\n");
    const expanded = [plainRecipient("list@x.example")];
    const old = await waiting(store, "one", { filter: "smtp:[former]:25", expanded });
    assert.equal(await requeue.take(old), true);
    const [entry] = queued as [QueueEntry];
    assert.notEqual(entry.id, old.id);
    assert.deepEqual([entry.queue, entry.attempts, entry.requeued], ["incoming", 0, false]);
    const recipients = [old.envelope.recipients[0], old.envelope.recipients[2]];
    assert.deepEqual({ expanded, ...entry.envelope }, { ...old.envelope, filter: "smtp:[filter]:25", recipients });
    assert.ok(!("expanded" in entry.envelope), "the first attempt told of it");
    const uid = runtime.processes!.uid();
    const received = `Received: by mx.x.example (Postfix, from userid ${uid})\r\n\tid ${entry.id}; `;
    const content = await contentOf(store, entry.id);
    assert.ok(content.startsWith(received), content);
    assert.ok(
      content.includes("From: s@x.example\r\nSubject: one\r\n") && content.endsWith("\r\n\r\nbody\r\n"),
      content,
    );
    assert.match(log(), new RegExp(`pickup\\[\\d+\\]: ${entry.id}: uid=${uid} from=<s@x.example> orig_id=${old.id}\n`));
    assert.equal(store.get(old.id)!.queue, "deferred", "who asked removes it");
  });

  it("goes back, waits or goes away, as content checks now want it", async () => {
    const { store, requeue, queued, back } = await open(
      "header_checks = pcre:{{/^Subject: no/ REJECT not any more}, {/^Subject: later/ REJECT 4.7.1 later}," +
        " {/^Subject: gone/ DISCARD}, {/^Subject: held/ HOLD}}\n",
    );
    const taken = async (subject: string): Promise<boolean> => requeue.take(await waiting(store, subject));
    assert.equal(await taken("no"), true);
    assert.deepEqual(back.splice(0), ["a@b.example not any more", "e@f.example not any more"]);
    assert.equal(await taken("later"), false);
    assert.equal(await taken("gone"), true);
    assert.deepEqual([queued.length, back], [0, []]);
    assert.equal(await taken("held"), true);
    assert.deepEqual(queued.map(({ queue }) => queue), ["hold"]);
  });

  it("takes turns when there is much of it, also when the storage fails", async () => {
    const { store, requeue, queued } = await open("");
    const entries: QueueEntry[] = [];
    for (let at = 0; at < 50; at++) entries.push(await waiting(store, `no. ${at}`));
    await store.remove([entries[0]!.id]);
    const results = await Promise.allSettled(entries.map((entry) => requeue.take(entry)));
    assert.deepEqual(results.map(({ status }) => status), ["rejected", ...Array<string>(49).fill("fulfilled")]);
    assert.equal(queued.length, 49);
  });
});
