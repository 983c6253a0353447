import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { loadConfig } from "../../src/config/config.ts";
import { found, type Lookup, NONE } from "../../src/lookup.ts";
import { isComplete } from "../../src/trivial-rewrite/address-header.ts";
import { AddressTables } from "../../src/trivial-rewrite/address-tables.ts";
import { external, parse, quoted, unquoted } from "../../src/trivial-rewrite/tokens.ts";
import { configured } from "../config/fake-runtime.ts";

/** Tables that note what they are asked. */
function asked(main: string, answers: Readonly<Record<string, string>> = {}, pattern = false): {
  tables: AddressTables;
  keys: string[];
} {
  const { runtime } = configured(`recipient_delimiter = +-\nmyorigin = home.example\n${main}`);
  const config = loadConfig(runtime, "/etc/postfix").main;
  const keys: string[] = [];
  const get = (key: string): Lookup => {
    keys.push(key);
    return Object.hasOwn(answers, key) ? found(answers[key]!) : NONE;
  };
  const world = {
    config,
    classes: { isLocal: (domain: string) => domain === "here.example" },
    open: (name: string) => ({ name, pattern, get }),
    warn: () => {},
  };
  return { tables: new AddressTables("transport_maps", ["x:y"], world), keys };
}

describe("keys of an address", () => {
  const rows: readonly (readonly [string, "address" | "transport", string])[] = [
    ["u@x.example", "address", "u@x.example @x.example"],
    ["u+e@x.example", "address", "u+e@x.example u@x.example @x.example"],
    ["+e@x.example", "address", "+e@x.example @x.example"],
    ["owner-u@x.example", "address", "owner-u@x.example @x.example"],
    ["postmaster-e@x.example", "address", "postmaster-e@x.example postmaster@x.example @x.example"],
    ["u+e@HOME.example", "address", "u+e@HOME.example u@HOME.example u+e u @HOME.example"],
    ["u@here.example", "address", "u@here.example u @here.example"],
    ["a b@x.example", "address", '"a b"@x.example a b@x.example @x.example'],
    ["u+e@a.x.example", "transport", "u+e@a.x.example u@a.x.example a.x.example .x.example .example"],
  ];
  for (const [address, kind, expected] of rows) {
    test(`${address} for ${kind}: ${expected}`, async () => {
      const { tables, keys } = asked("");
      assert.equal((await tables.find(address, kind)).kind, "none");
      assert.equal(keys.join(" "), expected);
    });
  }

  test("pattern tables are asked for the whole address only", async () => {
    const { tables, keys } = asked("", {}, true);
    await tables.find("u+e@home.example");
    assert.deepEqual(keys, ["u+e@home.example"]);
  });

  test("parents match by themselves where parent_domain_matches_subdomains says so", async () => {
    const { tables, keys } = asked("parent_domain_matches_subdomains = transport_maps");
    await tables.find("u@a.x.example", "transport");
    assert.deepEqual(keys, ["u@a.x.example", "a.x.example", "x.example", "example"]);
  });
});

describe("addresses in place of one", () => {
  const rows: readonly (readonly [string, Readonly<Record<string, string>>, boolean, string])[] = [
    ["u@x.example", { "u@x.example": "a, b@y.example" }, true, "a@home.example b@y.example"],
    ["u+e@x.example", { "u@x.example": "a@y.example" }, true, "a+e@y.example"],
    ["u+e@x.example", { "u@x.example": "a@y.example" }, false, "a@y.example"],
    ["u+e@x.example", { "@x.example": "@y.example" }, true, "u+e@y.example"],
    ["u@x.example", { "u@x.example": "()" }, true, "unsure"],
    ["u@x.example", { "u@x.example": "" }, true, "unsure"],
  ];
  for (const [address, answers, propagate, expected] of rows) {
    test(`${address} with ${JSON.stringify(answers)} ${propagate}: ${expected}`, async () => {
      const answer = await asked("", answers).tables.map(address, propagate);
      assert.equal(answer.kind === "found" ? answer.addresses.join(" ") : answer.kind, expected);
    });
  }
});

describe("tokens", () => {
  const rows: readonly (readonly [string, string])[] = [
    ["a@b", "a@b"],
    ["Name <a@b>", "Name <a@b>"],
    ["a@b c@d", "a@b, c@d"],
    ["a (x) @b", "a@b (x)"],
    ["g: a, b;", "g: a, b;"],
    ['"a b"@c', '"a b"@c'],
    ["<a@b", '"<a"@b'],
    ["a\\,b@c", '"a,b"@c'],
  ];
  for (const [text, expected] of rows) {
    test(`${text} is written ${expected}`, () => assert.equal(external(parse(text)), expected));
  }

  test("quotes come and go", () => {
    for (const address of ["a@b", "a b@c", 'q"u@c', "a@b@c", ".a@b", "@r:a b@c"]) {
      assert.equal(unquoted(quoted(address)), address);
    }
  });

  test("plain lists of whole addresses need no rewriting", () => {
    for (const value of [" a@b.c", " N <a@b.c>, d@e.f", " a@b.c\n\t"]) assert.ok(isComplete(value), value);
    for (const value of [" a", " a@b", " a@b.c (d)", ' "x, y" <a@b.c>', " a%b.c@d.e", ""]) {
      assert.ok(!isComplete(value), value);
    }
  });
});
