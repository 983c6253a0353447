/**
 * What failures at each stage mean. The reasons and status codes are those that Debian's Postfix 3.7.11 logged against
 * the same scripted server (relayhost = the server, all time-outs 1s).
 */

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DeliveryResult } from "../../src/status.ts";
import type { Answer, Script } from "./scripted-server.ts";
import { scriptedServer } from "./scripted-server.ts";
import { alone, contentOf, desk, never, request } from "./delivering.ts";

const PLAIN = ["8BITMIME", "SIZE 50000", "ENHANCEDSTATUSCODES", "DSN"];
const PIPELINED = ["PIPELINING", ...PLAIN];

type Fault = "450" | "550" | "421" | "421 and close" | "close" | "silent";
type Stage = "greeting" | "ehlo" | "mail" | "rcpt" | "data" | "dot";

const ANSWERS: Readonly<Record<Fault, Answer>> = {
  450: "450 4.7.9 no 450",
  550: "550 5.7.9 no 550",
  421: "421 4.3.2 no 421",
  "421 and close": { reply: "421 4.3.2 no 421", then: "close" },
  close: "close",
  silent: "silent",
};

type Row = readonly [Stage, Fault, DeliveryResult["outcome"], string, string, DeliveryResult["scope"]];

const refused = (stage: Stage, command: string): readonly Row[] => [
  [stage, "450", "deferred", "4.7.9", `host H said: 450 4.7.9 no 450 (in reply to ${command} command)`, "message"],
  [stage, "550", "bounced", "5.7.9", `host H said: 550 5.7.9 no 550 (in reply to ${command} command)`, "message"],
  [stage, "421", "deferred", "4.3.2", `host H said: 421 4.3.2 no 421 (in reply to ${command} command)`, "message"],
  [
    stage,
    "421 and close",
    "deferred",
    "4.3.2",
    `host H said: 421 4.3.2 no 421 (in reply to ${command} command)`,
    "message",
  ],
];

const broken = (stage: Stage, doing: string): readonly Row[] => [
  [stage, "close", "deferred", "4.4.2", `lost connection with H while ${doing}`, "destination"],
  [stage, "silent", "deferred", "4.4.2", `conversation with H timed out while ${doing}`, "destination"],
];

const shy = (stage: Stage): readonly Row[] => [
  [stage, "421", "deferred", "4.3.2", "host H refused to talk to me: 421 4.3.2 no 421", "destination"],
  [stage, "421 and close", "deferred", "4.3.2", "host H refused to talk to me: 421 4.3.2 no 421", "destination"],
];

const ROWS: readonly Row[] = [
  ["greeting", "450", "deferred", "4.7.9", "host H refused to talk to me: 450 4.7.9 no 450", "destination"],
  ["greeting", "550", "deferred", "4.7.9", "host H refused to talk to me: 550 5.7.9 no 550", "destination"],
  ...shy("greeting"),
  ...broken("greeting", "receiving the initial server greeting"),
  ["ehlo", "450", "sent", "2.0.0", "250 2.0.0 Ok: queued as SCRIPTED", "recipient"],
  ["ehlo", "550", "sent", "2.0.0", "250 2.0.0 Ok: queued as SCRIPTED", "recipient"],
  ...shy("ehlo"),
  ...broken("ehlo", "performing the EHLO handshake"),
  ...refused("mail", "MAIL FROM"),
  ...broken("mail", "sending MAIL FROM"),
  ...refused("rcpt", "RCPT TO").map((row): Row => [row[0], row[1], row[2], row[3], row[4], "recipient"]),
  ...broken("rcpt", "sending RCPT TO"),
  ...refused("data", "DATA"),
  ...broken("data", "sending DATA command"),
  ...refused("dot", "end of DATA"),
  ...broken("dot", "sending end of data -- message may be sent more than once"),
];

async function delivered(
  script: Script,
  recipients = ["a@x.example", "b@x.example"],
  config: object = {},
  text?: string,
) {
  const server = await scriptedServer(script);
  const { agent, lines, close } = desk({ ...config }, text === undefined ? undefined : contentOf(text));
  const size = text === undefined ? {} : { size: text.length };
  const results = await agent.deliver(request(`[127.0.0.1]:${server.port}`, recipients, size), never, alone);
  await close();
  await new Promise((resolve) => setTimeout(resolve, 20));
  await server.close();
  return { results, lines, sessions: server.sessions, port: server.port };
}

const H = "127.0.0.1[127.0.0.1]";

describe("the agent tells as Postfix does", () => {
  for (const [stage, fault, outcome, status, reason, scope] of ROWS) {
    for (const features of [PIPELINED, PLAIN]) {
      it(`${fault} at ${stage}, ${features === PLAIN ? "plain" : "pipelined"}`, async () => {
        const { results, port } = await delivered({ features, [stage]: ANSWERS[fault] });
        assert.equal(results.length, 2);
        // A server that hung up after the first RCPT cannot answer the second.
        const hungUp = stage === "rcpt" && fault === "421 and close";
        if (hungUp) assert.equal(results[1]?.reason, `lost connection with ${H} while sending RCPT TO`);
        for (const result of hungUp ? results.slice(0, 1) : results) {
          assert.equal(result.reason, reason.replace("H", H));
          assert.deepEqual([result.outcome, result.status, result.scope], [outcome, status, scope]);
          assert.equal(result.relay, `${H}:${port}`);
        }
      });
    }
  }

  it("550 to EHLO and to HELO bounces", async () => {
    const { results, sessions } = await delivered({ ehlo: "550 no", helo: "550 5.1.9 no helo" });
    assert.equal(results[0]?.reason, `host ${H} refused to talk to me: 550 5.1.9 no helo`);
    assert.deepEqual([results[0]?.outcome, results[0]?.status], ["bounced", "5.1.9"]);
    assert.deepEqual(sessions[0]?.commands, ["EHLO client.example", "HELO client.example", "QUIT"]);
  });

  const replies: readonly (readonly [string, string, string])[] = [
    [
      "550-5.1.1 first line\r\n550-5.1.1 second\r\n550 5.1.1 third",
      "5.1.1",
      "550-5.1.1 first line 550-5.1.1 second 550 5.1.1 third",
    ],
    ["550 nothing", "5.0.0", "550 nothing"],
    ["550 4.1.1 class", "5.0.0", "550 4.1.1 class"],
    ["550", "5.0.0", "550"],
    ["354 what", "5.5.0", "354 what"],
    ["garbage line\r\n550 5.0.0 real", "5.0.0", "garbage line 550 5.0.0 real"],
    ["550 a\x01b\x80c\td", "5.0.0", "550 a?b?c?d"],
    [`550 ${"y".repeat(5000)}`, "5.0.0", `550 ${"y".repeat(2044)}`],
  ];
  for (const [reply, status, text] of replies) {
    it(`reads ${JSON.stringify(reply.slice(0, 40))}`, async () => {
      const { results } = await delivered({ rcpt: reply, fragmented: reply.length < 100 }, ["a@x.example"]);
      assert.equal(results[0]?.reason, `host ${H} said: ${text} (in reply to RCPT TO command)`);
      assert.equal(results[0]?.status, status);
      assert.equal(results[0]?.remote?.reply, text);
    });
  }

  it("a message larger than SIZE is not sent", async () => {
    const { results, sessions } = await delivered({ features: ["SIZE 100"] }, ["a@x.example"], {}, "x\r\n".repeat(200));
    assert.equal(results[0]?.reason, `message size 600 exceeds size limit 100 of server ${H}`);
    assert.deepEqual([results[0]?.outcome, results[0]?.status], ["bounced", "5.3.4"]);
    assert.ok(!sessions[0]?.commands.some((command) => command.startsWith("MAIL")));
  });

  it("a connection that is refused", async () => {
    const server = await scriptedServer({});
    await server.close();
    const { agent, lines, close } = desk();
    const [result] = await agent.deliver(request(`[127.0.0.1]:${server.port}`), never, alone);
    await close();
    assert.equal(result?.reason, `connect to ${H}:${server.port}: Connection refused`);
    assert.deepEqual([result?.status, result?.scope, result?.relay], ["4.4.1", "destination", "none"]);
    assert.deepEqual(lines, [`connect to ${H}:${server.port}: Connection refused`]);
  });
});

describe("the agent sends what Postfix sends", () => {
  const mixed: Script = { rcpt: ["250 ok", "550 5.1.1 no such", "450 4.2.0 later"] };

  for (const features of [PIPELINED, PLAIN]) {
    it(`some recipients refused, ${features === PLAIN ? "plain" : "pipelined"}`, async () => {
      const { results } = await delivered({ ...mixed, features }, ["a@x.example", "b@x.example", "c@x.example"]);
      assert.deepEqual(results.map((result) => result.outcome), ["sent", "bounced", "deferred"]);
      assert.deepEqual(results.map((result) => result.status), ["2.0.0", "5.1.1", "4.2.0"]);
    });
  }

  it("all refused, and DATA let through: a lone dot", async () => {
    const { sessions, results } = await delivered({ rcpt: "550 no", data: "354 go", features: PIPELINED });
    assert.deepEqual(results.map((result) => result.outcome), ["bounced", "bounced"]);
    assert.deepEqual(sessions[0]?.contents, [""]);
  });

  it("all refused, and DATA too: RSET", async () => {
    const { sessions } = await delivered({ rcpt: "550 no", features: PIPELINED });
    assert.deepEqual(sessions[0]?.commands.slice(-3), ["DATA", "RSET", "QUIT"]);
    const plain = await delivered({ rcpt: "550 no", features: PLAIN });
    assert.deepEqual(plain.sessions[0]?.commands.slice(-3), [
      "RCPT TO:<b@x.example> ORCPT=rfc822;b@x.example",
      "RSET",
      "QUIT",
    ]);
  });

  it("the envelope and DATA in one write, the content and its dot in another", async () => {
    const { sessions } = await delivered({ features: PIPELINED });
    assert.deepEqual(sessions[0]?.chunks, [
      "EHLO client.example\r\n",
      "MAIL FROM:<s@client.example> SIZE=24\r\nRCPT TO:<a@x.example> ORCPT=rfc822;a@x.example\r\n" +
      "RCPT TO:<b@x.example> ORCPT=rfc822;b@x.example\r\nDATA\r\n",
      "Subject: test\r\n\r\nhello\r\n.\r\n",
      "QUIT\r\n",
    ]);
  });

  it("long lines broken, dots doubled", async () => {
    const text = `Subject: x\r\n\r\n.${"z".repeat(997)}\r\n${"y".repeat(998)}\r\n${"w".repeat(999)}\r\n${
      "v".repeat(2500)
    }\r\n..x\r\n`;
    const { sessions, lines } = await delivered({}, ["a@x.example"], {}, text);
    const received = sessions[0]?.contents[0]?.split("\r\n").map((line) => line.length);
    assert.deepEqual(received?.slice(2), [999, 998, 998, 2, 998, 998, 506, 4, 0]);
    assert.deepEqual(lines, ["QID: breaking line > 998 bytes with <CR><LF>SPACE"]);
  });

  it("DSN parameters, in xtext", async () => {
    const server = await scriptedServer({});
    const { agent, close } = desk();
    const one = {
      address: "a@x.example",
      original: "",
      originalRecipient: "rfc822;orig+B@x.example",
      notify: ["success", "delay"] as const,
    };
    const two = { address: '"q q"@x.example', original: "", originalRecipient: "", notify: [] };
    const asked = request(`[127.0.0.1]:${server.port}`, [one, two]);
    const envelope = { ...asked.envelope, ret: "hdrs", envid: "ab+cd", encoding: "8bit" } as const;
    await agent.deliver({ ...asked, envelope }, never, alone);
    await close();
    await server.close();
    assert.deepEqual(server.sessions[0]?.commands.slice(1, 4), [
      "MAIL FROM:<s@client.example> SIZE=24 BODY=8BITMIME ENVID=ab+2Bcd RET=HDRS",
      "RCPT TO:<a@x.example> ORCPT=rfc822;orig+2BB@x.example NOTIFY=SUCCESS,DELAY",
      'RCPT TO:<"q q"@x.example> ORCPT=rfc822;"q+20q"@x.example',
    ]);
  });

  it("a server that announces DSN reports success itself", async () => {
    for (const [features, reports] of [[PIPELINED, true], [["PIPELINING"], undefined]] as const) {
      const server = await scriptedServer({ features });
      const { agent, close } = desk();
      const [result] = await agent.deliver(request(`[127.0.0.1]:${server.port}`), never, alone);
      await close();
      await server.close();
      assert.equal(result?.reportsSuccess, reports);
    }
  });

  it("no address can add a command", async () => {
    const { results, sessions } = await delivered({}, ["a@x.example>\r\nRCPT TO:<evil@x.example", "b@x.example"]);
    assert.deepEqual(results.map((result) => [result.outcome, result.status]), [["bounced", "5.1.3"], [
      "sent",
      "2.0.0",
    ]]);
    assert.ok(!sessions[0]?.commands.some((command) => command.includes("evil")));
  });

  it("does not wait for the answer to QUIT", async () => {
    const started = performance.now();
    const { results } = await delivered({ quit: "silent" });
    assert.equal(results[0]?.outcome, "sent");
    assert.ok(performance.now() - started < 250);
  });
});
