import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConfigError } from "../../src/errors.ts";
import { NONE } from "../../src/lookup.ts";
import { environTable } from "../../src/maps/environ.ts";
import { openTable } from "../../src/maps/map.ts";
import { entriesOf } from "../../src/maps/unix.ts";
import { fakeRuntime } from "../config/fake-runtime.ts";

const PASSWD = "root:x:0:0:root:/root:/bin/bash\nroot:x:1:1:second:/:/bin/sh\nbroken:x\nbad:x:y:0:::\n";
const { runtime } = fakeRuntime({ "/etc/passwd": PASSWD, "/etc/group": "root:x:0:\nsudo:x:27:joe,jane\n" });

describe("unix: and environ:", () => {
  const rows: readonly (readonly [string, string, string | null])[] = [
    ["unix:passwd.byname", "root", "root:x:0:0:root:/root:/bin/bash"],
    ["unix:passwd.byname", "ROOT", "root:x:0:0:root:/root:/bin/bash"],
    ["unix:passwd.byname", "broken", null],
    ["unix:passwd.byname", "bad", null],
    ["unix:passwd.byname", "", null],
    ["unix:group.byname", "sudo", "sudo:x:27:joe,jane"],
    ["unix:group.byname", "nosuch", null],
    ["environ:any", "name", "value"],
    ["environ:any", "NAME", "value"],
    ["environ:any", "constructor", null],
    ["environ:any", "upper", null],
  ];
  const environment = { name: "value", UPPER: "not found" };
  const world = { ...runtime, processes: { ...runtime.processes!, environment } };
  for (const [name, key, value] of rows) {
    it(`${name} ${key}`, async () => {
      assert.deepEqual(await openTable(name, world).get(key), value === null ? NONE : { kind: "found", value });
    });
  }
  it("keys are not folded with fold: false", async () => {
    assert.equal((await openTable("unix:passwd.byname", world, { fold: false }).get("ROOT")).kind, "none");
    assert.equal((await openTable("environ:x", world, { fold: false }).get("UPPER")).kind, "found");
  });
  it("another name is a fault", () => {
    assert.throws(
      () => openTable("unix:shadow.byname", world),
      (caught) => caught instanceof ConfigError && caught.faults[0] === "fatal: unknown table: unix:shadow.byname",
    );
  });
  it("is unsure while the file cannot be read", async () => {
    assert.equal((await openTable("unix:passwd.byname", fakeRuntime({}).runtime).get("root")).kind, "unsure");
  });
  it("reads lines", () => {
    assert.deepEqual([...entriesOf("a:x:1:b,c \n", 4)], [["a", "a:x:1:b,c "]]);
    assert.equal(typeof environTable, "function");
  });
});
