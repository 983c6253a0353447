/**
 * Who may view and flush the queue: Debian's postqueue, run as several users, beside ours.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { postqueue } from "../../src/commands/postqueue.ts";
import { Site } from "../commands/site.ts";
import { debianPostfix } from "./debian-postfix.ts";

const SETTINGS = [
  "authorized_flush_users = root, daemon\nauthorized_mailq_users = !nobody, static:all",
  "authorized_flush_users = Unknown nobody\nauthorized_mailq_users =",
];
/** root, daemon, nobody, and a number without a name. */
const USERS = [0, 1, 65534, 4242];
const WORDS = [["-p"], ["-j"], ["-f"], ["-i", "ABC"], ["-i", "?"], ["-s", "@x"]];

/** What a running system would answer is no matter of this test. */
const verdict = (status: number | null, errors: string): string =>
  /not allowed|invalid/.test(errors) ? `${status} ${errors}` : "passes";

describe("postqueue's access lists beside Debian's", { skip: !debianPostfix }, () => {
  const folder = mkdtempSync(join(tmpdir(), "postqueue-"));

  before(() => {
    chmodSync(folder, 0o755);
    for (const name of ["pid", "public", "private"]) mkdirSync(`${folder}/spool/${name}`, { recursive: true });
    // Without its set-gid bit: that forbids a configuration of the caller's own.
    copyFileSync("/usr/sbin/postqueue", `${folder}/postqueue`);
    chmodSync(`${folder}/postqueue`, 0o755);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  for (const settings of SETTINGS) {
    test(settings.replace("\n", "; "), async () => {
      writeFileSync(`${folder}/main.cf`, `compatibility_level = 3.6\nqueue_directory = ${folder}/spool\n${settings}\n`);
      const site = new Site(`${settings}\nmail_owner = postfix`);
      const denied = new Set<number>();
      try {
        for (const uid of USERS) {
          for (const words of WORDS) {
            const as = ["--reuid", `${uid}`, "--regid", "65534", "--clear-groups", `${folder}/postqueue`, "-c", folder];
            const theirs = spawnSync("setpriv", [...as, ...words], { encoding: "latin1" });
            const ours = await site.run(postqueue, words, { uid });
            const told = verdict(theirs.status, theirs.stderr);
            assert.equal(verdict(ours.status, ours.errors), told, `${uid} ${words.join(" ")}`);
            if (told.includes("not allowed")) denied.add(uid);
          }
        }
      } finally {
        site.remove();
      }
      assert.ok(denied.size >= 2, [...denied].join(" "));
    });
  }
});
