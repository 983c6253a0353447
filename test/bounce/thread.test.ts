import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { messageIdOf } from "../../src/bounce/thread.ts";
import { latin1Encode } from "../../src/latin1.ts";
import { desk } from "./desk.ts";

async function* pieces(text: string, length: number): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  for (let at = 0; at < text.length; at += length) yield latin1Encode(text.slice(at, at + length));
}

describe("the message id of headers", () => {
  /** As Postfix 3.7 finds it. */
  const ROWS: readonly (readonly [string, string])[] = [
    ["Message-Id: <m@x>", "<m@x>"],
    ["Subject: a\r\nmessage-id:<m@x>  ", "<m@x>"],
    ["References: <a@b>", ""],
    ["Resent-Message-Id: <r@x>\r\nMessage-ID: \t<m@x>", "<m@x>"],
    ["Message-Id: <m1@x>\r\nMessage-Id: <m2@x>", "<m1@x>"],
    ["Message-Id: none", ""],
    ["Message-Id: <m@x> (comment)", ""],
    ["Message-Id:\r\n <m@x>", ""],
    ["Message-Id: ", ""],
    ["", ""],
  ];
  for (const [headers, expected] of ROWS) {
    it(`is ${expected} in ${JSON.stringify(headers)}`, async () => {
      for (const length of [1, 1000]) assert.equal(await messageIdOf(pieces(`${headers}\r\n`, length)), expected);
    });
  }

  it("is not looked for without end", async () => {
    assert.equal(await messageIdOf(pieces(`X: ${"x".repeat(200_000)}\r\nMessage-Id: <m@x>\r\n`, 1024)), "");
  });
});

describe("a notice in the thread of its message", () => {
  const content = "Message-Id: <m@x>\r\n\r\nMessage-Id: <body@x>\r\n";
  const failed = {
    waiting: {
      recipient: { address: "x@d.example", original: "", originalRecipient: "", notify: [] },
      index: 0,
    },
    result: {
      outcome: "bounced",
      scope: "recipient",
      status: "5.1.1",
      reason: "no",
      remote: null,
      relay: "local",
      connectionUse: 0,
      connectedAt: 0,
    },
  } as const;

  for (const [main, expected] of [["", false], ["enable_threaded_bounces = yes", true]] as const) {
    it(`refers to it${expected ? "" : " not"} with "${main}"`, async () => {
      const { bounce, sent, message, close } = await desk(main);
      await bounce.undeliverable(await message({}, content), [failed]);
      await close();
      const head = sent[0]!.text.split("\r\n\r\n")[0]!;
      assert.equal(head.includes("\r\nReferences: <m@x>\r\nIn-Reply-To: <m@x>\r\nAuto-Submitted:"), expected);
    });
  }
});
