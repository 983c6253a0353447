/**
 * The heap of deferred messages' rows against a sorted list.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DueRows } from "../../src/queue/due-rows.ts";
import { Seeded } from "./simulated-disk.ts";
import { SEED } from "../seed.ts";

describe("due rows", () => {
  it("gives what is due, earliest first, whatever was added, changed and removed", () => {
    const random = new Seeded(SEED);
    const rows = new DueRows();
    const list = new Map<number, number>();
    for (let step = 0; step < 20_000; step++) {
      const row = random.below(8000);
      const due = random.below(1000);
      if (random.below(5) < 3) {
        rows.add(row, due);
        list.set(row, due);
      } else {
        assert.equal(rows.has(row), list.has(row), `seed ${SEED}`);
        if (list.has(row)) assert.equal(rows.dueOf(row), list.get(row));
        assert.equal(rows.remove(row), list.delete(row));
        assert.equal(rows.has(row), false);
      }
      if (step % 5000 === 4999) {
        rows.allBy(due);
        for (const [id, was] of list) list.set(id, Math.min(was, due));
      }
      if (step % 500 > 0) continue;
      const dues = (found: Iterable<number>): (number | undefined)[] => Array.from(found, (one) => list.get(one));
      const sorted = [...list.values()].sort((a, b) => a - b);
      const now = random.below(1000);
      const expected = sorted.filter((one) => one <= now).slice(0, 50);
      assert.deepEqual(dues(rows.due(now, 50)), expected, `seed ${SEED}`);
      assert.deepEqual([rows.size, rows.firstDue()], [list.size, sorted[0] ?? null], `seed ${SEED}`);
      assert.deepEqual(dues(rows.sorted()), sorted);
      assert.equal(new Set(rows.sorted()).size, list.size);
    }
  });
  it("sorts times that are far apart, and none", () => {
    const rows = new DueRows();
    assert.deepEqual([[...rows.sorted()], rows.due(1e15, 5), rows.has(-1), rows.has(1e6)], [[], [], false, false]);
    for (const [row, due] of [5e12, 1, 3e12, 2, 1e14].entries()) rows.add(row, due);
    assert.deepEqual([...rows.sorted()], [1, 3, 2, 0, 4]);
  });
});
