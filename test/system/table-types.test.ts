/**
 * Tables that are no files beside those of Debian's `postmap -q`: the same answers, warnings and faults.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { currentRuntime } from "../../runtimes/select.ts";
import { ConfigError } from "../../src/errors.ts";
import { type OpenOptions, openTable } from "../../src/maps/map.ts";
import { tableServer } from "../maps/table-server.ts";
import { debianPostfix } from "./debian-postfix.ts";

const runtime = await currentRuntime();

interface Said {
  /** The value, null: none, or "fault". */
  readonly answer: string | null;
  /** Warnings and the fault. */
  readonly lines: readonly string[];
}

function debians(name: string, key: string, ...more: readonly string[]): Promise<Said> {
  return new Promise((resolve) => {
    const child = spawn("postmap", [...more, "-q", key, name], { stdio: ["ignore", "pipe", "pipe"] });
    let [output, errors] = ["", ""];
    child.stdout.setEncoding("latin1").on("data", (text: string) => output += text);
    child.stderr.setEncoding("latin1").on("data", (text: string) => errors += text);
    child.on("close", (code) => {
      const lines = errors.split("\n").filter((line) => line !== "").map((line) => line.replace(/^postmap: /, ""));
      const failed = lines.some((line) => line.startsWith("fatal"));
      const kept = lines.filter((line) => !/query error/.test(line));
      resolve({ answer: failed ? "fault" : code === 0 ? output.replace(/\n$/, "") : null, lines: kept });
    });
  });
}

async function ours(name: string, key: string, options: OpenOptions = {}): Promise<Said> {
  const lines: string[] = [];
  try {
    const table = openTable(name, runtime, { ...options, warn: (text) => lines.push(`warning: ${text}`) });
    const answer = await table.get(key);
    return { answer: answer.kind === "found" ? answer.value : answer.kind === "none" ? null : "fault", lines };
  } catch (caught) {
    if (!(caught instanceof ConfigError)) throw caught;
    return { answer: "fault", lines: caught.faults };
  }
}

const NAMES = [
  "pipemap:x",
  "pipemap:{}",
  "pipemap:{foo}",
  "pipemap:{nosuch:x}",
  "pipemap:{inline:{x=y},inline:{y=2}}",
  "pipemap:{inline:{X=root},unix:passwd.byname}",
  "pipemap:{static:y,fail:z}",
  "unionmap:{}",
  "unionmap:{foo}",
  "unionmap:{static:a,static:b}",
  "unionmap:{inline:{x=1},inline:{y=2},static:z}",
  "unionmap:{inline:{x=1} , inline:{root=2}}",
  "unionmap:{fail:x,static:y}",
  "randmap:{}",
  "randmap:{,}",
  "randmap:a",
  "randmap:{ { a b } }",
  "randmap:{one}",
  "unix:foo",
  "unix:passwd.byname",
  "unix:group.byname",
  "environ:x",
  "socketmap:foo",
  "socketmap:foo:bar:baz",
  "socketmap:inet:127.0.0.1:1:foo",
  "socketmap:unix:/nosuch:foo",
];

const FILE = fileURLToPath(import.meta.url);
const FILES = [
  `static:${FILE}`,
  "static:/nosuch",
  `static:{${FILE}, ${FILE}}`,
  `inline:{x=${FILE}}`,
  "inline:{x=/nosuch}",
  `inline:{{x=${FILE} ${FILE}}}`,
  `randmap:{${FILE}}`,
  "randmap:{/nosuch}",
];

const framed = (text: string): string => `${text.length}:${text},`;
const SOCKETMAP = ["OK value", "OK a b", "OK", "NOTFOUND ", "NOTFOUND", "TEMP  oops", "PERM nope", "TIMEOUT", "WHAT x"]
  .map(framed).concat("x:", "999999:abc", "200000:", "3:abc;", "07:OK abcd,");
const TCP = [
  "200 value\n",
  "200 a%20b%25\n",
  "200 a b\n",
  "500 none\n",
  "400 later\n",
  "300 x\n",
  "what\n",
  "200 %zz\n",
];

describe("tables like Debian's", { skip: debianPostfix ? false : "needs Debian's Postfix" }, () => {
  process.env.lowercase = "a value";
  for (const name of NAMES) {
    it(name, async () => {
      for (const key of ["x", "root", "ROOT", "sudo", "lowercase", "LowerCase"]) {
        assert.deepEqual(await ours(name, key), await debians(name, key), key);
      }
    });
  }
  for (const name of FILES) {
    it(`${name} with values from files`, async () => {
      const mine = await ours(name, "x", { files: true });
      const theirs = await debians(name, "x", "-F");
      assert.deepEqual(
        mine.answer === null || mine.answer === "fault" ? mine : { ...mine, answer: atob(mine.answer) },
        theirs,
      );
    });
  }
  for (const [name, key] of [["inline:{X=1}", "X"], ["inline:{X=1}", "x"], ["unix:passwd.byname", "ROOT"]] as const) {
    it(`${name} ${key} without folding`, async () =>
      assert.deepEqual(await ours(name, key, { fold: false }), await debians(name, key, "-f")));
  }
  for (const reply of SOCKETMAP) {
    it(`socketmap: ${reply}`, async () => {
      const server = await tableServer((text) => text.endsWith(",") ? reply : null);
      const name = `socketmap:inet:127.0.0.1:${server.port}:map`;
      const mine = await ours(name, "A key");
      assert.deepEqual(mine, await debians(name, "A key"));
      assert.deepEqual(server.requests, ["9:map A key,", "9:map A key,"]);
      await server.close();
    });
  }
  for (const reply of TCP) {
    it(`tcp: ${reply.trim()}`, async () => {
      const server = await tableServer((text) => text.endsWith("\n") ? reply : null);
      const name = `tcp:127.0.0.1:${server.port}`;
      const mine = await ours(name, "A % k\xe4y");
      assert.deepEqual(mine, await debians(name, "A % k\xe4y"));
      await server.close();
    });
  }
});
