/** Probes of address verification: a message that stops where its recipients are answered. */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { NO_CLIENT } from "../../src/envelope.ts";
import { deliveryLine } from "../../src/qmgr/report.ts";
import { alone, desk, never, request } from "./delivering.ts";
import { type Script, scriptedServer } from "./scripted-server.ts";

async function probed(script: Script, recipients: readonly string[] = ["a@x.example", "b@x.example"]) {
  const server = await scriptedServer(script);
  const { agent, close } = desk();
  const envelope = { sender: "probe@x", arrived: 0, client: NO_CLIENT, encoding: "" as const, ret: "" as const };
  const results = await agent.deliver(
    request(`[127.0.0.1]:${server.port}`, recipients, { envelope: { ...envelope, envid: "", probe: "verify" } }),
    never,
    alone,
  );
  await close();
  await server.close();
  const commands = server.sessions[0]!.commands.filter((line) => /^(?:RCPT|DATA|RSET)/.test(line));
  return {
    outcomes: results.map(({ outcome }) => outcome),
    results,
    commands: commands.map((line) => line.slice(0, 4)),
  };
}

describe("a probe", () => {
  for (const features of [["PIPELINING"], []]) {
    it(`ends with RSET behind the last recipient (${features.join() || "one command at a time"})`, async () => {
      const { outcomes, commands, results } = await probed({
        features,
        rcpt: (line) => line.includes("a@") ? "250 2.1.5 known" : "550 5.1.1 unknown",
      });
      assert.deepEqual(outcomes, ["sent", "bounced"]);
      assert.deepEqual(commands, ["RCPT", "RCPT", "RSET"]);
      assert.equal(results[0]?.reason, "250 2.1.5 known");
    });
  }

  it("whose sender is refused bounces, and one that meets silence waits", async () => {
    assert.deepEqual((await probed({ mail: "550 5.7.1 no" })).outcomes, ["bounced", "bounced"]);
    assert.deepEqual((await probed({ rcpt: "close" }, ["a@x.example"])).outcomes, ["deferred"]);
  });

  it("is deliverable or undeliverable in the log", async () => {
    const times = { arrived: 0, activeAt: 0, startedAt: 0, now: 0 };
    const { results } = await probed({ rcpt: ["250 ok", "450 4.2.0 later"] });
    const shown = results.map((result) =>
      / status=.*/.exec(deliveryLine("Q", request("x").recipients[0]!, result, times, "verify"))![0]
    );
    assert.equal(shown[0], " status=deliverable (250 ok)");
    assert.match(shown[1]!, /^ status=undeliverable \(host .* said: 450 4\.2\.0 later/);
  });
});
