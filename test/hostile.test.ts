/**
 * Hostile and overloaded: what a stranger may send, and what happens when the machine has no more to give.
 */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import net from "node:net";
import process from "node:process";
import { after, before, describe, test } from "node:test";
import { SCALE } from "./corpus.ts";
import { type Running, sleep, startPostrider, until } from "./postrider.ts";
import { Sink } from "./sink.ts";
import { SmtpClient } from "./smtp-client.ts";

let sink: Sink;
let running: Running;
before(async () => {
  sink = await Sink.start();
  running = await startPostrider({
    main: `relayhost = [127.0.0.1]:${sink.port}\nsmtpd_error_sleep_time = 0\nsmtpd_timeout = 20s\n` +
      "smtpd_forbid_bare_newline_exclusions =",
  });
});
after(async () => {
  await running.remove();
  await sink.close();
});

const residentKb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);

/** A whole message by a client of good manners, in milliseconds. */
async function goodClient(): Promise<number> {
  const started = performance.now();
  const client = await (await SmtpClient.connect(running.port)).greeted();
  const reply = await client.send("good@x.example", ["good@y.example"], "Subject: good\r\n\r\nhello\r\n");
  assert.match(reply, /^250 2\.0\.0 Ok: queued as /);
  client.close();
  return performance.now() - started;
}

describe("SMTP smuggling", () => {
  const ENDINGS = [
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r\n.\r",
    "\r\n\0.\r\n",
    "\r\n.\0\r\n",
    "\r\n.\r\r\n",
    "\r\r\n.\r\r\n",
    "\n\n.\r\n",
  ];
  for (const ending of ENDINGS) {
    test(`${JSON.stringify(ending)} ends no message`, async () => {
      const client = await (await SmtpClient.connect(running.port)).greeted();
      const name = `smuggle-${ENDINGS.indexOf(ending)}`;
      const inner =
        "MAIL FROM:<evil@x.example>\r\nRCPT TO:<victim@y.example>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n";
      for (const line of ["MAIL FROM:<a@x.example>", `RCPT TO:<${name}@y.example>`, "DATA"]) await client.ask(line);
      client.write(Buffer.from(`Subject: outer\r\n\r\nfirst${ending}${inner}`, "latin1"));
      assert.match(await client.ask("."), /^250/);
      assert.match(await client.ask("QUIT"), /^221/, "nothing else was answered");
      client.close();
      const mine = (): typeof sink.messages =>
        sink.messages.filter(({ recipients }) => recipients.includes(`${name}@y.example`));
      await until(() => mine().length > 0, 10_000, () => running.log.slice(-2000));
      assert.equal(mine().length, 1);
      assert.ok(!sink.messages.some(({ recipients }) => recipients.includes("victim@y.example")));
      const { content } = mine()[0]!;
      assert.doesNotMatch(content, /\r(?!\n)|(?<!\r)\n/, "the wire is clean");
    });
  }
});

describe("floods", () => {
  test("unknown commands end the session at smtpd_hard_error_limit", async () => {
    const client = await SmtpClient.connect(running.port);
    await client.reply();
    client.write("FOO\r\n".repeat(1000));
    const replies: string[] = [];
    for (let reply = await client.reply(); reply !== ""; reply = await client.reply()) replies.push(reply);
    assert.equal(replies.length, 21);
    assert.match(replies.at(-1)!, /^421 4\.7\.0 .* too many errors/);
    client.close();
  });

  test("a line of 13 MB costs no memory and gets one answer", async () => {
    const started = residentKb(running.pid);
    const client = await SmtpClient.connect(running.port);
    await client.reply();
    const block = "x".repeat(1 << 20);
    for (let sent = 0; sent < 13; sent++) client.write(block);
    assert.equal(await client.ask(""), "500 5.5.2 Error: command not recognized");
    client.close();
    assert.ok(residentKb(running.pid) - started < 60_000, "the line is not kept");
  });

  test("3,000 recipients: smtpd_recipient_limit answers", async () => {
    const client = await (await SmtpClient.connect(running.port)).greeted();
    await client.ask("MAIL FROM:<a@x.example>");
    const replies = { good: 0, tooMany: 0 };
    for (let batch = 0; batch < 30; batch++) {
      client.write(Array.from({ length: 100 }, (_none, at) => `RCPT TO:<u${batch * 100 + at}@y.example>\r\n`).join(""));
      for (let at = 0; at < 100 && !client.closed; at++) {
        const reply = await client.reply();
        if (reply.startsWith("250")) replies.good++;
        else if (reply === "452 4.5.3 Error: too many recipients") replies.tooMany++;
      }
    }
    assert.equal(replies.good, 1000);
    assert.ok(replies.tooMany >= 1000);
    client.close();
  });

  test("a browser is turned away", async () => {
    const client = await SmtpClient.connect(running.port);
    await client.reply();
    assert.equal(await client.ask("GET / HTTP/1.1"), "221 2.7.0 Error: I can break rules, too. Goodbye.");
    assert.equal(await client.reply(), "");
  });

  test("a message over message_size_limit is read to its end and refused", async () => {
    const client = await (await SmtpClient.connect(running.port)).greeted();
    const content = `Subject: big\r\n\r\n${"0123456789abcdef0123456789abcdef\r\n".repeat(350_000)}`;
    assert.equal(await client.send("a@x.example", ["b@y.example"], content), "552 5.3.4 Error: message file too big");
    assert.match(await client.ask("NOOP"), /^250/);
    client.close();
  });

  test("a client that never reads its replies does not fill the memory", async () => {
    const started = residentKb(running.pid);
    const socket = net.connect(running.port, "127.0.0.1");
    socket.on("error", () => {});
    socket.pause();
    for (let sent = 0; sent < 100; sent++) socket.write("NOOP\r\n".repeat(2_000));
    await sleep(500);
    assert.ok(residentKb(running.pid) - started < 60_000);
    socket.destroy();
  });

  test("headers of 50,000 Received lines are refused as a loop, at once", async () => {
    const client = await (await SmtpClient.connect(running.port)).greeted();
    const content = `${"Received: from a by b\r\n".repeat(50_000)}\r\nbody\r\n`;
    const started = performance.now();
    assert.equal(await client.send("a@x.example", ["b@y.example"], content), "554 5.4.0 Error: too many hops");
    assert.ok(performance.now() - started < 3_000);
    client.close();
  });
});

test("a good client is served in a second beside many that drip", { timeout: 60_000 }, async () => {
  const count = Math.round(2_000 * SCALE);
  const sockets: net.Socket[] = [];
  for (let at = 0; at < count; at++) {
    const socket = net.connect(running.port, "127.0.0.1");
    socket.on("error", () => {});
    sockets.push(socket);
    if (at % 100 === 99) await sleep(20);
  }
  const drip = setInterval(() => {
    for (let at = 0; at < 200; at++) sockets[Math.floor(Math.random() * count)]!.write("E");
  }, 50);
  try {
    await sleep(1_000);
    for (let round = 0; round < 3; round++) assert.ok(await goodClient() < 1_000);
  } finally {
    clearInterval(drip);
    for (const socket of sockets) socket.destroy();
  }
  await sleep(200);
  assert.ok(await goodClient() < 1_000);
});

// Deno itself gives up (it stops accepting, or panics) with fewer than it needs for itself.
const DESCRIPTORS = process.versions.deno === undefined ? 64 : 128;

test(`with ${DESCRIPTORS} descriptors it serves fewer and recovers by itself`, { timeout: 60_000 }, async () => {
  const small = await startPostrider({
    main: `relayhost = [127.0.0.1]:${sink.port}`,
    before: ["prlimit", `--nofile=${DESCRIPTORS}`],
  });
  try {
    const sockets = Array.from(
      { length: 2 * DESCRIPTORS },
      () => net.connect(small.port, "127.0.0.1").on("error", () => {}),
    );
    await sleep(500);
    for (const socket of sockets) socket.destroy();
    await until(
      async () => {
        const client = await SmtpClient.connect(small.port);
        try {
          await client.greeted();
          return (await client.send("a@x.example", ["few@y.example"], "Subject: few\r\n\r\nx\r\n")).startsWith("250");
        } catch {
          return false;
        } finally {
          client.close();
        }
      },
      20_000,
      () => small.log.slice(-2000) + small.errors,
    );
    await until(
      () => sink.messages.some(({ recipients }) => recipients.includes("few@y.example")),
      20_000,
      () => small.log.slice(-2000),
    );
    assert.ok(process.kill(small.pid, 0));
  } finally {
    await small.remove();
  }
});
