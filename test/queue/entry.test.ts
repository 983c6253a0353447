/**
 * A queue entry as text: what is written can be read, any other text is null or "corrupt" and never an exception.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { withLines } from "../../src/queue/engine.ts";
import {
  freshText,
  freshWaiting,
  headOf,
  MessageRecord,
  readParts,
  readRecord,
  recordOf,
  waitingAfter,
  waitingLine,
} from "../../src/queue/entry.ts";
import type { Part } from "../../src/queue/key-rows.ts";
import { latin1Encode } from "../../src/latin1.ts";
import { FieldReader } from "../../src/queue/field-reader.ts";
import { envelopeOf } from "./contract.ts";

function makeRecord(): { record: MessageRecord; text: string } {
  const record = new MessageRecord("ABCDEF0", "incoming");
  Object.assign(record, { arrived: 1234.9, due: 5678, size: 42, chunks: 3 });
  return { record, text: freshText(record, envelopeOf(1, "a@b", "c@d")) };
}

/** In the middle of other bytes, which must not be read. */
function partOf(text: string): Part {
  return { bytes: latin1Encode(`9${text}9 9\n`), start: 1, end: 1 + text.length };
}

describe("queue entry", () => {
  it("is read as it was written, fresh and changed", () => {
    const { record, text } = makeRecord();
    const fresh = readRecord("ABCDEF0", partOf(text));
    assert.deepEqual([fresh.queue, fresh.arrived, fresh.due, fresh.size, fresh.chunks], [
      "incoming",
      1234,
      5678,
      42,
      3,
    ]);
    const parts = readParts(text)!;
    assert.deepEqual(parts.envelope, envelopeOf(1, "a@b", "c@d"));
    assert.equal(parts.waiting.length, 2);
    Object.assign(record, { queue: "hold", attempts: 7, warned: true });
    const waiting = [{ ...parts.waiting[1]!, reason: "line\nend \xff", status: "4.4.1" }];
    const deferred = withLines(text, { count: 2, lines: headOf(record) + waitingLine(waiting) });
    Object.assign(record, { attempts: 8, expired: true });
    const changed = withLines(deferred, { count: 1, lines: headOf(record) });
    for (const held of [readRecord("ABCDEF0", partOf(changed)), recordOf("ABCDEF0", headOf(record))]) {
      assert.deepEqual([held.queue, held.attempts, held.warned, held.expired, held.requeued], [
        "hold",
        8,
        true,
        true,
        false,
      ]);
    }
    assert.equal(recordOf("X", "1 I 1 1 10 0 0 ".padEnd(999, "0")).queue, "corrupt");
    assert.deepEqual(readParts(changed)!.waiting, [
      { recipient: parts.envelope.recipients[1], index: 1, reason: "line\nend \xff", status: "4.4.1" },
    ]);
  });
  it("cut or changed anywhere, it is read or refused, not thrown at", () => {
    const { text } = makeRecord();
    fc.assert(fc.property(fc.nat(text.length), fc.string({ maxLength: 3 }), fc.nat(3), (at, put, cut) => {
      const changed = text.slice(0, at) + put + text.slice(at + cut);
      const record = readRecord("X", partOf(changed));
      assert.ok(["incoming", "deferred", "hold", "corrupt"].includes(record.queue));
      readParts(changed);
    }));
    fc.assert(fc.property(fc.string(), (any) => {
      readRecord("X", partOf(any));
      readParts(any);
    }));
  });
  it("who waits after an attempt is the same however it is found", () => {
    const indexes = fc.uniqueArray(fc.nat(9));
    fc.assert(fc.property(indexes, indexes, indexes, (left, done, told) => {
      const all = freshWaiting(envelopeOf(1, ..."abcdefghij").recipients);
      const former = all.filter(({ index }) => left.includes(index));
      const deferred = told.map((index) => ({ index, reason: `r${index}`, status: "4.0.0" }));
      const expected = former.filter(({ index }) => !done.includes(index))
        .map((one) => ({ ...one, ...deferred.find(({ index }) => index === one.index) }));
      assert.deepEqual(waitingAfter(former, { done, deferred }), expected);
    }));
  });
  it("who waits after an attempt is told in a time that grows as the recipients do", () => {
    const former = freshWaiting(envelopeOf(1, ...Array.from({ length: 100_000 }, (_, at) => `${at}@a`)).recipients);
    const done = former.filter(({ index }) => index % 2 === 0).map(({ index }) => index);
    const deferred = former.map(({ index }) => ({ index, reason: `reason ${index}`, status: "4.4.1" }));
    const started = performance.now();
    const waiting = waitingAfter(former, { done, deferred });
    assert.ok(performance.now() - started < 2_000, "not half a minute");
    assert.deepEqual([waiting.length, waiting.at(-1)!.reason], [50_000, "reason 99999"]);
  });
  it("fields are numbers up to a space, or NaN", () => {
    const fields = new FieldReader(latin1Encode("12 x 7\n8"));
    assert.deepEqual([fields.number(), fields.number()], [12, NaN]);
    assert.deepEqual([fields.number(), fields.number(), fields.number()], [NaN, 7, NaN]);
  });
});
