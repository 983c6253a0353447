/** The client against Postfix's own smtp-sink(1), where it is installed. */

import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { alone, desk, never, request } from "../smtp/delivering.ts";

const SINK = "/usr/sbin/smtp-sink";
const PORT = 20_000 + process.pid % 10_000;

async function answers(port: number): Promise<boolean> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const there = await new Promise<boolean>((done) => {
      const socket = connect(port, "127.0.0.1", () => (socket.destroy(), done(true)));
      socket.on("error", () => done(false));
    });
    if (there) return true;
    await new Promise((again) => setTimeout(again, 20));
  }
  return false;
}

const rows: readonly (readonly [string, readonly string[], string, RegExp])[] = [
  ["all is well", [], "sent", /^250 2\.0\.0 Ok/],
  ["no ESMTP", ["-e"], "sent", /^250 2\.0\.0 Ok/],
  ["no PIPELINING", ["-p"], "sent", /^250 2\.0\.0 Ok/],
  ["hard error at RCPT", ["-f", "RCPT"], "bounced", /said: 500 5\.3\.0 Error: command failed \(in reply to RCPT TO/],
  ["soft error at RCPT", ["-r", "RCPT"], "deferred", /said: 450 4\.3\.0 Error: command failed \(in reply to RCPT TO/],
  ["hard error at MAIL", ["-f", "MAIL"], "bounced", /in reply to MAIL FROM command\)$/],
  ["soft error at DATA", ["-r", "DATA"], "deferred", /in reply to DATA command\)$/],
  ["hard error after the dot", ["-f", "."], "bounced", /in reply to end of DATA command\)$/],
  ["hang-up at RCPT", ["-q", "RCPT"], "deferred", /^lost connection with .* while sending RCPT TO$/],
  ["hang-up after the dot", ["-q", "."], "deferred", /^lost connection with .* while sending end of data/],
];

describe("smtp-sink", { skip: !existsSync(SINK) }, () => {
  for (const [at, [name, options, outcome, reason]] of rows.entries()) {
    it(name, async () => {
      const port = PORT + at;
      const user = process.getuid?.() === 0 ? ["-u", "nobody"] : [];
      const sink: ChildProcess = spawn(SINK, [...user, ...options, `127.0.0.1:${port}`, "100"], { stdio: "ignore" });
      try {
        assert.ok(await answers(port));
        const { agent, close } = desk();
        for (let count = 0; count < 3; count++) {
          const [result] = await agent.deliver(request(`[127.0.0.1]:${port}`), never, alone);
          assert.equal(result?.outcome, outcome, result?.reason);
          assert.match(result?.reason ?? "", reason);
        }
        await close();
      } finally {
        sink.kill();
      }
    });
  }
});
