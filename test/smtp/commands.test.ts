import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_CLIENT, plainRecipient } from "../../src/envelope.ts";
import { mailCommand, rcptCommand } from "../../src/smtp/commands.ts";

type Peer = Parameters<typeof mailCommand>[2];

const PEER = { size: true, eightBitMime: true, dsn: true, smtputf8: true, xforward: new Set() } as unknown as Peer;
const ENVELOPE = { sender: "s@x.example", arrived: 0, client: NO_CLIENT, smtputf8: "requested" } as const;

test("parameters of MAIL come in Postfix's order", () => {
  const envelope = { ...ENVELOPE, encoding: "8bit", ret: "hdrs", envid: "a b" } as const;
  const line = "MAIL FROM:<s@x.example> SIZE=9 BODY=8BITMIME ENVID=a+20b RET=HDRS SMTPUTF8";
  assert.ok(mailCommand(envelope as never, 9, PEER).startsWith(line));
});

test("what looks like a source route is of the local part", () => {
  const line = rcptCommand(plainRecipient("@d.example:a@b.example"), { ...PEER, dsn: false });
  assert.ok(line.startsWith('RCPT TO:<"@d.example:a"@b.example>'));
});
