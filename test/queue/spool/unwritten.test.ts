/**
 * Texts on their way into the index, where a commit may tell of a first line alone.
 */

import assert from "node:assert/strict";
import { crc32 } from "node:zlib";
import { beforeEach, describe, it } from "node:test";
import { latin1Decode } from "../../../src/latin1.ts";
import { type Operation, textOfLines } from "../../../src/queue/engine.ts";
import type { FramedOperation } from "../../../src/queue/spool/framing.ts";
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
const line = (first: string): Operation => ({ kind: "lines", key: "k", count: 1, lines: `${first}\n` });
const lines = (two: string): Operation => ({ kind: "lines", key: "k", count: 2, lines: () => `${two}\n` });
function firstLine(): string | null {
  const found = texts.firstLine("k");
  return found === null || typeof found === "string" ? found : latin1Decode(found.bytes, found.start, found.end);
}

const seen = (): readonly (string | null)[] => [texts.text("k"), firstLine()];

function framed(operation: Operation): FramedOperation {
  if (operation.kind !== "lines") return operation;
  const { key, count } = operation;
  const { bytes, start, end } = slots.textPart(key)!;
  const kept = latin1Decode(bytes, start, end).split("\n").slice(count).join("\n").length;
  return { kind: "lines", key, lines: textOfLines(operation.lines), rest: { bytes, start: end - kept, end } };
}

/** What the writer does when a batch is stored. */
function store(operations: readonly Operation[]): void {
  slots.apply(operations.map(framed), segment, 100, 0);
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
  it("however many lines follow two that are on their way, only the last of them is asked", () => {
    slots.put("k", "text", { segment, offset: 64, start: 0, length: 12 }, "one\ntwo\nrest");
    let asked = 0;
    const long = { kind: "lines", key: "k", count: 2, lines: () => (asked++, "1\n2\n") } as const;
    texts.add([long]);
    let last: readonly Operation[] = [];
    for (let at = 0; at < 20_000; at++) last = texts.add([line(`${at}`)]);
    assert.deepEqual([seen(), asked], [["19999\n2\nrest", "19999\n"], 2]);
    store(last);
    assert.deepEqual(seen(), ["19999\n2\nrest", "19999\n"]);
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
  it("two lines, said when they are asked for, and one in the place of the first of them", () => {
    slots.put("k", "text", { segment, offset: 64, start: 0, length: 12 }, "1\n2\nrest\nend");
    const first = texts.add([lines("a\nb")]);
    assert.deepEqual(seen(), ["a\nb\nrest\nend", "a\n"]);
    const second = texts.add([line("c")]);
    assert.deepEqual(seen(), ["c\nb\nrest\nend", "c\n"]);
    store(first);
    assert.deepEqual([seen(), slots.text("k")], [["c\nb\nrest\nend", "c\n"], "a\nb\nrest\nend"]);
    store(second);
    assert.deepEqual([seen(), slots.text("k")], [["c\nb\nrest\nend", "c\n"], "c\nb\nrest\nend"]);
    store(texts.add([line("d")]));
    store(texts.add([lines("longer than before\n")]));
    assert.equal(slots.text("k"), "longer than before\n\nrest\nend");
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
