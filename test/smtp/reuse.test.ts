/**
 * Sessions kept between deliveries: when they are used again, and what becomes of one that died.
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Script, ScriptedServer } from "./scripted-server.ts";
import { scriptedServer } from "./scripted-server.ts";
import type { Desk } from "./delivering.ts";
import { alone, desk, never, request } from "./delivering.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

async function withServer(
  script: Script,
  config: object,
  act: (at: { server: ScriptedServer; nexthop: string; desk: Desk }) => Promise<void>,
): Promise<void> {
  const server = await scriptedServer(script);
  const at = desk({ ...config });
  await act({ server, nexthop: `[127.0.0.1]:${server.port}`, desk: at });
  await at.close();
  await server.close();
}

describe("a session is kept for the next delivery", () => {
  it("three deliveries use one session, and say so", async () => {
    await withServer({}, {}, async ({ server, nexthop, desk }) => {
      const uses: number[] = [];
      for (let count = 0; count < 3; count++) {
        const [result] = await desk.agent.deliver(request(nexthop), never, alone);
        assert.equal(result?.outcome, "sent");
        uses.push(result?.connectionUse ?? 0);
      }
      assert.deepEqual(uses, [1, 2, 3]);
      assert.equal(server.sessions.length, 1);
      assert.ok(!server.sessions[0]?.commands.includes("RSET"), "a fresh session is not probed");
    });
  });

  it("is probed with RSET when it rested for a while", async () => {
    for (const features of [["PIPELINING"], []]) {
      await withServer({ features }, {}, async ({ server, nexthop, desk }) => {
        await desk.agent.deliver(request(nexthop), never, alone);
        await sleep(150);
        const [result] = await desk.agent.deliver(request(nexthop), never, alone);
        assert.deepEqual([result?.outcome, result?.connectionUse], ["sent", 2]);
        assert.equal(server.sessions.length, 1);
        assert.ok(server.sessions[0]?.commands.includes("RSET"));
      });
    }
  });

  it("a session that the server closed meanwhile costs nothing", async () => {
    for (const mail of [["250 ok", "close"], ["250 ok", "421 4.4.2 timeout"]]) {
      let count = 0;
      await withServer({ mail: () => mail[count++] ?? "250 ok" }, {}, async ({ server, nexthop, desk }) => {
        await desk.agent.deliver(request(nexthop), never, alone);
        const [result] = await desk.agent.deliver(request(nexthop), never, alone);
        assert.deepEqual([result?.outcome, result?.connectionUse], ["sent", 1]);
        assert.equal(server.sessions.length, 2);
        assert.deepEqual(desk.lines, []);
      });
    }
  });

  it("a failed probe costs nothing", async () => {
    await withServer({ rset: "421 bye" }, {}, async ({ server, nexthop, desk }) => {
      await desk.agent.deliver(request(nexthop), never, alone);
      await sleep(150);
      const [result] = await desk.agent.deliver(request(nexthop), never, alone);
      assert.equal(result?.outcome, "sent");
      assert.equal(server.sessions.length, 2);
      assert.equal(server.sessions[0]?.contents.length, 1);
    });
  });

  it("ends with QUIT after its time", async () => {
    await withServer({}, { smtp_connection_cache_time_limit: 100 }, async ({ server, nexthop, desk }) => {
      await desk.agent.deliver(request(nexthop), never, alone);
      assert.ok(!server.sessions[0]?.commands.includes("QUIT"));
      await sleep(250);
      assert.equal(server.sessions[0]?.commands.at(-1), "QUIT");
      assert.equal(server.sessions[0]?.closed, true);
    });
  });

  it("is kept after refusals, not after 421", async () => {
    await withServer({ rcpt: "550 5.1.1 no" }, {}, async ({ server, nexthop, desk }) => {
      await desk.agent.deliver(request(nexthop), never, alone);
      await desk.agent.deliver(request(nexthop), never, alone);
      assert.equal(server.sessions.length, 1);
      server.script = { rcpt: "421 4.3.2 later" };
      await desk.agent.deliver(request(nexthop), never, alone);
      await desk.agent.deliver(request(nexthop), never, alone);
      assert.equal(server.sessions.length, 2);
    });
  });

  it("is not kept beyond the limits, or when caching is off", async () => {
    for (
      const config of [
        { smtp_connection_reuse_count_limit: 1 },
        { smtp_connection_cache_on_demand: false },
        { smtp_connection_reuse_time_limit: 0 },
      ]
    ) {
      await withServer({}, config, async ({ server, nexthop, desk }) => {
        await desk.agent.deliver(request(nexthop), never, alone);
        await desk.agent.deliver(request(nexthop), never, alone);
        assert.equal(server.sessions.length, 2);
      });
    }
  });

  it("one reply too many ends the session: replies must not slip by one", async () => {
    await withServer({ dot: "250 ok\r\n250 and one more" }, {}, async ({ server, nexthop, desk }) => {
      await desk.agent.deliver(request(nexthop), never, alone);
      await sleep(20);
      await desk.agent.deliver(request(nexthop), never, alone);
      assert.equal(server.sessions.length, 2);
    });
  });

  it("the signal calls off what is under way", async () => {
    await withServer({ dot: "silent" }, { smtp_data_done_timeout: 10_000 }, async ({ nexthop, desk }) => {
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 50);
      const [result] = await desk.agent.deliver(request(nexthop), controller.signal, alone);
      assert.deepEqual([result?.outcome, result?.status], ["deferred", "4.3.2"]);
      const [next] = await desk.agent.deliver(request(nexthop), controller.signal, alone);
      assert.equal(next?.outcome, "deferred");
    });
  });
});
