/**
 * `postconf -b` and `postconf -t` of ours beside Debian's for each template file: output, errors and status.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, describe, it } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import { postconf } from "../../src/commands/postconf.ts";
import { latin1Decode, latin1Encode } from "../../src/latin1.ts";
import { TEMPLATE_FILES } from "../bounce/template-files.ts";

const DEBIAN = "/usr/sbin/postconf";

interface Ran {
  readonly status: number | null;
  readonly output: string;
  readonly errors: string;
}

async function ours(words: readonly string[]): Promise<Ran> {
  const real = await currentRuntime();
  let output = "";
  let errors = "";
  const processes = Object.create(real.processes, {
    writeOutput: { value: (bytes: Uint8Array) => output += latin1Decode(bytes) },
    writeError: { value: (bytes: Uint8Array) => errors += latin1Decode(bytes) },
  });
  return { status: await postconf({ ...real, processes }, words), output, errors };
}

/** At the same time as others: a fatal error of Debian's sleeps a second. */
function debians(words: readonly string[]): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(DEBIAN, words, { argv0: "postconf" });
    let output = "";
    let errors = "";
    child.stdout.setEncoding("latin1").on("data", (text: string) => output += text);
    child.stderr.setEncoding("latin1").on("data", (text: string) => errors += text);
    child.on("error", reject);
    // On a busy machine a line of Debian's bounce(8) can come more than once.
    child.on("close", (status) => resolve({ status, output, errors: errors.replace(/^(.*\n)\1+/gm, "$1") }));
  });
}

describe("texts of notices", { skip: existsSync(DEBIAN) ? false : "Debian's postfix is not installed" }, () => {
  const folder = mkdtempSync(`${tmpdir()}/templates-`);
  after(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(`${folder}/master.cf`, "");
  const configured = TEMPLATE_FILES[2]!;
  writeFileSync(`${folder}/configured`, latin1Encode(configured.text));
  writeFileSync(
    `${folder}/main.cf`,
    `compatibility_level = 3.6\nmyhostname = mx.example\nmail_name = Postfix\n` +
      `daemon_directory = /usr/lib/postfix/sbin\nbounce_template_file = ${folder}/configured\n`,
  );
  const both = async (...words: readonly string[]): Promise<void> => {
    const [mine, theirs] = await Promise.all([ours(["-c", folder, ...words]), debians(["-c", folder, ...words])]);
    assert.deepEqual(mine, theirs, words.join(" "));
  };

  it("of each file are the same", async () => {
    await Promise.all(TEMPLATE_FILES.flatMap(({ text }, at) => {
      const file = `${folder}/file-${at}`;
      writeFileSync(file, latin1Encode(text));
      return [both("-b", file), both("-t", file)];
    }));
  });

  it("without a file, without a name, of a file that is not there, with other options", async () => {
    await Promise.all([
      both("-b"),
      both("-t"),
      both("-b", ""),
      both("-t", ""),
      both("-b", `${folder}/none`),
      both("-t", "a", "b"),
      both("-b", "-t"),
      both("-b", "-n"),
      both("-t", "-n", "-x"),
      both("-b", "-M"),
    ]);
  });
});
