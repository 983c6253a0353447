import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { latin1Of } from "../../src/latin1.ts";
import { foldAscii, foldUtf8, isUtf8 } from "../../src/maps/fold.ts";

// As `postmap -s texthash:` of Debian shows keys; test/system/postmap.test.ts compares every character.
describe("a key is folded", () => {
  const ROWS: readonly (readonly [string, string])[] = [
    ["ABC-xyz", "abc-xyz"],
    ["ÄÖ", "äö"],
    ["Straße ẞ", "strasse ss"],
    ["ΑΣ ς", "ας σ".replace("ς", "σ")],
    ["İ ı I", "i̇ ı i"],
    ["ﬁ", "fi"],
    ["ꭰ Ꭰ", "Ꭰ Ꭰ"],
    ["😀", "😀"],
  ];
  for (const [key, folded] of ROWS) {
    it(`${key} is ${folded}`, () => assert.equal(foldUtf8(latin1Of(key)), latin1Of(folded)));
  }
  it("by ASCII letters alone where UTF-8 is off", () => assert.equal(foldAscii("A\xc3\x84"), "a\xc3\x84"));
  it("not at all when it is not UTF-8", () => {
    for (const key of ["\xff", "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80"]) {
      assert.equal(foldUtf8(key), null);
      assert.ok(!isUtf8(key));
    }
    assert.ok(isUtf8("\xef\xbb\xbf"));
  });
});
