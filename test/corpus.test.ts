import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { corpus, hashOf, sendAll } from "./corpus.ts";
import { startPostrider, until } from "./postrider.ts";
import { Sink } from "./sink.ts";

const mails = corpus();

/** Each id once, each with the body it was sent with. */
function check(arrived: readonly { readonly id: number; readonly body: string }[]): void {
  const ids = arrived.map(({ id }) => id).sort((a, b) => a - b);
  assert.deepEqual(ids, mails.map(({ id }) => id));
  const wrong = arrived.filter(({ id, body }) => hashOf(body) !== mails[id]!.bodyHash).map(({ id }) => id);
  assert.deepEqual(wrong, []);
}

test(`${mails.length} real mails reach the next hop once and with equal bodies`, { timeout: 120_000 }, async () => {
  const sink = await Sink.start();
  const running = await startPostrider({
    main: `relayhost = [127.0.0.1]:${sink.port}\nsmtp_line_length_limit = 0\nhopcount_limit = 100`,
  });
  try {
    await sendAll(mails, running.port, "sink.example");
    await until(
      () => sink.messages.length >= mails.length,
      30_000,
      () => `${sink.messages.length} arrived\n${running.log.slice(-2000)}`,
    );
    check(sink.messages.map(({ recipients, content }) => ({
      id: Number(/^u(\d+)@/.exec(recipients[0]!)![1]),
      body: content.slice(content.indexOf("\r\n\r\n") + 4),
    })));
    assert.equal(await running.stop(), 0);
  } finally {
    await running.remove();
    await sink.close();
  }
});

test(`${mails.length} real mails reach their Maildirs once and with equal bodies`, { timeout: 180_000 }, async () => {
  // As root the mailbox belongs to another account, as it would on a real host.
  const uid = process.getuid!() || 65534;
  const folder = mkdtempSync(join(tmpdir(), "postrider-boxes-"));
  chmodSync(folder, 0o755);
  mkdirSync(`${folder}/mail`);
  chownSync(`${folder}/mail`, uid, process.getgid!() || 65534);
  const running = await startPostrider({
    main: `virtual_mailbox_domains = box.example
virtual_mailbox_base = ${folder}/mail
virtual_mailbox_maps = static:box/
virtual_uid_maps = static:${uid}
virtual_gid_maps = static:${process.getgid!() || 65534}
virtual_minimum_uid = 1
hopcount_limit = 100
virtual_mailbox_limit = 0`,
  });
  try {
    await sendAll(mails, running.port, "box.example");
    const box = `${folder}/mail/box/new`;
    const count = (): number => {
      try {
        return readdirSync(box).length;
      } catch {
        return 0;
      }
    };
    await until(() => count() >= mails.length, 30_000, () => `${count()} arrived\n${running.log.slice(-2000)}`);
    check(
      readdirSync(box).map((name) => {
        const content = readFileSync(`${box}/${name}`, "latin1").replace(/\n/g, "\r\n");
        return {
          id: Number(/^Delivered-To: u(\d+)@/m.exec(content)![1]),
          body: content.slice(content.indexOf("\r\n\r\n") + 4),
        };
      }),
    );
    assert.equal(await running.stop(), 0);
  } finally {
    await running.remove();
    rmSync(folder, { recursive: true, force: true });
  }
});
