import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Judging } from "../../src/smtpd/judging.ts";
import { FACTS, memory, shown } from "./policy.ts";

function made(lines: string[] = [], soft = false): Judging {
  const judging = new Judging(FACTS, memory(lines), soft, () => false);
  judging.begin("r@home.example", "Recipient address", null);
  return judging;
}

describe("a refusal", () => {
  const ROWS: readonly (readonly [number, string, string, string])[] = [
    [550, "5.7.1", "no", "550 5.7.1 no"],
    [450, "5.7.1", "later", "450 4.7.1 later"],
    [550, "4.7.1", "no", "550 5.7.1 no"],
    [650, "5.7.1", "no", "450 4.7.1 Service unavailable"],
    [550, "nonsense", "no", "450 4.7.1 Service unavailable"],
    [550, "5.7.1", "a\r\nb\x00c\xff", "550 5.7.1 a  b c "],
    [550, "5.7.1", "\xc3\xa9", "550 5.7.1 \xc3\xa9"],
    [550, "5.7.1", "x".repeat(600), `550 5.7.1 ${"x".repeat(500)}`],
  ];
  for (const [code, status, text, expected] of ROWS) {
    test(`${code} ${status} ${JSON.stringify(text.slice(0, 20))}`, () => {
      assert.equal(shown(made().reject(code, status, text)), expected);
    });
  }
});

test("a permanent refusal gives way to what was spared, a temporary one does not", () => {
  const judging = made();
  judging.spare(450, "4.4.4", "first");
  judging.spare(450, "4.4.4", "second");
  assert.equal(shown(judging.reject(450, "4.7.1", "later")), "450 4.7.1 later");
  assert.equal(shown(judging.reject(550, "5.7.1", "no")), "450 4.4.4 first");
});

test("a warning is no refusal, but for the system's own trouble", () => {
  const lines: string[] = [];
  const judging = made(lines);
  judging.warning = 1;
  assert.equal(judging.reject(550, "5.7.1", "no"), "dunno");
  assert.match(
    lines[0]!,
    /^NOQUEUE: reject_warning: RCPT from c\.isp\.example\[203\.0\.113\.9\]: 550 5\.7\.1 no; from=/,
  );
  assert.equal(shown(judging.serverError()), "451 4.3.5 Server configuration error");
  assert.equal(shown(judging.temporaryFailure()), "451 4.3.0 <r@home.example>: Temporary lookup failure");
});

test("what was put off is told when nothing else was", () => {
  const judging = made();
  judging.putOff(450, "4.1.8", "unknown");
  assert.equal(shown(judging.settle("permit")), "450 4.1.8 unknown");
  assert.equal(shown(made().settle("permit")), "permit");
});

test("soft_bounce", () => {
  assert.equal(shown(made([], true).reject(550, "5.7.1", "no")), "450 4.7.1 no");
});
