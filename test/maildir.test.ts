/**
 * Rules that were broken on purpose, each seen by a test here: no fdatasync, no fsync of new/, tmp/ not cleared after a
 * failure, the name in new/ left there after its fsync failed.
 */

import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { after, describe, it } from "node:test";
import { Maildirs } from "../src/maildir.ts";
import type { Files } from "../src/runtime.ts";
import {
  BROKEN_CONTENT,
  bytesOf,
  contentOf,
  type Fault,
  faulty,
  LEAD,
  letter,
  names,
  runtime,
  temporary,
} from "./mailboxes.ts";

const folder = temporary();
after(() => folder.remove());
let count = 0;
const newMaildir = (): string => `${folder.path}/parent${++count}/md/`;

const CONTENT = "Subject: x\r\n\r\nFrom me\r\n\xe4\0\r\nno end";
const STORED = `${LEAD}Subject: x\n\nFrom me\n\xe4\0\nno end\n`;
const maildirs = (files: Files = runtime.files!, content = contentOf(CONTENT)): Maildirs =>
  new Maildirs(runtime, files, content);

describe("a maildir", () => {
  it("is made with its parents, and the message is in new/ under Postfix's name", async () => {
    const path = newMaildir();
    assert.equal(await maildirs().store(path, letter(), "4.2.0"), null);
    assert.deepEqual(names(path), ["cur", "new", "tmp"]);
    assert.deepEqual(names(`${path}tmp`), []);
    const [name] = names(`${path}new`);
    assert.match(name!, /^\d{10}\.V[0-9a-f]+I[0-9a-f]+M\d{1,6}\.[^./]+/);
    const stat = statSync(`${path}new/${name}`);
    assert.ok(name!.includes(`V${stat.dev.toString(16)}I${stat.ino.toString(16)}M`), "device and inode");
    assert.equal(stat.mode & 0o777, 0o600);
    assert.equal(statSync(path).mode & 0o777, 0o700);
    assert.equal(bytesOf(`${path}new/${name}`), STORED);
  });

  it("takes streamed content, whatever its pieces", async () => {
    const body = "a line of text\r\n".repeat(40_000);
    for (const length of [7, 65_536]) {
      const path = newMaildir();
      const fault = await maildirs(runtime.files!, contentOf(`Subject: x\r\n\r\n${body}`, length)).store(
        path,
        letter(),
        "4.2.0",
      );
      assert.equal(fault, null);
      assert.equal(
        bytesOf(`${path}new/${names(`${path}new`)[0]}`),
        `${LEAD}Subject: x\n\n${body.replaceAll("\r", "")}`,
      );
      if (length === 7) break;
    }
  });

  it("takes many deliveries side by side, with fewer folder syncs than messages", async () => {
    const path = newMaildir();
    let syncs = 0;
    const files = {
      ...runtime.files!,
      syncFolder: (name: string) => (name === `${path}new` && syncs++, runtime.files!.syncFolder(name)),
    };
    const agent = maildirs(files);
    const faults = await Promise.all(Array.from({ length: 50 }, () => agent.store(path, letter(), "4.2.0")));
    assert.deepEqual(faults.filter((fault) => fault !== null), []);
    assert.equal(names(`${path}new`).length, 50);
    assert.ok(syncs < 50, `${syncs} syncs`);
    for (const name of names(`${path}new`)) assert.equal(bytesOf(`${path}new/${name}`), STORED);
  });
});

/** What fails, and the status and words of the fault. */
const FAULTS: readonly (readonly [Fault, string, RegExp])[] = [
  [{ call: "open", path: "/tmp/1", code: "EACCES" }, "4.2.0", /^create maildir file .*\/tmp\/\S+: Permission denied$/],
  [{ call: "open", path: "/tmp/1", code: "ENOSPC" }, "4.3.0", /^create maildir file .*: No space left on device$/],
  [{ call: "makeFolder", code: "EROFS" }, "4.3.0", /^create maildir file .*: Read-only file system$/],
  [{ call: "write", code: "ENOSPC" }, "4.3.0", /^error writing message: No space left on device$/],
  [{ call: "write", code: "EDQUOT" }, "5.2.2", /^error writing message: Disk quota exceeded$/],
  [{ call: "sync", code: "EIO" }, "4.3.0", /^error writing message: Input\/output error$/],
  [{ call: "rename", code: "EACCES" }, "4.2.0", /^create maildir file .*\/new\/\S+: Permission denied$/],
  [{ call: "syncFolder", path: "/new", code: "EIO" }, "4.3.0", /^error writing message: Input\/output error$/],
];

describe("a delivery that fails", () => {
  for (const [fault, status, words] of FAULTS) {
    it(`at ${fault.call} with ${fault.code}: ${status}, nothing in new/, nothing in tmp/`, async () => {
      const path = newMaildir();
      const result = await maildirs(faulty(runtime.files!, fault)).store(path, letter(), "4.2.0");
      assert.equal(result?.status, status);
      assert.match(result!.reason, words);
      for (const part of ["new", "tmp"]) {
        let left: string[] = [];
        try {
          left = names(`${path}${part}`);
        } catch { /* It was never made. */ }
        assert.deepEqual(left, []);
      }
    });
  }

  it("because the message cannot be read leaves nothing", async () => {
    const path = newMaildir();
    const result = await maildirs(runtime.files!, BROKEN_CONTENT).store(path, letter(), "4.2.0");
    assert.deepEqual(result, { status: "4.3.0", code: "", reason: "error reading message: Input/output error" });
    assert.deepEqual([...names(`${path}new`), ...names(`${path}tmp`)], []);
  });

  it("at the size limit is the recipient's fault", async () => {
    const path = newMaildir();
    const result = await maildirs().store(path, letter({ sizeLimit: STORED.length - 1 }), "4.2.0");
    assert.equal(result?.status, "5.2.2");
    assert.equal(result?.reason, "error writing message: File too large");
    assert.equal(await maildirs().store(path, letter({ sizeLimit: STORED.length }), "4.2.0"), null);
  });

  it("once does not stop the next one", async () => {
    const path = newMaildir();
    const agent = maildirs(faulty(runtime.files!, { call: "sync", code: "EIO" }));
    assert.notEqual(await agent.store(path, letter(), "4.2.0"), null);
    const again = maildirs();
    assert.equal(await again.store(path, letter(), "4.2.0"), null);
    assert.equal(names(`${path}new`).length, 1);
  });
});

describe("order", () => {
  it("is write, fdatasync, rename, fsync of new/: nothing is visible that is not durable", async () => {
    const path = newMaildir();
    await maildirs().store(path, letter(), "4.2.0");
    const calls: string[] = [];
    const files: Files = {
      ...runtime.files!,
      open: async (name, mode, permissions) => {
        const file = await runtime.files!.open(name, mode, permissions);
        return new Proxy(file, {
          get: (target, key: "write" | "sync") => {
            if (!(key in target)) return undefined;
            return (...words: unknown[]) => {
              calls.push(key);
              return (target[key] as (...all: unknown[]) => unknown).apply(target, words);
            };
          },
        });
      },
      rename: (from, to) => (calls.push("rename"), runtime.files!.rename(from, to)),
      syncFolder: (name) => (calls.push("syncFolder"), runtime.files!.syncFolder(name)),
    };
    await maildirs(files).store(path, letter(), "4.2.0");
    assert.deepEqual(calls.filter((call) => call !== "setOwner"), [
      "stat",
      "write",
      "sync",
      "rename",
      "syncFolder",
      "close",
    ]);
  });
});
