/** LMTP (RFC 2033): LHLO, one reply for each recipient, unix sockets. */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { Script } from "./scripted-server.ts";
import { scriptedServer } from "./scripted-server.ts";
import { alone, desk, never, request } from "./delivering.ts";

const RECIPIENTS = ["a@x.example", "b@x.example", "c@x.example", "d@x.example"];

async function overLmtp(script: Script) {
  const server = await scriptedServer({ lmtp: true, ...script });
  const { agent, close } = desk({}, undefined, "lmtp");
  const results = await agent.deliver(request(`inet:127.0.0.1:${server.port}`, RECIPIENTS), never, alone);
  await close();
  await new Promise((resolve) => setTimeout(resolve, 20));
  await server.close();
  return { results, commands: server.sessions[0]?.commands ?? [], port: server.port };
}

describe("LMTP", () => {
  for (const features of [["PIPELINING", "ENHANCEDSTATUSCODES"], []]) {
    it(`each recipient has its own end, ${features.length > 0 ? "pipelined" : "plain"}`, async () => {
      const { results, commands } = await overLmtp({
        features,
        rcpt: ["250 ok", "550 5.1.1 unknown", "250 ok", "250 ok"],
        dot: ["250 2.0.0 stored", "452 4.2.2 full", "552 5.2.2 full for good"],
        fragmented: true,
      });
      assert.equal(commands[0], "LHLO client.example");
      assert.deepEqual(results.map((result) => [result.outcome, result.status, result.scope]), [
        ["sent", "2.0.0", "recipient"],
        ["bounced", "5.1.1", "recipient"],
        ["deferred", "4.2.2", "recipient"],
        ["bounced", "5.2.2", "recipient"],
      ]);
      assert.match(results[2]?.reason ?? "", /said: 452 4\.2\.2 full \(in reply to end of DATA command\)$/);
    });
  }

  it("a server that goes between the replies: who was answered is done", async () => {
    const dot = ["250 2.0.0 stored", { reply: "250 2.0.0 stored", then: "close" } as const];
    const { results } = await overLmtp({ dot: (_, count) => dot[count] ?? "close" });
    assert.deepEqual(results.map((result) => result.outcome), ["sent", "sent", "deferred", "deferred"]);
    assert.match(results[3]?.reason ?? "", /^lost connection with .* while sending end of data -- message may/);
  });

  it("500 to LHLO is refusal", async () => {
    const { results, commands } = await overLmtp({ ehlo: "500 what" });
    assert.match(results[0]?.reason ?? "", /^host 127\.0\.0\.1\[127\.0\.0\.1\] refused to talk to me: 500 what$/);
    assert.deepEqual(commands, ["LHLO client.example", "QUIT"]);
  });

  it("over a unix socket", async () => {
    const folder = mkdtempSync(join(tmpdir(), "lmtp-"));
    const path = join(folder, "socket");
    const server = await scriptedServer({ lmtp: true }, { path });
    const { agent, close } = desk({}, undefined, "lmtp");
    const [result] = await agent.deliver(request(`unix:${path}`), never, alone);
    assert.deepEqual([result?.outcome, result?.relay], ["sent", `client.example[${path}]`]);
    await close();
    await server.close();
    const other = desk({}, undefined, "lmtp");
    const [missing] = await other.agent.deliver(request(`unix:${path}.missing`), never, alone);
    assert.equal(missing?.reason, `connect to client.example[${path}.missing]: No such file or directory`);
    await other.close();
    rmSync(folder, { recursive: true });
  });
});
