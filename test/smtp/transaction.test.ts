/** Content larger than memory should hold, servers that stop reading, stores that fail. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import type { ContentSource } from "../../src/agent.ts";
import { latin1Encode } from "../../src/latin1.ts";
import type { Script } from "./scripted-server.ts";
import { scriptedServer } from "./scripted-server.ts";
import { alone, desk, never, request } from "./delivering.ts";

/** What the kernel may hold of a connection on this host: the sender's and the receiver's buffer. */
const SYSTEM_BUFFERS = ["tcp_rmem", "tcp_wmem"]
  .map((name) => Number(readFileSync(`/proc/sys/net/ipv4/${name}`, "latin1").trim().split(/\s+/)[2]))
  .reduce((sum, bytes) => sum + bytes, 0);
const CHUNK = latin1Encode(`${".".repeat(3)}${"x".repeat(75)}\r\n`.repeat(800));

/** A store that counts how far it was read. */
function streamed(chunks: number, failAt = Infinity): ContentSource & { given: number } {
  const source = {
    given: 0,
    pieces: () => null,
    read: async function* () {
      for (; source.given < chunks; source.given++) {
        if (source.given >= failAt) throw new Error("disk");
        yield await Promise.resolve(CHUNK);
      }
    },
  };
  return source;
}

async function delivered(source: ContentSource, script: Script, config: object = {}) {
  const server = await scriptedServer({ discard: true, features: ["PIPELINING"], ...script });
  const { agent, close } = desk({ ...config }, source);
  const [result] = await agent.deliver(request(`[127.0.0.1]:${server.port}`), never, alone);
  await close();
  await server.close();
  return { result, bytes: server.contentBytes };
}

describe("content from the store", () => {
  it("20 MB to a slow server, no further ahead than the buffers of the system", async () => {
    const source = streamed(310);
    const server = await scriptedServer({ discard: true, readRate: 256 * 1024 });
    const { agent, close } = desk({ smtp_data_xfer_timeout: 5000, smtp_data_done_timeout: 5000 }, source);
    let ahead = 0;
    const watch = setInterval(() => (ahead = Math.max(ahead, source.given * CHUNK.length - server.contentBytes)), 5);
    const [result] = await agent.deliver(request(`[127.0.0.1]:${server.port}`), never, alone);
    clearInterval(watch);
    await close();
    await server.close();
    assert.equal(result?.outcome, "sent", result?.reason);
    assert.equal(server.contentBytes, 310 * (CHUNK.length + 800));
    assert.ok(ahead < 1.25 * SYSTEM_BUFFERS, `${ahead} bytes ahead`);
  });

  it("a server that stops reading: time is over", async () => {
    const { result } = await delivered(streamed(1000), { data: "354 go", deaf: true });
    assert.match(result?.reason ?? "", /^conversation with .* timed out while sending message body$/);
    assert.equal(result?.scope, "destination");
  });

  it("a store that fails: no dot, and the mail waits", async () => {
    const { result, bytes } = await delivered(streamed(10, 3), {});
    assert.deepEqual([result?.outcome, result?.status, result?.scope], ["deferred", "4.3.0", "message"]);
    assert.match(result?.reason ?? "", /^local data error while talking to/);
    assert.ok(bytes < 10 * CHUNK.length);
  });

  it("a server that hangs up in the middle", async () => {
    const server = await scriptedServer({ discard: true, readRate: 1e9 });
    const { agent, close } = desk({}, streamed(100_000));
    setTimeout(() => void server.close(), 100);
    const [result] = await agent.deliver(request(`[127.0.0.1]:${server.port}`), never, alone);
    await close();
    assert.match(result?.reason ?? "", /^lost connection with .* while sending message body$/);
  });

  it("large content in memory is sent in pieces too", async () => {
    const pieces = Array.from({ length: 20 }, () => CHUNK);
    const source: ContentSource = { pieces: () => pieces, read: () => assert.fail("it is in memory") };
    const { result, bytes } = await delivered(source, {});
    assert.equal(result?.outcome, "sent");
    assert.equal(bytes, 20 * (CHUNK.length + 800));
  });
});
