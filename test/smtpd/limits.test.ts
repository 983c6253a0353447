import assert from "node:assert/strict";
import { test } from "node:test";
import { SessionErrors } from "../../src/smtpd/limits.ts";

const LIMITS = {
  smtpd_soft_error_limit: 2,
  smtpd_hard_error_limit: 4,
  smtpd_error_sleep_time: 1_000,
  smtpd_junk_command_limit: 3,
};

test("errors first slow the session down, then end it", () => {
  const errors = new SessionErrors(LIMITS);
  const seen: unknown[] = [];
  for (let at = 0; at < 4; at++) {
    errors.count("RCPT", true, false);
    seen.push([errors.delay, errors.hopeless]);
  }
  assert.deepEqual(seen, [[0, false], [1_000, false], [1_000, false], [1_000, true]]);
});

test("junk commands beyond the limit are errors; a delivered message makes up for them", () => {
  const errors = new SessionErrors(LIMITS);
  for (let at = 0; at < 4; at++) errors.count("NOOP", false, true);
  assert.equal(errors.delay, 0);
  errors.forgive();
  for (let at = 0; at < 4; at++) errors.count("NOOP", false, true);
  assert.equal(errors.hopeless, false);
  for (let at = 0; at < 4; at++) errors.count("NOOP", false, true);
  assert.equal(errors.hopeless, true);
});

test("the disconnect line counts good and all", () => {
  const errors = new SessionErrors(LIMITS);
  errors.count("EHLO", false, false);
  errors.count("RCPT", true, false);
  errors.count("RCPT", false, false);
  errors.count("unknown", true, false);
  assert.equal(errors.summary(["EHLO", "MAIL", "RCPT"]), " ehlo=1 rcpt=1/2 unknown=0/1 commands=2/4");
});

test("a message that was taken makes up for former errors", () => {
  const errors = new SessionErrors({
    smtpd_soft_error_limit: 1,
    smtpd_hard_error_limit: 2,
    smtpd_error_sleep_time: 1_000,
    smtpd_junk_command_limit: 100,
  });
  errors.count("RCPT", true, false);
  assert.equal(errors.delay, 1_000);
  errors.forgive();
  assert.equal(errors.delay, 0);
  errors.count("RCPT", true, false);
  assert.equal(errors.hopeless, false);
});
