/**
 * A queue entry as text: what is written can be read, any other text is null or "corrupt" and never an exception.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { changedText, freshText, MessageRecord, readParts, readRecord } from "../../src/queue/entry.ts";
import { FieldReader } from "../../src/queue/field-reader.ts";
import { envelopeOf } from "./contract.ts";

function makeRecord(): MessageRecord {
  const record = new MessageRecord("ABCDEF0", "incoming");
  Object.assign(record, { arrived: 1234.9, due: 5678, size: 42, chunks: 3 });
  record.text = freshText(record, envelopeOf(1, "a@b", "c@d"));
  return record;
}

describe("queue entry", () => {
  it("is read as it was written, fresh and changed", () => {
    const record = makeRecord();
    const fresh = readRecord("ABCDEF0", record.text);
    assert.deepEqual([fresh.queue, fresh.arrived, fresh.due, fresh.size, fresh.chunks], [
      "incoming",
      1234,
      5678,
      42,
      3,
    ]);
    const parts = readParts(record.text)!;
    assert.deepEqual(parts.envelope, envelopeOf(1, "a@b", "c@d"));
    assert.equal(parts.waiting.length, 2);
    Object.assign(record, { queue: "hold", attempts: 7, warned: true });
    record.text = changedText(record, [{ ...parts.waiting[1]!, reason: "line\nend \xff", status: "4.4.1" }]);
    record.text = changedText(record, null);
    const held = readRecord("ABCDEF0", record.text);
    assert.deepEqual([held.queue, held.attempts, held.warned], ["hold", 7, true]);
    assert.deepEqual(readParts(record.text)!.waiting, [
      { recipient: parts.envelope.recipients[1], index: 1, reason: "line\nend \xff", status: "4.4.1" },
    ]);
  });
  it("cut or changed anywhere, it is read or refused, not thrown at", () => {
    const { text } = makeRecord();
    fc.assert(fc.property(fc.nat(text.length), fc.string({ maxLength: 3 }), fc.nat(3), (at, put, cut) => {
      const changed = text.slice(0, at) + put + text.slice(at + cut);
      const record = readRecord("X", changed);
      assert.ok(["incoming", "deferred", "hold", "corrupt"].includes(record.queue));
      readParts(changed);
    }));
    fc.assert(fc.property(fc.string(), (any) => {
      readRecord("X", any);
      readParts(any);
    }));
  });
  it("fields are numbers up to a space, or NaN", () => {
    const fields = new FieldReader("12 x 7\nkey rest", 0);
    assert.deepEqual([fields.number(), fields.number()], [12, NaN]);
    const more = new FieldReader("7\nkey rest", 0);
    assert.deepEqual([more.number(), more.word(" "), more.word(" "), more.characters(4)], [7, "key", null, "rest"]);
  });
});
