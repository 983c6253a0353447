import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ConfigError } from "../../src/errors.ts";
import { type Stage, Stages } from "../../src/smtpd/stages.ts";
import { FACTS, services, shown } from "./policy.ts";

const LISTS = `smtpd_relay_restrictions = reject_unauth_destination
smtpd_client_restrictions = check_client_access inline:{{isp.example=450 client}}
smtpd_data_restrictions = check_sender_access inline:{{x.example=550 data}}
`;
const at = async (main: string, stage: Stage, facts = FACTS): Promise<string> =>
  shown(await new Stages(services(main)).at(stage, facts));

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
    assert.match(
      await at(main, "recipient", { ...FACTS, recipient: "r@elsewhere.example" }),
      /^554 5\.7\.1 .*Relay access denied$/,
    );
  });

  test("soft_bounce makes refusals temporary", async () => {
    const main = `${LISTS}soft_bounce = yes\n`;
    assert.match(await at(main, "data"), /^450 4\.7\.1 .*: data$/);
  });

  test("relay before recipient, or the other way round", async () => {
    const main = "smtpd_relay_restrictions = reject_unauth_destination\nsmtpd_recipient_restrictions = defer\n";
    const facts = { ...FACTS, recipient: "r@elsewhere.example" };
    assert.match(await at(main, "recipient", facts), /Relay access denied/);
    assert.match(await at(`${main}smtpd_relay_before_recipient_restrictions = no`, "recipient", facts), /^450 /);
  });
});

test("no relay control, no start: Postfix's words", () => {
  const main = "smtpd_relay_restrictions = permit_mynetworks\nsmtpd_recipient_restrictions = permit";
  assert.throws(() => new Stages(services(main)), (caught) => {
    assert.ok(caught instanceof ConfigError);
    assert.match(
      caught.faults[0]!,
      /^in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least/,
    );
    return true;
  });
});
