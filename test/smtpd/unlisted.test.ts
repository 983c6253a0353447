import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { SessionFacts } from "../../src/smtpd/facts.ts";
import { judged, shown } from "./policy.ts";

const MAIN = `local_recipient_maps = inline:{user=x}
virtual_mailbox_domains = vmail.example
virtual_mailbox_maps = inline:{m@vmail.example=m/}
virtual_alias_domains = valias.example
virtual_alias_maps = inline:{a@valias.example=x}
relay_domains = relay.example
relay_recipient_maps = inline:{r@relay.example=x}
relocated_maps = inline:{moved@home.example=new@x.example}
transport_maps = inline:{{t@relay.example=error:5.1.2 not here}, {w@relay.example=retry:later}}
recipient_delimiter = +
`;
const UNKNOWN = "rejected: User unknown in";
const recipient = (address: string): Partial<SessionFacts> => ({ recipient: address });

const ROWS: readonly (readonly [Partial<SessionFacts>, string, string?])[] = [
  [recipient("user@home.example"), "dunno"],
  [recipient("User+x@home.example"), "dunno"],
  [recipient("postmaster@home.example"), "dunno"],
  [recipient("mailer-daemon@home.example"), "dunno"],
  [recipient("double-bounce@home.example"), "dunno"],
  [recipient("no@home.example"), `550 5.1.1 <no@home.example>: Recipient address ${UNKNOWN} local recipient table`],
  [
    recipient("no@home.example"),
    "450 4.1.1 <no@home.example>: Recipient address rejected: User unknown",
    "unknown_local_recipient_reject_code = 450\nshow_user_unknown_table_name = no",
  ],
  [recipient("m@vmail.example"), "dunno"],
  [recipient("m+x@vmail.example"), "dunno"],
  [recipient("no@vmail.example"), `550 5.1.1 <no@vmail.example>: Recipient address ${UNKNOWN} virtual mailbox table`],
  [recipient("a@valias.example"), "dunno"],
  [recipient("no@valias.example"), `550 5.1.1 <no@valias.example>: Recipient address ${UNKNOWN} virtual alias table`],
  [recipient("r@relay.example"), "dunno"],
  [recipient("no@relay.example"), `550 5.1.1 <no@relay.example>: Recipient address ${UNKNOWN} relay recipient table`],
  [recipient("x@elsewhere.example"), "dunno"],
  [
    recipient("moved@home.example"),
    "550 5.1.6 <moved@home.example>: Recipient address rejected: User has moved to new@x.example",
  ],
  [recipient("t@relay.example"), "550 5.1.2 <t@relay.example>: Recipient address rejected: not here"],
  [recipient("w@relay.example"), "450 4.1.1 <w@relay.example>: Recipient address rejected: later"],
  [
    recipient("no@home.example"),
    "451 4.3.0 <no@home.example>: Temporary lookup failure",
    "local_recipient_maps = fail:x",
  ],
  [
    recipient("a@valias.example"),
    "451 4.3.0 <a@valias.example>: Temporary lookup failure",
    "virtual_alias_maps = fail:x",
  ],
  [recipient("no@home.example"), "dunno", "receive_override_options = no_unknown_recipient_checks"],
];

describe("reject_unlisted_recipient", () => {
  for (const [facts, expected, main = ""] of ROWS) {
    test(`${facts.recipient} ${main}`, async () => {
      const verdict = await judged("reject_unlisted_recipient", facts, { main: `${MAIN}${main}` });
      assert.equal(shown(verdict), expected);
    });
  }
});

test("reject_unlisted_sender", async () => {
  const check = async (sender: string): Promise<string> =>
    shown(await judged("reject_unlisted_sender", { sender }, { main: MAIN }));
  assert.equal(await check("user@home.example"), "dunno");
  assert.equal(await check(""), "dunno");
  assert.equal(
    await check("no@home.example"),
    `550 5.1.0 <no@home.example>: Sender address ${UNKNOWN} local recipient table`,
  );
  assert.equal(
    await check("no@valias.example"),
    `550 5.1.7 <no@valias.example>: Sender address ${UNKNOWN} virtual alias table`,
  );
});
