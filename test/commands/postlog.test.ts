import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, it } from "node:test";
import { postlog } from "../../src/commands/postlog.ts";
import { Site } from "./site.ts";

let site: Site;
afterEach(() => site.remove());

describe("postlog", () => {
  it("appends to maillog_file in Postfix's form", async () => {
    site = new Site("maillog_file = $queue_directory/mail.log");
    const runs: readonly (readonly [string[], string])[] = [
      [["a", "b"], "a b"],
      [["-p", "warn", "hello"], "warning: hello"],
      [["-p", "fatal", "-i", "x"], "fatal: x"],
    ];
    for (const [words] of runs) assert.deepEqual(await site.run(postlog, words), { status: 0, output: "", errors: "" });
    await site.run(postlog, ["-it", "hey", "foo"]);
    await site.run(postlog, [], { input: "one\ntwo" });
    const lines = readFileSync(join(site.root, "spool/mail.log"), "latin1").trimEnd().split("\n");
    const texts = lines.map((line) => line.replace(/^\w{3} [ \d]\d \d\d:\d\d:\d\d mx (.*)\[\d+\]: /, "$1|"));
    assert.deepEqual(texts, [
      ...runs.map(([, text]) => `postfix/postlog|${text}`),
      "hey|foo",
      "postfix/postlog|one",
      "postfix/postlog|two",
    ]);
  });
  it("writes to the error output where there is no file", async () => {
    site = new Site();
    const { errors } = await site.run(postlog, ["-p", "error", "-t", "tag", "x"]);
    assert.equal(errors, "tag: error: x\n");
  });
  it("refuses an unknown severity", async () => {
    site = new Site();
    assert.deepEqual(await site.run(postlog, ["-p", "zz", "x"]), {
      status: 1,
      output: "",
      errors: "postlog: fatal: unknown severity: zz\n",
    });
  });
});
