import assert from "node:assert/strict";
import { it } from "node:test";
import { filesValue, fileText } from "../../src/maps/files-value.ts";
import { openTable } from "../../src/maps/map.ts";
import { fakeRuntime } from "../config/fake-runtime.ts";

const { runtime } = fakeRuntime({
  "/a": "one\n",
  "/b": "two\xff",
  "/t": "k /a\nbad /c\n",
  "/c.cidr": "1.2.3.4 /a, /b\n1.2.3.5 /x\n",
});

it("names of files become their content in base64, joined by newlines", () => {
  const read = filesValue(runtime.files!, "/a, /b /a") as { value: string };
  assert.equal(fileText(read.value), "one\n\ntwo\xff\none\n");
  assert.deepEqual(filesValue(runtime.files!, "/none"), { fault: "open /none: No such file or directory" });
  assert.deepEqual(filesValue(runtime.files!, ","), { fault: "empty pathname list: >>,<<'" });
});

it("what is not base64 is nobody's content", () => {
  for (const value of ["x", "x===", "YQ", "Y Q=", "YQ==YQ=="]) assert.equal(fileText(value), null);
  assert.equal(fileText(""), "");
});

it("tables of files take such values", async () => {
  const warned: string[] = [];
  const options = { files: true, warn: (text: string) => warned.push(text) };
  const hash = await openTable("texthash:/t", runtime, options).get("k");
  const cidr = await openTable("cidr:/c.cidr", runtime, options).get("1.2.3.4");
  assert.deepEqual([hash, cidr].map((answer) => answer.kind === "found" && fileText(answer.value)), [
    "one\n",
    "one\n\ntwo\xff",
  ]);
  assert.deepEqual(warned, [
    "/t, line 2: open /c: No such file or directory: skipping this entry",
    "cidr map /c.cidr, line 2: open /x: No such file or directory: skipping this rule",
  ]);
});
