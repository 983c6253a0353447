import assert from "node:assert/strict";
import { test } from "node:test";
import type { Verified } from "../../src/probe.ts";
import { judged, shown } from "./policy.ts";

const NO_USER: Verified = { status: "undeliverable", why: "no such user" };
const LATER: Verified = { status: "deferred", why: `wait ${"x".repeat(300)}` };

const ask = async (restriction: string, found: Verified, main = "", asked: unknown[] = []): Promise<string> => {
  const verifier = {
    wait: (address: string, within: number): Promise<Verified> => {
      asked.push([address, within]);
      return Promise.resolve(found);
    },
  };
  return shown(await judged(restriction, {}, { main, verifier }));
};

test("an undeliverable address is refused with what the probe found", async () => {
  const permanent = "unverified_sender_reject_code = 550\nunverified_recipient_reject_code = 551";
  assert.equal(
    await ask("reject_unverified_recipient", NO_USER, permanent),
    "551 5.1.1 <r@home.example>: Recipient address rejected: undeliverable address: no such user",
  );
  assert.equal(
    await ask("reject_unverified_sender", NO_USER, permanent),
    "550 5.1.7 <s@x.example>: Sender address rejected: undeliverable address: no such user",
  );
});

test("a client waits for a probe as long as the looks at it would take", async () => {
  const asked: unknown[] = [];
  await ask("reject_unverified_recipient", { status: "deliverable", why: "" }, "address_verify_poll_count = 4", asked);
  assert.deepEqual(asked, [["r@home.example", 9_000]]);
});

test("what is not known for good puts off, by default only what would be permitted", async () => {
  const text = `<r@home.example>: Recipient address rejected: unverified address: ${LATER.why.slice(0, 250)}`;
  assert.equal(await ask("reject_unverified_recipient", LATER), "dunno");
  const now = "unverified_recipient_tempfail_action = defer";
  assert.equal(await ask("reject_unverified_recipient", LATER, now), `450 4.1.1 ${text}`);
  assert.equal(
    await ask("reject_unverified_recipient, reject", LATER),
    "554 5.7.1 <r@home.example>: Recipient address rejected: Access denied",
  );
});

test("codes of 250 let pass, and a reason of the site's own stands for what was found", async () => {
  assert.equal(await ask("reject_unverified_sender", NO_USER, "unverified_sender_reject_code = 250"), "dunno");
  const atOnce = "unverified_sender_defer_code = 250\nunverified_sender_tempfail_action = defer";
  assert.equal(await ask("reject_unverified_sender", LATER, atOnce), "dunno");
  const own = "unverified_sender_reject_code = 550\nunverified_sender_reject_reason = Unknown here";
  assert.match(await ask("reject_unverified_sender", NO_USER, own), /undeliverable address: Unknown here$/);
});

test("where nobody verifies addresses they are put off", async () => {
  const lines: string[] = [];
  const main = "unverified_recipient_tempfail_action = defer";
  assert.equal(
    shown(await judged("reject_unverified_recipient", {}, { lines, main })),
    "450 4.1.1 <r@home.example>: Recipient address rejected: address verification problem",
  );
  assert.deepEqual(lines, ["verify service failure"]);
});
