/**
 * The heap of deferred messages against a sorted list.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DueHeap, type DueItem } from "../../src/queue/due-heap.ts";
import { Seeded } from "./simulated-disk.ts";
import { SEED } from "../seed.ts";

describe("due heap", () => {
  it("gives what is due, earliest first, whatever was added and removed", () => {
    const random = new Seeded(SEED);
    const heap = new DueHeap<DueItem>();
    const list: DueItem[] = [];
    for (let step = 0; step < 20_000; step++) {
      if (list.length === 0 || random.below(5) < 3) {
        const item = { due: random.below(1000), heapIndex: -1 };
        heap.add(item);
        list.push(item);
      } else {
        const [item] = list.splice(random.below(list.length), 1);
        assert.equal(heap.has(item!), true);
        heap.remove(item!);
        heap.remove(item!);
        assert.equal(heap.has(item!), false);
      }
      if (step % 500 > 0) continue;
      const sorted = list.map(({ due }) => due).sort((a, b) => a - b);
      const now = random.below(1000);
      const expected = sorted.filter((due) => due <= now).slice(0, 50);
      assert.deepEqual(heap.due(now, 50).map(({ due }) => due), expected, `seed ${SEED}`);
      assert.deepEqual([heap.size, heap.first()?.due], [list.length, sorted[0]], `seed ${SEED}`);
      assert.deepEqual(heap.sorted().map(({ due }) => due), sorted);
    }
  });
});
