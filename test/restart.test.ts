/**
 * Ends and beginnings: a stop drains, a restart picks up, a reload changes what main.cf changes and nothing else.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { freePort, Running, scriptCommand, sleep, startPostrider, tail, until } from "./postrider.ts";
import { Sink } from "./sink.ts";
import { sendOne, SmtpClient } from "./smtp-client.ts";

const BACKOFF = "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s";

/** Sends until the server does not take any more; the numbers that were acknowledged. */
async function keepSending(running: Running, first: number, step: number, acknowledged: number[]): Promise<void> {
  let client: SmtpClient;
  try {
    client = await (await SmtpClient.connect(running.port)).greeted();
  } catch {
    return;
  }
  for (let at = first; !client.closed; at += step) {
    const reply = await client.send(
      "s@x.example",
      [`u${at}@y.example`],
      `Subject: ${at}\r\n\r\n${"x".repeat(at % 5000)}\r\n`,
    )
      .catch(() => "");
    if (reply.startsWith("250")) acknowledged.push(at);
    else if (!reply.startsWith("4")) break;
  }
  client.close();
}

const numbers = (sink: Sink): number[] =>
  sink.messages.flatMap(({ recipients }) => recipients.map((one) => Number(/^u(\d+)@/.exec(one)?.[1])));

test("SIGTERM drains: exit status 0, nothing lost, nothing twice", { timeout: 60_000 }, async () => {
  const sink = await Sink.start();
  const running = await startPostrider({ main: `relayhost = [127.0.0.1]:${sink.port}\n${BACKOFF}` });
  const acknowledged: number[] = [];
  try {
    for (let round = 0; round < 2; round++) {
      const base = round * 1_000_000;
      const loads = Array.from({ length: 10 }, (_none, at) => keepSending(running, base + at, 10, acknowledged));
      await sleep(600);
      const started = performance.now();
      assert.equal(await running.stop(), 0, running.errors);
      assert.ok(performance.now() - started < 9_000, "sessions between two messages do not hold it up");
      await Promise.all(loads);
      await running.start();
    }
    assert.ok(acknowledged.length > 100, `${acknowledged.length} acknowledged`);
    const arrived = (): Set<number> => new Set(numbers(sink));
    const lost = (): number[] => acknowledged.filter((one) => !arrived().has(one));
    await until(() => lost().length === 0, 20_000, () => `lost: ${lost().join(" ")}\n${tail(running)()}`);
    await sleep(300);
    assert.equal(numbers(sink).length, arrived().size, "nothing twice");
    assert.match(running.log, /postfix\/master\[\d+\]: terminating on signal 15\n/);
  } finally {
    await running.remove();
    await sink.close();
  }
});

test("a delivery under way at SIGTERM ends and is noted", { timeout: 60_000 }, async () => {
  let dots = 0;
  const slow = await Sink.start({
    // Without DSN: the success notice is ours.
    keywords: ["PIPELINING", "8BITMIME"],
    dot: () => {
      dots++;
      // Busy waiting is what a single-threaded test can do to be late.
      for (const end = performance.now() + 700; performance.now() < end;);
      return null;
    },
  });
  const bounces = await Sink.start();
  const running = await startPostrider({
    main: `${BACKOFF}\ntransport_maps = inline:{ { y.example = smtp:[127.0.0.1]:${slow.port} } ` +
      `{ x.example = smtp:[127.0.0.1]:${bounces.port} } }`,
  });
  try {
    const client = await (await SmtpClient.connect(running.port)).greeted();
    await client.ask("MAIL FROM:<s@x.example>");
    await client.ask("RCPT TO:<u1@y.example> NOTIFY=SUCCESS");
    await client.ask("DATA");
    client.write("Subject: x\r\n\r\nhello\r\n.\r\n");
    assert.match(await client.reply(), /^250/);
    client.close();
    await until(() => /queue active/.test(running.log), 5_000, tail(running));
    const started = performance.now();
    assert.equal(await running.stop(), 0);
    assert.ok(performance.now() - started < 6_000, `${performance.now() - started} ms`);
    await running.start();
    await until(() => bounces.messages.length === 1, 15_000, tail(running));
    await sleep(1_500);
    assert.equal(dots, 1, "delivered once");
    assert.equal(bounces.messages.length, 1, "one success notice");
  } finally {
    await running.remove();
    await slow.close();
    await bounces.close();
  }
});

test("a restart picks up incoming, active and deferred mail", { timeout: 60_000 }, async () => {
  const port = await freePort();
  const running = await startPostrider({
    main: `relayhost = [127.0.0.1]:${port}\n${BACKOFF}\nqmgr_message_active_limit = 2`,
  });
  let sink: Sink | null = null;
  try {
    for (let at = 0; at < 12; at++) await sendOne(running.port, `u${at}@y${at}.example`);
    await until(() => running.log.includes("status=deferred"), 10_000, tail(running));
    assert.equal(await running.stop(), 0);
    sink = await Sink.start({}, port);
    await running.start();
    const next = sink;
    await until(() => next.messages.length >= 12, 20_000, tail(running));
    await sleep(300);
    assert.deepEqual(numbers(next).sort((a, b) => a - b), Array.from({ length: 12 }, (_none, at) => at));
  } finally {
    await running.remove();
    await sink?.close();
  }
});

test("a second instance on the same queue does not start, and the first goes on", { timeout: 60_000 }, async () => {
  const sink = await Sink.start();
  const running = await startPostrider({ main: `relayhost = [127.0.0.1]:${sink.port}` });
  const other = await startTwin(running);
  try {
    assert.equal(other.code, 1);
    assert.match(other.errors, /^postfix: fatal: .*(lock|in use|another process|already running)/m);
    assert.ok(existsSync(`${running.folder}/spool/public/control`));
    await sendOne(running.port, "u1@y.example");
    await until(() => sink.messages.length === 1, 10_000, tail(running));
  } finally {
    await running.remove();
    await sink.close();
  }
});

/** The same queue, another port. */
async function startTwin(running: Running): Promise<{ code: number | null; errors: string }> {
  const twin = new Running(`${running.folder}/twin`, await freePort(), {});
  const main = readFileSync(`${running.folder}/etc/main.cf`, "utf8");
  writeFileSync(`${twin.folder}/etc/main.cf`, main.replace("/mail.log", "/twin.log"));
  const { command, arguments: words } = scriptCommand("bin/postrider.ts");
  const child = spawn(command, [...words, "start-fg", "-c", `${twin.folder}/etc`], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let errors = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => errors += text);
  const code = await new Promise<number | null>((resolve) => {
    const timer = setTimeout(() => child.kill("SIGKILL"), 15_000);
    child.on("close", (value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
  return { code, errors };
}
