/**
 * master.cf's -o settings of the services inside the mail system, beside Debian's Postfix: which line of master.cf a
 * setting is read from. The same mail is sent to both; the same copies and notices arrive, and the log says the same.
 */

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { after, before, describe, test } from "node:test";
import { type Running, scriptCommand, startPostrider, until } from "../postrider.ts";
import { Sink } from "../sink.ts";
import { type DebianPostfix, debianPostfix, startDebianPostfix, submit } from "./debian-postfix.ts";

const main = (port: number): string =>
  `relayhost = [127.0.0.1]:${port}
mail_name = Postfix
transport_maps = inline:{ {soft.example=soft:[127.0.0.1]:${port}} {six.example=six:[127.0.0.1]:${port}} \
{three.example=three:[127.0.0.1]:${port}} {zero.example=zero:[127.0.0.1]:${port}} {dead.example=dead:[127.0.0.1]:1} \
{rate.example=rate:[127.0.0.1]:1} }
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
notify_classes =
minimal_backoff_time = 2s
maximal_backoff_time = 2s
queue_run_delay = 2s
delay_warning_time = 1s
rate_destination_rate_delay = 1s
rate_destination_concurrency_failed_cohort_limit = 2
`;

const services = (port: number): string =>
  `qmgr unix n - n 300 1 qmgr -o soft_bounce=yes -o delay_logging_resolution_limit=6
cleanup unix n - n - 0 cleanup -o always_bcc=copy@x.example -o delay_logging_resolution_limit=0
  -o { header_checks = pcre:{ {/^Subject: refused/ REJECT} } }
pickup unix n - n 60 1 pickup -o receive_override_options=no_address_mappings -o content_filter=smtp:[127.0.0.1]:${port}
bounce unix - - n - 0 bounce -o myhostname=bounce.example
defer unix - - n - 0 bounce -o myhostname=defer.example
trace unix - - n - 0 bounce -o myhostname=trace.example
retry unix - - n - - error -o delay_logging_resolution_limit=0
soft unix - - n - - smtp -o soft_bounce=yes
six unix - - n - - smtp -o delay_logging_resolution_limit=6
three unix - - n - - smtp -o delay_logging_resolution_limit=3
zero unix - - n - - smtp -o delay_logging_resolution_limit=0
dead unix - - n - - smtp
rate unix - - n - - smtp
`;

interface Side {
  readonly sink: Sink;
  readonly port: number;
  readonly folder: string;
  readonly log: () => string;
  readonly sendmail: readonly string[];
}

const content = "Subject: x\r\n\r\nx\r\n";

describe("settings of single services, beside Debian's Postfix", { skip: !debianPostfix }, () => {
  const sides: Side[] = [];
  let debian: DebianPostfix | null = null;
  let running: Running | null = null;

  before(async () => {
    const sink = (): Promise<Sink> =>
      Sink.start({
        // Without DSN it is for the sender to tell of a delivery.
        keywords: ["PIPELINING", "8BITMIME"],
        answer: (line) => /^RCPT TO:<bad/.test(line) ? "550 5.1.1 nobody" : null,
      });
    const sinks = [await sink(), await sink()] as const;
    const [{ port: first }, { port: second }] = sinks;
    debian = await startDebianPostfix(main(first), { services: services(first) });
    running = await startPostrider({ main: main(second), master: services(second) });
    const { command, arguments: words } = scriptCommand("bin/postrider.ts");
    const [theirs, ours] = [debian, running];
    sides.push(
      { sink: sinks[0], port: theirs.port, folder: theirs.folder, log: () => theirs.log(), sendmail: ["sendmail"] },
      {
        sink: sinks[1],
        port: ours.port,
        folder: ours.folder,
        log: () => ours.log,
        sendmail: [command, ...words, "sendmail"],
      },
    );
  });

  after(async () => {
    debian?.stop();
    await running?.remove();
    for (const { sink } of sides) await sink.close();
  });

  /** The same of both; what it is. */
  async function both<T>(ask: (side: Side) => T | Promise<T>): Promise<T> {
    const [theirs, ours] = [await ask(sides[0]!), await ask(sides[1]!)];
    assert.deepEqual(ours, theirs);
    return ours;
  }

  const send = (side: Side, recipient: string): Promise<string> =>
    submit(side.port, { sender: "s@a.example", recipients: [recipient], content });

  function local({ sendmail, folder }: Side, recipient: string, subject: string): void {
    const [program, ...words] = sendmail as [string, ...string[]];
    const asked = [...words, "-C", `${folder}/etc`, "-f", "local@a.example", recipient];
    assert.equal(spawnSync(program, asked, { input: `Subject: ${subject}\n\nx\n` }).status, 0);
  }

  /** The groups of the first line of the log that fits. */
  async function told(side: Side, line: RegExp): Promise<readonly string[]> {
    await until(() => line.test(side.log()), 15_000, () => side.log());
    return line.exec(side.log())!.slice(1);
  }

  /** The host that the notice with that subject speaks for. */
  async function speaker(side: Side, subject: string): Promise<string> {
    const found = (): string | undefined =>
      side.sink.messages.find(({ content: text }) => text.includes(`Subject: ${subject}`))?.content;
    await until(() => found() !== undefined, 15_000, () => side.log());
    return /This is the mail system at host (\S+)\.\r/.exec(found()!)![1]!;
  }

  test("soft_bounce is that of the delivery agent's line, not of qmgr's", async () => {
    const outcome = async (side: Side, who: string): Promise<readonly string[]> => {
      await send(side, who);
      return await told(side, new RegExp(`to=<${who}>.*dsn=(\\S+), status=(\\w+)`));
    };
    assert.deepEqual(await both((side) => outcome(side, "bad@soft.example")), ["4.1.1", "SOFTBOUNCE"]);
    assert.deepEqual(await both((side) => outcome(side, "bad@x.example")), ["5.1.1", "bounced"]);
  });

  test("bounce tells of failures, defer of delays, trace of deliveries", async () => {
    for (const side of sides) for (const who of ["w@dead.example", "g@x.example NOTIFY=SUCCESS"]) await send(side, who);
    assert.equal(await both((side) => speaker(side, "Undelivered Mail")), "bounce.example");
    assert.equal(await both((side) => speaker(side, "Successful Mail")), "trace.example");
    assert.equal(await both((side) => speaker(side, "Delayed Mail")), "defer.example");
  });

  test("cleanup's line says who gets copies, pickup's that its mail has none", async () => {
    const copied = async (side: Side, sender: string, who: string): Promise<string> => {
      const mine = (): Sink["messages"] => side.sink.messages.filter((one) => one.sender === sender);
      await until(() => mine().some(({ recipients }) => recipients.includes(who)), 15_000, () => side.log());
      return mine().flatMap(({ recipients }) => recipients).filter((one) => one === "copy@x.example").slice(0, 1)
        .join();
    };
    for (const side of sides) local(side, "l@x.example", "l");
    assert.equal(await both((side) => copied(side, "local@a.example", "l@x.example")), "");
    assert.equal(await both((side) => copied(side, "s@a.example", "g@x.example")), "copy@x.example");
  });

  test("a destination with a rate delay dies after as many failures", async () => {
    const tries = async (side: Side): Promise<number> => {
      for (let at = 0; at < 5; at++) await send(side, `u${at}@rate.example`);
      await told(side, /postfix\/error\[.*to=<\w+@rate\.example>.*suspended/);
      const log = side.log();
      const before = log.slice(0, log.search(/postfix\/error\[.*@rate/));
      return before.match(/postfix\/smtp\[.*to=<\w+@rate.*refused/g)!.length;
    };
    assert.equal(await both(tries), 2);
  });

  test("delay_logging_resolution_limit is that of the service that writes the line", async () => {
    /** The most digits behind the point of any delay in such lines. */
    const digits = (side: Side, line: RegExp): number => {
      const times = [...side.log().matchAll(line)].flatMap(([, delay, delays]) => [delay!, ...delays!.split("/")]);
      assert.ok(times.length > 0, `${line}: ${side.log()}`);
      return Math.max(...times.map((time) => time.split(".")[1]?.length ?? 0));
    };
    const DELAYS = "delay=([\\d.]+), delays=([\\d./]+),";
    const sent = (name: string): RegExp => new RegExp(`to=<\\w+@${name}>.* ${DELAYS}`, "g");
    for (const side of sides) {
      for (let at = 0; at < 4; at++) {
        for (const name of ["zero", "three", "six"]) await send(side, `u${at}@${name}.example`);
      }
      local(side, "refused@x.example", "refused");
      await told(side, /postfix\/cleanup\[.*to=<refused@x\.example>.*status=bounced/);
      assert.equal(digits(side, new RegExp(`postfix/cleanup\\[.*to=<refused@.* ${DELAYS}`, "g")), 0, "cleanup's line");
      for (const name of ["zero", "three", "six"]) {
        await told(side, new RegExp(`to=<u3@${name}\\.example>.*status=sent`));
      }
      assert.equal(digits(side, sent("zero\\.example")), 0);
      assert.equal(digits(side, sent("three\\.example")), 3);
      assert.equal(digits(side, sent("x\\.example")), 2, "smtp's line has none: the default, not qmgr's 6");
      assert.ok(digits(side, sent("six\\.example")) >= 3);
      assert.equal(digits(side, new RegExp(`postfix/error\\[.*to=<\\w+@rate.* ${DELAYS}`, "g")), 0, "retry's line");
    }
  });
});
