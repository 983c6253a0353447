/**
 * Messages a second through the queue store: accept 4 KiB durably, deliver from memory, remove (lazy); and the CPU time
 * it takes. Run it with each runtime:  node test/bench/queue.ts [folder] [messages]
 */

import { rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import process from "node:process";
import { currentRuntime } from "../../runtimes/select.ts";
import type { Envelope } from "../../src/envelope.ts";
import { plainRecipient } from "../../src/envelope.ts";
import { openQueue } from "../../src/queue/open.ts";
import type { QueueStore } from "../../src/queue/store.ts";

const runtime = await currentRuntime();
const folder = process.argv[2] ?? "var/bench-queue";
const messages = Number(process.argv[3] ?? 20_000);
const header = new Uint8Array(600).fill(65);
const body = new Uint8Array(3496).fill(66);

function envelope(number: number): Envelope {
  return {
    sender: `sender${number}@example.com`,
    recipients: [plainRecipient(`recipient${number}@example.org`)],
    arrived: runtime.clock.now(),
    client: { name: "localhost", address: "127.0.0.1", port: 40000, helo: "client.example.com", protocol: "ESMTP" },
    encoding: "7bit",
    ret: "",
    envid: "",
  };
}

async function session(store: QueueStore, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const incoming = store.begin();
    await incoming.append(header);
    await incoming.append(body);
    const { entry } = await incoming.commit(envelope(i));
    store.activate(entry.id);
    if (store.pieces(entry.id) === null) throw new Error("content is not in memory");
    await store.mark(entry.id, { done: [0], deferred: [] }, "lazy");
  }
}

async function measure(url: string, sessions: number, total: number): Promise<void> {
  const store = await openQueue(url, { runtime });
  await session(store, 200);
  const cpu = process.cpuUsage();
  const start = runtime.clock.monotonic();
  const each = Math.ceil(total / sessions);
  await Promise.all(Array.from({ length: sessions }, () => session(store, each)));
  await store.sync();
  const seconds = (runtime.clock.monotonic() - start) / 1000;
  const used = process.cpuUsage(cpu);
  const done = each * sessions;
  console.log(
    `${runtime.name} ${store.kind} ${sessions} sessions: ${Math.round(done / seconds)} msgs/s, CPU per message ` +
      `${(used.user / done).toFixed(1)} us user + ${(used.system / done).toFixed(1)} us system`,
  );
  await store.close();
}

await mkdir(folder, { recursive: true });
for (const sessions of [1, 10, 50]) await measure("memory:", sessions, messages);
for (const sessions of [1, 10, 50]) {
  await measure(`fs:${folder}`, sessions, sessions === 1 ? Math.ceil(messages / 10) : messages);
}
rmSync(folder, { recursive: true });
process.exit(0);
