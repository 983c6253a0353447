/**
 * Reading values while the spool changes. Each was broken on purpose and seen here: slots.ts, holds() without the
 * offset; read-bulk.ts, ReadAhead without the segment, or with what it held before a read that failed.
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { currentRuntime } from "../../../runtimes/select.ts";
import { ResourceError } from "../../../src/errors.ts";
import type { QueueEngine } from "../../../src/queue/engine.ts";
import { type BytesOfSegments, ReadAhead } from "../../../src/queue/spool/read-bulk.ts";
import { Segment } from "../../../src/queue/spool/segment.ts";
import { openSpool } from "../../../src/queue/spool/spool.ts";
import { pattern } from "../contract.ts";

const runtime = await currentRuntime();
const root = mkdtempSync(join(tmpdir(), "postrider-read-"));
const engines: QueueEngine[] = [];
after(async () => {
  for (const engine of engines) await engine.close();
  rmSync(root, { recursive: true });
});

/** An engine whose next read of a segment fails, after something has happened. */
async function failing(name: string): Promise<{ engine: QueueEngine; onRead(action: () => Promise<void>): void }> {
  const files = { ...runtime.files! };
  let before: (() => Promise<void>) | null = null;
  const open = files.open;
  files.open = async (path, mode, permissions) => {
    const file = await open(path, mode, permissions);
    const read = async (into: Uint8Array, position: number): Promise<number> => {
      const action = path.endsWith(".log") ? before : null;
      if (action === null) return await file.read(into, position);
      before = null;
      await action();
      throw new ResourceError("EIO", "bad sector");
    };
    return new Proxy(file, {
      get(target, key) {
        const value: unknown = key === "read" ? read : Reflect.get(target, key);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
  };
  const folder = join(root, name);
  await runtime.files!.makeFolder(folder, 0o700);
  const log = { warn: () => {}, error: () => {} };
  const engine = await openSpool({ runtime: { ...runtime, files }, log, folder, shard: 0, tuning: {} });
  engines.push(engine);
  return { engine, onRead: (action) => void (before = action) };
}

describe("a value that cannot be read", () => {
  const put = (engine: QueueEngine, value: Uint8Array): Promise<void> =>
    engine.commit([{ kind: "put", key: "content:x", value: [value] }], "durable");

  it("is a fault", async () => {
    const { engine, onRead } = await failing("fault");
    await put(engine, pattern(5_000, 1));
    onRead(() => Promise.resolve());
    await assert.rejects(engine.readRange("content:x", 0, 5_000), { name: "ResourceError", code: "EIO" });
    assert.deepEqual(await engine.readRange("content:x", 0, 5_000), pattern(5_000, 1));
  });

  it("is read where it is now, when it was written anew in the same segment meanwhile", async () => {
    const { engine, onRead } = await failing("anew");
    await put(engine, pattern(5_000, 1));
    onRead(() => put(engine, pattern(5_000, 2)));
    assert.deepEqual(await engine.readRange("content:x", 0, 5_000), pattern(5_000, 2));
  });
});

describe("ReadAhead", () => {
  const segment = (number: number): Segment =>
    new Segment(Segment.nameOf(number, 1, new Uint8Array(4)), (bytes, former) => runtime.crc32(bytes, former));
  const [one, other] = [segment(1), segment(2)];
  const bytesOf = new Map([[one, pattern(600_000, 1)], [other, pattern(600_000, 2)]]);

  function source(): BytesOfSegments & { reads: number; fails: boolean } {
    return {
      reads: 0,
      fails: false,
      read(from, into, position) {
        this.reads++;
        const found = bytesOf.get(from)!.subarray(position, position + into.length);
        into.set(found.subarray(0, this.fails ? 100 : undefined));
        return this.fails ? Promise.reject(new ResourceError("EIO", "bad sector")) : Promise.resolve(found.length);
      },
    };
  }

  async function part(ahead: ReadAhead, of: Segment, position: number, length: number): Promise<Uint8Array> {
    const into = new Uint8Array(length);
    return into.subarray(0, await ahead.read(of, into, position));
  }

  it("gives the bytes of the segment that is asked for, with few reads", async () => {
    const from = source();
    const ahead = new ReadAhead(from);
    for (let position = 0; position < 600_000; position += 7_000) {
      const expected = bytesOf.get(one)!.slice(position, position + 7_000);
      assert.deepEqual(await part(ahead, one, position, 7_000), expected);
    }
    assert.ok(from.reads <= 4, `${from.reads} reads`);
    for (const which of [other, one, other]) {
      assert.deepEqual(await part(ahead, which, 1_000, 500), bytesOf.get(which)!.slice(1_000, 1_500));
    }
  });

  it("has forgotten what it held when a read fails", async () => {
    const from = source();
    const ahead = new ReadAhead(from);
    await part(ahead, one, 0, 1_000);
    from.fails = true;
    await assert.rejects(part(ahead, other, 0, 1_000));
    from.fails = false;
    for (const which of [one, other]) {
      assert.deepEqual(await part(ahead, which, 0, 1_000), bytesOf.get(which)!.slice(0, 1_000));
    }
  });
});
