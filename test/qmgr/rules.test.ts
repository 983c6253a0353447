import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig } from "../../src/config/config.ts";
import { agreeing, transportRules } from "../../src/qmgr/rules.ts";
import type { TransportRules } from "../../src/qmgr/schedule.ts";
import { configured } from "../config/fake-runtime.ts";
import { HandClock } from "./desk.ts";
import { testLog } from "../test-log.ts";

function rules(main: string, name = "smtp", processes = 20): { rules: TransportRules; lines: string[] } {
  const lines: string[] = [];
  const clock = new HandClock();
  const log = testLog(clock, (text) => void lines.push(...text.trimEnd().split("\n")));
  const config = loadConfig(configured(main).runtime, "/etc/postfix").main;
  const found = transportRules(name, processes, config, log.service("qmgr"));
  log.flush();
  return { rules: found, lines };
}

test("a transport has the defaults, or what stands under its own name, whatever its name", () => {
  const main = `default_destination_concurrency_limit = 12
fast_destination_concurrency_limit = 30
fast_initial_destination_concurrency = 9
fast_destination_concurrency_positive_feedback = 1/concurrency
fast_destination_concurrency_failed_cohort_limit = 4
fast_destination_recipient_limit = 3
fast_destination_rate_delay = 2s
fast_transport_rate_delay = 1s
fast_delivery_slot_cost = 8
fast_minimum_delivery_slots = 2
qmgr_message_recipient_limit = 100
minimal_backoff_time = 77s
transport_retry_time = 9s
`;
  const { rules: fast } = rules(main, "fast", 7);
  assert.deepEqual({ ...fast, introduction: [] }, {
    name: "fast",
    processLimit: 7,
    stalledLimit: 0,
    introduction: [],
    recipientLimit: 3,
    retryTime: 9_000,
    pause: 1_000,
    destinationLimit: 200,
    window: {
      initial: 9,
      limit: 7,
      positive: { amount: 1, per: "concurrency" },
      negative: { amount: 1, per: "one" },
      failedCohortLimit: 4,
      rest: 77_000,
      pause: 2_000,
      debug: null,
    },
    slots: { cost: 8, loan: 3, discount: 50, minimum: 2 },
  });
  const { rules: smtp } = rules(main);
  assert.deepEqual([smtp.window.limit, smtp.window.initial, smtp.recipientLimit, smtp.pause], [12, 5, 50, 0]);
  const { rules: local } = rules(main, "local");
  assert.deepEqual([local.window.limit, local.recipientLimit], [2, 1]);
});

test("the window of a destination never exceeds the service's process limit", () => {
  const limits: readonly (readonly [configured: number, processes: number, used: number])[] = [
    [20, 100, 20],
    [20, 7, 7],
    [0, 7, 7],
    [20, 0, 20],
    [0, 0, 0],
  ];
  for (const [configured, processes, used] of limits) {
    const { rules: found } = rules(`smtp_destination_concurrency_limit = ${configured}`, "smtp", processes);
    assert.equal(found.window.limit, used, `${configured} of ${processes}`);
  }
});

test("feedback that cannot be used is reported and counts as 1; the log tells what is used", () => {
  const { rules: found, lines } = rules(`smtp_destination_concurrency_negative_feedback = 7
default_destination_concurrency_positive_feedback = 1/sqrt_concurrency
destination_concurrency_feedback_debug = yes
`);
  assert.deepEqual(found.window.negative, { amount: 1, per: "one" });
  assert.match(lines.join("\n"), /warning: smtp_\w+_negative_feedback: ignoring malformed or unreasonable feedback: 7/);
  assert.deepEqual(found.introduction, [
    "smtp: default_destination_concurrency_positive_feedback feedback type 2 value at 5: 0.447214",
    "smtp: smtp_destination_concurrency_negative_feedback feedback type 0 value at 5: 1",
  ]);
  assert.notEqual(found.window.debug, null);
});

test("limits that contradict each other are made to agree, with Postfix's words", () => {
  const tried = (main: string): readonly unknown[] => {
    const lines: string[] = [];
    const log = testLog(new HandClock(), (text) => void lines.push(...text.trimEnd().split("\n")));
    const config = agreeing(loadConfig(configured(main).runtime, "/etc/postfix").main, log.service("qmgr"));
    log.flush();
    const told = lines.map((line) => line.replace(/^.*?\]: /, ""));
    return [config.qmgr_message_recipient_limit, config.bounce_queue_lifetime, ...told];
  };
  assert.deepEqual(tried(""), [20_000, 432_000_000]);
  assert.deepEqual(tried("qmgr_message_recipient_limit = 5\nbounce_queue_lifetime = 10d\n"), [
    20_000,
    432_000_000,
    "warning: qmgr_message_recipient_limit is smaller than qmgr_message_active_limit - " +
    "adjusting qmgr_message_recipient_limit",
    "warning: bounce_queue_lifetime is larger than maximal_queue_lifetime - adjusting bounce_queue_lifetime",
  ]);
});
