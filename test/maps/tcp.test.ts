import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import { openTable } from "../../src/maps/map.ts";
import { hexQuoted, hexUnquoted } from "../../src/maps/tcp.ts";
import type { Runtime } from "../../src/runtime.ts";
import { tableServer } from "./table-server.ts";

const runtime = await currentRuntime();
/** Pauses take no time. */
const hasty: Runtime = {
  ...runtime,
  clock: { ...runtime.clock, after: (delay, action) => runtime.clock.after(delay === 1000 ? 0 : delay, action) },
};

describe("tcp: quotes", () => {
  for (const text of ["plain", "a b", "100%", "\xe4\0\n", "", "%41"]) {
    it(JSON.stringify(text), () => {
      assert.match(hexQuoted(text), /^(?:[!-$&-~]|%[0-9A-F]{2})*$/);
      assert.equal(hexUnquoted(hexQuoted(text)), text);
    });
  }
  it("nothing else", () => {
    assert.equal(hexUnquoted("%4a%4A"), "JJ");
    for (const text of ["%", "%4", "%xy"]) assert.equal(hexUnquoted(text), null);
  });
});

describe("tcp:", () => {
  const rows: readonly (readonly [string, string, string | null])[] = [
    ["200 value\n", "found value", null],
    ["200 a%20b\n", "found a b", null],
    ["200 a b\n", "found a b", null],
    ["500 no such\n", "none", null],
    ["400 later\n", "unsure", null],
    ["300 what\n", "unsure", "bad status code: 300 what"],
    ["what\n", "unsure", "malformed reply: what"],
    ["200 %\n", "unsure", "malformed reply: 200 %"],
    [`200 ${"x".repeat(5000)}\n`, "unsure", "text longer than 4096"],
    ["", "unsure", "unexpected EOF (Connection refused)"],
  ];
  for (const [reply, expected, warning] of rows) {
    it(`understands ${JSON.stringify(reply.slice(0, 30))}`, async () => {
      const server = await tableServer((text) => text.endsWith("\n") ? reply : null);
      const warnings: string[] = [];
      const warn = (text: string): void => void warnings.push(text);
      const answer = await openTable(`tcp:127.0.0.1:${server.port}`, hasty, { warn }).get("A key");
      assert.equal(answer.kind === "found" ? `found ${answer.value}` : answer.kind, expected);
      const told = warning === null ? [] : [`read TCP map reply from 127.0.0.1:${server.port}: ${warning}`];
      const tried = /longer|EOF/.test(warning ?? "") ? 10 : 1;
      if (!warning?.includes("EOF")) assert.deepEqual(warnings, Array(told.length * tried).fill(told[0]));
      else assert.equal(warnings.length, tried);
      assert.equal(server.requests[0], "get A%20key\n");
      await server.close();
    });
  }
  it("tries a server that is not there ten times", async () => {
    const warnings: string[] = [];
    const answer = await openTable("tcp:127.0.0.1:1", hasty, { warn: (text) => warnings.push(text) }).get("x");
    assert.equal(answer.kind, "unsure");
    assert.deepEqual(warnings, Array(10).fill("connect to TCP map 127.0.0.1:1: Connection refused"));
  });
});
