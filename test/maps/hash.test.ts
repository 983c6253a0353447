/**
 * Broken on purpose, and what failed: no checksum test in open() - "that is damaged is refused"; a search that ends at
 * its first group - "holds what a Map holds"; an image that always belongs to its text - "is read from the image of its
 * text, and from the text when that changes"; and beside this file: pieces painted over - "the first rule in the order
 * of the file wins"; 01.2.3.4 taken as an address - "reads addresses as strictly"; a hot text not read again -
 * "belongs to its text by size and time".
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { latin1Encode } from "../../src/latin1.ts";
import { buildImage, identityOf } from "../../src/maps/compile.ts";
import { CHAIN, HashImage, isHashTable, STEPS } from "../../src/maps/hash.ts";
import { openTable } from "../../src/maps/map.ts";
import { fakeRuntime } from "../config/fake-runtime.ts";
import { type Chance, chanceOf } from "./table-texts.ts";
import { SEED } from "../seed.ts";

function opened(entries: ReadonlyMap<string, string>): HashImage {
  const image = HashImage.open(buildImage(entries, null));
  if (typeof image === "string") throw new Error(image);
  return image;
}

function randomText(chance: Chance, most: number): string {
  const length = chance.below(10) === 0 ? chance.below(most) : chance.below(24);
  let text = "";
  while (text.length < length) text += String.fromCharCode(chance.below(256));
  return text;
}

describe("an image", () => {
  it(`holds what a Map holds, seed ${SEED}`, () => {
    for (let round = 0; round < 40; round++) {
      const chance = chanceOf(SEED + round);
      const entries = new Map<string, string>();
      for (let left = chance.below(round < 35 ? 60 : 3000); left > 0; left--) {
        entries.set(randomText(chance, 700), randomText(chance, 70_000 / (1 + left)));
      }
      const image = opened(entries);
      for (const [key, value] of entries) assert.equal(image.get(key, false), value);
      for (let turn = 0; turn < 300; turn++) {
        const key = randomText(chance, 40);
        assert.equal(image.get(key, false), entries.get(key), `seed ${SEED + round}`);
      }
      assert.deepEqual(new Map(image.entries()), entries);
    }
  });

  it("folds ASCII letters when asked, and nothing else", () => {
    const image = opened(new Map([["a@z[{`", "1"], ["\xe4", "2"]]));
    assert.equal(image.get("A@Z[{`", true), "1");
    assert.equal(image.get("A@Z[{`", false), undefined);
    assert.equal(image.get("\xc4", true), undefined);
  });

  it("takes keys of any length, and has none that is longer than its room for keys", () => {
    const [fits, long] = ["k".repeat(65_536), "k".repeat(65_537)];
    const image = opened(new Map([[fits, "v"], [long, "w"], ["", "empty"]]));
    assert.equal(image.get(fits, false), "v");
    assert.equal(image.get(long, false), undefined);
    assert.equal(image.get("", false), "empty");
  });

  it(`that is damaged is refused, seed ${SEED}`, () => {
    const chance = chanceOf(SEED);
    const entries = new Map(Array.from({ length: 40 }, (_, index) => [`key${index}`, `value ${index}`] as const));
    const whole = buildImage(entries, { size: 7, modified: 5, crc: 3 });
    assert.deepEqual(identityOf(whole), { size: 7, modified: 5, crc: 3 });
    for (let length = 0; length < whole.length; length++) {
      assert.equal(typeof HashImage.open(whole.slice(0, length)), "string", `cut at ${length}`);
    }
    for (let turn = 0; turn < 600; turn++) {
      const image = whole.slice();
      const bit = chance.below(image.length * 8);
      image[bit >> 3]! ^= 1 << (bit & 7);
      assert.equal(typeof HashImage.open(image), "string", `bit ${bit}`);
    }
    for (let turn = 0; turn < 200; turn++) {
      const image = whole.slice(0, chance.below(300));
      for (let at = turn % 2 === 0 ? 0 : 12; at < image.length; at++) image[at] = chance.below(256);
      assert.equal(typeof HashImage.open(image), "string");
    }
  });

  it("of another version is refused by name", () => {
    const image = buildImage(new Map([["a", "b"]]), null);
    image[4] = 99;
    assert.equal(HashImage.open(image), "it is of another version");
    assert.equal(HashImage.open(latin1Encode("a text that is no image at all")), "it is no table image");
  });
});

/** The same keys in the same order, one by one. */
function chainOf(table: ReadonlyMap<string, string>, address: string, delimiters: string, flags: number): string {
  const at = address.lastIndexOf("@");
  const local = at < 0 ? address : address.slice(0, at);
  const domain = at < 0 ? null : address.slice(at + 1);
  const cut = [...local].findIndex((character, index) => index > 0 && delimiters.includes(character));
  const bare = cut < 0 ? null : local.slice(0, cut);
  const tries: [step: number, flag: number, key: string | null][] = [
    [1, CHAIN.address, address],
    [2, CHAIN.address, bare === null ? null : bare + address.slice(local.length)],
    [3, CHAIN.local, local],
    [4, CHAIN.local, bare],
    [5, CHAIN.domain, domain],
    ...[...(domain ?? "").matchAll(/\./g)].filter(({ index }) => index > 0).flatMap(({ index }) => [
      [6, CHAIN.parents, flags & CHAIN.dotParents ? null : domain!.slice(index + 1) || null] as const,
      [6, CHAIN.dotParents, domain!.slice(index)] as const,
    ]).map(([step, flag, key]) => [step, flag, key] as [number, number, string | null]),
    [7, CHAIN.userAt, domain === null ? null : `${local}@`],
    [8, CHAIN.userAt, domain === null || bare === null ? null : `${bare}@`],
    [9, CHAIN.atDomain, domain === null ? null : `@${domain}`],
  ];
  for (const [step, flag, key] of tries) {
    if (key !== null && flags & flag && table.has(key)) return `${STEPS[step]} ${table.get(key)}`;
  }
  return "none";
}

it(`an address is looked up step by step in one call, seed ${SEED}`, () => {
  const chance = chanceOf(SEED);
  const part = (): string => chance.pick(["a", "b", "user", "a.b", "c-d", "x+y", "+", "a+b-c", ""]);
  const name = (): string => chance.pick(["d", "d.e", "x.d.e", ".d", "d.", "", "a..b", "e"]);
  for (let round = 0; round < 60; round++) {
    const entries = new Map<string, string>();
    for (let left = chance.below(25); left > 0; left--) {
      const key = chance.pick([`${part()}@${name()}`, `@${name()}`, name(), `.${name()}`, part(), `${part()}@`]);
      entries.set(key, `v${left}`);
    }
    const image = opened(entries);
    for (let turn = 0; turn < 60; turn++) {
      const address = chance.below(8) === 0 ? part() : `${part()}@${name()}`;
      const delimiters = chance.pick(["", "+", "+-", "-"]);
      const flags = chance.below(128);
      const hit = image.addressChain(address, delimiters, flags);
      const got = hit === null ? "none" : `${hit.step} ${hit.value}`;
      const what = JSON.stringify([address, delimiters, flags, [...entries]]);
      assert.equal(got, chainOf(entries, address, delimiters, flags), what);
    }
  }
});

describe("a hash: table", () => {
  const images = (files: Record<string, string>, table: string, text: string): Record<string, string> => {
    const entries = new Map([["from", "image"]]);
    const identity = { size: text.length, modified: 0, crc: crc32(text) };
    files[table] = text;
    files[`${table}.wmap`] = String.fromCharCode(...buildImage(entries, identity));
    return files;
  };
  const crc32 = (text: string): number => text.length * 7;
  const runtimeOf = (files: Record<string, string>): ReturnType<typeof fakeRuntime> => {
    const fake = fakeRuntime(files);
    const runtime = { ...fake.runtime, crc32: (bytes: Uint8Array) => bytes.length * 7 };
    return Object.assign(fake, { runtime });
  };
  const ask = (fake: ReturnType<typeof fakeRuntime>): (key: string) => unknown => {
    const table = openTable("hash:/t", fake.runtime, { warn: (text) => fake.errors += `${text}\n` });
    return (key) => (table.get(key) as { value?: string }).value;
  };

  it("is read from the image of its text, and from the text when that changes, and back", () => {
    const files = images({}, "/t", "a 1\n");
    const fake = runtimeOf(files);
    fake.modified["/t.wmap"] = 5000;
    const get = ask(fake);
    assert.deepEqual([get("FROM"), get("a")], ["image", undefined]);
    files["/t"] = "a 1\nb 2\n";
    fake.now += 1000;
    assert.deepEqual([get("from"), get("b")], [undefined, "2"]);
    files["/t"] = "a 1\n";
    fake.now += 1000;
    assert.equal(get("from"), "image");
    delete files["/t"];
    fake.now += 1000;
    assert.equal(get("from"), "image", "an image may stand alone");
  });

  it("reads an image again that is made while it is in use", () => {
    const files: Record<string, string> = { "/t": "a 1\n" };
    const fake = runtimeOf(files);
    const get = ask(fake);
    assert.equal(get("a"), "1");
    images(files, "/t", "a 1\n");
    fake.now += 1000;
    assert.equal(get("from"), "image");
  });

  it("is read from the text when the image is damaged, with a warning", () => {
    const files = images({}, "/t", "a 1\n");
    files["/t.wmap"] = files["/t.wmap"]!.slice(0, -1);
    const fake = runtimeOf(files);
    assert.equal(ask(fake)("a"), "1");
    assert.equal(fake.errors, "/t.wmap: image not used: it is cut off\n");
  });

  it("answers a chain of keys, with small letters", () => {
    const { runtime } = fakeRuntime({ "/t": "user@d 1\n@stra\xc3\x9fe 2\n" });
    const table = openTable("hash:/t", runtime);
    assert.ok(isHashTable(table));
    assert.deepEqual(table.chain("User+x@D", "+", CHAIN.address), { kind: "found", value: "1", step: "user@domain" });
    assert.deepEqual(table.chain("a@STRASSE", "", CHAIN.atDomain), { kind: "found", value: "2", step: "@domain" });
    assert.deepEqual(table.chain("a@b", "", CHAIN.address), { kind: "none" });
    assert.deepEqual(table.chain("a@\xff", "", CHAIN.address), { kind: "none" });
  });

  it("reads alias files when it is told so", () => {
    const { runtime } = fakeRuntime({ "/t": 'Root: bob\n"a b": x@y, "c d"@e\n' });
    const table = openTable("hash:/t", runtime, { format: "aliases" });
    assert.deepEqual(table.get("root"), { kind: "found", value: "bob" });
    assert.deepEqual(table.get("a b"), { kind: "found", value: 'x@y, "c d"@e' });
  });

  it("is unsure about a value that is not UTF-8", () => {
    const { runtime } = fakeRuntime({ "/t": "" });
    const warned: string[] = [];
    const files = fakeRuntime({
      "/t.wmap": String.fromCharCode(...buildImage(new Map([["a", "\xff"]]), null)),
    });
    const table = openTable("hash:/t", files.runtime, { warn: (text) => warned.push(text) });
    assert.deepEqual(table.get("a"), { kind: "unsure", why: "table hash:/t.wmap: query error" });
    assert.equal(warned.length, 1);
    assert.deepEqual(openTable("hash:/t", runtime).get("a"), { kind: "none" });
  });

  it("of another kind of database says once how it is read", () => {
    const { runtime } = fakeRuntime({ "/t": "a 1\n" });
    const notes: string[] = [];
    for (const type of ["hash", "texthash", "lmdb"]) {
      const table = openTable(`${type}:/t`, runtime, { note: (text) => notes.push(text) });
      assert.deepEqual([table.get("a"), table.get("a")].map((answer) => (answer as { kind: string }).kind), [
        "found",
        "found",
      ]);
    }
    assert.deepEqual(notes, ["lmdb:/t is read from its text or from /t.wmap, as hash: is"]);
  });
});
