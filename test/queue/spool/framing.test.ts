/**
 * Records of any size, at any place of a block, come back as they went in; operations too.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { latin1Decode } from "../../../src/latin1.ts";
import type { Part } from "../../../src/queue/key-rows.ts";
import { BLOCK, type FramedOperation, Framer } from "../../../src/queue/spool/framing.ts";
import { readRecord } from "../../../src/queue/spool/record.ts";
import { scanRecords } from "../../../src/queue/spool/scan.ts";
import { seedsOf } from "../../../src/queue/spool/segment.ts";
import { pattern } from "../contract.ts";
import { Seeded } from "../simulated-disk.ts";
import { SEED } from "../../seed.ts";

const seeds = seedsOf(crc32, "test");

const textOf = ({ bytes, start, end }: Part): string => latin1Decode(bytes, start, end);

async function scanned(
  bytes: Uint8Array,
  from: number,
): Promise<{ records: Uint8Array[]; offsets: number[]; damage: number }> {
  const records: Uint8Array[] = [];
  const offsets: number[] = [];
  const { damage } = await scanRecords({
    crc32,
    seeds,
    from,
    read: (into, position) => {
      const part = bytes.subarray(position, position + into.length);
      into.set(part);
      return Promise.resolve(part.length);
    },
    record: (record, offset) => {
      records.push(record.slice());
      offsets.push(offset);
      return readRecord(record) !== null;
    },
  });
  return { records, offsets, damage: damage.length };
}

describe("framing", () => {
  it("any sizes, in batches, by reference and in pieces", async () => {
    const random = new Seeded(SEED);
    const framer = new Framer(crc32);
    const chunks: Uint8Array[] = [new Uint8Array(64)];
    const offsets: number[] = [];
    const written: (readonly FramedOperation[])[] = [];
    let position = 64;
    for (let batch = 0; batch < 60; batch++) {
      framer.begin(position, seeds);
      for (let i = random.below(8); i >= 0; i--) {
        const text = "x\xff".repeat(random.below(random.below(10) === 0 ? 200_000 : 200));
        const bulk = [
          pattern(random.below(random.below(4) === 0 ? 100_000 : 3000)),
          new Uint8Array(0),
          pattern(random.below(9)),
        ];
        const rest = pattern(random.below(random.below(10) === 0 ? 100_000 : 300));
        const operations: FramedOperation[] = [
          { kind: "put", key: `entry:${batch}`, value: text },
          { kind: "put", key: "c\xe9", value: bulk },
          { kind: "delete", key: `content:${i}` },
          {
            kind: "lines",
            key: `entry:${i}`,
            lines: "l\xe9\n",
            rest: { bytes: rest, start: rest.length >> 2, end: rest.length },
          },
          { kind: "put", key: "large", value: { file: "ABC", size: 2 ** 40 } },
        ];
        const some = operations.filter(() => random.below(3) > 0);
        offsets.push(framer.add(some));
        written.push(some);
      }
      const pieces = framer.finish();
      chunks.push(...pieces.map((piece) => piece.slice()));
      position = framer.position;
    }
    const bytes = new Uint8Array(Buffer.concat(chunks));
    assert.equal(bytes.length, position);
    const result = await scanned(bytes, 64);
    assert.equal(result.damage, 0, `seed ${SEED}`);
    assert.deepEqual(result.offsets, offsets, `seed ${SEED}`);
    for (const [index, record] of result.records.entries()) {
      const read = readRecord(record)!;
      assert.equal(read.length, written[index]!.length);
      for (const [place, operation] of written[index]!.entries()) {
        const back = read[place]!;
        assert.equal(textOf(back.key), operation.key);
        if (operation.kind === "delete") assert.equal(back.kind, "delete");
        else if (operation.kind === "lines") {
          assert.ok(back.kind === "text" && textOf(back.text) === operation.lines + textOf(operation.rest));
        } else if (typeof operation.value === "string") {
          assert.ok(back.kind === "text" && textOf(back.text) === operation.value);
        } else if ("file" in operation.value) {
          assert.ok(back.kind === "file" && back.size === 2 ** 40 && textOf(back.text) === "ABC");
        } else {
          assert.ok(back.kind === "bulk");
          const value = Buffer.concat([...operation.value]);
          assert.ok(value.equals(record.subarray(back.start, back.start + back.length)));
        }
      }
    }
  });
  it("a record may end anywhere near the end of a block", async () => {
    for (let size = BLOCK - 64 - 60; size < BLOCK - 64 + 10; size++) {
      const framer = new Framer(crc32);
      framer.begin(64, seeds);
      framer.add([{ kind: "put", key: "k", value: [pattern(size)] }]);
      framer.add([{ kind: "put", key: "next", value: "text" }]);
      const bytes = new Uint8Array(Buffer.concat([new Uint8Array(64), ...framer.finish()]));
      const { records, damage } = await scanned(bytes, 64);
      assert.deepEqual([records.length, damage], [2, 0], `size ${size}`);
    }
  });
  it("a batch may end anywhere near the end of the buffer", async () => {
    const bulk = pattern(60_000);
    for (let size = 43_900; size < 44_150; size++) {
      const framer = new Framer(crc32);
      framer.begin(64, seeds);
      const sizes = [...Array.from({ length: 7 }, () => bulk.length), size, bulk.length, 10];
      for (const length of sizes) framer.add([{ kind: "put", key: "k", value: [bulk.subarray(0, length)] }]);
      const bytes = new Uint8Array(Buffer.concat([new Uint8Array(64), ...framer.finish()]));
      const { records, damage } = await scanned(bytes, 64);
      assert.deepEqual([records.length, damage], [sizes.length, 0], `size ${size}`);
    }
  });
  it("records that make no sense are null", () => {
    const random = new Seeded(7);
    for (let i = 0; i < 20_000; i++) {
      const bytes = random.bytes(random.below(40));
      if (bytes.length > 4) bytes.set([random.below(40), 0, 0, 0]);
      readRecord(bytes);
    }
    assert.equal(readRecord(new Uint8Array(3)), null);
    assert.equal(readRecord(Uint8Array.of(200, 0, 0, 0, 1)), null);
  });
});
