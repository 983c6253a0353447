import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { isParameter, PARAMETER_NAMES, ROLES, rowOf } from "../src/params.ts";
import { parametersDocument } from "../src/params/document.ts";
import { parseValue } from "../src/params/kinds.ts";
import type { Row } from "../src/params/kinds.ts";
import { expand } from "../src/config/expand.ts";

const time: Row = { kind: "time", default: "5d", ready: true };

describe("the parameter table", () => {
  it("declares each name once", () => {
    const all = Object.values(ROLES).flatMap((rows) => Object.keys(rows));
    assert.equal(new Set(all).size, all.length);
    assert.equal(all.length, PARAMETER_NAMES.length);
  });
  it("knows the 958 documented names and Postrider's own", () => {
    const own = PARAMETER_NAMES.filter((name) => rowOf(name)!.own === true);
    assert.equal(PARAMETER_NAMES.length - own.length, 958);
    assert.deepEqual([...own].sort(), [
      "log_format",
      "postrider_dns_servers",
      "postrider_smtp_send_ahead",
      "postrider_stalled_delivery_limit",
      "queue_storage",
      "queue_storage_unsafe",
      "worker_processes",
    ]);
  });
  it("has defaults that can be expanded and read as their kind says", () => {
    for (const name of PARAMETER_NAMES) {
      const row = rowOf(name)!;
      if (row.computed !== undefined || row.kind === "raw") continue;
      const text = expand(row.default, (other) => rowOf(other)?.default ?? null);
      const parsed = parseValue(row, text);
      assert.ok("value" in parsed, `${name}: ${"fault" in parsed ? parsed.fault : ""}`);
    }
  });
  it("refers in defaults only to names that it declares", () => {
    for (const name of PARAMETER_NAMES) {
      const row = rowOf(name)!;
      if (row.kind === "raw") continue;
      for (const [, other] of row.default.matchAll(/\$\{?([a-z0-9_]+)/gi)) {
        assert.ok(isParameter(other!), `${name}: $${other}`);
      }
    }
  });
  it("explains every parameter that is implemented", () => {
    for (const name of PARAMETER_NAMES) {
      const row = rowOf(name)!;
      if (row.ready) assert.match(row.doc ?? "", /^[^]{10,}\.$/, name);
    }
  });
  it("gives docs/parameters.md", () => {
    const page = readFileSync(new URL("../docs/parameters.md", import.meta.url), "utf8");
    assert.equal(page, parametersDocument(), "stale: run node test/write-parameters.ts");
  });
});

describe("values", () => {
  const rows: readonly (readonly [Row, string, unknown])[] = [
    [time, "3", 3 * 86400_000],
    [time, "3s", 3000],
    [time, "2m", 120_000],
    [time, "1h", 3600_000],
    [time, "1w", 604800_000],
    [{ ...time, default: "${stress?{10}:{300}}s" }, "7", 7000],
    [{ kind: "boolean", default: "no", ready: true }, "Yes", true],
    [{ kind: "boolean", default: "no", ready: true }, "no", false],
    [{ kind: "number", default: "1", ready: true }, "010", 10],
    [{ kind: "list", default: "", ready: true }, "a, b\tc,,inline:{x=1, y=2}", ["a", "b", "c", "inline:{x=1, y=2}"]],
    [{ kind: "list", values: ["a", "b"], default: "", ready: true }, "b,a", ["b", "a"]],
    [{ kind: "enum", values: ["a", "b"], default: "a", ready: true }, "b", "b"],
    [{ kind: "string", default: "", ready: true }, "a  b", "a  b"],
  ];
  for (const [row, text, value] of rows) {
    it(`${row.kind} "${text}"`, () => assert.deepEqual(parseValue(row, text), { value }));
  }
  const bad: readonly (readonly [Row, string, RegExp])[] = [
    [time, "3x", /^bad time value "3x": expected /],
    [time, "", /^bad time value/],
    [time, "3 s", /^bad time value/],
    [{ ...time, min: 1000 }, "0", /^bad value "0": expected 1s or more/],
    [{ kind: "number", default: "1", min: 1, ready: true }, "0", /expected 1 or more/],
    [{ kind: "number", default: "1", max: 9, ready: true }, "10", /expected 9 or less/],
    [{ kind: "number", default: "1", ready: true }, "-1", /^bad number "-1"/],
    [{ kind: "boolean", default: "no", ready: true }, "maybe", /expected yes or no/],
    [{ kind: "enum", values: ["a", "b"], default: "a", ready: true }, "c", /expected a, b/],
    [{ kind: "list", values: ["a", "b"], default: "", ready: true }, "a, c", /^unknown value "c" in "a, c"$/],
  ];
  for (const [row, text, fault] of bad) {
    it(`${row.kind} "${text}" is a fault`, () => {
      const parsed = parseValue(row, text);
      assert.ok("fault" in parsed);
      assert.match(parsed.fault, fault);
    });
  }
});
