/**
 * `postconf -b` and `postconf -t` of ours beside Debian's for each template file: output, errors and status.
 */

import assert from "node:assert/strict";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { after, describe, it } from "node:test";
import { latin1Encode } from "../../src/latin1.ts";
import { TEMPLATE_FILES } from "../bounce/template-files.ts";
import { DEBIAN_POSTCONF, debians, ours } from "./run-postconf.ts";

describe(
  "texts of notices",
  { skip: existsSync(DEBIAN_POSTCONF) ? false : "Debian's postfix is not installed" },
  () => {
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
      const [mine, debian] = await Promise.all([ours(["-c", folder, ...words]), debians(["-c", folder, ...words])]);
      // On a busy machine a line of Debian's bounce(8) can come more than once.
      const theirs = { ...debian, errors: debian.errors.replace(/^(.*\n)\1+/gm, "$1") };
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
  },
);
