import assert from "node:assert/strict";
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { postalias } from "../../src/commands/postalias.ts";
import { postmap } from "../../src/commands/postmap.ts";
import { newaliases } from "../../src/commands/sendmail.ts";
import { Site } from "./site.ts";

// What Debian's commands say is in test/system/postmap.test.ts; here, what is ours.
describe("postmap", () => {
  const site = new Site();
  after(() => site.remove());
  const write = (name: string, text: string): string => {
    const path = join(site.root, name);
    writeFileSync(path, text, "latin1");
    return path;
  };
  const run = async (...words: string[]): Promise<readonly [number, string, string]> => {
    const { status, output, errors } = await site.run(postmap, words);
    return [status, output, errors];
  };

  it("builds an image beside the text, and nothing else stays", async () => {
    const path = write("m", "a 1\nB 2\n");
    assert.deepEqual(await run(`hash:${path}`), [0, "", ""]);
    assert.deepEqual(readdirSync(site.root).filter((name) => name.startsWith("m")).sort(), ["m", "m.wmap"]);
    assert.deepEqual(await run("-q", "b", `hash:${path}`), [0, "2\n", ""]);
    assert.deepEqual(await run("-q", "zz", `hash:${path}`), [1, "", ""]);
  });

  it("asks the text when it changed after the image", async () => {
    const path = write("changed", "a 1\n");
    await run(`hash:${path}`);
    write("changed", "a 2\n");
    assert.deepEqual(await run("-q", "a", `hash:${path}`), [0, "2\n", ""]);
  });

  it("asks the image alone when there is no text", async () => {
    const path = join(site.root, "only");
    assert.equal((await site.run(postmap, ["-i", `hash:${path}`], { input: "a 1\nb 2\n" })).status, 0);
    assert.ok(!existsSync(path));
    assert.deepEqual(await run("-q", "b", `hash:${path}`), [0, "2\n", ""]);
  });

  it("changes an image, and the change holds while the text is the same", async () => {
    const path = write("inc", "a 1\nb 2\n");
    await run(`hash:${path}`);
    assert.deepEqual(await run("-d", "A", `hash:${path}`), [0, "", ""]);
    const added = await site.run(postmap, ["-i", `hash:${path}`], { input: "c 3\nb 9\n" });
    assert.equal(added.errors, `postmap: warning: ${path}.wmap: duplicate entry: "b"\n`);
    assert.deepEqual(await run("-q", "a", `hash:${path}`), [1, "", ""]);
    assert.deepEqual(await run("-q", "c", `hash:${path}`), [0, "3\n", ""]);
    assert.equal((await site.run(postmap, ["-ir", `hash:${path}`], { input: "b 9\n" })).errors, "");
    assert.deepEqual(await run("-q", "b", `hash:${path}`), [0, "9\n", ""]);
  });

  it("refuses a damaged image, says so and uses the text", async () => {
    const path = write("bad", "a 1\n");
    await run(`hash:${path}`);
    const image = readFileSync(`${path}.wmap`);
    image[image.length - 1]! ^= 1;
    writeFileSync(`${path}.wmap`, image);
    const words = `postmap: warning: ${path}.wmap: image not used: its checksum is wrong\n`;
    assert.deepEqual(await run("-q", "a", `hash:${path}`), [0, "1\n", words]);
    const [status, , errors] = await run("-d", "a", `hash:${path}`);
    assert.deepEqual([status, errors], [1, `postmap: fatal: open database ${path}.wmap: its checksum is wrong\n`]);
  });

  it("gives a new image the read permissions of its text, and leaves those of an old one", async () => {
    const path = write("modes", "a 1\n");
    chmodSync(path, 0o640);
    await run("-o", `hash:${path}`);
    assert.equal(statSync(`${path}.wmap`).mode & 0o777, 0o640);
    chmodSync(`${path}.wmap`, 0o600);
    await run("-op", `hash:${path}`);
    assert.equal(statSync(`${path}.wmap`).mode & 0o777, 0o600);
    const other = write("modes2", "a 1\n");
    chmodSync(other, 0o600);
    await run("-op", `hash:${other}`);
    assert.equal(statSync(`${other}.wmap`).mode & 0o777, 0o644);
  });
});

it("newaliases builds every table of alias_database", async () => {
  const site = new Site();
  const path = join(site.root, "aliases");
  writeFileSync(path, "root: bob\n");
  writeFileSync(`${path}2`, "Bob: carol\n");
  writeFileSync(
    join(site.etc, "main.cf"),
    `alias_database = hash:${path}, lmdb:${path}2\nmyhostname = mx.test.example\n`,
  );
  assert.deepEqual(await site.run(newaliases, []), { status: 0, output: "", errors: "" });
  assert.equal((await site.run(postalias, ["-q", "root", `hash:${path}`])).output, "bob\n");
  assert.equal((await site.run(postalias, ["-q", "bob", `lmdb:${path}2`])).output, "carol\n");
  assert.equal((await site.run(postalias, ["-q", "@", `hash:${path}`])).output, "@\n");
  site.remove();
});
