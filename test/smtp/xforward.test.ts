import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ClientOrigin } from "../../src/envelope.ts";
import { alone, desk, never, request } from "./delivering.ts";
import { type Script, scriptedServer } from "./scripted-server.ts";

const CLIENT: ClientOrigin = {
  name: "c.example",
  address: "192.0.2.1",
  port: 99,
  helo: "h.example",
  protocol: "ESMTP",
};
const ALL = "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE";

async function commands(script: Script, messages = 1, lmtp = false): Promise<{ lines: string[]; log: string[] }> {
  const server = await scriptedServer({ ...script, lmtp });
  const config = { smtp_send_xforward_command: true, lmtp_send_xforward_command: true };
  const { agent, close, lines } = desk(config, undefined, lmtp ? "lmtp" : "smtp");
  const { envelope } = request("x");
  for (let count = 0; count < messages; count++) {
    const [result] = await agent.deliver(
      request(`[127.0.0.1]:${server.port}`, ["a@x.example"], { envelope: { ...envelope, client: CLIENT } }),
      never,
      alone,
    );
    assert.equal(result?.outcome, "sent", result?.reason);
  }
  await close();
  await server.close();
  const said = server.sessions.flatMap((session) => session.commands).filter((line) => /^(?:XFORWARD|MAIL)/.test(line));
  return { lines: said.map((line) => line.replace(/^MAIL.*/, "MAIL")), log: lines };
}

const TWO = [
  "XFORWARD NAME=c.example ADDR=192.0.2.1 PORT=99",
  "XFORWARD PROTO=ESMTP HELO=h.example IDENT=QID SOURCE=LOCAL",
  "MAIL",
];

describe("XFORWARD", () => {
  for (const features of [[ALL], [ALL, "PIPELINING"]]) {
    it(`goes before each message (${features.length === 1 ? "one command at a time" : "pipelined"})`, async () => {
      assert.deepEqual((await commands({ features, xforward: "250 2.0.0 Ok" }, 2)).lines, [...TWO, ...TWO]);
    });

    it("that is refused costs a warning, and the message goes on", async () => {
      const { lines, log } = await commands({ features, xforward: "550 5.7.0 no" });
      assert.deepEqual(lines, TWO);
      assert.deepEqual(log.map((line) => line.replace(/:\d+ said/, " said")), [
        "warning: host 127.0.0.1[127.0.0.1] said: 550 5.7.0 no (in reply to XFORWARD name/address command)",
        "warning: host 127.0.0.1[127.0.0.1] said: 550 5.7.0 no (in reply to XFORWARD helo/protocol command)",
      ]);
    });
  }

  it("holds what the server announced only", async () => {
    const xforward = "250 2.0.0 Ok";
    assert.deepEqual((await commands({ features: ["XFORWARD HELO ADDR"], xforward })).lines, [
      "XFORWARD ADDR=192.0.2.1",
      "XFORWARD HELO=h.example",
      "MAIL",
    ]);
    assert.deepEqual((await commands({ features: ["PIPELINING"] })).lines, ["MAIL"]);
  });

  it("goes to LMTP servers too", async () => {
    assert.deepEqual((await commands({ features: [ALL], xforward: "250 2.0.0 Ok" }, 1, true)).lines, TWO);
  });
});
