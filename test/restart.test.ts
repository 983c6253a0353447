/**
 * Ends and beginnings: a stop drains, a restart picks up, a reload changes what main.cf changes and nothing else.
 */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { describe, test } from "node:test";
import { freePort, Running, scriptCommand, sleep, startPostrider, until } from "./postrider.ts";
import { Sink } from "./sink.ts";
import { SmtpClient } from "./smtp-client.ts";

const BACKOFF = "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s";
const tail = (running: Running) => (): string => running.errors + running.log.slice(-3000);

async function send(running: Running, recipient: string, sender = "s@x.example"): Promise<void> {
  const client = await (await SmtpClient.connect(running.port)).greeted();
  assert.match(await client.send(sender, [recipient], "Subject: x\r\n\r\nhello\r\n"), /^250/);
  client.close();
}

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
    for (let at = 0; at < 12; at++) await send(running, `u${at}@y${at}.example`);
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

describe("reload", () => {
  const mainCf = (running: Running): string => `${running.folder}/etc/main.cf`;
  const change = (running: Running, from: string | RegExp, text: string): void =>
    writeFileSync(mainCf(running), readFileSync(mainCf(running), "utf8").replace(from, text));
  const count = (running: Running, text: string): number => running.log.split(text).length - 1;

  async function reload(running: Running, word: string): Promise<void> {
    const before = count(running, word);
    process.kill(running.pid, "SIGHUP");
    await until(() => count(running, word) > before, 15_000, tail(running));
    await until(
      async () => {
        const client = await SmtpClient.connect(running.port).catch(() => null);
        const reply = client === null ? "" : await client.reply();
        client?.close();
        return reply.startsWith("220");
      },
      15_000,
      tail(running),
    );
  }

  test("a changed relayhost takes effect; a broken main.cf changes nothing", { timeout: 60_000 }, async () => {
    const first = await Sink.start();
    const second = await Sink.start();
    const running = await startPostrider({ main: `relayhost = [127.0.0.1]:${first.port}\n${BACKOFF}` });
    try {
      await send(running, "u1@y.example");
      await until(() => first.messages.length === 1, 10_000, tail(running));
      const { pid } = running;
      change(running, /^relayhost = .*$/m, `relayhost = [127.0.0.1]:${second.port}`);
      await reload(running, "reload -- version ");
      await send(running, "u2@y.example");
      await until(() => second.messages.length === 1, 10_000, tail(running));
      const good = readFileSync(mainCf(running), "utf8");

      const broken: readonly [string, RegExp][] = [
        ["message_size_limit = much", /main\.cf, line \d+: message_size_limit: /],
        ["relayhost = ${nonsense", /main\.cf, line \d+: relayhost: /],
        // Only the start of smtpd finds these.
        ["smtpd_relay_restrictions =\nsmtpd_recipient_restrictions =", /in parameter smtpd_relay_restrictions or/],
        ["smtpd_recipient_restrictions = no_such_word", /no_such_word/],
      ];
      for (const [at, [lines, fault]] of broken.entries()) {
        writeFileSync(mainCf(running), `${good}${lines}\n`);
        await reload(running, "error: reload: ");
        assert.match(running.log.split("\n").filter((line) => line.includes("error: reload: ")).at(-1)!, fault);
        await send(running, `u${10 + at}@y.example`);
        await until(() => second.messages.length === 2 + at, 10_000, tail(running));
      }
      writeFileSync(mainCf(running), good);
      change(running, /^relayhost = .*$/m, `relayhost = [127.0.0.1]:${first.port}`);
      await reload(running, "reload -- version ");
      await send(running, "u3@y.example");
      await until(() => first.messages.length === 2, 10_000, tail(running));
      assert.equal(running.pid, pid);
      assert.ok(process.kill(pid, 0));
      assert.equal(await running.stop(), 0);
    } finally {
      await running.remove();
      await first.close();
      await second.close();
    }
  });
});

test("a reload refuses no client: who comes meanwhile is greeted afterwards", { timeout: 60_000 }, async () => {
  const running = await startPostrider({ main: "defer_transports = smtp relay" });
  const extra = await freePort();
  try {
    const busy = await (await SmtpClient.connect(running.port)).greeted();
    for (const line of ["MAIL FROM:<s@x.example>", "RCPT TO:<r@y.example>", "DATA"]) await busy.ask(line);
    const master = readFileSync(`${running.folder}/etc/master.cf`, "utf8");
    const more = `127.0.0.1:${extra} inet n - n - 0 smtpd\n`;
    writeFileSync(`${running.folder}/etc/master.cf`, master + more);
    process.kill(running.pid, "SIGHUP");
    await until(() => running.log.includes("reload -- version"), 10_000, tail(running));
    const waiting = await Promise.all([1, 2, 3].map(() => SmtpClient.connect(running.port)));
    let greeted = 0;
    const greetings = waiting.map((client) => client.reply().then((reply) => (greeted++, reply)));
    await sleep(300);
    assert.equal(greeted, 0, "the session that was there is not over");
    assert.match(await busy.ask("Subject: x\r\n\r\nx\r\n."), /^250/);
    for (const greeting of await Promise.all(greetings)) assert.match(greeting, /^220 /);
    assert.match(await waiting[0]!.send("s@x.example", ["r@y.example"], "Subject: x\r\n\r\nx\r\n"), /^250/);
    for (const client of [busy, ...waiting]) client.close();
    (await (await SmtpClient.connect(extra)).greeted()).close();
    writeFileSync(`${running.folder}/etc/master.cf`, master);
    process.kill(running.pid, "SIGHUP");
    const refused = (): Promise<boolean> => SmtpClient.connect(extra).then((one) => (one.close(), false), () => true);
    await until(refused, 10_000, tail(running));
    (await (await SmtpClient.connect(running.port)).greeted()).close();
  } finally {
    await running.remove();
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
    await send(running, "u1@y.example");
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
