/**
 * Spools as older code left them (fixtures/*.json, written by fixtures/write-spool.ts) open with this code: with a
 * checkpoint and a log behind it, with the log alone, and once more after this code has written its own checkpoint.
 */

import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, it } from "node:test";
import { inflateSync } from "node:zlib";
import { currentRuntime } from "../../runtimes/select.ts";
import { openQueue } from "../../src/queue/open.ts";
import { contentOf } from "./contract.ts";
import { digestOf, type Fixture } from "./fixtures/write-spool.ts";
import type { QueueEntry } from "../../src/queue/store.ts";

const runtime = await currentRuntime();
const root = mkdtempSync(join(tmpdir(), "postrider-fixtures-"));
after(() => rmSync(root, { recursive: true }));

const FOLDER = new URL("fixtures/", import.meta.url).pathname;

function unpack({ files }: Fixture, folder: string): string {
  for (const [path, packed] of Object.entries(files)) {
    mkdirSync(dirname(`${folder}/${path}`), { recursive: true, mode: 0o700 });
    writeFileSync(`${folder}/${path}`, inflateSync(Buffer.from(packed, "base64")), { mode: 0o600 });
  }
  return folder;
}

/** What entries of the time did not have. */
const ADDED_SINCE: Partial<QueueEntry> = { expired: false, requeued: false };

async function mustHold(folder: string, { messages, removed }: Fixture): Promise<void> {
  const faults: string[] = [];
  // That an older checkpoint is not used is a warning at most.
  const log = { warn: () => {}, error: (text: string) => void faults.push(text) };
  const store = await openQueue(`fs:${folder}`, { runtime, log });
  try {
    for (const { entry, sha256 } of messages) {
      assert.deepEqual(store.get(entry.id), { ...ADDED_SINCE, ...entry });
      assert.equal(digestOf(await contentOf(store, entry.id)), sha256, `content of ${entry.id}`);
    }
    for (const id of removed) assert.equal(store.get(id), null);
    const queues = ["incoming", "active", "deferred", "hold", "corrupt"] as const;
    assert.equal(queues.reduce((sum, queue) => sum + store.count(queue), 0), messages.length);
    assert.deepEqual(faults, []);
  } finally {
    await store.close();
  }
}

for (const name of readdirSync(FOLDER).filter((file) => file.endsWith(".json"))) {
  const fixture = JSON.parse(readFileSync(FOLDER + name, "utf8")) as Fixture;
  describe(name, () => {
    it("opens with all its mail, and opens again", async () => {
      const folder = unpack(fixture, join(root, name));
      await mustHold(folder, fixture);
      await mustHold(folder, fixture);
    });

    it("opens by its log alone", async () => {
      const folder = unpack(fixture, join(root, `${name}-log`));
      rmSync(`${folder}/shard-0/checkpoint`);
      await mustHold(folder, fixture);
    });
  });
}
