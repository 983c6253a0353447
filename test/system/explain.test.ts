/**
 * explain beside the server that it speaks of: the configurations and dialogues of the policy comparison, the same
 * replies. POSTRIDER_TEST_SEED repeats a run.
 */

import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { currentRuntime } from "../../runtimes/select.ts";
import { loadConfig } from "../../src/config/config.ts";
import { explain, type Question } from "../../src/explain/explain.ts";
import { latin1Encode } from "../../src/latin1.ts";
import type { NameStatus, PeerName } from "../../src/smtpd/peer.ts";
import { nameServer, type TestNameServer } from "../dns/server.ts";
import { type Running, startPostrider } from "../postrider.ts";
import { SEED } from "../seed.ts";
import { SmtpClient } from "../smtp-client.ts";
import { CLIENTS, CONFIGS, HELOS, MAIN, picker, randomConfig, RECIPIENTS, SENDERS, ZONE } from "./policy-cases.ts";

const FIRST_PORT = 14_000;
const MAILS = 4;
const CONTENT = "Subject: x\r\n\r\nbody\r\n";

/** What XCLIENT says, as explain is told. */
function clientOf(words: string): { readonly address: string; readonly name: PeerName } {
  const attribute = (name: string): string => new RegExp(`(?:^| )${name}=(\\S+)`).exec(words)![1]!;
  const told = (text: string): { name: string; status: NameStatus } => {
    if (!text.startsWith("[")) return { name: text, status: "ok" };
    return { name: "unknown", status: text === "[TEMPUNAVAIL]" ? "temporary" : "permanent" };
  };
  const [own, reverse] = [told(attribute("NAME")), told(attribute("REVERSE_NAME"))];
  return {
    address: attribute("ADDR").replace("IPV6:", ""),
    name: {
      name: own.name,
      nameStatus: own.status,
      reverseName: reverse.name,
      reverseStatus: reverse.status as PeerName["reverseStatus"],
    },
  };
}

const plain = (reply: string): string =>
  reply.trimEnd().replaceAll("\r", "").replace(/queued as \S+/, "queued as ID").split("\n").at(-1)!;

/** The replies of the running server to the same mail, from MAIL on. */
async function served(port: number, xclient: string, { helo, sender, recipients }: Question): Promise<string[]> {
  const client = await SmtpClient.connect(port);
  try {
    await client.reply();
    for (const line of [`XCLIENT ${xclient}`, `EHLO ${helo}`]) await client.ask(line);
    const replies = [await client.ask(`MAIL FROM:<${sender}>`)];
    for (const recipient of recipients) replies.push(await client.ask(`RCPT TO:<${recipient}>`));
    if (replies.slice(1).some((reply) => reply.startsWith("2"))) {
      replies.push(await client.ask("DATA"));
      if (replies.at(-1)!.startsWith("354")) {
        client.write(`${CONTENT}.\r\n`);
        replies.push(await client.reply());
      }
    }
    // explain knows of no port.
    const number = /PORT=(\d+)/.exec(xclient)?.[1] ?? client.socket.localPort;
    const port = new RegExp(` ${number} `, "g");
    return replies.map((reply) => plain(reply).replace(port, " 0 "));
  } finally {
    client.close();
  }
}

describe("explain", () => {
  let zone: TestNameServer;
  let running: Running;
  const pick = picker(SEED);
  const configs = [...CONFIGS, ...Array.from({ length: 20 }, (_, at) => randomConfig(pick, at))]
    .filter(({ settings }) => {
      const text = JSON.stringify(settings);
      return !/POLICY_PORT|sleep|HANGUP|421|521|smtpd_delay_reject/.test(text);
    });

  before(async () => {
    zone = await nameServer({ zone: ZONE });
    const master = configs.map(({ settings }, at) => {
      const options = Object.entries(settings).map(([name, value]) => ` -o { ${name} = ${value} }`).join("");
      return `127.0.0.1:${FIRST_PORT + at} inet n - n - - smtpd${options}`;
    });
    running = await startPostrider({
      main: `${MAIN}inet_protocols = all\npostrider_dns_servers = ${zone.address}\n`,
      master: master.join("\n"),
    });
  });
  after(async () => {
    await running?.remove();
    await zone?.close();
  });

  it(`gives the replies that the server gives, seed ${SEED}`, { timeout: 300_000 }, async () => {
    const runtime = await currentRuntime();
    const loaded = loadConfig(runtime, `${running.folder}/etc`);
    const differences: string[] = [];
    let replies = 0;
    const bare = (text: string): string => text.slice(1, -1);
    for (const [at, config] of configs.entries()) {
      for (let count = 0; count < MAILS; count++) {
        const xclient = pick(CLIENTS);
        const question: Question = {
          ...clientOf(xclient),
          helo: pick(HELOS),
          sender: bare(pick(SENDERS)),
          recipients: Array.from({ length: pick([1, 1, 2]) }, () => bare(pick(RECIPIENTS))),
          message: latin1Encode(CONTENT),
          dns: null,
          service: `127.0.0.1:${FIRST_PORT + at}`,
        };
        const [expected, explained] = await Promise.all([
          served(FIRST_PORT + at, xclient, question),
          explain(runtime, loaded, question),
        ]);
        const told = explained.replies.slice(2).map(({ reply }) => plain(reply));
        replies += told.length;
        if (told.join("\n") !== expected.join("\n")) {
          differences.push(
            `${config.name} ${JSON.stringify(question.sender)}\n  explain ${told}\n  server  ${expected}`,
          );
        }
      }
    }
    console.log(`${replies} replies, ${configs.length} configurations`);
    assert.deepEqual(differences, []);
    assert.ok(replies > 500);
  });
});
