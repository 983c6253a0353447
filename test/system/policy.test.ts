/**
 * Access policy beside Debian's Postfix: the same main.cf, tables, DNS zone and dialogues; replies equal to the letter.
 * Each configuration is one smtpd service. POSTRIDER_TEST_SEED repeats a random run.
 */

import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createServer, type Socket } from "node:net";
import { after, before, describe, test } from "node:test";
import { nameServer, type TestNameServer } from "../dns/server.ts";
import { type Running, startPostrider, until } from "../postrider.ts";
import { SmtpClient } from "../smtp-client.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix } from "./debian-postfix.ts";
import { missing } from "./missing-lines.ts";
import {
  CLIENTS,
  CONFIGS,
  HELOS,
  MAIN,
  type Pick,
  picker,
  POLICY_ACTIONS,
  type PolicyConfig,
  randomConfig,
  RECIPIENTS,
  SENDERS,
  WANTED,
  ZONE,
} from "./policy-cases.ts";
import { SEED } from "../seed.ts";

const RANDOM_CONFIGS = 30;
/** Below the ports that the system gives out. */
const FIRST_PORT = 12_000;
const NAME_SERVER = { host: "127.0.0.153", port: 53 };

const folder = debianPostfix ? mkdtempSync(join(tmpdir(), "policy-")) : "";
const withZone = [
  "unshare",
  "-m",
  "sh",
  "-c",
  `mount --bind ${folder}/resolv.conf /etc/resolv.conf && exec "$@"`,
  "sh",
];

interface Service {
  readonly config: PolicyConfig;
  readonly ours: number;
  readonly theirs: number;
}

function serviceLine(port: number, { settings }: PolicyConfig, policyPort: number): string {
  const options = Object.entries(settings)
    .map(([name, value]) => ` -o { ${name} = ${value.replaceAll("POLICY_PORT", String(policyPort))} }`).join("");
  return `127.0.0.1:${port} inet n - n - - smtpd${options}`;
}

/** What may differ from one run to the next. */
function plain(reply: string): string {
  return reply.replace(/queued as \S+/, "queued as ID").replace(/^250-mx\.test\.example\r?\n[^]*/, "250 (EHLO)")
    .replace(/\r/g, "");
}

/** Both servers, the same lines; gives the steps that differ. */
async function compare(service: Service, lines: readonly string[]): Promise<{ steps: number; differences: string[] }> {
  const clients = await Promise.all([SmtpClient.connect(service.ours), SmtpClient.connect(service.theirs)]);
  const differences: string[] = [];
  const told: string[] = [];
  let steps = 0;
  const both = async (): Promise<readonly string[]> =>
    (await Promise.all(clients.map((client) => client.reply()))).map(plain);
  try {
    const check = async (line: string): Promise<readonly string[]> => {
      const [ours = "", theirs = ""] = await both();
      steps++;
      told.push(line);
      if (ours !== theirs) {
        differences.push(
          `${service.config.name}: ${told.slice(-6).join(" | ")}\n    ours   ${ours}\n    theirs ${theirs}`,
        );
      }
      return [ours, theirs];
    };
    await check("(connect)");
    for (const line of lines) {
      // Several commands in one go: a reply to each.
      const commands = line.split("\n");
      for (const client of clients) client.write(commands.map((command) => `${command}\r\n`).join(""));
      for (const command of commands.slice(0, -1)) await check(command);
      const [ours = "", theirs = ""] = await check(commands.at(-1)!);
      if (ours === "" || theirs === "" || ours.slice(0, 3) !== theirs.slice(0, 3)) break;
      if (line === "DATA" && ours.startsWith("354")) {
        for (const client of clients) client.write("Subject: x\r\n\r\nbody\r\n.\r\n");
        await check("(content)");
      }
    }
  } finally {
    for (const client of clients) client.close();
  }
  return { steps, differences };
}

/** One mail: client, HELO, sender, recipients, content. */
function transaction(pick: Pick): string[] {
  const lines = [`XCLIENT ${pick(CLIENTS)}`];
  if (pick([true, true, true, true, false])) lines.push(`${pick(["EHLO", "EHLO", "HELO"])} ${pick(HELOS)}`);
  lines.push(`MAIL FROM:${pick(SENDERS)}`);
  for (let count = pick([1, 1, 1, 2]); count > 0; count--) lines.push(`RCPT TO:${pick(RECIPIENTS)}`);
  if (pick([true, false])) lines.push("DATA");
  lines.push("RSET");
  return lines;
}

/** Two that come through to the lists of DATA and the end of data, then ETRN and VRFY, then some by chance. */
function dialogue(pick: Pick, count: number): string[] {
  const standard = [
    ...["XCLIENT NAME=c.isp.example REVERSE_NAME=c.isp.example ADDR=203.0.113.9 PORT=4321", "EHLO helo.example"],
    ...["MAIL FROM:<s@good.example>", "RCPT TO:<user@home.example>", "DATA", "RSET"],
    ...["MAIL FROM:<>", "RCPT TO:<user@home.example>", "RCPT TO:<m@vmail.example>", "DATA", "RSET"],
    "HELO helo.example\nMAIL FROM:<s@good.example>\nRCPT TO:<user@home.example>\nRSET",
    ...["ETRN elsewhere.example", "VRFY user@home.example", "VRFY x@elsewhere.example"],
  ];
  return [...standard, ...Array.from({ length: count }, () => transaction(pick)).flat(), "QUIT"];
}

/** What policy wrote, without times, processes and queue ids. */
function logLines(log: string): string[] {
  const WHAT = "reject|reject_warning|hold|discard|filter|redirect|bcc|warn|info|hangup|permit";
  const LINE = new RegExp(`smtpd\\[\\d+\\]: (?:NOQUEUE|[0-9A-Za-z]+): ((?:${WHAT}): .*)$`, "gm");
  return [...log.matchAll(LINE)].map((match) => match[1]!);
}

interface PolicyServer {
  readonly port: number;
  /** Without what differs from run to run. */
  readonly requests: string[];
  close(): void;
}

/** Answers by the sender. */
async function policyServer(): Promise<PolicyServer> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    let text = "";
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
        const request = text.slice(0, end);
        text = text.slice(end + 2);
        requests.push(request.replace(/^(instance|queue_id|client_port|server_port)=.+$/gm, "$1=X"));
        const sender = /^sender=(.*)$/m.exec(request)?.[1] ?? "";
        if (sender === "s@lost.example") socket.destroy();
        else socket.write(`action=${POLICY_ACTIONS[sender] ?? "DUNNO"}\n\n`);
      }
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", () => done()));
  return {
    port: (server.address() as { port: number }).port,
    requests,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

describe("access policy beside Debian's Postfix", { skip: !debianPostfix }, () => {
  let zone: TestNameServer;
  let ours: Running;
  let theirs: DebianPostfix;
  let policy: { readonly ours: PolicyServer; readonly theirs: PolicyServer };
  const services: Service[] = [];
  const pick = picker(SEED);

  before(async () => {
    console.log(`POSTRIDER_TEST_SEED=${SEED}`);
    zone = await nameServer({ zone: ZONE }, NAME_SERVER);
    writeFileSync(`${folder}/resolv.conf`, `nameserver ${NAME_SERVER.host}\noptions timeout:2 attempts:1\n`);
    const configs = [
      ...WANTED.map(({ config }) => config),
      ...CONFIGS,
      ...Array.from({ length: RANDOM_CONFIGS }, (_, at) => randomConfig(pick, at)),
    ];
    configs.forEach((config, at) =>
      services.push({ config, ours: FIRST_PORT + 2 * at, theirs: FIRST_PORT + 2 * at + 1 })
    );
    policy = { ours: await policyServer(), theirs: await policyServer() };
    const lines = (side: "ours" | "theirs"): string =>
      services.map((service) => serviceLine(service[side], service.config, policy[side].port)).join("\n");
    theirs = await startDebianPostfix(MAIN, { services: lines("theirs"), before: withZone });
    ours = await startPostrider({ main: MAIN, master: lines("ours"), before: withZone });
  });
  after(async () => {
    await ours?.remove();
    theirs?.stop();
    await zone?.close();
    policy?.ours.close();
    policy?.theirs.close();
    rmSync(folder, { recursive: true, force: true });
  });

  test("every restriction, every entry, every stage: replies equal to the letter", async () => {
    let steps = 0;
    const differences: string[] = [];
    const only = process.env.POLICY_ONLY ?? "";
    const compared = services.slice(WANTED.length);
    for (const service of compared.filter(({ config }) => config.name.includes(only))) {
      const found = await compare(service, dialogue(pick, 6)).catch((caught: unknown) => ({
        steps: 0,
        differences: [`${service.config.name}: ${String(caught)}`],
      }));
      steps += found.steps;
      differences.push(...found.differences);
    }
    console.log(`${steps} steps, ${services.length} configurations, ${differences.length} differences`);
    assert.deepEqual(differences, []);
    if (only === "") assert.ok(steps >= 1500);
  });

  test("policy services get the same requests", () => {
    assert.ok(policy.theirs.requests.length > 50 || process.env.POLICY_ONLY !== undefined);
    // How often an unanswered request is made again depends on what was in flight.
    const once = (list: readonly string[]): string[] => list.filter((request, at) => request !== list[at - 1]);
    const [mineOnce, theirsOnce] = [once(policy.ours.requests), once(policy.theirs.requests)];
    const different = theirsOnce.flatMap((request, at) => {
      const mine = mineOnce[at] ?? "";
      return mine === request ? [] : [{ ours: mine.split("\n"), theirs: request.split("\n") }];
    });
    assert.deepEqual(different.slice(0, 3), []);
    assert.equal(mineOnce.length, theirsOnce.length);
  });

  test("the log tells the same", async () => {
    // Either side may write its last lines after the last reply.
    const both = (): [string[], string[]] => [logLines(ours.log), logLines(theirs.log())];
    await until(() => both()[0].length === both()[1].length, 5_000, () => "").catch(() => {});
    const [mine, other] = both();
    console.log(`${other.length} log lines`);
    assert.deepEqual({ more: missing(mine, other).slice(0, 20), less: missing(other, mine).slice(0, 20) }, {
      more: [],
      less: [],
    });
  });

  for (const [at, { lines, ours: mine, theirs: other, why }] of WANTED.entries()) {
    test(`wanted: ${why}`, async () => {
      const service = services[at]!;
      for (const [port, expected] of [[service.ours, mine], [service.theirs, other]] as const) {
        const client = await SmtpClient.connect(port);
        let reply = await client.reply();
        for (const line of lines) reply = await client.ask(line);
        client.close();
        assert.match(reply, expected);
      }
    });
  }
});
