import assert from "node:assert/strict";
import { test } from "node:test";
import { latin1Decode } from "../src/latin1.ts";
import { Log } from "../src/log.ts";
import type { Clock } from "../src/runtime.ts";

function made(
  format: "postfix" | "json" = "postfix",
): { log: Log; written: string[]; delays: number[]; turn: () => void } {
  const written: string[] = [];
  const delays: number[] = [];
  let waiting: (() => void)[] = [];
  const clock = {
    now: () => Date.UTC(2026, 10, 2, 3, 4, 5),
    zoneMinutes: () => 60,
    after: (delay: number, action: () => void) => {
      delays.push(delay);
      waiting.push(action);
      return { cancel: () => waiting = waiting.filter((one) => one !== action) };
    },
  } as unknown as Clock;
  const write = (bytes: Uint8Array): void => void written.push(latin1Decode(bytes));
  const log = new Log({ clock, hostname: "mx", name: "postfix", format, pid: 7, write });
  const turn = (): void => {
    for (const action of waiting.splice(0)) action();
  };
  return { log, written, delays, turn };
}

test("Postfix's lines, gathered", () => {
  const { log, written, turn } = made();
  const smtpd = log.service("smtpd", 12);
  smtpd.info("connect from x[1.2.3.4]");
  smtpd.warn("odd");
  smtpd.slot(13).error("bad");
  log.service("x", 1, "postfix-out").info("y");
  log.line("tag", "info", "z");
  assert.deepEqual(written, []);
  turn();
  assert.deepEqual(written.join("").split("\n"), [
    "Nov  2 04:04:05 mx postfix/smtpd[12]: connect from x[1.2.3.4]",
    "Nov  2 04:04:05 mx postfix/smtpd[12]: warning: odd",
    "Nov  2 04:04:05 mx postfix/smtpd[13]: error: bad",
    "Nov  2 04:04:05 mx postfix-out/x[1]: y",
    "Nov  2 04:04:05 mx tag[7]: z",
    "",
  ]);
  assert.equal(written.length, 1);
});

test("control characters cannot forge a line; 8-bit text stays", () => {
  const { log, written } = made();
  log.service("smtpd").info("a\r\nb\0\x1b[2J\x7f\u00e9");
  log.flush();
  assert.match(written.join(""), /: a\?\?b\?\?\[2J\?\u00e9\n$/);
  assert.equal(written.join("").split("\n").length, 2);
});

test("lines are gathered for longer while there are many", () => {
  const { log, delays, turn } = made();
  const smtpd = log.service("smtpd");
  for (const lines of [1, 100, 100, 1, 1]) {
    for (let line = 0; line < lines; line++) smtpd.info(`line ${line}`);
    turn();
  }
  assert.deepEqual(delays, [5, 5, 20, 20, 5]);
});

test("what is fatal is written at once", () => {
  const { log, written } = made();
  log.service("master").fatal("the end");
  assert.match(written.join(""), /fatal: the end\n$/);
});

test("many and long lines are written before the turn ends, in order", () => {
  const { log, written, turn } = made();
  const logger = log.service("smtpd");
  for (let at = 0; at < 3_000; at++) logger.info(`${at} ${"x".repeat(50)}`);
  logger.info("y".repeat(200_000));
  logger.info("last");
  turn();
  const numbers = written.join("").split("\n").map((line) => /: (\d+) x/.exec(line)?.[1]).filter((one) =>
    one !== undefined
  );
  assert.deepEqual(numbers, Array.from({ length: 3_000 }, (_none, at) => String(at)));
  assert.match(written.join(""), /y{200000}\n.*: last\n$/);
  assert.ok(written.length > 2);
});

test("JSON", () => {
  const { log, written } = made("json");
  log.service("smtpd", 3).warn('\u00c3\u00a9 "q"\n');
  log.flush();
  assert.deepEqual(JSON.parse(Buffer.from(written.join(""), "latin1").toString("utf8")), {
    time: "2026-11-02T03:04:05.000Z",
    host: "mx",
    service: "postfix/smtpd",
    slot: 3,
    severity: "warning",
    text: '\u00e9 "q"\n',
  });
});
