import assert from "node:assert/strict";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import { latin1Encode } from "../../src/latin1.ts";
import { belongs, buildImage, identityOf, textIdentity, writeImage } from "../../src/maps/compile.ts";
import type { Files, Runtime } from "../../src/runtime.ts";

const real = await currentRuntime();

describe("an image file", () => {
  const folder = mkdtempSync(join(tmpdir(), "postrider-compile-"));
  after(() => rmSync(folder, { recursive: true }));

  it("is written whole under its name, with the mode asked for", async () => {
    const path = join(folder, "x.wmap");
    for (const key of ["a", "b"]) {
      const image = buildImage(new Map([[key, "1"]]), null);
      await writeImage(real, path, image, { mode: 0o640, owner: null });
      assert.deepEqual(new Uint8Array(readFileSync(path)), image);
    }
    assert.equal(statSync(path).mode & 0o777, 0o640);
    assert.deepEqual(readdirSync(folder), ["x.wmap"]);
  });

  it("that cannot be written whole leaves the old one, and nothing else", async () => {
    const path = join(folder, "y.wmap");
    writeFileSync(path, "old");
    const files: Files = {
      ...real.files!,
      open: async (...words) => {
        const file = await real.files!.open(...words);
        return Object.assign(Object.create(file) as typeof file, {
          write: () => Promise.reject(Object.assign(new Error("no space"), { code: "ENOSPC" })),
          setMode: (mode: number) => file.setMode(mode),
          close: () => file.close(),
        });
      },
    };
    const runtime: Runtime = { ...real, files };
    const image = buildImage(new Map([["a", "1"]]), null);
    await assert.rejects(writeImage(runtime, path, image, { mode: 0o644, owner: null }), /no space/);
    assert.equal(readFileSync(path, "latin1"), "old");
    assert.ok(!readdirSync(folder).some((name) => name.endsWith(".new")));
    assert.ok(existsSync(path));
  });

  it("belongs to its text by size and time, and where they cannot tell by its bytes", () => {
    const path = join(folder, "t");
    const [past, now] = [new Date(1e12), new Date()];
    const write = (text: string, at: Date): void => {
      writeFileSync(path, text);
      utimesSync(path, at, at);
    };
    write("a 1\n", past);
    const text = (): ReturnType<Files["statSync"]> => real.files!.statSync(path);
    const identity = textIdentity(real, text(), latin1Encode("a 1\n"));
    assert.deepEqual(identityOf(buildImage(new Map(), identity)), identity);
    assert.equal(identityOf(buildImage(new Map(), null)), null);
    const image = { ...text(), modified: past.getTime() + 1000 };
    const same = (): boolean => belongs(real, identity, image, text(), path);
    assert.ok(same());
    write("a 22\n", past);
    assert.ok(!same(), "another size");
    write("a 1\n", now);
    assert.ok(same(), "another time, the same bytes");
    write("a 2\n", now);
    assert.ok(!same(), "another time and other bytes");
    write("a 2\n", past);
    assert.ok(same(), "the same time long before the image was made: the bytes are not read");
    const hot = { ...image, modified: past.getTime() + 999 };
    assert.ok(!belongs(real, identity, hot, text(), path), "the same time, just before the image was made");
  });
});
