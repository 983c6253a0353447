import assert from "node:assert/strict";
import { afterEach, describe, it } from "node:test";
import { requireAuthorized } from "../../src/commands/authorized.ts";
import { postqueue } from "../../src/commands/postqueue.ts";
import { sendmail } from "../../src/commands/sendmail.ts";
import { Tool } from "../../src/commands/tool.ts";
import { loadConfig } from "../../src/config/config.ts";
import { currentRuntime } from "../../runtimes/select.ts";
import { configured } from "../config/fake-runtime.ts";
import { SELF, Site } from "./site.ts";

const NOBODY = 65534;
const NO_SUCH_USER = 4242;
const DOWN = "Cannot flush mail queue - mail system is down";

describe("authorized_flush_users, authorized_mailq_users", () => {
  let site: Site | null = null;
  afterEach(() => site?.remove());

  const told = async (uid: number, ...words: string[]): Promise<string> => {
    const { status, errors } = await site!.run(postqueue, words, { uid });
    assert.equal(status, 69);
    return errors.replace("postqueue: fatal: ", "").trimEnd();
  };

  it("let the super-user, mail_owner and those on the list pass, and nobody else", async () => {
    site = new Site("authorized_flush_users = daemon, unknown\nauthorized_mailq_users = !nobody, static:all");
    for (const words of [["-f"], ["-i", "ABC"], ["-s", "x.example"]]) {
      assert.equal(await told(NOBODY, ...words), "User nobody(65534) is not allowed to flush the mail queue");
    }
    for (const word of ["-p", "-j"]) {
      assert.equal(await told(NOBODY, word), "User nobody(65534) is not allowed to view the mail queue");
    }
    for (const uid of [0, 1, NO_SUCH_USER, SELF.uid]) assert.equal(await told(uid, "-f"), DOWN);
  });

  it("what is wrong with the command line is told first", async () => {
    site = new Site("authorized_flush_users =");
    assert.equal(await told(NOBODY, "-i", "?"), 'Cannot flush queue ID - invalid name: "?"');
    assert.equal(await told(NO_SUCH_USER, "-f"), "User unknown(4242) is not allowed to flush the mail queue");
  });

  it("hold for mailq and sendmail -q too", async () => {
    site = new Site("authorized_flush_users = root\nauthorized_mailq_users = root");
    assert.match((await site.run(sendmail, ["-bp"], { uid: NOBODY })).errors, /nobody\(65534\) is not allowed to view/);
    assert.match((await site.run(sendmail, ["-q"], { uid: NOBODY })).errors, /nobody\(65534\) is not allowed to flush/);
  });

  it("anybody passes by default; a list that cannot be read lets nobody pass", async () => {
    const real = await currentRuntime();
    const tool = new Tool({ ...real, processes: { ...real.processes!, uid: () => NOBODY } }, "postqueue");
    const config = (main: string) => loadConfig(configured(`${main}\n`).runtime, "/etc/postfix").main;
    await requireAuthorized(tool, config(""), "view");
    await requireAuthorized(tool, config(""), "flush");
    await assert.rejects(requireAuthorized(tool, config("authorized_flush_users = hash:/no/such"), "flush"), /no.such/);
    await assert.rejects(requireAuthorized(tool, config("authorized_flush_users = /no/such/file"), "flush"), /no.such/);
  });
});
