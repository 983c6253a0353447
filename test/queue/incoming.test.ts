import assert from "node:assert/strict";
import { test } from "node:test";
import { NO_CLIENT, plainRecipient } from "../../src/envelope.ts";
import { ResourceError } from "../../src/errors.ts";
import type { QueueEngine } from "../../src/queue/engine.ts";
import { IncomingMessage } from "../../src/queue/incoming.ts";

const ENVELOPE = {
  sender: "s@x",
  recipients: [plainRecipient("u@y")],
  arrived: 0,
  client: NO_CLIENT,
  encoding: "",
  ret: "",
  envid: "",
} as const;

/** The runtime ends a process, and the test runner a test, for a rejection that nobody hears of. */
test("a large message whose file cannot be made: commit() tells it, also who waited for no piece", async () => {
  const engine = {
    large: () => Promise.reject(new ResourceError("EROFS", "queue file open: read-only")),
  } as unknown as QueueEngine;
  const accept = (): Promise<never> => Promise.reject(new Error("it is not accepted"));
  const message = new IncomingMessage("ID", engine, accept);
  // In one go, and then piece by piece while the error is known.
  for (let count = 0; count < 100; count++) void message.append(new Uint8Array(64 * 1024));
  await new Promise((resolve) => setTimeout(resolve, 10));
  for (let count = 0; count < 10; count++) void message.append(new Uint8Array(64 * 1024));
  await new Promise((resolve) => setTimeout(resolve, 10));
  await assert.rejects(message.commit(ENVELOPE), /queue file open: read-only/);
  const other = new IncomingMessage("OTHER", engine, accept);
  for (let count = 0; count < 100; count++) void other.append(new Uint8Array(64 * 1024));
  await new Promise((resolve) => setTimeout(resolve, 10));
  await other.abort();
});
