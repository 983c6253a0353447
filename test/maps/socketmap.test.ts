import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import { ConfigError } from "../../src/errors.ts";
import { openTable } from "../../src/maps/map.ts";
import { RequestClient } from "../../src/maps/request-client.ts";
import { netstring } from "../../src/maps/socketmap.ts";
import type { Runtime } from "../../src/runtime.ts";
import { tableServer } from "./table-server.ts";

const runtime = await currentRuntime();
const framed = (text: string): string => `${text.length}:${text},`;

describe("netstrings", () => {
  const rows: readonly (readonly [string, unknown])[] = [
    ["5:hello,", { text: "hello" }],
    ["0:,", { text: "" }],
    ["5:hel", "more"],
    ["5:hello", "more"],
    ["", "more"],
    ["12", "more"],
    ["5:hello;", "format"],
    [":x,", "format"],
    ["a:x,", "format"],
    ["-1:x,", "format"],
    ["100001:", "size"],
    ["1".repeat(20), "size"],
  ];
  for (const [text, expected] of rows) it(text, () => assert.deepEqual(netstring(text), expected));
});

describe("socketmap:", () => {
  const rows: readonly (readonly [string, string, string | null])[] = [
    ["OK value", "found value", null],
    ["OK a b", "found a b", null],
    ["OK \xe4", "found \xe4", null],
    ["NOTFOUND ", "none", null],
    ["NOTFOUND", "none", null],
    ["OK", "none", null],
    ["TEMP  oops", "unsure", "NAME socketmap server temporary error: oops"],
    ["TIMEOUT slow", "unsure", "NAME socketmap server timeout error: slow"],
    ["PERM nope", "unsure", "NAME socketmap server permanent error: nope"],
    ["BOGUS ", "unsure", "NAME socketmap server unknown error"],
  ];
  for (const [reply, expected, warning] of rows) {
    it(`understands ${reply}`, async () => {
      const server = await tableServer((text) => text.endsWith(",") ? framed(reply) : null);
      const warnings: string[] = [];
      const name = `socketmap:inet:127.0.0.1:${server.port}:map`;
      const answer = await openTable(name, runtime, { warn: (text) => warnings.push(text) }).get("A key");
      assert.equal(answer.kind === "found" ? `found ${answer.value}` : answer.kind, expected);
      assert.deepEqual(warnings, warning === null ? [] : [warning.replace("NAME", name)]);
      assert.deepEqual(server.requests, ["9:map A key,"]);
      await server.close();
    });
  }

  it("asks over a connection that waits, and makes a new one when it was lost", async () => {
    let count = 0;
    const server = await tableServer((text) => text.endsWith(",") ? ++count === 3 ? "" : framed(`OK ${count}`) : null);
    const table = openTable(`socketmap:inet:[127.0.0.1]:${server.port}:m`, runtime);
    const values = [];
    for (let each = 0; each < 4; each++) values.push(await table.get("x"));
    assert.deepEqual(values.map((answer) => answer.kind === "found" && answer.value), ["1", "2", "4", "5"]);
    assert.equal(server.connections, 2);
    await server.close();
  });

  it("takes many questions at once, over ten connections at most", async () => {
    const server = await tableServer((text) => text.endsWith(",") ? framed(`OK ${text}`) : null);
    const table = openTable(`socketmap:inet:127.0.0.1:${server.port}:m`, runtime);
    const all = await Promise.all(Array.from({ length: 200 }, async (_none, at) => await table.get(`k${at}`)));
    all.forEach((answer, at) => assert.equal(answer.kind === "found" && answer.value, framed(`m k${at}`)));
    assert.ok(server.connections <= 10);
    await server.close();
  });

  it("warns about a server that talks nonsense, closes, or is not there", async () => {
    const failing: readonly (readonly [string, RegExp])[] = [
      ["nonsense", /^table socketmap:.* lookup error: input format error$/],
      ["999999:", /lookup error: input exceeds size limit$/],
      ["", /lookup error: unexpected disconnect$/],
    ];
    for (const [reply, expected] of failing) {
      const server = await tableServer(() => reply);
      const warnings: string[] = [];
      const name = `socketmap:inet:127.0.0.1:${server.port}:map`;
      const answer = await openTable(name, runtime, { warn: (text) => warnings.push(text) }).get("x");
      assert.equal(answer.kind, "unsure");
      assert.match(warnings[0]!, expected);
      await server.close();
    }
    const warnings: string[] = [];
    const warn = (text: string): void => void warnings.push(text);
    assert.equal((await openTable("socketmap:inet:127.0.0.1:1:m", runtime, { warn }).get("x")).kind, "unsure");
    assert.deepEqual(warnings, [
      "connect to 127.0.0.1:1: Connection refused",
      "table socketmap:inet:127.0.0.1:1:m lookup error: Connection refused",
    ]);
  });

  it("gives up after the time limit", async () => {
    const actions: (() => void)[] = [];
    const clock = {
      ...runtime.clock,
      monotonic: () => 0,
      after: (_delay: number, action: () => void) => (actions.push(action), { cancel: () => {} }),
    };
    const slow: Runtime = { ...runtime, clock };
    const server = await tableServer(() => (setTimeout(() => actions[0]!(), 0), null));
    const client = new RequestClient(slow, {
      address: { host: "127.0.0.1", port: server.port },
      timeout: 100_000,
      maxIdle: 1,
      maxAge: 1,
      frame: () => "more",
    });
    assert.deepEqual(await client.ask(new Uint8Array(1)), { kind: "time", why: "time limit exceeded" });
    await server.close();
  });

  it("asks over a unix socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "socketmap-"));
    const server = await tableServer((text) => text.endsWith(",") ? framed("OK unix") : null, `${folder}/s`);
    const answer = await openTable(`socketmap:unix:${folder}/s:m`, runtime).get("x");
    assert.deepEqual(answer, { kind: "found", value: "unix" });
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const faults: readonly (readonly [string, string])[] = [
    ["socketmap:foo", "socketmap requires server:socketmap argument"],
    ["socketmap:foo:bar:baz", "invalid transport name: foo in service: foo:bar"],
  ];
  for (const [name, text] of faults) {
    it(`${name} is a fault`, () =>
      assert.throws(
        () => openTable(name, runtime),
        (caught) => caught instanceof ConfigError && caught.faults[0] === `fatal: ${text}`,
      ));
  }
});
