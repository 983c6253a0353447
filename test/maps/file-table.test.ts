import assert from "node:assert/strict";
import { it } from "node:test";
import { openTable } from "../../src/maps/map.ts";
import { fakeRuntime } from "../config/fake-runtime.ts";

function opened(
  text: string,
): { files: Record<string, string>; fake: ReturnType<typeof fakeRuntime>; warned: string[] } {
  const files: Record<string, string> = { "/t": text };
  return { files, fake: fakeRuntime(files), warned: [] };
}

it("is read again when its file has changed, looked at once a second", async () => {
  const { files, fake } = opened("a 1\n");
  const table = openTable("texthash:/t", fake.runtime);
  assert.deepEqual(await table.get("a"), { kind: "found", value: "1" });
  files["/t"] = "a 2 2\n";
  fake.modified["/t"] = fake.now;
  fake.now += 999;
  assert.deepEqual(await table.get("a"), { kind: "found", value: "1" });
  fake.now += 1;
  assert.deepEqual(await table.get("a"), { kind: "found", value: "2 2" });
});

it("is read once more when it changed less than a second before it was read", async () => {
  const { files, fake } = opened("a 1\n");
  fake.modified["/t"] = fake.now - 500;
  const table = openTable("texthash:/t", fake.runtime);
  files["/t"] = "a 2\n"; // same size and same time
  fake.now += 1000;
  assert.deepEqual(await table.get("a"), { kind: "found", value: "2" });
  files["/t"] = "a 3\n";
  fake.now += 1000;
  assert.deepEqual(await table.get("a"), { kind: "found", value: "2" }, "still for a second: not read any more");
});

it("keeps its content while the file is gone, and says so once", async () => {
  const { files, fake, warned } = opened("a 1\n");
  const table = openTable("texthash:/t", fake.runtime, { warn: (text) => warned.push(text) });
  delete files["/t"];
  for (let turn = 0; turn < 3; turn++) {
    fake.now += 1000;
    assert.deepEqual(await table.get("a"), { kind: "found", value: "1" });
  }
  assert.deepEqual(warned, ["texthash:/t is unavailable. open database /t: No such file or directory"]);
});

it("becomes readable when the file comes", async () => {
  const { files, fake } = opened("a 1\n");
  const table = openTable("texthash:/u", fake.runtime);
  assert.deepEqual(await table.get("a"), { kind: "unsure", why: "open database /u: No such file or directory" });
  files["/u"] = "a 1\n";
  fake.now += 1000;
  assert.deepEqual(await table.get("a"), { kind: "found", value: "1" });
});
