import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { boundary, boundaryOf, nextDashes } from "../../src/cleanup/boundaries.ts";
import { latin1Encode } from "../../src/latin1.ts";
import { SEED } from "../seed.ts";

describe("the boundary that a line begins with", () => {
  const stack = (...texts: string[]) => texts.map((text) => boundary(text, false));
  it("is the innermost", () => {
    assert.equal(boundaryOf("abc", stack("abc", "ab", "x"), 2048), 1);
    assert.equal(boundaryOf("xyz", stack("abc", "ab"), 2048), -1);
    assert.equal(boundaryOf("a", stack("ab"), 2048), -1);
  });
  it(`is found among many as among few (seed ${SEED})`, () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 12 }), text, (texts, line) => {
        const expected = texts.findLastIndex((one) => line.startsWith(one));
        assert.equal(boundaryOf(line, stack(...texts), 2048), expected);
      }),
      { seed: SEED, numRuns: 500 },
    );
  });
});

describe("the next line that may be a boundary", () => {
  it(`begins with two dashes, or with one where the bytes end (seed ${SEED})`, () => {
    const text = fc.string({ unit: fc.constantFrom("-", "--", "x", "\n", "\r\n"), maxLength: 24 });
    fc.assert(
      fc.property(text, fc.nat(8), fc.boolean(), (all, skipped, inLine) => {
        const from = Math.min(skipped, all.length);
        const before = inLine ? "x" : "\n";
        const found = `${before}${all.slice(from)}`.search(/(?<=\n)-(-|$(?![^]))/);
        const expected = found < 0 ? all.length : from + found - 1;
        assert.equal(nextDashes(latin1Encode(all), from, inLine), expected, JSON.stringify([all, from, inLine]));
      }),
      { seed: SEED, numRuns: 3000 },
    );
  });
});
