import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { postdrop } from "../../src/commands/postdrop.ts";
import { latin1Decode } from "../../src/latin1.ts";
import { maildropPreface } from "../../src/maildrop.ts";
import { Site } from "./site.ts";

let site: Site;
beforeEach(() => site = new Site("message_size_limit = 1000"));
afterEach(() => site.remove());

const PREFACE = latin1Decode(
  maildropPreface({ sender: "s@x", fullName: null, recipients: ["a@b"], encoding: "", notify: [], ret: "", envid: "" }),
);

describe("postdrop", () => {
  it("drops a message file", async () => {
    const ran = await site.run(postdrop, ["-v"], { input: `${PREFACE}Subject: x\n\nbody\n` });
    assert.deepEqual(ran, { status: 0, output: "", errors: "" });
    assert.equal(site.dropped()[0]!.content, "Subject: x\n\nbody\n");
  });
  for (
    const [what, input, text] of [
      ["nothing", "", "malformed input"],
      ["another format", "T1234 xyz\n", "malformed input"],
      ["an envelope without recipients", PREFACE.replace('"a@b"', ""), "malformed input"],
      ["too much", `${PREFACE}${"x".repeat(1000)}`, "File too large"],
    ] as const
  ) {
    it(`refuses ${what} and leaves nothing`, async () => {
      const { status, errors } = await site.run(postdrop, [], { input, uid: 42 });
      assert.deepEqual([status, errors], [1, `postdrop: fatal: uid=42: ${text}\n`]);
      assert.deepEqual(site.dropped(), []);
    });
  }
  it("tells its usage", async () => {
    const { status, errors } = await site.run(postdrop, ["-z"]);
    assert.deepEqual([status, errors], [
      1,
      "postdrop: invalid option -- 'z'\npostdrop: fatal: usage: postdrop [-c config_dir] [-v]\n",
    ]);
  });
});
