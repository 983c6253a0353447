import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { postsuper } from "../../src/commands/postsuper.ts";
import { sendmail } from "../../src/commands/sendmail.ts";
import { Site } from "./site.ts";

let site: Site;
let ids: string[];
beforeEach(async () => {
  site = new Site("maillog_file = $queue_directory/mail.log");
  ids = await site.fill([
    { sender: "s@x", recipients: [["a@b", "why"]] },
    { sender: "s@x", recipients: [["c@d", "why"]] },
    { sender: "s@x", recipients: [["e@f", ""]] },
    { sender: "s@x", recipients: [["g@h", ""]], hold: true },
  ]);
});
afterEach(() => site.remove());

/** Queue of each of the four messages, "-" when it is gone. */
const queues = (): Promise<string> =>
  site.withStore((store) => Promise.resolve(ids.map((id) => store.get(id)?.queue ?? "-").join(" ")));

const run = async (words: readonly string[], input = ""): Promise<readonly [number, string]> => {
  const { status, output, errors } = await site.run(postsuper, words, { input });
  assert.equal(output, "");
  let text = errors;
  for (const [at, id] of ids.entries()) text = text.replaceAll(id, `ID${at + 1}`);
  return [status, text.replace(/^postsuper: /gm, "")];
};

describe("postsuper", () => {
  it("removes one message", async () => {
    assert.deepEqual(await run(["-d", ids[0]!]), [0, "ID1: removed\nDeleted: 1 message\n"]);
    assert.equal(await queues(), "- deferred incoming hold");
  });
  it("removes all, those in maildrop too, without a line for each", async () => {
    await site.run(sendmail, ["a"], { input: "x\n" });
    assert.deepEqual(await run(["-d", "ALL"]), [0, "Deleted: 5 messages\n"]);
    assert.equal(await queues(), "- - - -");
    assert.deepEqual(site.dropped(), []);
  });
  it("removes a message of maildrop by its name", async () => {
    await site.run(sendmail, ["a"], { input: "x\n" });
    const { name } = site.dropped()[0]!;
    assert.deepEqual(await run(["-d", name]), [0, `${name}: removed\nDeleted: 1 message\n`]);
    assert.deepEqual(site.dropped(), []);
  });
  it("removes all of the named queues alone", async () => {
    await site.run(sendmail, ["a"], { input: "x\n" });
    assert.deepEqual(await run(["-d", "ALL", "deferred", "hold"]), [0, "Deleted: 3 messages\n"]);
    assert.equal(await queues(), "- - incoming -");
    assert.equal(site.dropped().length, 1);
  });
  it("takes ids from standard input, and passes over unknown ones", async () => {
    const input = `${ids[0]}\n${ids[3]}\nABCDEF0\n`;
    assert.deepEqual(await run(["-d", "-"], input), [0, "ID1: removed\nID4: removed\nDeleted: 2 messages\n"]);
    assert.deepEqual(await run(["-d", "-"]), [0, "Deleted: 0 messages\n"]);
    assert.deepEqual(await run(["-d", "-"], `${ids[1]} x\n\n${ids[2]}`), [
      0,
      "warning: invalid mail queue id: ID2 x\nwarning: invalid mail queue id: \nID3: removed\nDeleted: 1 message\n",
    ]);
    assert.deepEqual(await run(["-d", "-"], "ALL\n"), [0, "Deleted: 0 messages\n"]);
    assert.equal(await queues(), "- deferred - -");
  });
  it("holds and releases", async () => {
    assert.deepEqual(await run(["-h", ids[0]!, "-h", ids[3]!]), [
      0,
      "ID1: placed on hold\nPlaced on hold: 1 message\n",
    ]);
    assert.deepEqual(await run(["-h", "ALL", "deferred"]), [0, "Placed on hold: 1 message\n"]);
    assert.equal(await queues(), "hold hold incoming hold");
    assert.deepEqual(await run(["-H", "ALL", "deferred"]), [0, "Released from hold: 0 messages\n"]);
    assert.deepEqual(await run(["-H", ids[0]!]), [0, "ID1: released from hold\nReleased from hold: 1 message\n"]);
    assert.deepEqual(await run(["-H", "ALL"]), [0, "Released from hold: 2 messages\n"]);
    assert.equal(await queues(), "deferred deferred incoming deferred");
  });
  it("expires, and releases too with -f", async () => {
    const marks = (): Promise<string> =>
      site.withStore((store) => Promise.resolve(ids.map((id) => store.get(id)!.expired ? "x" : "-").join("")));
    assert.deepEqual(await run(["-e", ids[0]!, "-e", ids[3]!]), [
      0,
      "ID1: expired\nID4: expired\nForce-expired: 2 messages\n",
    ]);
    assert.deepEqual([await queues(), await marks()], ["deferred deferred incoming hold", "x--x"]);
    assert.deepEqual(await run(["-f", "-"], `${ids[1]}\n${ids[3]}\n`), [
      0,
      "ID2: expired\nID4: released from hold\nForce-expired: 1 message\nReleased from hold: 1 message\n",
    ]);
    assert.deepEqual(await run(["-e", "ALL", "incoming"]), [0, "Force-expired: 1 message\n"]);
    assert.deepEqual([await queues(), await marks()], ["deferred deferred incoming deferred", "xxxx"]);
  });
  it("requeues what waits and what is held, and leaves maildrop alone", async () => {
    await site.run(sendmail, ["a"], { input: "x\n" });
    assert.deepEqual(await run(["-r", "ALL", "maildrop"]), [0, "Requeued: 0 messages\n"]);
    assert.equal(site.dropped().length, 1);
    const now = Date.now();
    assert.deepEqual(await run(["-r", ids[0]!, "-r", ids[3]!]), [
      0,
      "ID1: requeued\nID4: requeued\nRequeued: 2 messages\n",
    ]);
    const due = await site.withStore((store) => Promise.resolve(ids.map((id) => store.get(id)!.due)));
    assert.ok(due[0]! < now + 30_000 && due[3]! < now + 30_000 && due[1]! > now + 30_000);
  });
  it("does what its options say, one after the other", async () => {
    assert.deepEqual(await run(["-h", ids[1]!, "-d", ids[0]!, "-H", "ALL"]), [
      0,
      "ID2: placed on hold\nID1: removed\n" +
      "Deleted: 1 message\nPlaced on hold: 1 message\nReleased from hold: 2 messages\n",
    ]);
    assert.equal(await queues(), "- deferred incoming deferred");
    assert.deepEqual(await run(["-h", "ALL", "-r", ids[1]!, "-h", ids[1]!, "-d", ids[2]!]), [
      0,
      "ID2: requeued\nID3: removed\nRequeued: 1 message\nDeleted: 1 message\nPlaced on hold: 3 messages\n",
    ]);
  });
  it("tells what it did to each message in the order of the input", async () => {
    assert.deepEqual(await run(["-f", "-"], `${ids[3]}\nx y\n${ids[1]}\n`), [
      0,
      "ID4: expired\nID4: released from hold\nwarning: invalid mail queue id: x y\n" +
      "warning: invalid mail queue id: x y\nID2: expired\n" +
      "Force-expired: 2 messages\nReleased from hold: 1 message\n",
    ]);
  });
  it("has nothing to mend with -s and -p", async () => {
    for (const words of [[], ["-s"], ["-p"], ["-sp", "deferred"]]) assert.deepEqual(await run(words), [0, ""]);
  });
  it("warns of what is no queue id", async () => {
    assert.deepEqual(await run(["-d", "ABC!"]), [0, "warning: invalid mail queue id: ABC!\nDeleted: 0 messages\n"]);
    const [, text] = await run(["-d", "\xe9"]);
    assert.equal(text, "warning: invalid mail queue id: \xc3\xa9\nDeleted: 0 messages\n");
    const long = "A".repeat(255);
    for (const id of ["A_B", long]) assert.deepEqual(await run(["-d", id]), [0, "Deleted: 0 messages\n"]);
    assert.deepEqual(await run(["-d", "-"], `${long}A\n${`${long}\n`.repeat(500)}${ids[0]}`), [
      0,
      `warning: invalid mail queue id: ${long}A\nID1: removed\nDeleted: 1 message\n`,
    ]);
  });
  it("refuses what it cannot do", async () => {
    assert.deepEqual(await run(["-d", "ALL", "nosuch"]), [1, "fatal: invalid directory name: nosuch\n"]);
    assert.deepEqual(await run(["-c", "etc"]), [1, "fatal: -c requires absolute pathname\n"]);
    assert.match(
      (await run(["-d"]))[1],
      /^option requires an argument -- 'd'\nfatal: usage: postsuper \[-c config_dir\]/,
    );
    const { status, errors } = await site.run(postsuper, ["-d", "ALL"], { uid: 54321 });
    assert.deepEqual([status, errors], [1, "postsuper: fatal: use of this command is reserved for the superuser\n"]);
    assert.equal(await queues(), "deferred deferred incoming hold");
  });
});
