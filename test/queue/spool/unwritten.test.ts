/**
 * Texts on their way into the index, where a commit may tell of a first line alone.
 */

import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { beforeEach, describe, it } from "node:test";
import { latin1Decode } from "../../../src/latin1.ts";
import type { Operation } from "../../../src/queue/engine.ts";
import { Segment } from "../../../src/queue/spool/segment.ts";
import { Slots } from "../../../src/queue/spool/slots.ts";
import { UnwrittenTexts } from "../../../src/queue/spool/unwritten.ts";

const segment = new Segment(Segment.nameOf(1, 1, new Uint8Array(4)), crc32);
let slots: Slots;
let texts: UnwrittenTexts;
beforeEach(() => {
  slots = new Slots();
  texts = new UnwrittenTexts(slots);
  slots.put("k", "text", { segment, offset: 64, start: 0, length: 7 }, "one\nrest");
});

const put = (value: string): Operation => ({ kind: "put", key: "k", value });
const line = (first: string): Operation => ({ kind: "line", key: "k", line: `${first}\n` });
function firstLine(): string | null {
  const found = texts.firstLine("k");
  return found === null || typeof found === "string" ? found : latin1Decode(found.bytes, found.start, found.end);
}

const seen = (): readonly (string | null)[] => [texts.text("k"), firstLine()];

/** What the writer does when a batch is stored. */
function store(operations: readonly Operation[]): void {
  slots.apply(operations, segment, 100, 0);
  texts.settle(operations);
}

describe("unwritten texts", () => {
  it("a line stands before what the index has", () => {
    assert.deepEqual(seen(), ["one\nrest", "one\n"]);
    const first = texts.add([line("two")]);
    assert.deepEqual(first, [line("two")]);
    assert.deepEqual([seen(), slots.text("k")], [["two\nrest", "two\n"], "one\nrest"]);
    const second = texts.add([line("three, longer")]);
    store(first);
    assert.deepEqual([seen(), slots.text("k")], [["three, longer\nrest", "three, longer\n"], "two\nrest"]);
    store(second);
    assert.deepEqual([seen(), slots.text("k")], [["three, longer\nrest", "three, longer\n"], "three, longer\nrest"]);
  });
  it("a line of a text that is on its way itself becomes the whole text", () => {
    const first = texts.add([put("two\nother")]);
    const second = texts.add([line("three"), { kind: "delete", key: "x" }]);
    assert.deepEqual(second, [put("three\nother"), { kind: "delete", key: "x" }]);
    assert.deepEqual(seen(), ["three\nother", "three\n"]);
    store(first);
    assert.deepEqual(seen(), ["three\nother", "three\n"]);
    store(second);
    assert.deepEqual([seen(), slots.text("k")], [["three\nother", "three\n"], "three\nother"]);
  });
  it("a text takes the place of a line that is on its way", () => {
    const first = texts.add([line("two")]);
    const second = texts.add([put("three\nother")]);
    store(first);
    assert.deepEqual(seen(), ["three\nother", "three\n"]);
    store(second);
    assert.deepEqual(seen(), ["three\nother", "three\n"]);
  });
  it("what has not happened is forgotten, what is left is as it was", () => {
    texts.add([put("two\nother")]);
    texts.add([line("three")]);
    texts.reset([[line("four")]]);
    assert.deepEqual(seen(), ["four\nrest", "four\n"]);
    texts.reset([]);
    assert.deepEqual(seen(), ["one\nrest", "one\n"]);
  });
  it("a text without a line end is a line; there is none of a key that is not there", () => {
    texts.add([put("whole")]);
    assert.deepEqual(seen(), ["whole", "whole"]);
    texts.add([line("new")]);
    assert.deepEqual(seen(), ["new\n", "new\n"]);
    assert.deepEqual([texts.text("none"), texts.firstLine("none")], [null, null]);
  });
});
