import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import { type CacheEntry, VerifyCache } from "../../src/verify/cache.ts";

const { clock, files } = await currentRuntime();
const folder = mkdtempSync(join(tmpdir(), "verify-cache-"));
after(() => rmSync(folder, { recursive: true, force: true }));

const GOOD: CacheEntry = { status: "deliverable", probed: 0, updated: 1, why: "250 Ok" };
const BAD: CacheEntry = { status: "undeliverable", probed: 0, updated: 2, why: 'no "such" user\xe4' };

function open(path: string | null, warnings: string[] = []): VerifyCache {
  return new VerifyCache({ clock, files, path, warn: (text) => void warnings.push(text) });
}

test("what is known outlives the process", async () => {
  const path = `${folder}/made/kept`;
  const first = open(path);
  first.sweep(() => true);
  first.put("a@x.example", GOOD);
  first.put("b@x.example", GOOD);
  first.put("b@x.example", BAD);
  first.put("gone@x.example", GOOD);
  first.remove("gone@x.example");
  await first.close();
  const second = open(path);
  assert.deepEqual([second.get("a@x.example"), second.get("b@x.example"), second.get("gone@x.example")], [
    GOOD,
    BAD,
    null,
  ]);
});

test("a sweep drops entries from memory and file", async () => {
  const path = `${folder}/swept`;
  const cache = open(path);
  cache.put("a@x.example", GOOD);
  cache.put("b@x.example", BAD);
  assert.deepEqual(cache.sweep(({ status }) => status === "deliverable"), { retained: 1, dropped: 1 });
  await cache.close();
  assert.equal(readFileSync(path, "latin1").trimEnd().split("\n").length, 1);
  assert.equal(open(path).get("b@x.example"), null);
});

test("lines that are not understood are passed over", () => {
  const path = `${folder}/damaged`;
  writeFileSync(path, '["a@x.example",0,0,1,"250 Ok"]\n["b@x.example",9,0,1,"?"]\n{"x":1}\nnull\n["c@x.exa');
  const cache = open(path);
  assert.deepEqual([cache.size, cache.get("a@x.example")], [1, GOOD]);
});

test("a file that cannot be written costs one warning, and the cache goes on in memory", async () => {
  writeFileSync(`${folder}/file`, "");
  const warnings: string[] = [];
  const cache = open(`${folder}/file/below`, warnings);
  const before = warnings.length;
  cache.sweep(() => true);
  cache.put("a@x.example", GOOD);
  await cache.close();
  assert.deepEqual([cache.get("a@x.example"), warnings.length - before], [GOOD, 1]);
});

test("without a file nothing is written", async () => {
  const cache = open(null);
  cache.put("a@x.example", GOOD);
  await cache.close();
  assert.deepEqual(cache.get("a@x.example"), GOOD);
});
