/**
 * Large messages pass through in bounded memory. POSTRIDER_TEST_SCALE below 1 makes them smaller.
 */

import assert from "node:assert/strict";
import { createHash, type Hash } from "node:crypto";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import net from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { SCALE } from "./corpus.ts";
import { startPostrider, until } from "./postrider.ts";

const MB = 1 << 20;
const residentMb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024;

/** A block of lines of all lengths up to 998, some with dots in front, some with 8-bit text. */
function block(number: number): Buffer {
  const lines: string[] = [];
  for (let size = 0, at = number; size < 256 * 1024; at++) {
    const line = `${at % 7 === 0 ? "." : ""}${at % 11 === 0 ? "." : ""}${at} ${"\u00e9abc \u0080".repeat(at % 160)}`;
    lines.push(line);
    size += line.length + 2;
  }
  return Buffer.from(`${lines.join("\r\n")}\r\n`, "latin1");
}

/** As the client puts it on the wire. */
const stuffed = (bytes: Buffer): Buffer => Buffer.from(bytes.toString("latin1").replace(/^\./gm, ".."), "latin1");

/** Hands in one message of about that size, never more of it in memory than the socket takes; the hash of its body. */
async function sendLarge(port: number, recipient: string, size: number): Promise<string> {
  const socket = net.connect({ port, host: "127.0.0.1" });
  socket.setEncoding("latin1");
  let text = "";
  let wake = (): void => {};
  socket.on("data", (chunk: string) => {
    text += chunk;
    wake();
  });
  socket.on("error", () => wake());
  const reply = async (pattern: RegExp): Promise<void> => {
    while (!/^\d{3} .*\r\n$/m.test(text)) await new Promise<void>((resolve) => wake = resolve);
    assert.match(text, pattern);
    text = "";
  };
  await reply(/^220 /);
  for (
    const line of ["EHLO client.example", "MAIL FROM:<s@x.example> BODY=8BITMIME", `RCPT TO:<${recipient}>`, "DATA"]
  ) {
    socket.write(`${line}\r\n`);
    await reply(/^[23]/);
  }
  const hash = createHash("sha256");
  socket.write(
    "Subject: large\r\nMessage-ID: <large@x.example>\r\nFrom: s@x.example\r\n\r\n",
  );
  for (let sent = 0, number = 0; sent < size; number++) {
    const bytes = block(number % 50);
    sent += bytes.length;
    hash.update(bytes);
    if (!socket.write(stuffed(bytes))) await new Promise<void>((resolve) => socket.once("drain", resolve));
  }
  socket.write(".\r\n");
  await reply(/^250 2\.0\.0 Ok: queued as /);
  socket.destroy();
  return hash.digest("hex");
}

/** Keeps nothing but the hash of the body. */
class HashingReceiver {
  readonly server: net.Server;
  readonly hashes: string[] = [];

  constructor() {
    this.server = net.createServer((socket) => this.#session(socket));
  }

  listen(): Promise<number> {
    return new Promise((resolve) =>
      this.server.listen(0, "127.0.0.1", () => resolve((this.server.address() as net.AddressInfo).port))
    );
  }

  #session(socket: net.Socket): void {
    let rest = "";
    let data: Content | null = null;
    socket.on("error", () => socket.destroy());
    socket.write("220 hashing\r\n");
    socket.on("data", (chunk: Buffer) => {
      rest += chunk.toString("latin1");
      while (true) {
        if (data !== null) {
          const after = data.feed(rest);
          if (after === null) {
            rest = data.left;
            return;
          }
          this.hashes.push(data.digest());
          rest = after;
          data = null;
          socket.write("250 2.0.0 Ok\r\n");
        }
        const end = rest.indexOf("\r\n");
        if (end < 0) return;
        const verb = rest.slice(0, 4);
        rest = rest.slice(end + 2);
        if (verb === "DATA") data = new Content();
        socket.write(
          verb === "EHLO" ? "250-hashing\r\n250 8BITMIME\r\n" : verb === "DATA" ? "354 go on\r\n" : "250 Ok\r\n",
        );
      }
    });
  }
}

/** One message on its way in: whole lines are taken, dots undone, headers left out. */
class Content {
  readonly #hash: Hash = createHash("sha256");
  #body = false;
  left = "";

  /** What follows the final dot; null: there is more to come. */
  feed(text: string): string | null {
    const last = text.lastIndexOf("\r\n") + 2;
    const end = text.startsWith(".\r\n") ? 0 : text.indexOf("\r\n.\r\n") + 2;
    const done = end !== 1;
    this.#take(text.slice(0, done ? end : last < 2 ? 0 : last));
    this.left = done ? "" : text.slice(last < 2 ? 0 : last);
    return done ? text.slice(end + 3) : null;
  }

  #take(lines: string): void {
    let plain = lines.replace(/(^|\r\n)\./g, "$1");
    if (!this.#body) {
      const start = plain.indexOf("\r\n\r\n");
      if (start < 0) return;
      this.#body = true;
      plain = plain.slice(start + 4);
    }
    this.#hash.update(plain, "latin1");
  }

  digest(): string {
    return this.#hash.digest("hex");
  }
}

test(`${Math.round(100 * SCALE)} MB pass through unchanged, in less than 64 MB`, { timeout: 60_000 }, async () => {
  const receiver = new HashingReceiver();
  const port = await receiver.listen();
  const running = await startPostrider({ main: `relayhost = [127.0.0.1]:${port}\nmessage_size_limit = 200000000` });
  const tail = (): string => running.log.slice(-2000);
  try {
    // Small ones first: what a runtime loads at its first message is no part of the large one.
    for (let at = 0; at < 5; at++) await sendLarge(running.port, "warm@y.example", 3 * MB);
    await until(() => receiver.hashes.length === 5, 20_000, tail);
    receiver.hashes.length = 0;
    const before = residentMb(running.pid);
    let peak = before;
    const watch = setInterval(() => peak = Math.max(peak, residentMb(running.pid)), 20);
    const hash = await sendLarge(running.port, "u@y.example", 100 * MB * SCALE);
    await until(() => receiver.hashes.length === 1, 50_000, tail);
    clearInterval(watch);
    assert.equal(receiver.hashes[0], hash);
    console.log(`resident: ${before.toFixed(0)} MB before, ${peak.toFixed(0)} MB at most`);
    assert.ok(peak - before < 64, `${before.toFixed(0)} MB before, ${peak.toFixed(0)} MB at most`);
  } finally {
    await running.remove();
    receiver.server.close();
  }
});

test("20 MB go to a Maildir", { timeout: 60_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), "postrider-large-"));
  const base = `${folder}/boxes`;
  const { uid, gid } = userInfo();
  const owner = { uid: uid === 0 ? 65534 : uid, gid: gid === 0 ? 65534 : gid };
  mkdirSync(base);
  chmodSync(folder, 0o755);
  if (uid === 0) chownSync(base, owner.uid, owner.gid);
  const main = `message_size_limit = 200000000
virtual_mailbox_limit = 0
virtual_mailbox_domains = box.example
virtual_mailbox_maps = inline:{ { u@box.example = u/ } }
virtual_mailbox_base = ${base}
virtual_uid_maps = static:${owner.uid}
virtual_gid_maps = static:${owner.gid}
virtual_minimum_uid = 1`;
  const running = await startPostrider({ main, folder });
  try {
    const hash = await sendLarge(running.port, "u@box.example", 20 * MB * SCALE);
    await until(() => running.log.includes("status=sent"), 20_000, () => running.log.slice(-2000));
    const [name, ...others] = readdirSync(`${base}/u/new`);
    assert.deepEqual(others, []);
    const text = readFileSync(`${base}/u/new/${name}`, "latin1");
    const body = text.slice(text.indexOf("\n\n") + 2).replaceAll("\n", "\r\n");
    assert.equal(createHash("sha256").update(body, "latin1").digest("hex"), hash);
  } finally {
    await running.remove();
  }
});
