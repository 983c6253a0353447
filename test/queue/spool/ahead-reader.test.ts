/**
 * Reading ahead gives a file's bytes in order, tells its end, and passes errors on; nothing is read after close().
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { OpenFile } from "../../../src/runtime.ts";
import { AheadReader } from "../../../src/queue/spool/ahead-reader.ts";
import { SEED } from "../../seed.ts";
import { Seeded } from "../simulated-disk.ts";

interface Reading {
  readonly file: OpenFile;
  /** Reads under way. */
  readonly busy: () => number;
}

/** Answers in any order, a part of what is asked for at a time. */
function fileOf(bytes: Uint8Array, random: Seeded, brokenAt = Infinity): Reading {
  let busy = 0;
  const read = async (into: Uint8Array, position: number): Promise<number> => {
    busy++;
    for (let turns = random.below(4); turns > 0; turns--) await new Promise((resolve) => setTimeout(resolve, 0));
    busy--;
    if (position + into.length > brokenAt) throw new Error("unreadable");
    const piece = bytes.subarray(position, position + Math.max(1, random.below(into.length + 1)));
    into.set(piece.subarray(0, into.length));
    return Math.min(piece.length, into.length);
  };
  return { file: { read } as OpenFile, busy: () => busy };
}

describe("ahead reader", () => {
  it("gives the bytes from a place to an end, in pieces of any size", async () => {
    const random = new Seeded(SEED);
    for (let round = 0; round < 12; round++) {
      const bytes = random.bytes(random.below(2_500_000));
      const from = random.below(bytes.length + 1);
      const { file } = fileOf(bytes, random);
      const reader = new AheadReader(file, from, bytes.length);
      let at = from;
      while (!reader.isOver) {
        const into = new Uint8Array(Math.min(bytes.length - at, 1 + random.below(700_000)));
        assert.ok(await reader.take(into), `seed ${SEED}`);
        assert.deepEqual(into, bytes.subarray(at, at + into.length), `seed ${SEED}`);
        at += into.length;
      }
      assert.equal(at, bytes.length, `seed ${SEED}`);
      assert.equal(await reader.take(new Uint8Array(1)), false);
      await reader.close();
    }
  });
  it("says that there is less than was wanted, also where the file is shorter than its size was", async () => {
    const bytes = new Seeded(SEED).bytes(600_000);
    for (const size of [600_000, 900_000]) {
      const reader = new AheadReader(fileOf(bytes, new Seeded(SEED)).file, 0, size);
      assert.equal(await reader.take(new Uint8Array(700_000)), false);
      await reader.close();
    }
  });
  it("passes an error on, and has nothing under way after close()", async () => {
    const { file, busy } = fileOf(new Uint8Array(2_000_000), new Seeded(SEED), 800_000);
    const reader = new AheadReader(file, 0, 2_000_000);
    assert.equal(await reader.take(new Uint8Array(500_000)), true);
    await assert.rejects(reader.take(new Uint8Array(500_000)), /unreadable/);
    await reader.close();
    assert.equal(busy(), 0);
  });
});
