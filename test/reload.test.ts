/**
 * Reloads: the new configuration holds for who comes; sessions and deliveries of before go on as if nothing had been.
 */

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import process from "node:process";
import { describe, test } from "node:test";
import { freePort, type Running, scriptCommand, sleep, startPostrider, tail, until } from "./postrider.ts";
import { Sink } from "./sink.ts";
import { sendOne, SmtpClient } from "./smtp-client.ts";

const BACKOFF = "minimal_backoff_time = 1s\nmaximal_backoff_time = 1s";

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
      await sendOne(running.port, "u1@y.example");
      await until(() => first.messages.length === 1, 10_000, tail(running));
      const { pid } = running;
      change(running, /^relayhost = .*$/m, `relayhost = [127.0.0.1]:${second.port}`);
      await reload(running, "reload -- version ");
      await sendOne(running.port, "u2@y.example");
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
        await sendOne(running.port, `u${10 + at}@y.example`);
        await until(() => second.messages.length === 2 + at, 10_000, tail(running));
      }
      writeFileSync(mainCf(running), good);
      change(running, /^relayhost = .*$/m, `relayhost = [127.0.0.1]:${first.port}`);
      await reload(running, "reload -- version ");
      await sendOne(running.port, "u3@y.example");
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

  async function reloaded(running: Running): Promise<void> {
    const before = count(running, "reload -- version");
    process.kill(running.pid, "SIGHUP");
    await until(() => count(running, "reload -- version") > before, 15_000, tail(running));
  }

  test(
    "sessions go on with what they were told; what they bring is the new worker's",
    { timeout: 60_000 },
    async () => {
      const [first, second] = [await Sink.start(), await Sink.start()];
      const running = await startPostrider({ main: `relayhost = [127.0.0.1]:${first.port}\n${BACKOFF}` });
      try {
        const busy = await (await SmtpClient.connect(running.port)).greeted();
        for (const line of ["MAIL FROM:<s@x.example>", "RCPT TO:<u1@y.example>", "DATA"]) await busy.ask(line);
        const idle = await (await SmtpClient.connect(running.port)).greeted();
        change(running, /^relayhost = .*$/m, `relayhost = [127.0.0.1]:${second.port}\nsmtpd_banner = anew`);
        await reloaded(running);
        const fresh = await SmtpClient.connect(running.port);
        assert.match(await fresh.reply(), /^220 anew/);
        assert.match(await busy.ask("Subject: x\r\n\r\nx\r\n."), /^250/);
        for (const [at, client] of [[2, busy], [3, idle]] as const) {
          const reply = await client.send("s@x.example", [`u${at}@y.example`], "Subject: x\r\n\r\nx\r\n");
          assert.match(reply, /^250/);
        }
        await until(() => second.messages.length === 3, 10_000, tail(running));
        assert.equal(first.messages.length, 0);
        // Each session has a number of its own in the log.
        const slots = [...running.log.matchAll(/smtpd\[(\d+)\]: connect from /g)].map((match) => match[1]);
        assert.equal(new Set(slots.slice(-3)).size, 3, slots.join());
        assert.match(await idle.ask("QUIT"), /^221/);
        await reloaded(running);
        assert.match(await busy.ask("NOOP"), /^250/);
        const started = performance.now();
        const stopped = running.stop();
        assert.match(await busy.reply(), /^421 4\.3\.2 /);
        assert.equal(await stopped, 0);
        assert.ok(performance.now() - started < 5_000);
        fresh.close();
      } finally {
        await running.remove();
        await first.close();
        await second.close();
      }
    },
  );

  test("a delivery whose final dot is answered late ends, and is made once", { timeout: 60_000 }, async () => {
    const answers: (() => void)[] = [];
    const slow = await Sink.start({ wait: () => new Promise((resolve) => void answers.push(resolve)) });
    const quick = await Sink.start();
    const running = await startPostrider({
      main: `${BACKOFF}\nsmtp_destination_concurrency_limit = 1\n` +
        `transport_maps = inline:{ { slow.example = smtp:[127.0.0.1]:${slow.port} } }\n` +
        `relayhost = [127.0.0.1]:${await freePort()}`,
    });
    try {
      await sendOne(running.port, "u1@slow.example");
      await until(() => answers.length === 1, 10_000, tail(running));
      await sendOne(running.port, "u2@slow.example");
      change(running, /^relayhost = .*$/m, `relayhost = [127.0.0.1]:${quick.port}`);
      for (let times = 0; times < 3; times++) await reloaded(running);
      await sendOne(running.port, "u3@y.example");
      await until(() => quick.messages.length === 1, 10_000, tail(running));
      // The new queue manager tries what waited behind it, and not the message itself.
      await until(() => answers.length === 2, 10_000, tail(running));
      await sleep(300);
      assert.equal(answers.length, 2);
      for (const answer of answers) answer();
      await until(() => count(running, "status=sent") === 3, 10_000, tail(running));
      await until(() => count(running, ": removed") === 3, 10_000, tail(running));
      assert.deepEqual(slow.messages.map(({ recipients }) => recipients[0]).sort(), [
        "u1@slow.example",
        "u2@slow.example",
      ]);
      assert.equal(await running.stop(), 0);
    } finally {
      await running.remove();
      await slow.close();
      await quick.close();
    }
  });

  test("under load: nothing lost, nothing twice, nobody cut off", { timeout: 120_000 }, async () => {
    const sink = await Sink.start();
    const running = await startPostrider({ main: `relayhost = [127.0.0.1]:${sink.port}\n${BACKOFF}` });
    const sent: string[] = [];
    let over = false;
    const load = async (name: string): Promise<void> => {
      const client = await (await SmtpClient.connect(running.port)).greeted();
      for (let at = 0; !over; at++) {
        const recipient = `${name}-${at}@y.example`;
        const reply = await client.send(
          "s@x.example",
          [recipient],
          `Subject: ${at}\r\n\r\n${"x".repeat(at % 3000)}\r\n`,
        );
        assert.match(reply, /^250/);
        sent.push(recipient);
      }
      client.close();
    };
    try {
      const loads = Promise.all(Array.from({ length: 8 }, (_none, at) => load(`u${at}`)));
      for (let times = 0; times < 8; times++) {
        await sleep(150);
        await reloaded(running);
      }
      over = true;
      await loads;
      await until(() => sink.messages.length >= sent.length, 30_000, tail(running));
      await sleep(300);
      const arrived = sink.messages.map(({ recipients }) => recipients[0]!);
      assert.deepEqual(arrived.sort(), sent.sort());
      assert.ok(sent.length > 100, `${sent.length} messages`);
      assert.equal(await running.stop(), 0);
    } finally {
      over = true;
      await running.remove();
      await sink.close();
    }
  });

  test(
    "a port that somebody else has: the old configuration serves on, sessions too",
    { timeout: 60_000 },
    async () => {
      const sink = await Sink.start();
      const running = await startPostrider({ main: `relayhost = [127.0.0.1]:${sink.port}\n${BACKOFF}` });
      try {
        const busy = await (await SmtpClient.connect(running.port)).greeted();
        await busy.ask("MAIL FROM:<s@x.example>");
        const taken = `127.0.0.1:${sink.port} inet n - n - 0 smtpd\n`;
        writeFileSync(`${running.folder}/etc/master.cf`, taken, { flag: "a" });
        await reload(running, "error: reload: fatal: bind 127.0.0.1 port");
        for (const line of ["RCPT TO:<u1@y.example>", "DATA"]) assert.match(await busy.ask(line), /^[23]5/);
        assert.match(await busy.ask("Subject: x\r\n\r\nx\r\n."), /^250/);
        await sendOne(running.port, "u2@y.example");
        await until(() => sink.messages.length === 2, 10_000, tail(running));
        assert.equal(await running.stop(), 0);
      } finally {
        await running.remove();
        await sink.close();
      }
    },
  );

  test(
    "the queue itself may change: sessions end first, and each queue keeps its mail",
    { timeout: 60_000 },
    async () => {
      const running = await startPostrider({ main: "defer_transports = smtp relay" });
      const { folder } = running;
      try {
        await sendOne(running.port, "u1@y.example");
        const client = await (await SmtpClient.connect(running.port)).greeted();
        mkdirSync(`${folder}/other`);
        const storage = `queue_storage = fs:${folder}/other`;
        change(running, /^defer_transports.*$/m, `$&\n${storage}`);
        await reload(running, "reload -- version ");
        assert.match(await client.reply(), /^421 4\.3\.2 /);
        await sendOne(running.port, "u2@y.example");
        await until(() => count(running, "deferred transport") === 2, 10_000, tail(running));
        change(running, `\n${storage}`, "");
        await reload(running, "reload -- version ");
        const { command, arguments: words } = scriptCommand("bin/postrider.ts");
        const line = [...words, "postqueue", "-c", `${folder}/etc`, "-j"];
        const status = execFileSync(command, line, { encoding: "utf8" });
        assert.match(status, /u1@y\.example/);
        assert.doesNotMatch(status, /u2@y\.example/);
        client.close();
      } finally {
        await running.remove();
      }
    },
  );

  test("no client is refused meanwhile; ports come and go", { timeout: 60_000 }, async () => {
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
      for (const client of waiting) assert.match(await client.reply(), /^220 /);
      assert.match(await busy.ask("Subject: x\r\n\r\nx\r\n."), /^250/);
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
});
