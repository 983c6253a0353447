import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig } from "../../src/config/config.ts";
import type { Clock, Socket } from "../../src/runtime.ts";
import type { Smtpd } from "../../src/smtpd/smtpd.ts";
import { StressedService } from "../../src/smtpd/stress.ts";
import { configured } from "../config/fake-runtime.ts";

const SOCKET = {} as Socket;

function desk(limit: number) {
  const desk = {
    now: 0,
    lines: [] as string[],
    taken: [] as string[],
    made: [] as boolean[],
    sessions: { true: 0, false: 0 },
  };
  const service = new StressedService({
    make: (stressed) => {
      desk.made.push(stressed);
      return {
        accept: () => {
          desk.taken.push(stressed ? "stressed" : "usual");
          desk.sessions[`${stressed}`]++;
        },
        get sessions() {
          return desk.sessions[`${stressed}`];
        },
        drain: () => Promise.resolve(void desk.taken.push(`drained ${stressed}`)),
      } as unknown as Smtpd;
    },
    limit,
    clock: { monotonic: () => desk.now } as Clock,
    name: 'service "smtp"',
    warn: (text) => void desk.lines.push(text),
  });
  return { desk, service, accept: () => service.accept(SOCKET) };
}

test("the session that fills the service is the first under stress, and the log says so once", () => {
  const { desk: { taken, lines, made }, accept } = desk(3);
  for (let count = 0; count < 4; count++) accept();
  assert.deepEqual(taken, ["usual", "usual", "stressed", "stressed"]);
  assert.deepEqual(made, [false, true]);
  assert.equal(lines.length, 3);
  assert.equal(
    lines[0],
    'service "smtp" has reached its process limit "3": new clients may experience noticeable delays',
  );
});

test("stress ends when nothing of the kind has happened for 1000 seconds", () => {
  const { desk: state, accept } = desk(2);
  accept();
  accept();
  state.sessions.true = state.sessions.false = 0;
  state.now = 999_999;
  accept();
  state.now = 1_000_000;
  state.sessions.true = 0;
  accept();
  assert.deepEqual(state.taken, ["usual", "stressed", "stressed", "usual"]);
});

test("without a limit there is no stress, and both halves are drained", async () => {
  const free = desk(0);
  for (let count = 0; count < 200; count++) free.accept();
  assert.deepEqual(free.desk.made, [false]);
  const both = desk(1);
  both.accept();
  await both.service.drain(0);
  assert.deepEqual(both.desk.taken, ["stressed", "drained false", "drained true"]);
});

test("under stress time-outs and limits are shorter, unless the site says what stress is", () => {
  const master = "smtp inet n - n - - smtpd\n2525 inet n - n - - smtpd -o stress=\n";
  const { main, services, stressedFor } = loadConfig(
    configured("own_time = ${stress?{1}:{9}}s\n", master).runtime,
    "/etc/postfix",
  );
  const shown = (config: typeof main): unknown[] => [
    config.smtpd_timeout,
    config.smtpd_hard_error_limit,
    config.smtpd_junk_command_limit,
    config.address_verify_poll_count,
    config.text("own_time"),
  ];
  assert.deepEqual(shown(main), [300_000, 20, 100, 3, "9s"]);
  assert.deepEqual(shown(stressedFor(services[0]!)), [10_000, 1, 1, 1, "1s"]);
  assert.deepEqual(shown(stressedFor(services[1]!)), shown(main));
});
