/**
 * Called by the name of one of Postfix's commands: through a link to the script, and through a link to the compiled
 * binary. (Deno loads no script through a link without an ending.)
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { after, before, describe, it } from "node:test";

const ROOT = new URL("..", import.meta.url).pathname;
const bin = (name: string): string => join(ROOT, "node_modules/.bin", name);

describe("a link with a command's name", { skip: process.versions.deno !== undefined }, () => {
  let folder = "";
  before(() => folder = mkdtempSync(join(tmpdir(), "postrider-names-")));
  after(() => rmSync(folder, { recursive: true, force: true }));

  it("to the script is that command", () => {
    symlinkSync(join(ROOT, "bin/postrider.ts"), join(folder, "postconf"));
    const output = execFileSync(process.execPath, [join(folder, "postconf"), "-dh", "mail_name"], { encoding: "utf8" });
    assert.equal(output, "Postrider\n");
  });

  it("to the compiled binary is that command", { timeout: 60_000 }, () => {
    const binary = join(folder, "postrider");
    execFileSync(bin("bun"), ["build", "--compile", join(ROOT, "bin/postrider.ts"), "--outfile", binary], {
      stdio: "ignore",
    });
    symlinkSync(binary, join(folder, "sendmail"));
    symlinkSync(binary, join(folder, "newaliases"));
    assert.equal(execFileSync(binary, ["postconf", "-dh", "mail_name"], { encoding: "utf8" }), "Postrider\n");
    assert.throws(() => execFileSync(join(folder, "sendmail"), ["-bz"], { stdio: "pipe" }), {
      status: 75,
      stderr: Buffer.from("sendmail: fatal: unsupported: -bz\n"),
    });
  });
});
