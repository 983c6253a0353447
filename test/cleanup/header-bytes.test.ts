import assert from "node:assert/strict";
import { test } from "node:test";
import { HeaderBytes } from "../../src/cleanup/header-bytes.ts";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";

test("pieces are put together, and taken once", () => {
  const header = new HeaderBytes();
  const pieces = ["", "a", "b".repeat(4095), "c", "d".repeat(20_000), "e"];
  for (const piece of pieces) header.add(latin1Encode(piece));
  assert.equal(header.length, pieces.join("").length);
  const taken = header.take();
  assert.equal(latin1Decode(taken), pieces.join(""));
  header.add(latin1Encode("x"));
  assert.equal(latin1Decode(taken), pieces.join(""));
  assert.equal(latin1Decode(header.take()), "x");
  assert.equal(header.take().length, 0);
});
