/**
 * A next hop that misbehaves, end to end: SMTP in, queue, our smtp agent, a sink. What is logged, retried and returned
 * is what Debian's Postfix 3.7.11 does with the same server.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { freePort, type Running, scriptCommand, sleep, startPostrider, until } from "./postrider.ts";
import { type Received, SILENT, Sink, type SinkOptions } from "./sink.ts";
import { SmtpClient } from "./smtp-client.ts";

const QUICK = [
  ...["connect", "helo", "mail", "rcpt", "data_init", "data_xfer", "data_done"].map((stage) =>
    `smtp_${stage}_timeout = 1s`
  ),
  "minimal_backoff_time = 1s",
  "maximal_backoff_time = 1s",
].join("\n");

interface Setup {
  readonly main?: string;
  /** Domain -> port. */
  readonly routes: Readonly<Record<string, number>>;
}

function start({ main = "", routes }: Setup): Promise<Running> {
  const entries = Object.entries(routes).map(([domain, port]) => `{ ${domain} = smtp:[127.0.0.1]:${port} }`);
  return startPostrider({ main: `${QUICK}\ntransport_maps = inline:{ ${entries.join(" ")} }\n${main}` });
}

/** The queue id. */
async function send(running: Running, recipients: readonly string[], sender = "s@home.example"): Promise<string> {
  const client = await (await SmtpClient.connect(running.port)).greeted();
  const reply = await client.send(sender, recipients, `Subject: to ${recipients[0]}\r\n\r\nhello\r\n`);
  client.close();
  const found = /^250 2\.0\.0 Ok: queued as (\S+)$/.exec(reply);
  assert.ok(found, reply);
  return found[1]!;
}

/** What the log says about that message, without time and service. */
function linesOf(running: Running, id: string): string[] {
  return running.log.split("\n").map((line) => line.slice(line.indexOf("]: ") + 3).replace(/^warning: /, ""))
    .filter((line) => line.startsWith(`${id}: `));
}

const tail = (running: Running) => (): string => running.log.slice(-3000);

async function logged(running: Running, id: string, pattern: RegExp, count = 1): Promise<string[]> {
  const matching = (): string[] => linesOf(running, id).filter((line) => pattern.test(line));
  await until(() => matching().length >= count, 15_000, () => `${pattern}\n${linesOf(running, id).join("\n")}`);
  return matching();
}

const to = (sink: Sink, recipient: string): Received[] =>
  sink.messages.filter(({ recipients }) => recipients.includes(recipient));
const notices = (sink: Sink, id: string): Received[] =>
  sink.messages.filter(({ sender, content }) => sender === "" && content.includes(`-Queue-ID: ${id}\r\n`));

async function noticeOf(sink: Sink, id: string, running: Running): Promise<string> {
  await until(() => notices(sink, id).length > 0, 15_000, tail(running));
  return notices(sink, id)[0]!.content.replace(/\r\n[ \t]+/g, " ");
}

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");

type Stage = "greeting" | "ehlo" | "mail" | "rcpt" | "data" | "dot";
const WORDS: Readonly<Record<Stage, RegExp>> = {
  greeting: /^$/,
  ehlo: /^(EHLO|HELO)/,
  mail: /^MAIL/,
  rcpt: /^RCPT/,
  data: /^DATA/,
  dot: /^never$/,
};
const COMMAND = { mail: "MAIL FROM", rcpt: "RCPT TO", data: "DATA", dot: "end of DATA" } as const;
const DOING: Readonly<Record<Stage, string>> = {
  greeting: "receiving the initial server greeting",
  ehlo: "performing the EHLO handshake",
  mail: "sending MAIL FROM",
  rcpt: "sending RCPT TO",
  data: "sending DATA command",
  dot: "sending end of data -- message may be sent more than once",
};
const STAGES = Object.keys(WORDS) as Stage[];
const FAULTS = {
  450: "450 4.7.9 not now",
  550: "550 5.7.9 not ever",
  421: "421 4.3.2 closing",
  closes: "",
  silent: SILENT,
} as const;
type Fault = keyof typeof FAULTS;
const HOST = "127.0.0.1[127.0.0.1]";

interface Expected {
  readonly status: "deferred" | "bounced";
  readonly dsn: string;
  readonly reason: string;
}

function expected(stage: Stage, fault: Fault): Expected {
  const reply = FAULTS[fault];
  const dsn = reply.slice(4, 9);
  if (fault === "closes") {
    return { status: "deferred", dsn: "4.4.2", reason: `lost connection with ${HOST} while ${DOING[stage]}` };
  }
  if (fault === "silent") {
    return { status: "deferred", dsn: "4.4.2", reason: `conversation with ${HOST} timed out while ${DOING[stage]}` };
  }
  if (stage === "greeting" || stage === "ehlo") {
    const reason = `host ${HOST} refused to talk to me: ${reply}`;
    // smtp_skip_5xx_greeting is for the greeting alone.
    const bounced = stage === "ehlo" && FAULTS[fault].startsWith("550");
    return { status: bounced ? "bounced" : "deferred", dsn: bounced ? dsn : `4${dsn.slice(1)}`, reason };
  }
  const reason = `host ${HOST} said: ${reply} (in reply to ${COMMAND[stage]} command)`;
  return { status: FAULTS[fault].startsWith("550") ? "bounced" : "deferred", dsn, reason };
}

/** Misbehaves once: in the first session, or at the first command of its stage. */
function badOnce(stage: Stage, fault: Fault): SinkOptions {
  const reply = FAULTS[fault];
  let over = false;
  const once = (): boolean => !over && (over = true);
  const early = stage === "greeting" || stage === "ehlo";
  return {
    answer: (line, session) => WORDS[stage].test(line) && (early ? session === 1 : once()) ? reply : null,
    dot: () => stage === "dot" && once() ? reply : null,
  };
}

describe("each stage, each fault", () => {
  const rows = STAGES.flatMap((stage) => (Object.keys(FAULTS) as Fault[]).map((fault) => ({ stage, fault })));
  const sinks = new Map<string, Sink>();
  const ids = new Map<string, string>();
  let home: Sink;
  let running: Running;
  before(async () => {
    home = await Sink.start();
    const routes: Record<string, number> = { "home.example": home.port };
    for (const { stage, fault } of rows) {
      const sink = await Sink.start(badOnce(stage, fault));
      sinks.set(`${fault}-${stage}.example`, sink);
      routes[`${fault}-${stage}.example`] = sink.port;
    }
    running = await start({ routes });
    for (const domain of sinks.keys()) ids.set(domain, await send(running, [`u@${domain}`]));
  });
  after(async () => {
    await running.remove();
    for (const sink of [home, ...sinks.values()]) await sink.close();
  });

  for (const { stage, fault } of rows) {
    const domain = `${fault}-${stage}.example`;
    const { status, dsn, reason } = expected(stage, fault);
    test(`${fault} at ${stage}: ${status} ${dsn}`, async () => {
      const sink = sinks.get(domain)!;
      const id = ids.get(domain)!;
      const [first] = await logged(running, id, /to=</);
      const start = `${id}: to=<u@${domain}>, relay=${HOST}:${sink.port}, delay=`;
      assert.ok(first!.startsWith(start), first);
      assert.match(first!, new RegExp(`, delays=[\\d.]+/[\\d.]+/[\\d.]+/[\\d.]+, dsn=${dsn}, status=${status} \\(`));
      assert.ok(first!.endsWith(`(${reason})`), first);
      await logged(running, id, /: removed$/);
      if (status === "deferred") {
        assert.match(
          (await logged(running, id, /status=sent/))[0]!,
          /, dsn=2\.0\.0, status=sent \(250 2\.0\.0 Ok: queued\)$/,
        );
        assert.equal(to(sink, `u@${domain}`).length, 1);
        assert.equal(
          linesOf(running, id).filter((line) => line.includes("to=<")).length,
          2,
          "one failure, one success",
        );
        assert.equal(notices(home, id).length, 0);
        return;
      }
      const notice = await noticeOf(home, id, running);
      assert.equal(to(sink, `u@${domain}`).length, 0);
      assert.match(notice, new RegExp(`^Final-Recipient: rfc822; u@${escaped(domain)}\r$`, "m"));
      assert.match(notice, /^Action: failed\r$/m);
      assert.match(notice, new RegExp(`^Status: ${dsn}\r$`, "m"));
      assert.match(notice, /^Remote-MTA: dns; 127\.0\.0\.1\r$/m);
      assert.match(notice, new RegExp(`^Diagnostic-Code: smtp; ${escaped(FAULTS[fault])}\r$`, "m"));
      assert.ok(notice.includes(`<u@${domain}>: ${reason}`), notice);
      assert.match((await logged(running, id, /sender non-delivery notification: \S+$/))[0]!, /notification/);
      assert.equal(notices(home, id).length, 1);
    });
  }
});

describe("one next hop beside another", { concurrency: true }, () => {
  test("a receiver that dies around its reply: nothing lost, one duplicate where none can know", async () => {
    const home = await Sink.start();
    // Before: it goes without having taken the message. After: it has taken it, and nobody hears of it.
    const earlier = await Sink.start({ dot: (_received, session) => session === 1 ? "" : null });
    let taken = 0;
    const later = await Sink.start({ dot: (_received, session) => session === 1 ? (taken++, "") : null });
    // The reply comes, and the connection goes before QUIT is answered.
    const last = await Sink.start({ answer: (line) => line === "QUIT" ? "" : null });
    const sinks = { "before.example": earlier, "after.example": later, "quit.example": last };
    const routes = Object.fromEntries(Object.entries(sinks).map(([domain, sink]) => [domain, sink.port]));
    const running = await start({ routes: { ...routes, "home.example": home.port } });
    try {
      const ids = new Map<string, string>();
      for (const domain of Object.keys(sinks)) ids.set(domain, await send(running, [`u@${domain}`]));
      for (const [domain, id] of ids) {
        await logged(running, id, /: removed$/);
        assert.equal(to(sinks[domain as keyof typeof sinks], `u@${domain}`).length, 1);
      }
      assert.equal(taken, 1, "this one got it twice");
      assert.equal(linesOf(running, ids.get("quit.example")!).filter((line) => line.includes("to=<")).length, 1);
    } finally {
      await running.remove();
      for (const sink of [home, ...Object.values(sinks)]) await sink.close();
    }
  });

  test("a dead one rests, its other mail is put off without a try, a live one is not affected", async () => {
    const live = await Sink.start();
    const deadPort = await freePort();
    const main = "minimal_backoff_time = 2s\nmaximal_backoff_time = 2s\n" +
      "default_destination_concurrency_failed_cohort_limit = 1\n" +
      "initial_destination_concurrency = 1";
    const running = await start({ main, routes: { "dead.example": deadPort, "live.example": live.port } });
    try {
      const first = await send(running, ["u0@dead.example"]);
      const refused = `connect to 127.0.0.1[127.0.0.1]:${deadPort}: Connection refused`;
      const [line] = await logged(running, first, /to=</);
      assert.match(line!, new RegExp(`relay=none, .*dsn=4\\.4\\.1, status=deferred \\(${escaped(refused)}\\)$`));
      const others = [];
      for (let at = 1; at <= 5; at++) {
        others.push(await send(running, [`u${at}@dead.example`]));
        const started = performance.now();
        await logged(running, await send(running, [`u${at}@live.example`]), /status=sent/);
        assert.ok(performance.now() - started < 1_000);
      }
      for (const id of others) {
        const [suspended] = await logged(running, id, /to=</);
        assert.ok(
          suspended!.endsWith(`dsn=4.4.1, status=deferred (delivery temporarily suspended: ${refused})`),
          suspended,
        );
      }
      const tries = (): number => running.log.split(`]: ${refused}\n`).length - 1;
      assert.equal(tries(), 1, "one try");
      assert.equal(live.messages.length, 5);
      await until(() => tries() === 2, 10_000, tail(running));
      // It lives again: everything gets through.
      const born = await Sink.start({}, deadPort);
      await until(() => born.messages.length === 6, 15_000, tail(running));
      await born.close();
    } finally {
      await running.remove();
      await live.close();
    }
  });

  test("recipients are answered one by one: sent, bounced and deferred in one message", async () => {
    const home = await Sink.start();
    let soft = "450 4.2.1 busy";
    const sink = await Sink.start({
      answer: (line) =>
        line.startsWith("RCPT TO:<bad")
          ? "550 5.1.1 nobody"
          : line.startsWith("RCPT TO:<slow") && soft !== ""
          ? soft
          : null,
    });
    const running = await start({ routes: { "x.example": sink.port, "home.example": home.port } });
    try {
      const given = ["good2@x.example", "bad@x.example", "slow@x.example", "good1@x.example", "Good2@X.example"];
      const id = await send(running, given);
      await logged(running, id, /to=<good1@x\.example>.*status=sent/);
      await logged(running, id, /to=<good2@x\.example>.*status=sent/);
      await logged(running, id, /to=<slow@x\.example>.*dsn=4\.2\.1, status=deferred \(host .* said: 450 4\.2\.1 busy/);
      await logged(running, id, /to=<bad@x\.example>.*dsn=5\.1\.1, status=bounced \(host .* said: 550 5\.1\.1 nobody/);
      const notice = await noticeOf(home, id, running);
      assert.deepEqual(notice.match(/Final-Recipient: .*/g), ["Final-Recipient: rfc822; bad@x.example"]);
      soft = "";
      await logged(running, id, /to=<slow@x\.example>.*status=sent/);
      await logged(running, id, /: removed$/);
      assert.deepEqual(sink.messages.map(({ recipients }) => recipients), [["good1@x.example", "good2@x.example"], [
        "slow@x.example",
      ]]);
      assert.equal(notices(home, id).length, 1);
    } finally {
      await running.remove();
      await sink.close();
      await home.close();
    }
  });
});

describe("the end of patience", { concurrency: true }, () => {
  test("what is too old is returned, and a bounce that fails does not loop", async () => {
    const home = await Sink.start();
    const never = await Sink.start({ answer: (line) => line.startsWith("RCPT") ? "450 4.2.0 later" : null });
    const no = await Sink.start({ answer: (line) => line.startsWith("RCPT") ? "550 5.1.1 nobody" : null });
    const main = "maximal_queue_lifetime = 2s\nbounce_queue_lifetime = 2s\nnotify_classes = resource, software";
    const running = await start({
      main,
      routes: { "never.example": never.port, "no.example": no.port, "home.example": home.port },
    });
    try {
      const old = await send(running, ["u@never.example"]);
      const forged = await send(running, ["u@no.example"], "forged@no.example");
      const unreachable = await send(running, ["u@no.example"], "s@never.example");
      await logged(running, old, /: removed$/);
      const lines = linesOf(running, old);
      const expiry = lines.indexOf(`${old}: from=<s@home.example>, status=expired, returned to sender`);
      assert.ok(expiry > 0, lines.join("\n"));
      assert.match(lines[expiry + 1]!, /sender non-delivery notification/);
      const notice = await noticeOf(home, old, running);
      assert.match(notice, /^Action: failed\r$/m);
      assert.match(notice, /^Status: 4\.2\.0\r$/m);
      assert.match(notice, /^Diagnostic-Code: smtp; 450 4\.2\.0 later\r$/m);

      // Its notice is refused: there is nobody left to tell.
      for (const id of [forged, unreachable]) {
        const [line] = await logged(running, id, /sender non-delivery notification: /);
        const bounce = line!.split(" ").at(-1)!;
        await logged(running, bounce, /: removed$/);
        assert.equal(linesOf(running, bounce).filter((one) => /notification/.test(one)).length, 0);
        assert.match(linesOf(running, bounce).join("\n"), /from=<>, size=/);
      }
      await sleep(1_200);
      const started = running.log.match(/sender non-delivery notification/g)!.length;
      assert.equal(started, 3);
      assert.ok(!home.messages.some(({ content }) => content.includes(forged) || content.includes(unreachable)));
    } finally {
      await running.remove();
      for (const sink of [home, never, no]) await sink.close();
    }
  });

  test("the postmaster hears of a double bounce once", async () => {
    const no = await Sink.start({ answer: (line) => line.startsWith("RCPT") ? "550 5.1.1 nobody" : null });
    const running = await start({
      main: "notify_classes = 2bounce\n2bounce_notice_recipient = postmaster@no.example",
      routes: { "no.example": no.port },
    });
    try {
      const id = await send(running, ["u@no.example"], "forged@no.example");
      const bounce = (await logged(running, id, /sender non-delivery notification: /))[0]!.split(" ").at(-1)!;
      const double = (await logged(running, bounce, /postmaster non-delivery notification: /))[0]!.split(" ").at(-1)!;
      assert.match((await logged(running, double, /queue active/))[0]!, /from=<double-bounce@mx\.test\.example>/);
      await logged(running, double, /: undeliverable postmaster notification discarded$/);
      await logged(running, double, /: removed$/);
      await sleep(500);
      assert.equal(running.log.match(/queue active/g)!.length, 3);
    } finally {
      await running.remove();
      await no.close();
    }
  });
});

test("defer_transports holds mail back; postqueue -f tries all that waits at once", async () => {
  let busy = true;
  const sink = await Sink.start({ answer: (line) => busy && line.startsWith("MAIL") ? "450 4.3.0 busy" : null });
  const master = "slow unix - - n - - smtp";
  const entries = `{ x.example = smtp:[127.0.0.1]:${sink.port} } { slow.example = slow:[127.0.0.1]:${sink.port} }`;
  const running = await startPostrider({
    main: `defer_transports = slow\ntransport_maps = inline:{ ${entries} }`,
    master,
  });
  try {
    const held = await send(running, ["u@slow.example"]);
    const [line] = await logged(running, held, /to=</);
    assert.match(line!, /relay=none, delay=.*, dsn=4\.3\.2, status=deferred \(deferred transport\)$/);
    const id = await send(running, ["u@x.example"]);
    await logged(running, id, /status=deferred/);
    await sleep(1_200);
    assert.equal(linesOf(running, id).filter((one) => one.includes("to=<")).length, 1, "minimal_backoff_time is 300s");
    busy = false;
    const { command, arguments: words } = scriptCommand("bin/postrider.ts");
    const done = spawnSync(command, [...words, "postqueue", "-c", `${running.folder}/etc`, "-f"], { encoding: "utf8" });
    assert.equal(done.status, 0, done.stderr);
    await logged(running, id, /status=sent/);
    await logged(running, held, /status=sent/);
    assert.equal(sink.messages.length, 2);
  } finally {
    await running.remove();
    await sink.close();
  }
});
