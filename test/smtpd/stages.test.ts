import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConfigError } from "../../src/errors.ts";
import type { SessionFacts } from "../../src/smtpd/facts.ts";
import type { PolicyMemory } from "../../src/smtpd/judging.ts";
import { type Stage, Stages } from "../../src/smtpd/stages.ts";
import { FACTS, memory, services, shown } from "./policy.ts";

const LISTS = `smtpd_client_restrictions = check_client_access inline:{{isp.example=450 client}}
smtpd_data_restrictions = check_sender_access inline:{{x.example=550 data}}
`;

async function at(
  main: string,
  stage: Stage,
  facts: Partial<SessionFacts> = {},
  known: PolicyMemory = memory(),
): Promise<string> {
  return shown(await new Stages(services({ main })).at(stage, { ...FACTS, ...facts }, known));
}

const elsewhere = { recipient: "r@elsewhere.example" };

describe("which list runs when", () => {
  test("with smtpd_delay_reject the client is judged at RCPT TO", async () => {
    assert.equal(await at(LISTS, "client"), "dunno");
    assert.match(await at(LISTS, "recipient"), /^450 4\.7\.1 .*: client$/);
  });

  test("without it at once, and not again", async () => {
    const main = `${LISTS}smtpd_delay_reject = no\n`;
    assert.match(await at(main, "client"), /^450 .*: client$/);
    assert.equal(await at(main, "recipient"), "dunno");
  });

  test("data has a list of its own", async () => assert.match(await at(LISTS, "data"), /^550 .*: data$/));

  test("a permit ends its list only", async () => {
    const main =
      "smtpd_client_restrictions = permit\nsmtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination";
    assert.match(await at(main, "recipient", elsewhere), /^554 5\.7\.1 .*Relay access denied$/);
  });

  test("soft_bounce makes refusals temporary", async () => {
    assert.match(await at(`${LISTS}soft_bounce = yes\n`, "data"), /^450 4\.7\.1 .*: data$/);
  });

  test("relay before recipient, or the other way round", async () => {
    const main = "smtpd_recipient_restrictions = defer\n";
    assert.match(await at(main, "recipient", elsewhere), /Relay access denied/);
    const other = `${main}smtpd_relay_before_recipient_restrictions = no`;
    assert.match(await at(other, "recipient", elsewhere), /^450 /);
  });

  test("without HELO and MAIL their lists say nothing", async () => {
    const main = "smtpd_helo_restrictions = reject\nsmtpd_sender_restrictions = reject";
    assert.equal(await at(main, "recipient", { helo: "", sender: null }), "dunno");
    assert.match(await at(main, "recipient", { sender: null }), /Helo command rejected/);
  });

  test("postmaster and the sender of probes are always taken", async () => {
    const main = "smtpd_recipient_restrictions = reject\nmyorigin = home.example";
    assert.equal(await at(main, "recipient", { recipient: "PostMaster" }), "dunno");
    assert.equal(await at(main, "recipient", { recipient: "double-bounce@home.example" }), "dunno");
    assert.match(await at(main, "recipient", { recipient: "postmaster@home.example" }), /^554 /);
  });

  test("ETRN", async () => {
    const main = "smtpd_etrn_restrictions = check_etrn_access inline:{{x.example=450 etrn}}";
    assert.match(
      await at(main, "etrn", { etrn: "a.x.example" }),
      /^450 4\.7\.1 <a\.x\.example>: Etrn command rejected/,
    );
    assert.equal(await at(main, "etrn", { etrn: "y.example" }), "dunno");
  });
});

describe("what is put off", () => {
  test("holds for the stages after it, and is told in their place", async () => {
    const main = "smtpd_client_restrictions = defer_if_permit, permit";
    assert.match(await at(main, "recipient"), /^450 4\.7\.0 <c\.isp\.example\[203\.0\.113\.9\]>: Client host rejected/);
    assert.match(await at(main, "recipient", elsewhere), /Relay access denied/);
  });

  test("holds from one command to the next", async () => {
    const main = "smtpd_delay_reject = no\nsmtpd_helo_restrictions = defer_if_permit";
    const known = memory();
    assert.equal(await at(main, "helo", {}, known), "dunno");
    assert.equal(await at(main, "sender", {}, known), "dunno");
    assert.match(await at(main, "recipient", {}, known), /Helo command rejected: defer_if_permit requested$/);
    known.restart();
    assert.equal(await at(main, "sender", {}, known), "dunno");
    assert.equal(await at(main, "recipient", {}, known), "dunno");
  });
});

describe("what a table wants done with the message", () => {
  test("DISCARD ends all lists, and the message is not looked at again", async () => {
    const main =
      "smtpd_sender_restrictions = check_sender_access static:DISCARD\nsmtpd_recipient_restrictions = reject";
    const known = memory();
    assert.equal(await at(main, "recipient", {}, known), "dunno");
    assert.ok(known.actions.discarded);
    known.forget();
    assert.ok(!known.actions.discarded);
  });

  test("is skipped before there is a message", async () => {
    const lines: string[] = [];
    const known = memory(lines);
    const main = "smtpd_delay_reject = no\nsmtpd_client_restrictions = check_client_access static:HOLD";
    assert.equal(await at(main, "client", { sender: null }, known), "dunno");
    assert.ok(!known.actions.held);
    assert.match(lines.join(), /^access table static:HOLD: with smtpd_delay_reject=no, action HOLD is always skipped/);
  });
});

test("permit actions are logged where that is asked for", async () => {
  const lines: string[] = [];
  await at(
    "smtpd_log_access_permit_actions = static:all\nsmtpd_client_restrictions = permit",
    "recipient",
    {},
    memory(lines),
  );
  assert.match(lines.join(), /^NOQUEUE: permit: RCPT from \S+: action=permit for Client host=c\.isp\.example\[203/);
});

test("no relay control, no start: Postfix's words", () => {
  const main = "smtpd_relay_restrictions = permit_mynetworks\nsmtpd_recipient_restrictions = permit";
  assert.throws(() => new Stages(services({ main })), (caught) => {
    assert.ok(caught instanceof ConfigError);
    assert.match(
      caught.faults[0]!,
      /^in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least/,
    );
    return true;
  });
});

test("a bad tempfail action stops the start", () => {
  assert.throws(
    () => new Stages(services({ main: "unknown_address_tempfail_action = nonsense" })),
    /bad configuration: unknown_address_tempfail_action = nonsense/,
  );
});
