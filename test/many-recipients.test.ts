/**
 * One message to thousands of recipients, a delivery for each: what is written and kept of it grows as they do, and
 * others are served meanwhile.
 */

import assert from "node:assert/strict";
import { readdirSync, statSync } from "node:fs";
import process from "node:process";
import { test } from "node:test";
import { type Running, startPostrider, until } from "./postrider.ts";
import { SmtpClient } from "./smtp-client.ts";

const COUNT = 8_000;
const MAIN = `default_transport = discard
relay_transport = discard
discard_destination_recipient_limit = 1
smtpd_recipient_limit = ${COUNT}`;
const heap = process.versions.bun === undefined && process.versions.deno === undefined
  ? { runtimeOptions: ["--max-old-space-size=256"] }
  : {};

function bytesOfQueue({ folder }: Running): number {
  const shard = `${folder}/spool/shard-0`;
  return readdirSync(shard).reduce((sum, name) => sum + statSync(`${shard}/${name}`).size, 0);
}

test(`a message to ${COUNT} recipients, one by one`, { timeout: 120_000 }, async () => {
  const running = await startPostrider({ main: MAIN, ...heap });
  try {
    const client = await (await SmtpClient.connect(running.port)).greeted();
    await client.ask("MAIL FROM:<s@x.example>");
    for (let from = 0; from < COUNT; from += 500) {
      const lines = Array.from({ length: 500 }, (_none, at) => `RCPT TO:<user${from + at}@y.example>\r\n`);
      client.write(lines.join(""));
      for (let at = 0; at < lines.length; at++) assert.match(await client.reply(), /^250/);
    }
    await client.ask("DATA");
    const other = await (await SmtpClient.connect(running.port)).greeted();
    client.write("Subject: x\r\n\r\nx\r\n.\r\n");
    let longest = 0;
    let asked = 0;
    const tail = (): string => running.errors + running.log.slice(-1000);
    await until(
      async () => {
        const began = performance.now();
        assert.match(await other.ask("NOOP"), /^250/);
        longest = Math.max(longest, performance.now() - began);
        asked++;
        return running.log.includes(": removed");
      },
      60_000,
      tail,
    );
    console.log(`${asked} times asked, ${Math.round(longest)} ms at most, ${bytesOfQueue(running)} bytes`);
    assert.match(await client.reply(), /^250/);
    assert.equal(running.log.match(/status=sent/g)?.length, COUNT);
    assert.ok(bytesOfQueue(running) < 30e6, `${bytesOfQueue(running)} bytes`);
    assert.ok(longest < 2_000, `${longest} ms`);
    for (const one of [client, other]) one.close();
    assert.equal(await running.stop(), 0);
  } finally {
    await running.remove();
  }
});
