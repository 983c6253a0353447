/**
 * Rules that were broken on purpose, each seen by a test here: no truncate after a failed write, no fdatasync, no
 * second look for the file under the lock, no From quoting, stale locks kept, no queue of the process's own deliveries.
 */

import assert from "node:assert/strict";
import { linkSync, readdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { after, describe, it } from "node:test";
import { Mboxes, type MboxRules } from "../src/mbox.ts";
import type { Files } from "../src/runtime.ts";
import {
  BROKEN_CONTENT,
  bytesOf,
  contentOf,
  type Fault,
  faulty,
  LEAD,
  letter,
  runtime,
  temporary,
} from "./mailboxes.ts";

const folder = temporary();
after(() => folder.remove());
let count = 0;
const newPath = (): string => `${folder.path}/box${++count}`;

const RULES: MboxRules = {
  locks: ["fcntl", "dotlock"],
  lockAttempts: 3,
  lockDelay: 20,
  staleLockTime: 500_000,
  strictOwnership: true,
  otherwise: "4.2.0",
};
const boxes = (content = contentOf("Subject: x\r\n\r\nhello\r\n"), rules = {}, files: Files = runtime.files!): Mboxes =>
  new Mboxes(runtime, files, content, { ...RULES, ...rules });

/** With the dates of the From lines made the same. */
const undated = (path: string): string =>
  bytesOf(path).replace(/^(From \S+ {2})\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}$/gm, "$1DATE");
const leftovers = (path: string): string[] =>
  readdirSync(folder.path).filter((name) => name.startsWith(`${path.split("/").pop()}.`));

const MESSAGE = `From s@orig.example  DATE\n${LEAD}Subject: x\n\nhello\n\n`;

describe("a mailbox file", () => {
  it("is made with mode 0600; each message ends with an empty line", async () => {
    const path = newPath();
    assert.equal(await boxes().store(path, letter()), null);
    assert.equal(statSync(path).mode & 0o777, 0o600);
    assert.equal(undated(path), MESSAGE);
    assert.equal(await boxes().store(path, letter()), null);
    assert.equal(undated(path), MESSAGE + MESSAGE);
    assert.deepEqual(leftovers(path), []);
  });

  /** Content and what stands after the leading lines. */
  const BODIES: readonly (readonly [string, string, string])[] = [
    ["From quoting", "a: b\r\n\r\nFrom x\r\n>From y\r\n", "a: b\n\n>From x\n>From y\n\n"],
    ["a missing last line end", "a: b\r\n\r\nend", "a: b\n\nend\n\n"],
    ["an empty body", "a: b\r\n", "a: b\n\n"],
    ["an empty message", "", "\n"],
    ["8-bit and NUL", "a: b\r\n\r\n\xe4\0\xff\r\n", "a: b\n\n\xe4\0\xff\n\n"],
  ];
  for (const [what, content, stored] of BODIES) {
    it(`is exact with ${what}`, async () => {
      for (const length of [0, 1, 3]) {
        const path = newPath();
        assert.equal(await boxes(contentOf(content, length)).store(path, letter()), null);
        assert.equal(undated(path), `From s@orig.example  DATE\n${LEAD}${stored}`);
      }
    });
  }

  it("takes fifty deliveries at once without mixing them", async () => {
    const path = newPath();
    const agent = boxes(contentOf(`Subject: x\r\n\r\n${"line\r\n".repeat(2_000)}`, 999));
    const faults = await Promise.all(Array.from({ length: 50 }, () => agent.store(path, letter())));
    assert.deepEqual(faults.filter((fault) => fault !== null), []);
    const one = `From s@orig.example  DATE\n${LEAD}Subject: x\n\n${"line\n".repeat(2_000)}\n`;
    assert.ok(undated(path) === one.repeat(50));
  });

  it("is shared with other writers through the lock", async () => {
    const path = newPath();
    const agents = Array.from({ length: 4 }, () => boxes(undefined, { lockAttempts: 500, lockDelay: 2 }));
    const faults = await Promise.all(Array.from({ length: 24 }, (_, at) => agents[at % 4]!.store(path, letter())));
    assert.deepEqual(faults.filter((fault) => fault !== null), []);
    assert.equal(undated(path), MESSAGE.repeat(24));
  });
});

describe("locks", () => {
  it("held by somebody else defer, in Postfix's words", async () => {
    const path = newPath();
    writeFileSync(`${path}.lock`, "");
    const fault = await boxes().store(path, letter());
    const reason = `unable to create lock file ${path}.lock: File exists`;
    assert.deepEqual(fault, { status: "4.2.0", code: "EEXIST", reason });
    assert.deepEqual(leftovers(path), [`${path.split("/").pop()}.lock`], "the other's lock stays, ours are gone");
  });

  it("that are released in time are waited for", async () => {
    const path = newPath();
    writeFileSync(`${path}.lock`, "");
    const delivery = boxes(undefined, { lockAttempts: 100, lockDelay: 5 }).store(path, letter());
    await new Promise((resolve) => runtime.clock.after(30, () => resolve(null)));
    await runtime.files!.remove(`${path}.lock`);
    assert.equal(await delivery, null);
  });

  it("older than stale_lock_time are nobody's", async () => {
    const path = newPath();
    writeFileSync(`${path}.lock`, "");
    utimesSync(`${path}.lock`, Date.now() / 1000 - 501, Date.now() / 1000 - 501);
    assert.equal(await boxes().store(path, letter()), null);
    assert.deepEqual(leftovers(path), []);
  });

  it("by flock hold where the runtime has them", async () => {
    const path = newPath();
    writeFileSync(path, "", { mode: 0o600 });
    const other = await runtime.files!.open(path, "read-write");
    const able = await other.tryLock();
    const fault = await boxes(undefined, { locks: ["flock"] }).store(path, letter());
    const reason = "unable to lock for exclusive access: Resource temporarily unavailable";
    assert.deepEqual(fault, able === true ? { status: "4.2.0", code: "EAGAIN", reason } : null);
    await other.close();
    assert.equal(await boxes(undefined, { locks: ["flock"] }).store(path, letter()), null);
  });

  it("in a folder that is missing", async () => {
    const path = `${folder.path}/none/box`;
    const fault = await boxes().store(path, letter());
    const reason = `unable to create lock file ${path}.lock: No such file or directory`;
    assert.deepEqual(fault, { status: "4.2.0", code: "ENOENT", reason });
  });
});

describe("a delivery that fails", () => {
  const FAULTS: readonly (readonly [Fault, string, string])[] = [
    [{ call: "write", code: "ENOSPC" }, "4.3.0", "error writing message: No space left on device"],
    [{ call: "write", code: "ENOSPC", after: 1 }, "4.3.0", "error writing message: No space left on device"],
    [{ call: "write", code: "EDQUOT" }, "5.2.2", "error writing message: Disk quota exceeded"],
    [{ call: "sync", code: "EIO" }, "4.3.0", "error writing message: Input/output error"],
  ];
  for (const [fault, status, reason] of FAULTS) {
    it(`at ${fault.call} ${fault.after ?? 0} with ${fault.code} gives the file its old length back`, async () => {
      const path = newPath();
      await boxes().store(path, letter());
      const before = bytesOf(path);
      const content = contentOf(`a: b\r\n\r\n${"line\r\n".repeat(50_000)}`, 8_192);
      const result = await boxes(content, {}, faulty(runtime.files!, fault)).store(path, letter());
      assert.deepEqual(result, { status, code: fault.code, reason });
      assert.equal(bytesOf(path), before);
      assert.deepEqual(leftovers(path), []);
      assert.equal(await boxes().store(path, letter()), null);
      assert.equal(undated(path), MESSAGE + MESSAGE);
    });
  }

  it("because the message cannot be read, likewise", async () => {
    const path = newPath();
    await boxes().store(path, letter());
    const result = await boxes(BROKEN_CONTENT).store(path, letter());
    assert.equal(result?.reason, "error reading message: Input/output error");
    assert.equal(undated(path), MESSAGE);
  });

  it("at the size limit of the mailbox bounces", async () => {
    const path = newPath();
    await boxes().store(path, letter());
    const result = await boxes().store(path, letter({ sizeLimit: bytesOf(path).length + 10 }));
    assert.deepEqual(result, { status: "5.2.2", code: "EFBIG", reason: "error writing message: File too large" });
    assert.equal(undated(path), MESSAGE);
  });

  it("at a folder", async () => {
    const fault = await boxes().store(folder.path, letter());
    assert.deepEqual(fault, { status: "4.2.0", code: "EISDIR", reason: "cannot open file: Is a directory" });
  });

  it("at a file with a second name", async () => {
    const path = newPath();
    writeFileSync(path, "", { mode: 0o600 });
    linkSync(path, `${path}-other`);
    assert.equal((await boxes().store(path, letter()))?.reason, "file has 2 hard links");
  });

  it("at a dangling link makes nothing behind it", async () => {
    const path = newPath();
    symlinkSync(`${path}-target`, path);
    assert.notEqual(await boxes().store(path, letter()), null);
    assert.ok(!readdirSync(folder.path).some((name) => name.endsWith("-target")));
  });
});
