/**
 * A message whose content is damaged on the disk: one attempt finds it, then it stays in the corrupt queue, where the
 * operator can see and remove it; other mail flows.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { scriptCommand, startPostrider, until } from "./postrider.ts";
import { Sink } from "./sink.ts";
import { SmtpClient } from "./smtp-client.ts";

/** Turns one bit of the text, wherever a segment has it. */
function damage(folder: string, text: string): void {
  const shard = `${folder}/spool/shard-0`;
  let found = 0;
  for (const name of readdirSync(shard).filter((one) => one.endsWith(".log"))) {
    const bytes = readFileSync(`${shard}/${name}`);
    const at = bytes.indexOf(text);
    if (at < 0) continue;
    found++;
    bytes[at]! ^= 1;
    writeFileSync(`${shard}/${name}`, bytes);
  }
  assert.equal(found, 1);
}

async function send(port: number, recipient: string, subject: string): Promise<string> {
  const client = await SmtpClient.connect(port);
  await client.reply();
  await client.ask("EHLO client.example");
  const reply = await client.send("s@a.example", [recipient], `Subject: ${subject}\r\n\r\nx\r\n`);
  client.close();
  return /queued as (\w+)/.exec(reply)![1]!;
}

test("damaged content ends in the corrupt queue, and the rest flows", async () => {
  let later = true;
  const sink = await Sink.start({ answer: (line) => later && line.startsWith("RCPT") ? "451 4.2.0 later" : null });
  const main = `relayhost = [127.0.0.1]:${sink.port}\nsmtpd_relay_restrictions = permit_mynetworks, reject\n` +
    "maximal_queue_lifetime = 1d\nminimal_backoff_time = 1s\nmaximal_backoff_time = 1s\n";
  const running = await startPostrider({ main });
  const tool = (name: string, ...words: string[]): string => {
    const { command, arguments: first } = scriptCommand("bin/postrider.ts");
    const { status, stdout, stderr } = spawnSync(command, [...first, name, "-c", `${running.folder}/etc`, ...words], {
      encoding: "latin1",
    });
    return `${status} ${stdout}${stderr}`;
  };
  try {
    const bad = await send(running.port, "bad@b.example", "this-one-is-damaged");
    const good = await send(running.port, "good@b.example", "sound");
    const log = (): string => running.log;
    for (const id of [bad, good]) await until(() => log().includes(`${id}: to=`), 10_000, log);
    await running.stop();
    damage(running.folder, "this-one-is-damaged");
    later = false;
    await running.start();
    await until(() => sink.messages.length === 1 && log().includes("corrupt queue"), 10_000, log);
    assert.match(
      log(),
      new RegExp(`error: message ${bad}: damaged queue data in \\S+ at \\d+; it stays in the corrupt queue`),
    );
    assert.match(sink.messages[0]!.content, /Subject: sound/);
    const attempts = (): number => log().match(new RegExp(`${bad}: to=`, "g"))!.length;
    const before = attempts();
    await running.stop();
    await running.start();
    await until(() => log().includes(`queue entry ${bad} is of damaged content`), 10_000, log);
    tool("postqueue", "-f");
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    assert.equal(attempts(), before, log());
    assert.match(tool("postqueue", "-p"), /^0 Mail queue is empty/);
    assert.match(tool("postcat", "-qe", bad), /ENVELOPE RECORDS corrupt\/[^]*recipient: bad@b\.example/);
    assert.equal(tool("postsuper", "-d", "ALL"), "0 postsuper: Deleted: 0 messages\n");
    assert.equal(tool("postsuper", "-d", bad), `0 postsuper: ${bad}: removed\npostsuper: Deleted: 1 message\n`);
    assert.match(tool("postcat", "-q", bad), /^1 .*No such file or directory/);
  } finally {
    await running.remove();
    await sink.close();
  }
});
