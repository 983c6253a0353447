import assert from "node:assert/strict";
import { test } from "node:test";
import { currentRuntime } from "../runtimes/select.ts";
import { loadConfig } from "../src/config/config.ts";
import { NO_CLIENT, plainRecipient } from "../src/envelope.ts";
import { type FlushAnswer, SiteFlush } from "../src/flush.ts";
import { latin1Encode } from "../src/latin1.ts";
import { openQueue } from "../src/queue/open.ts";
import type { QueueStore } from "../src/queue/store.ts";
import { configured } from "./config/fake-runtime.ts";

const runtime = await currentRuntime();

async function deferred(store: QueueStore, ...recipients: readonly string[]): Promise<string> {
  const incoming = store.begin();
  void incoming.append(latin1Encode("Subject: x\r\n\r\nx\r\n"));
  const { entry } = await incoming.commit({
    sender: "s@x",
    recipients: recipients.map(plainRecipient),
    arrived: runtime.clock.now(),
    client: NO_CLIENT,
    encoding: "",
    ret: "",
    envid: "",
  });
  store.activate(entry.id);
  await store.defer(entry.id, runtime.clock.now() + 1e9);
  return entry.id;
}

async function send(main: string, site: string): Promise<{ answer: FlushAnswer; due: number; asked: number }> {
  const store = await openQueue("memory:", { runtime });
  for (let at = 0; at < 450; at++) await deferred(store, `u${at}@other.example`);
  await deferred(store, "u@away.example");
  await deferred(store, "x@other.example", "u@Away.example");
  await deferred(store, "u@sub.away.example");
  const asked: string[] = [];
  const qmgr = { flush: (ids: readonly string[] | "all") => void asked.push(...ids) };
  const config = loadConfig(configured(main).runtime, "/etc/postfix").main;
  const flush = new SiteFlush({ runtime, config, store, qmgr, warn: () => {} });
  let answer!: FlushAnswer;
  await new Promise<void>((resolve) => {
    void flush.send(site, () => resolve()).then((given) => {
      answer = given;
      if (given !== "started") resolve();
    });
  });
  const due = store.due(runtime.clock.now(), 1_000).length;
  await store.close();
  return { answer, due, asked: asked.length };
}

test("mail for a site of fast_flush_domains becomes due, and no other", async () => {
  const main = "fast_flush_domains = $relay_domains\nrelay_domains = away.example\n";
  assert.deepEqual(await send(main, "AWAY.example"), { answer: "started", due: 2, asked: 2 });
  assert.deepEqual(await send(main, "sub.away.example"), { answer: "started", due: 1, asked: 1 }, "as its parent");
  assert.deepEqual(await send(main, "other.example"), { answer: "denied", due: 0, asked: 0 });
  assert.deepEqual(await send("fast_flush_domains =\nrelay_domains = away.example\n", "away.example"), {
    answer: "denied",
    due: 0,
    asked: 0,
  });
});

test("a list that cannot answer starts nothing", async () => {
  const main = "fast_flush_domains = fail:broken\n";
  assert.equal((await send(main, "away.example")).answer, "failed");
});
